"""The table of kinds is complete, and the code that uses it works for a new kind that only the tests know."""

import inspect
import subprocess
import sys
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml

from geoae import kinds, nets
from geoae import model as models
from geoae.cli import tables
from geoae.errors import InputError, RecipeError, UnknownNameError
from geoae.jobs import cards
from geoae.model import Denoiser, Model, make_model, require_contract, require_role
from geoae.records.scaling import RecordScaler
from geoae.training.recipe import AnyRecipe, find_recipe_kind, load_recipe
from tests.model.test_contract import MADE, made

NAMES = [f.name for f in fields(kinds.Kind) if ":" in str(getattr(kinds.KINDS["record"], f.name))]


@dataclass(frozen=True)
class VolumeContract:
    """Contract of a made-up kind of model."""

    kind: ClassVar[str] = "volume"
    name: str
    summary: str
    window: tuple[int, int, int]
    spacing_m: float
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VolumeScaler:
    """Divides by a constant."""

    gain: float = 1.0


class VolumeModel(Model):
    """Role of the made-up kind."""

    def double(self, batch: np.ndarray) -> np.ndarray:
        return self.batched(lambda part: self.run(lambda x: self.net(x) + x, part), batch) * self.scaler.gain


class VolumeRecipe(AnyRecipe):
    """Recipe of the made-up kind."""

    kind: str
    depth_m: float


def format_volume_rates(contract):
    return "-", f"{contract['spacing_m']:g} m"


def volume_sources(recipe, folder):
    return {"depth": recipe.depth_m}


def volume_card(recipe, provenance):
    return [f"- volumes down to {provenance['data']['depth']:g} m"], ["Nothing was held out."], "No score."


@pytest.fixture
def volume(monkeypatch):
    """A fifth kind that is only an entry of the table."""
    here = __name__
    kind = kinds.Kind(
        "volume", "volumes", "a denoiser of volumes", contract=f"{here}:VolumeContract", role=f"{here}:VolumeModel",
        scaler=f"{here}:VolumeScaler", recipe=f"{here}:VolumeRecipe", task=f"{here}:format_volume_rates", score="gain",
        card=f"{here}:volume_card", sources=f"{here}:volume_sources", rates=f"{here}:format_volume_rates",
    )  # fmt: skip
    monkeypatch.setitem(kinds.KINDS, "volume", kind)
    return kind


def volume_model() -> Model:
    contract = VolumeContract("v", "for tests", (4, 5, 6), 12.5)
    return make_model(contract, "identity", {}, nets.build("identity", {}), VolumeScaler(0.5))


def test_the_list_of_names_is_that_of_the_table():
    """The tests below cover each field of a kind whose value is "module:name"."""
    assert set(NAMES) == {"contract", "role", "scaler", "recipe", "task", "card", "sources", "rates", "calibrate"}


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_every_name_of_a_kind_resolves(kind):
    """Each name is a dataclass, a class, or a function with the right number of arguments."""
    row = kinds.KINDS[kind]
    assert row.name == kind
    found = {name: kinds.load_name(getattr(row, name)) for name in NAMES if getattr(row, name) or name != "calibrate"}
    for name in ("contract", "scaler"):
        assert is_dataclass(found[name])
        assert found[name].__dataclass_params__.frozen
    assert found["contract"].kind == kind
    assert {"name", "summary", "provenance"} <= {f.name for f in fields(found["contract"])}
    assert issubclass(found["role"], Model)
    assert found["role"] is not Model
    assert issubclass(found["recipe"], AnyRecipe)
    for name, n in (("task", 2), ("card", 2), ("sources", 2), ("rates", 1), ("calibrate", 3)):
        assert name not in found or len(inspect.signature(found[name]).parameters) == n
    assert row.data
    assert row.description
    assert row.score


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_default_models_are_shipped_and_of_their_kind(kind):
    """Each default model can be read and is of the kind that names it."""
    for name in kinds.KINDS[kind].defaults:
        assert models.describe_model(name)["kind"] == kind


def test_no_two_kinds_share_a_contract_or_recipe():
    """The contract alone, or the recipe alone, determines the kind."""
    for name in ("contract", "recipe", "task", "data", "description"):
        assert len({getattr(kind, name) for kind in kinds.KINDS.values()}) == len(kinds.KINDS)


def test_importing_the_table_imports_no_kind(tmp_path):
    """Only `geoae.errors` comes with it, and what every import of geoae brings."""
    code = "import sys, geoae.kinds; print(sorted(m for m in sys.modules if m.startswith('geoae')))"
    root = str(Path(kinds.__file__).parents[1])
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
                         env={"PYTHONPATH": root, "HOME": str(tmp_path)})  # fmt: skip
    old = ["geoae.deprecated", "geoae.deprecated.modules", "geoae.deprecated.paths", "geoae.deprecated.table"]
    face = ["geoae", "geoae._version", *old]
    assert out.stdout.strip() == str([*face, "geoae.errors", "geoae.kinds"])


