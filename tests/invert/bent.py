"""A problem of two codes whose posterior is a bent valley, and its moments by sums over a grid."""

import numpy as np

from geoae.invert import Inverse
from tests.invert.linear_space import LinearSpace

PLANE = LinearSpace(np.zeros(2), np.eye(2))
DATA, SIGMA = np.array([0.5, 0.0]), np.array([0.7, 0.5])


def valley(m):
    """Data (n, 2) of models (n, 2): the first number, and five times the distance of the second from a parabola."""
    m = np.asarray(m)
    return np.stack([m[..., 0], 5 * (m[..., 1] - m[..., 0] ** 2)], -1)


def adjoint(m, w):
    """The transposed derivative of `valley` at one model, times weights."""
    return np.array([w[0] - 10 * m[0] * w[1], 5 * w[1]])


def inverse(forward=valley, **options):
    return Inverse(PLANE, forward, DATA, SIGMA, representation=False, batched=True, **options)


def exact():
    """Mean, standard deviations and mean squared misfit of the posterior."""
    x, y = np.meshgrid(np.linspace(-3, 3, 1201), np.linspace(-2, 6, 1601), indexing="ij")
    z = np.stack([x, y], -1)
    misfit = (((DATA - valley(z)) / SIGMA) ** 2).sum(-1)
    weight = np.exp(-0.5 * misfit - 0.5 * (z**2).sum(-1))
    weight /= weight.sum()
    mean = (weight[..., None] * z).sum((0, 1))
    return mean, np.sqrt((weight[..., None] * (z - mean) ** 2).sum((0, 1))), (weight * misfit).sum()


def squared_misfit(posterior):
    return float((((posterior.data - valley(posterior.codes)) / SIGMA) ** 2).sum(1).mean())
