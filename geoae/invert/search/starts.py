"""Starting points of searches: codes estimated from the data and from finished runs."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.misfit.noise import Noise, thin_svd
from geoae.invert.misfit.runs import Runs
from geoae.invert.problem import Problem

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths of the ridge, relative to the mean squared singular value, of which leave-one-out chooses one."""
NEAREST = 4
"""Runs whose data are nearest to the measured that are starting points, too."""


def starting_points(
    problem: Problem, runs: Runs | None, seed: int, n_random: int = 0, predicted_code: Float64Array | None = None
) -> Float64Array:
    """Choose codes (n, d) to start searches from, those that are likely to be best first.

    The code that a net predicts from the data, where there is one; the estimate of a ridge regression from whitened
    data to codes; the codes of the runs whose data are nearest to the measured; the middle of the prior; random codes.
    """
    d = problem.space.d
    found = [np.zeros((1, d))]
    if runs is not None and len(runs.codes) >= 2 * NEAREST:
        measured = problem.noise.whiten(problem.data)
        found.insert(0, fit_ridge(runs, problem.noise).code(measured)[None])
        distance = ((measured - _white(runs, problem.noise)) ** 2).sum(1) + (runs.codes**2).sum(1)
        found.insert(1, runs.codes[np.argsort(distance)[:NEAREST]])
    if predicted_code is not None:
        found.insert(0, predicted_code[None])
    found.append(np.random.default_rng([seed, 0]).normal(size=(n_random, d)))
    return np.concatenate(found)


class Ridge(NamedTuple):
    """A linear estimate of codes from whitened data."""

    data_mean: Float64Array
    """(data,)"""
    code_mean: Float64Array
    """(d,)"""
    slope: Float64Array
    """(data, d)"""

    def code(self, measured: Float64Array) -> Float64Array:
        """Estimate the code (d,) of whitened data (data,)."""
        return self.code_mean + (measured - self.data_mean) @ self.slope


@lru_cache(maxsize=4)
def fit_ridge(runs: Runs, noise: Noise) -> Ridge:
    """Fit a ridge regression from noisy data of the runs to codes; the strength is chosen by leave-one-out.

    It does not depend on the measured data, so it is fitted once. It is computed in the smaller of the spaces of
    samples and data.
    """
    x = _white(runs, noise) + np.random.default_rng(0).normal(size=runs.data.shape)
    data_mean, code_mean = x.mean(0), runs.codes.mean(0)
    x, y = x - data_mean, runs.codes - code_mean
    vectors, size, axes = thin_svd(x)
    rotated, best, score = vectors.T @ y, np.zeros((x.shape[1], y.shape[1])), np.inf
    for strength in RIDGES:
        damped = size**2 + strength * np.mean(size**2)
        keep = size**2 / damped
        residual = (y - vectors @ (keep[:, None] * rotated)) / (1 - (vectors**2 * keep).sum(1))[:, None]
        if (found := float((residual**2).sum())) < score:
            score, best = found, axes @ ((size / damped)[:, None] * rotated)
    return Ridge(data_mean, code_mean, best)


@lru_cache(maxsize=4)
def _white(runs: Runs, noise: Noise) -> Float64Array:
    return runs.white(noise)