def test_an_unknown_kind_is_named():
    """The message names the unknown kind and lists the known ones."""
    with pytest.raises(UnknownNameError, match="'volume'; choose one of record, field, codes, prior"):
        kinds.find_kind("volume")


def test_a_new_kind_is_saved_and_loaded(volume, tmp_path):
    """Class, contract and scaler are those of the kind, and the methods of the loaded model work."""
    before = volume_model()
    before.save(tmp_path / "m", "# card\n")
    after = models.load_model(tmp_path / "m")
    assert type(after) is VolumeModel
    assert (after.contract, after.scaler) == (before.contract, VolumeScaler(0.5))
    x = np.arange(120.0).reshape(5, 4, 6)
    np.testing.assert_array_equal(after.double(x), x)
    facts = models.describe_model(tmp_path / "m")
    assert facts["kind"] == "volume"
    assert facts["contract"]["window"] == [4, 5, 6]


def test_a_new_kind_has_a_line_in_the_table_of_models(volume, tmp_path):
    """The table shows models of all kinds together."""
    volume_model().save(tmp_path / "v", "")
    for kind in MADE:
        made(kind).save(tmp_path / kind, "")
    text = tables.models_table(models.describe_model(tmp_path / name) for name in (*MADE, "v"))
    lines = {line.split()[0]: line.split() for line in text.splitlines()}
    assert lines["v"][1:] == ["volumes", volume_model_digest(tmp_path), "-", "12.5", "m", "for", "tests"]
    assert [lines[name][1] for name in "rfcp"] == ["records", "fields", "codes", "priors"]
    assert lines["r"][3:5] == ["100", "8-1000"]
    assert lines["p"][3:5] == ["-", "-"]


def test_purposes_stand_below_the_table_of_models():
    """With the fraction of noise that each keeps."""
    facts = models.describe_model("seismic")
    facts["contract"]["purposes"] = {"picking": 0.2, "viewing": -0.05}
    lines = tables.models_table([facts]).splitlines()
    assert lines[-1] == "seismic --for (fraction of the noise that is kept): picking 0.2, viewing -0.05"


def volume_model_digest(folder):
    return models.load_model(folder / "v").digest


def test_a_new_kind_has_recipes_and_cards(volume, tmp_path):
    """A recipe with `kind: volume` is read as a VolumeRecipe; the functions of the kind write provenance and card."""
    plan = {"kind": "volume", "name": "v", "summary": "for tests", "net": {"name": "identity"}, "depth_m": 900.0,
            "optimize": {"steps": 1}}  # fmt: skip
    (tmp_path / "r.yml").write_text(yaml.safe_dump(plan))
    recipe = load_recipe(tmp_path / "r.yml")
    assert isinstance(recipe, VolumeRecipe)
    assert find_recipe_kind(recipe) is volume
    trained = volume_model()
    facts = {"data": cards.describe_sources(recipe, tmp_path), "date": "2026-01-01", "torch": "2.9", "step": 1}
    trained.contract = replace(trained.contract, provenance=facts)
    card = cards.make_card(trained, recipe)
    assert "- volumes down to 900 m\nNothing was held out.\n\n## Scores\n\nNo score." in card


@pytest.mark.parametrize("kind", ["volume", 3, ["record"]])
def test_a_recipe_of_no_kind_is_refused(kind, tmp_path):
    """The message lists the known kinds."""
    (tmp_path / "r.yml").write_text(yaml.safe_dump({"kind": kind}))
    with pytest.raises(RecipeError, match=r"r\.yml is no recipe: kind is .*; choose one of record, field, codes"):
        load_recipe(tmp_path / "r.yml")


def test_a_contract_of_another_kind_is_refused(volume):
    """The message describes in words the kind of model that was required."""
    model = volume_model()
    assert require_contract(model, VolumeContract) is model.contract
    with pytest.raises(InputError, match=r"^Model 'v' \(for tests\) is not a denoiser of records"):
        require_contract(model, kinds.load_name(kinds.KINDS["record"].contract))
    with pytest.raises(InputError, match=r"^Model 'r' \(for tests\) is not a denoiser of volumes\. Train one"):
        require_contract(made("record"), VolumeContract)


def test_a_role_is_checked():
    """A model of another role, or a plain `Model`, is refused with a message of one line."""
    denoiser = made("record")
    assert require_role(denoiser, Denoiser) is denoiser
    with pytest.raises(InputError, match=r"'c' is a model with codes, of class Coder; a Denoiser was expected"):
        require_role(made("codes"), Denoiser)
    plain = Model(denoiser.contract, "identity", {}, denoiser.net, RecordScaler())
    with pytest.raises(InputError, match="of class Model; a Denoiser was expected"):
        require_role(plain, Denoiser)
