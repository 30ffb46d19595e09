"""The choice of what solves a problem, and what is reported."""

import numpy as np
import pytest

from geoae.errors import StoreError
from geoae.invert.chains.samplers import SAMPLERS
from tests.invert import bent


@pytest.mark.parametrize(
    ("method", "options", "n"),
    [("map", {}, 1), ("laplace", {}, 400), ("laplace", {"n_draws": 7}, 7), ("rml", {"n_draws": 3}, 3),
     ("esmda", {"n_members": 20}, 20), ("mcmc", {"n_draws": 5, "n_chains": 3, "n_warmup": 2, "n_learn": 330}, 15)],
)  # fmt: skip
def test_each_method_gives_as_many_draws_as_asked_for(method, options, n):
    """Codes have finite data, and only Markov chains have chains."""
    posterior = bent.inverse().solve(method, **options)
    assert posterior.codes.shape == (n, 2)
    assert np.isfinite(posterior.predicted).all()
    assert (posterior.chains is not None) == (method == "mcmc")
    if method == "mcmc":
        np.testing.assert_array_equal(posterior.chains.reshape(-1, 2), posterior.codes)
        assert posterior.info["n_chains"] == 3


def test_a_checkpoint_is_refused_after_another_default_is_chosen(tmp_path, monkeypatch):
    """The defaults of the sampler are part of a checkpoint's identity."""
    path = tmp_path / "state.npz"
    options = {"n_draws": 4, "n_chains": 3, "n_learn": 330, "checkpoint": path}
    monkeypatch.setitem(SAMPLERS, "emulated", SAMPLERS["emulated"]._replace(n_warmup=3))
    bent.inverse().solve("mcmc", **options)
    assert path.exists()
    monkeypatch.setitem(SAMPLERS, "emulated", SAMPLERS["emulated"]._replace(n_warmup=4))
    with pytest.raises(StoreError, match="another inversion"):
        bent.inverse().solve("mcmc", **options)
