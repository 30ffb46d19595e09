"""The representation error, estimated from few or many models and for few or many data."""

import numpy as np
import pytest

from geoae.invert import Inverse
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import Representation
from tests.invert.linear_space import LinearSpace

CELLS, N = 24, 15


def smooth(n, seed, cells=CELLS):
    distance = np.abs(np.subtract.outer(np.arange(cells), np.arange(cells)))
    root = np.linalg.cholesky(np.exp(-distance / 6) + 1e-9 * np.eye(cells))
    return np.random.default_rng(seed).normal(size=(n, cells)) @ root.T


def matrix(n=N, seed=5):
    return np.random.default_rng(seed).normal(size=(n, CELLS)) / 3


@pytest.mark.parametrize("k", [12, 60, 1500])
def test_errors_of_new_models_have_the_estimated_covariance(k):
    """The mean squared whitened error is near 1 for few or many samples; many samples give the exact covariance."""
    rng, noise = np.random.default_rng(1), Noise(np.full(N, 0.01), np.zeros(N))
    errors, new = smooth(k, 2, N), smooth(4000, 3, N)
    found = Representation(np.zeros((k, 1)), errors, noise).total
    white = found.whiten(new + 0.1 * rng.normal(size=new.shape) - found.offset)
    assert 0.7 < np.mean(white**2) < 1.4
    if k == 1500:
        np.testing.assert_allclose(found.dense, np.cov(new.T) + 0.01 * np.eye(N), atol=0.15)


def test_codes_lie_in_their_intervals_with_few_held_out_models():
    """The sample covariance of fewer models than data would make intervals far too narrow."""
    space, g = LinearSpace.from_models(smooth(400, 0), 3, smooth(36, 1)), matrix(80)
    inverse = Inverse(space, g, np.zeros(80), 0.05)
    result = next(iter(inverse.calibrate(50, truths=smooth(50, 7)).results.values()))
    assert 0.82 < result.codes[2] < 0.97
    assert 0.84 < result.cells[2] < 0.96


def test_thousands_of_data_need_no_dense_covariance():
    """No matrix (data, data) is made for the cost."""
    space, g = LinearSpace.from_models(smooth(200, 0), 3, smooth(60, 1)), matrix(4000)
    inverse = Inverse(space, g, g @ smooth(1, 2)[0], 0.1)
    assert np.isfinite(inverse.problem.cost(np.zeros((2, 3)), inverse.problem.predict(np.zeros((2, 3))))).all()
    assert "dense" not in vars(inverse.representation.total)
    assert inverse.representation.total.axes.shape[1] < 60


@pytest.mark.parametrize("k", [8, 40])
def test_no_error_at_all_leaves_the_noise_alone(k):
    """Data that a program prints with few digits can be the same for models and their decoded codes."""
    noise = Noise(np.full(N, 0.01), np.zeros(N))
    found = Representation(np.zeros((k, 3)), np.zeros((k, N)), noise, smooth(k, 0, 2), smooth(k, 1, N))
    np.testing.assert_allclose(found.total.variance, noise.variance)
    rng = np.random.default_rng(0)
    assert not found.draw_errors(np.ones((5, N)), rng).any()
    assert not found.draw_residuals(np.ones((5, N)), rng).any()
