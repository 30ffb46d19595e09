"""Noise of the data: whitening, and checks of the input."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from geoae.invert.misfit.noise import Noise, read_noise, thin_svd
from tests.invert.problems import N, matrix


def test_equal_covariances_give_equal_codes(known):
    """A diagonal covariance is the same as standard deviations; NaN data are the same as data that are left out."""
    space, g, sigma = known[0].space, matrix(), np.linspace(0.2, 0.6, N)
    data = known[0].data.copy()
    data[[2, 7]] = np.nan
    kept = np.isfinite(data)
    codes = [
        Inverse(space, g, data, sigma, representation=False).solve("map").code,
        Inverse(space, g, data, np.diag(sigma**2), representation=False).solve("map").code,
        Inverse(space, g[kept], data[kept], sigma[kept], representation=False).solve("map").code,
    ]
    np.testing.assert_allclose(codes[1], codes[0], atol=1e-6)
    np.testing.assert_allclose(codes[2], codes[0], atol=1e-6)


@pytest.mark.parametrize(
    ("noise", "says"),
    [
        (0.0, "above zero"),
        (-1.0, "above zero"),
        (np.nan, "above zero"),
        (np.ones(5), r"shape \(5,\), and the data have \(12,\)"),
        (np.ones((N, N)), "not positive definite"),
        (np.triu(np.ones((N, N))), "not symmetric"),
        ("loud", "standard deviation"),
    ],
)
def test_invalid_noise_is_refused(noise, says):
    with pytest.raises(InputError, match=says):
        read_noise(noise, (N,), np.ones(N, bool))


@pytest.mark.parametrize("base", ["independent", "correlated"])
@pytest.mark.parametrize("p", [3, 6])
def test_products_along_axes_are_those_of_the_dense_covariance(base, p):
    """Whitening, colouring, adjoint, variance and precision are those of the dense matrix."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    known = rng.uniform(0.5, 2, 6) if base == "independent" else root @ root.T + np.eye(6)
    axes, sizes, floor = np.linalg.qr(rng.normal(size=(6, p)))[0], rng.uniform(1, 9, p), 0.7 if p < 6 else 0.0
    noise = Noise(known, np.zeros(6)).add_errors(np.ones(6), axes, sizes, floor)
    dense = np.diag(known) if known.ndim == 1 else known
    lower = np.linalg.cholesky(dense)
    expected = dense + lower @ (floor * np.eye(6) + (axes * (sizes - floor)) @ axes.T) @ lower.T
    np.testing.assert_allclose(noise.dense, expected)
    np.testing.assert_allclose(noise.variance, np.diagonal(expected))
    np.testing.assert_allclose(noise.precision, np.linalg.inv(expected), atol=1e-9)
    x, y = rng.normal(size=(2, 4, 6))
    np.testing.assert_allclose(noise.whiten(noise.colour(x)), x)
    np.testing.assert_allclose(noise.whiten(x) @ noise.whiten(x).T, x @ np.linalg.inv(expected) @ x.T, atol=1e-9)
    np.testing.assert_allclose((noise.whiten(x) * y).sum(), (noise.whiten_adjoint(y) * x).sum())


@pytest.mark.parametrize("shape", [(5, 9), (9, 5)])
def test_singular_vectors_reproduce_the_samples(shape):
    x = np.random.default_rng(0).normal(size=shape)
    left, size, right = thin_svd(x)
    np.testing.assert_allclose((left * size) @ right.T, x, atol=1e-9)
    np.testing.assert_allclose(size, np.linalg.svd(x)[1], atol=1e-9)
