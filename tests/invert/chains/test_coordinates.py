"""Coordinates of chains, adapted to draws and gradients."""

import numpy as np
import pytest

from geoae.invert.chains.coordinates import Coordinates
from geoae.invert.search.modes import Mode, Modes


@pytest.mark.parametrize("n", [400, 1])
def test_coordinates_adapt_to_many_draws_and_not_to_one(n):
    """Draws of chains become N(0, I), even if the chains have not mixed; one draw changes nothing."""
    rng, d, chains = np.random.default_rng(1), 4, 6
    coordinates = Coordinates(Modes((Mode(np.ones(d), np.zeros(1), 0.0, np.zeros((1, d)), True, 1),)))
    root = rng.normal(size=(d, d))
    apart = 50 * rng.normal(size=(chains, d))
    z = rng.normal(size=(n, chains, d)) @ root.T
    coordinates.adapt(z + apart, z @ np.linalg.inv(root @ root.T))
    x = coordinates.from_codes(rng.normal(size=(20000, d)) @ root.T)
    variances = np.linalg.eigvalsh(np.cov(x.T))
    if n > 1:
        np.testing.assert_allclose(variances, 1, atol=0.15)
    else:
        np.testing.assert_allclose(variances, np.linalg.eigvalsh(root @ root.T), rtol=0.05)
    z = rng.normal(size=(7, d))
    np.testing.assert_allclose(coordinates.to_codes(coordinates.from_codes(z)), z, atol=1e-9)


def test_gradients_correct_a_covariance_of_slow_chains():
    """Draws with half the width of a posterior, and its gradients there, give the whole width."""
    rng, width = np.random.default_rng(2), np.array([4.0, 1.0, 0.5])
    coordinates = Coordinates(Modes((Mode(np.zeros(3), np.zeros(1), 0.0, np.zeros((1, 3)), True, 1),)))
    walked = 0.5 * width * rng.normal(size=(2000, 4, 3))
    coordinates.adapt(walked, walked / width**2)
    np.testing.assert_allclose(np.sqrt(np.diag(coordinates.root @ coordinates.root.T)), width, rtol=0.1)
