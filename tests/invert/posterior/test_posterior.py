"""A posterior: its methods are the functions of draws."""

import numpy as np

from geoae.invert import Posterior, load
from geoae.invert.posterior.diagnose import diagnose
from geoae.invert.posterior.draws import Draws
from geoae.invert.posterior.posterior import load_posterior
from tests.invert import bent


def test_diagnosis_figure_and_store_are_methods(tmp_path):
    posterior = bent.inverse().solve("laplace", n_draws=30)
    assert isinstance(posterior, Posterior)
    assert isinstance(posterior, Draws)
    assert str(posterior.diagnose()) == str(diagnose(posterior))
    assert posterior.plot().axes
    loaded = load(posterior.save(tmp_path / "posterior.zarr"), bent.PLANE)
    assert isinstance(loaded, Posterior)
    np.testing.assert_array_equal(loaded.codes, posterior.codes)
    assert loaded.info == posterior.info


def test_load_has_the_same_meaning_under_both_names():
    assert load is load_posterior
