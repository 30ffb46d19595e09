"""Starting points of searches: codes that are estimated from the data and from finished runs."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.misfit.noise import Noise, thin_svd
from geoae.invert.misfit.runs import Runs
from geoae.invert.problem import Problem

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths of the ridge, relative to the mean squared singular value; leave-one-out errors decide which is used."""
NEAREST = 4
"""Number of runs whose codes are starting points, because their data are nearest to the measured data."""


def starting_points(
    problem: Problem, runs: Runs | None, seed: int, n_random: int = 0, predicted_code: Float64Array | None = None
) -> Float64Array:
    """Choose codes (n, d) to start searches from, in this order.

    The code that a net predicts from the data, if there is one; the estimate of a ridge regression from whitened data
    to codes; the codes of the runs whose data are nearest to the measured data; the middle of the prior; random codes.
    """
    d = problem.space.d
    codes = [np.zeros((1, d))]
    if runs is not None and len(runs.codes) >= 2 * NEAREST:
        measured = problem.noise.whiten(problem.data)
        codes.insert(0, fit_ridge(runs, problem.noise).predict(measured)[None])
        distance = ((measured - _whiten_runs(runs, problem.noise)) ** 2).sum(1) + (runs.codes**2).sum(1)
        codes.insert(1, runs.codes[np.argsort(distance)[:NEAREST]])
    if predicted_code is not None:
        codes.insert(0, predicted_code[None])
    codes.append(np.random.default_rng([seed, 0]).normal(size=(n_random, d)))
    return np.concatenate(codes)


class Ridge(NamedTuple):
    """A linear function that estimates codes from whitened data."""

    data_mean: Float64Array
    """(data,)"""
    code_mean: Float64Array
    """(d,)"""
    slope: Float64Array
    """(data, d)"""

    def predict(self, measured: Float64Array) -> Float64Array:
        """Estimate the code (d,) of whitened data (data,)."""
        return self.code_mean + (measured - self.data_mean) @ self.slope


@lru_cache(maxsize=4)
def fit_ridge(runs: Runs, noise: Noise) -> Ridge:
    """Fit a ridge regression from noisy data of the runs to codes; leave-one-out errors choose its strength.

    The fit does not depend on the measured data, so it is kept for the next inversion of the same runs.
    """
    x = _whiten_runs(runs, noise) + np.random.default_rng(0).normal(size=runs.data.shape)
    data_mean, code_mean = x.mean(0), runs.codes.mean(0)
    x, y = x - data_mean, runs.codes - code_mean
    vectors, singular, axes = thin_svd(x)
    rotated, slope, smallest = vectors.T @ y, np.zeros((x.shape[1], y.shape[1])), np.inf
    for strength in RIDGES:
        damped = singular**2 + strength * np.mean(singular**2)
        shrinkage = singular**2 / damped
        left_out = (y - vectors @ (shrinkage[:, None] * rotated)) / (1 - (vectors**2 * shrinkage).sum(1))[:, None]
        if (error := float((left_out**2).sum())) < smallest:
            smallest, slope = error, axes @ ((singular / damped)[:, None] * rotated)
    return Ridge(data_mean, code_mean, slope)


@lru_cache(maxsize=4)
def _whiten_runs(runs: Runs, noise: Noise) -> Float64Array:
    return runs.whiten(noise)
