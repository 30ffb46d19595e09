"""Where to begin: codes that data point to, learnt from runs that there are already."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from geoae.invert.problem import Problem

Array = NDArray[np.float64]
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
NEAREST = 4


@dataclass(frozen=True)
class Runs:
    """Codes (n, d) and the data (n, data) of their models, with what the decoder cannot represent or without."""

    codes: Array
    data: Array


def candidates(problem: Problem, runs: Runs | None, rng: np.random.Generator, n_random: int = 0) -> Array:
    """Codes (n, d) to begin from, the likeliest kinds first.

    Those of a ridge regression from white data to codes, in which the strength of the ridge is chosen by
    leave-one-out; those of the runs whose data are nearest to the measured; the middle of the prior; random ones.
    """
    d = problem.space.d
    found = [np.zeros((1, d))]
    if runs is not None and len(runs.codes) >= 2 * NEAREST:
        found.insert(0, ridge(problem, runs, rng)[None])
        far = (problem.misfit(runs.data) ** 2).sum(1) + (runs.codes**2).sum(1)
        found.insert(1, runs.codes[np.argsort(far)[:NEAREST]])
    found.append(rng.normal(size=(n_random, d)))
    return np.concatenate(found)


def ridge(problem: Problem, runs: Runs, rng: np.random.Generator) -> Array:
    """Code (d,) that a ridge regression of codes on white noisy data finds for the measured data.

    The regression is done in the space of the samples, so that thousands of data cost as much as few.
    """
    noisy = runs.data + problem.noise.sample(len(runs.data), rng)
    white = -problem.misfit(noisy)  # the measured data are the origin
    middle, centre = white.mean(0), runs.codes.mean(0)
    x, y = white - middle, runs.codes - centre
    size, vectors = linalg.eigh(x @ x.T)
    size = np.maximum(size, 0.0)
    turned, target = vectors.T @ y, vectors.T @ (x @ -middle)
    best, score = centre, np.inf
    for strength in RIDGES:
        keep = size / (size + strength * size.mean())
        left = (y - vectors @ (keep[:, None] * turned)) / (1 - (vectors**2 * keep).sum(1))[:, None]
        if (found := float((left**2).sum())) < score:
            score, best = found, centre + target @ (turned / (size + strength * size.mean())[:, None])
    return best
