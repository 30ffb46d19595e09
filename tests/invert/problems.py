"""Linear problems whose posterior is known in closed form."""

import numpy as np

from geoae.invert import Inverse
from tests.invert.linear_space import LinearSpace

N, D, CELLS = 12, 3, 20


def matrix(seed=0):
    return np.random.default_rng(seed).normal(size=(N, CELLS)) / 3


def exact_space(n_held=0, seed=1):
    """A prior whose decoder can represent all its models."""
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(D, CELLS))
    held = rng.normal(size=(n_held, D)) @ basis + 1 if n_held else None
    return LinearSpace(np.ones(CELLS), basis, held)


def rough_models(n, seed):
    """Models whose first three principal components have two thirds of the variance."""
    distance = np.abs(np.subtract.outer(np.arange(CELLS), np.arange(CELLS)))
    root = np.linalg.cholesky(np.exp(-distance / 6) + 1e-9 * np.eye(CELLS))
    return np.random.default_rng(seed).normal(size=(n, CELLS)) @ root.T


def known():
    """Inverse, posterior mean and covariance of its codes."""
    space, g = exact_space(), matrix()
    sigma = np.linspace(0.2, 0.6, N)
    data = g @ space.decode(np.array([0.5, -1.0, 0.3])) + sigma * np.random.default_rng(2).normal(size=N)
    slope = (g @ space.basis.T) / sigma[:, None]
    covariance = np.linalg.inv(slope.T @ slope + np.eye(D))
    mean = covariance @ slope.T @ ((data - g @ space.mean) / sigma)
    return Inverse(space, g, data, sigma, representation=False), mean, covariance


def linear_inverse(n_held, sigma=0.3):
    """An inversion with four codes and small residuals; also models of other truths and the forward matrix."""
    rng = np.random.default_rng(0)
    scale = np.r_[np.ones(4), np.full(8, 0.2)]
    axes = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    models = (rng.normal(size=(n_held + 60, 12)) * scale) @ axes
    space = LinearSpace(np.zeros(12), axes[:4], models[60:])
    matrix = rng.normal(size=(10, 12))
    return Inverse(space, matrix, np.zeros(10), sigma), models[:60], matrix
