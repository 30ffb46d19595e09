"""Weights of the standard error: how large the error of a model is where it kept a given share of the power.

A Wiener filter that knew the powers would leave S N / (S + N). A model guesses them, so its error depends otherwise on
what it kept, and differs between octaves. Weights are found on stations that the net was not trained on.
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array, Float64Array
from geoae.records.sigma import CELL_N, OCTAVES, SHARES, find_cells

_HOP = CELL_N // 2
_LARGEST = 9.0  # times the expected variance: a few missed onsets are not to set the weights of all
_ROUNDS = 4
_WIENER = 1e-3  # share of the Wiener variance that is added: a cell never seen has an error, too


class WeightFit:
    """Collects the errors of a denoiser, and finds weights for `estimate_sigma`."""

    def __init__(self) -> None:
        self._features: list[NDArray[np.float32]] = []
        self._errors: list[NDArray[np.float64]] = []
        self._wiener = np.zeros(0)

    def add(self, noisy: Array, signal: Array, clean: Array) -> None:
        """Add windows (n, component, time) of known truth; components whose truth is silent do not count."""
        for x, y, truth in zip(*(part.reshape(-1, part.shape[-1]) for part in (noisy, signal, clean)), strict=True):
            if scale := float(truth.std()):
                power, kept = find_cells(y / scale, (x - y) / scale)
                power[:, 1:-1] *= 2
                error = np.square((y - truth) / scale)
                half = np.concatenate([error, np.zeros(-len(error) % _HOP)]).reshape(-1, _HOP).mean(-1)
                # a cell covers the halves before and after its middle
                self._errors.append((half[:-1] + half[1:]) / 2)
                self._features.append(_sum_classes(power, kept)[1 : len(half)])

    def find(self, seed: int = 0, largest: int = 40_000) -> list[list[float]]:
        """Weights (octave, class of shares), none below 0, by least squares of relative errors.

        Each round divides by the variance of the round before, and limits errors to some times of it, which is the
        likelihood of powers (McCullagh & Nelder, Generalized Linear Models, 1989, chapter 8) made robust.
        """
        from scipy.optimize import nnls

        features, errors = np.concatenate(self._features).astype(np.float64), np.concatenate(self._errors)
        chosen = np.random.default_rng(seed).permutation(len(errors))[:largest]
        features, errors = features[chosen], errors[chosen]
        wiener = _list_wiener()
        variance = np.maximum(features @ wiener, 1e-12)
        weights = wiener
        for _ in range(_ROUNDS):
            target = np.minimum(errors / variance, _LARGEST)
            weights = nnls(features / variance[:, None], target)[0] + _WIENER * wiener
            variance = np.maximum(features @ weights, 1e-12)
        found: list[list[float]] = np.round(weights, 5).reshape(len(OCTAVES), len(SHARES)).tolist()
        return found


def _sum_classes(power: NDArray[np.float32], kept: NDArray[np.intp]) -> NDArray[np.float32]:
    """Power (cell, octave times class) of the cells of each octave and class of shares."""
    of_share = np.searchsorted(SHARES, kept, "right") - 1
    edges = [*OCTAVES, power.shape[-1]]
    columns: Iterable[NDArray[np.float32]] = (
        (power[:, a:b] * (of_share[:, a:b] == j)).sum(-1) for a, b in pairwise(edges) for j in range(len(SHARES))
    )
    return np.stack(list(columns), -1)


def _list_wiener() -> Float64Array:
    """Weights p (1 - p) at the middle of each class of shares p, for all octaves."""
    middles = (np.array(SHARES) + np.array([*SHARES[1:], 100])) / 200
    return np.tile(middles * (1 - middles), len(OCTAVES))
