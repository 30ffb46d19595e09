"""Posteriors in zarr stores."""

import numpy as np
import pytest

from geoae.errors import InputError, OutputExistsError, StoreError
from geoae.invert import Inverse, load
from geoae.priors.pca import pca_model
from geoae.priors.space import LatentSpace
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import D, matrix, rough_models


def test_a_stored_posterior_is_the_same(tmp_path):
    """Draws are decoded from the store; codes of another model are refused."""
    space = LinearSpace.from_models(rough_models(200, 0), D, rough_models(60, 1))
    posterior = Inverse(space, matrix(5), matrix(5) @ rough_models(1, 2)[0], 0.1).solve("laplace", n_draws=50)
    path = posterior.save(tmp_path / "posterior.zarr")
    again = load(path, space)
    np.testing.assert_allclose(again.sample(4, seed=3), posterior.sample(4, seed=3))
    assert str(again.diagnose()) == str(posterior.diagnose())
    with pytest.raises(OutputExistsError, match="there already"):
        posterior.save(path)
    space.digest = "1" * 12
    with pytest.raises(StoreError, match="has codes of model"):
        load(path, space)
    (path / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match=r"cannot be read|no posterior"):
        load(path, space)


def test_an_old_posterior_stays_until_the_new_one_is_whole(tmp_path):
    """Overwriting replaces the whole store; what cannot be stored leaves the old store alone in the folder."""
    space = LinearSpace.from_models(rough_models(200, 0), D, rough_models(60, 1))
    posterior = Inverse(space, matrix(5), matrix(5) @ rough_models(1, 2)[0], 0.1).solve("laplace", n_draws=20)
    path = posterior.save(tmp_path / "posterior.zarr")
    (path / "extra").write_text("of the first store")
    posterior.info["unstorable"] = object()
    with pytest.raises(InputError, match="object cannot be stored"):
        posterior.save(path, overwrite=True)
    assert (path / "extra").is_file()
    del posterior.info["unstorable"]
    posterior.save(path, overwrite=True)
    assert not (path / "extra").exists()
    np.testing.assert_array_equal(load(path, space).codes, posterior.codes)
    assert [p.name for p in tmp_path.iterdir()] == ["posterior.zarr"]


def test_a_posterior_is_loaded_with_any_form_of_its_prior(tmp_path):
    """A prior of geoae.fit, its folder or its space; anything else is named in one line."""
    models = rough_models(60, 0)
    prior = pca_model(models[:40], 2, held_out=models[40:])
    prior.save(tmp_path / "prior", "card")
    path = Inverse(prior, matrix(5), matrix(5) @ models[0], 0.1).solve("laplace", n_draws=20).save(tmp_path / "p.zarr")
    expected = load(path, LatentSpace(prior))
    for given in (prior, tmp_path / "prior", str(tmp_path / "prior")):
        np.testing.assert_array_equal(load(path, given).mean(), expected.mean())
    for wrong, says in (((path, models), "prior is a ndarray"), ((prior, path), "is a path, and a Prior was given")):
        with pytest.raises(InputError, match=says):
            load(*wrong)
