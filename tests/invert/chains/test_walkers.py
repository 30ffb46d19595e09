"""Walkers of emcee."""

import sys

import numpy as np
import pytest

from geoae.errors import InputError
from tests.invert import bent


def test_there_are_at_least_twice_as_many_walkers_as_codes():
    """Each walker is a chain, and has the data of its codes."""
    pytest.importorskip("emcee")
    posterior = bent.inverse().solve("mcmc", sampler="emcee", n_draws=120, n_warmup=60, n_chains=1)
    assert posterior.chains.shape == (6, 120, 2)
    assert posterior.info["n_chains"] == 6
    assert 0.05 < posterior.info["accepted"] < 0.9
    np.testing.assert_allclose(posterior.predicted, bent.valley(posterior.codes), atol=1e-9)


def test_without_emcee_another_sampler_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(InputError, match=r'pip install "geoae\[mcmc\]"'):
        bent.inverse().solve("mcmc", sampler="emcee")
