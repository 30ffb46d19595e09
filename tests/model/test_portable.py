"""Models in graphs: a few bytes, loaded when they are used, and the same model at the other end."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from dask.base import tokenize

import geoae
from geoae.errors import ModelFileError
from geoae.model import portable
from geoae.model.devices import prepare_model
from geoae.model.portable import PortableModel
from tests.conftest import tiny_model
from tests.support import fields


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return fields.saved(tmp_path_factory.mktemp("model") / "tiny")


def sent(model):
    return pickle.loads(pickle.dumps(PortableModel(model)))


def test_a_model_with_a_folder_is_sent_as_its_path_and_others_as_a_whole(saved):
    """The model at the other end has the same weights; a pool of threads stays at home."""
    loaded = prepare_model(geoae.load_model(saved), "cpu", threads=2)
    shipped, alone = geoae.load_model("grid"), replace(loaded, folder=None)
    sizes = [len(pickle.dumps(PortableModel(m))) for m in (shipped, loaded, alone)]
    assert max(sizes[:2]) < 500 < sizes[2]
    assert str(shipped.folder).encode() not in pickle.dumps(PortableModel(shipped))
    windows = np.random.default_rng(0).normal(size=(2, 8, 16, 16))
    for model in (loaded, alone):
        there = sent(model).model
        assert there.pool is None
        np.testing.assert_allclose(there.noise(windows), loaded.noise(windows), rtol=1e-5, atol=1e-6)


def test_weights_that_were_changed_after_loading_are_sent(saved):
    """The folder does not hold them any more."""
    model = geoae.load_model(saved)
    token = tokenize(PortableModel(model))
    for weight in model.net.parameters():
        weight.data *= 2
    assert tokenize(PortableModel(model)) != token
    there = sent(model).model
    for here, other in zip(model.net.parameters(), there.net.parameters(), strict=True):
        np.testing.assert_array_equal(other.detach(), here.detach())


def test_a_process_that_passes_a_graph_on_loads_nothing(saved, monkeypatch):
    """As a scheduler does; tasks of one process share the model."""
    model, calls, load = geoae.load_model(saved), [], portable.load_model
    portable._load_once.cache_clear()
    monkeypatch.setattr(portable, "load_model", lambda place: calls.append(place) or load(place))
    once = pickle.loads(pickle.dumps(sent(model)))
    assert calls == []
    assert once.model is sent(model).model
    assert len(calls) == 1


def test_another_model_in_the_folder_is_refused(tmp_path):
    """The process that uses it finds the model with the same digest, or raises an error."""
    folder = fields.saved(tmp_path / "tiny")
    there = sent(geoae.load_model(folder))
    fields.denoiser(seed=1).save(folder, "# another")
    with pytest.raises(ModelFileError, match=r"was expected. Copy it there too"):
        _ = there.model


def test_the_partner_goes_with_the_model():
    """A shipped model is sent by its name, another one as a whole; a graph depends on the weights of the partner."""
    shipped = geoae.load_model("seismic")
    assert len(pickle.dumps(PortableModel(shipped))) < 500
    assert sent(shipped).model.digests == shipped.digests
    alone, other = replace(shipped, partner=None), replace(shipped, partner=tiny_model(rate_hz=1.0))
    assert sent(alone).model.partner is None
    assert sent(other).model.digests == other.digests == f"{shipped.digest}+{'0' * 12}"
    assert len({tokenize(PortableModel(m)) for m in (shipped, alone, other)}) == 3
