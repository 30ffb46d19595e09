"""Hamiltonian chains: how well they mix, and how they adapt."""

import numpy as np
import pytest

from geoae.invert import Inverse
from geoae.invert.chains.convergence import effective_draws, r_hat
from tests.invert.linear_space import LinearSpace


def test_chains_of_a_gaussian_converge_within_few_gradients(known):
    """R-hat is at most 1.05 and most draws are effective."""
    posterior = known[0].solve("mcmc", sampler="hmc", n_draws=300)
    assert r_hat(posterior.chains).max() < 1.05
    assert effective_draws(posterior.chains).min() > 300
    assert posterior.info["n_gradients"] < 10_000


def test_chains_adapt_to_a_posterior_wider_than_its_gaussian():
    """Data are sensitive to the code near the most likely one only, so that the Gaussian there is far too narrow."""
    line = LinearSpace(np.zeros(1), np.ones((1, 1)))
    inverse = Inverse(line, lambda m: np.tanh(20 * m), np.zeros(1), 0.9, representation=False,
                      adjoint=lambda m, w: 20 / np.cosh(20 * m) ** 2 * w)  # fmt: skip
    z = np.linspace(-6, 6, 4001)
    density = np.exp(-0.5 * (z**2 + (np.tanh(20 * z) / 0.9) ** 2))
    density /= density.sum()
    expected = float(np.sqrt(density @ z**2))
    assert inverse.solve("laplace").std().item() < 0.1 * expected
    posterior = inverse.solve("mcmc", sampler="hmc", n_chains=8)
    assert posterior.codes.std() == pytest.approx(expected, rel=0.1)
    assert np.mean(np.abs(posterior.codes) < 0.05) == pytest.approx(density[np.abs(z) < 0.05].sum(), rel=0.35)
