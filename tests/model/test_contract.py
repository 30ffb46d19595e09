"""Models of all kinds are saved and loaded, and refused as models of other kinds."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest

from geoae import kinds, nets
from geoae import model as models
from geoae.arrays import neighbours
from geoae.arrays.neighbours import N_VALUES
from geoae.arrays.scaling import FieldScaler
from geoae.arrays.transforms import Transform
from geoae.codes.contract import CodeContract
from geoae.errors import InputError, ModelFileError
from geoae.fields.contract import FieldContract
from geoae.model import Model, make_model, require_contract
from geoae.model.contract import list_json_types
from geoae.priors.contract import PriorContract
from geoae.records.contract import RecordContract
from geoae.records.scaling import RecordScaler

FIELD = FieldContract("f", "for tests", (32, 32), (24, 24), 8, 1, 3, 20, 4, "K", ("lat", "lon"))
RECORD = RecordContract("r", "for tests", 100.0, (8.0, 1000.0), 256, 192, 8)
CODES = CodeContract("c", "for tests", (16,), (16,), 4)
PRIOR = PriorContract("p", "for tests", (16,), 4, "km/s", ("z",))
MADE = {
    "record": (RECORD, RecordScaler()),
    "field": (FIELD, FieldScaler(axes=2, channels=neighbours.N_VALUES)),
    "codes": (CODES, FieldScaler(axes=1)),
    "prior": (PRIOR, Transform("log", 1.0, 0.5)),
}


def made(kind: str) -> Model:
    contract, scaler = MADE[kind]
    return make_model(contract, "identity", {}, nets.build("identity", {}), scaler)


@pytest.mark.parametrize("kind", MADE)
def test_a_saved_model_keeps_its_kind(kind, tmp_path):
    """Contract, scaler and kind come back, tuples as tuples; the model knows its folder."""
    made(kind).save(tmp_path / "m", "# card\n")
    loaded = models.load_model(tmp_path / "m")
    assert loaded.contract == MADE[kind][0]
    assert loaded.scaler == MADE[kind][1]
    assert loaded.folder == tmp_path / "m"
    assert models.describe_model(tmp_path / "m")["kind"] == kind


def test_model_files_without_a_kind_are_of_records(tmp_path):
    """The first model files have no key `kind`."""
    made("record").save(tmp_path / "m", "# card\n")
    facts = json.loads((tmp_path / "m" / models.CARD).read_text())
    del facts["kind"]
    (tmp_path / "m" / models.CARD).write_text(json.dumps(facts))
    assert models.load_model(tmp_path / "m").contract == RECORD


@pytest.mark.parametrize(
    ("change", "words"),
    [({"kind": "volume"}, "kind is 'volume' instead of one of record, field, codes, prior"),
     ({"kind": "codes"}, "missing key contract.latent"), ({"kind": 3}, "kind is 3 instead of str"),
     ({"scaler": {"block": 1, "floor": 0.1}}, "missing key scaler.axes")],
)  # fmt: skip
def test_a_kind_that_does_not_fit_is_refused(change, words, tmp_path):
    """The message lists all differences."""
    made("field").save(tmp_path / "m", "# card\n")
    facts = json.loads((tmp_path / "m" / models.CARD).read_text())
    (tmp_path / "m" / models.CARD).write_text(json.dumps(facts | change))
    with pytest.raises(ModelFileError, match=words):
        models.load_model(tmp_path / "m")


@pytest.mark.parametrize("kind", MADE)
def test_a_model_of_another_kind_is_refused(kind):
    """The message names the shipped models of the kind, or how to train one."""
    for other in kinds.KINDS.values():
        wanted = kinds.load_name(other.contract)
        if other.name == kind:
            assert require_contract(made(kind), wanted) == MADE[kind][0]
            continue
        words = rf"^Model '{kind[0]}' \(for tests\) is not {re.escape(other.description)}\. (Shipped models|Train one)"
        with pytest.raises(InputError, match=words):
            require_contract(made(kind), wanted)


def test_every_key_of_a_contract_has_a_type():
    """So that loading can check all keys."""
    for kind, (contract, scaler) in MADE.items():
        for one in (contract, scaler):
            plain, types = json.loads(json.dumps(asdict(one))), list_json_types(type(one))
            assert set(plain) == set(types)
            for key, wanted in types.items():
                assert isinstance(plain[key], wanted), (kind, key)


def field(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, size=(4, 2 * N_VALUES, 8, 9))
    x[rng.random(x.shape) < 0.2] = np.nan
    return x


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_field_scaling_is_undone(scale):
    """The first channel has zero mean and unit spread; weights stay; undo gives the values back."""
    x = field()
    x[:, :N_VALUES] *= scale
    scaler = FieldScaler(axes=2, channels=N_VALUES)
    scaled, stats = scaler.apply(x)
    own = np.where(np.isfinite(x[:, 0]), scaled[:, 0], np.nan)
    np.testing.assert_allclose(np.nanmean(own, (1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.nanstd(own, (1, 2)), 1, atol=1e-5)
    np.testing.assert_array_equal(scaled[:, N_VALUES:], x[:, N_VALUES:].astype(np.float32))
    back = scaler.undo(scaled[:, :1], stats)
    valid = np.isfinite(x[:, :1])
    np.testing.assert_allclose(back[valid], x[:, :1][valid], rtol=1e-5, atol=1e-5 * scale)


def test_constants_and_blanks_are_zero():
    """No division by zero, and no amplified rounding errors."""
    x = np.full((2, 1, 8, 8), 1e5 + 0.1)
    x[1] = np.nan
    scaled, stats = FieldScaler().apply(x)
    assert (scaled == 0).all()
    assert (stats.gain == 0).all()
    np.testing.assert_allclose(FieldScaler().undo(scaled + 1, stats)[0], 1e5 + 0.1, rtol=1e-12)
