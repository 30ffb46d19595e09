"""Where to begin: codes that data point to, learnt from runs that there are already."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.invert.misfit.noise import Noise, decomposed
from geoae.invert.problem import Problem

Array = NDArray[np.float64]
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
NEAREST = 4


@dataclass(frozen=True, eq=False)
class Runs:
    """Codes (n, d) and the data (n, data) of their models, with what the decoder cannot represent or without."""

    codes: Array
    data: Array

    def white(self, noise: Noise) -> Array:
        """(n, data) as they are expected to be measured, in units of their error."""
        return noise.whiten(self.data + noise.offset)


def candidates(problem: Problem, runs: Runs | None, seed: int, n_random: int = 0, learnt: Array | None = None) -> Array:
    """Codes (n, d) to begin from, the likeliest kinds first.

    The one that a net has learnt to expect of such data, where there is one; those of a ridge regression from white
    data to codes, in which the strength of the ridge is chosen by leave-one-out; those of the runs whose data are
    nearest to the measured; the middle of the prior; random ones.
    """
    d = problem.space.d
    found = [np.zeros((1, d))]
    if runs is not None and len(runs.codes) >= 2 * NEAREST:
        measured = problem.noise.whiten(problem.data)
        found.insert(0, ridge(runs, problem.noise).code(measured)[None])
        far = ((measured - _white(runs, problem.noise)) ** 2).sum(1) + (runs.codes**2).sum(1)
        found.insert(1, runs.codes[np.argsort(far)[:NEAREST]])
    if learnt is not None:
        found.insert(0, learnt[None])
    found.append(np.random.default_rng([seed, 0]).normal(size=(n_random, d)))
    return np.concatenate(found)


class Ridge(NamedTuple):
    """A linear estimate of codes from white data."""

    middle: Array
    """(data,)"""
    centre: Array
    """(d,)"""
    slope: Array
    """(data, d)"""

    def code(self, measured: Array) -> Array:
        """(d,) of white data (data,)."""
        return self.centre + (measured - self.middle) @ self.slope


@lru_cache(maxsize=4)
def ridge(runs: Runs, noise: Noise) -> Ridge:
    """Learn to estimate codes from noisy data of the runs; the same for all measured data, so it is learnt once.

    The regression is done in the smaller of the spaces of samples and data.
    """
    x = _white(runs, noise) + np.random.default_rng(0).normal(size=runs.data.shape)
    middle, centre = x.mean(0), runs.codes.mean(0)
    x, y = x - middle, runs.codes - centre
    vectors, size, axes = decomposed(x)
    turned, best, score = vectors.T @ y, np.zeros((x.shape[1], y.shape[1])), np.inf
    for strength in RIDGES:
        damped = size**2 + strength * np.mean(size**2)
        keep = size**2 / damped
        left = (y - vectors @ (keep[:, None] * turned)) / (1 - (vectors**2 * keep).sum(1))[:, None]
        if (found := float((left**2).sum())) < score:
            score, best = found, axes @ ((size / damped)[:, None] * turned)
    return Ridge(middle, centre, best)


@lru_cache(maxsize=4)
def _white(runs: Runs, noise: Noise) -> Array:
    return runs.white(noise)
