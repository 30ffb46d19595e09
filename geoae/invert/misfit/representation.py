"""What the decoder cannot represent, and what that does to the data.

A model is m = D(z) + r with a code z of its own and a rest r that no code makes. The rest is seen in the data as
e = F(m) - F(D(z)). An inversion that takes the misfit for noise alone is sure of what is wrong, as soon as e is larger
than the noise. Here the mean and the covariance of e, and of r with e, are estimated from models that the decoder was
not trained on, so that misfits are weighed as they are, and so that what the data say of r is not lost.

Held-out models are mostly fewer than the data, and a covariance of few samples is too small where it matters most, in
the directions in which it finds least. So all of it is cross-validated: the variance along each axis is the one of
samples that the axis was not fitted to; what they tell of the rest counts as much as it helps with others; and the
whole is as large as codes of others are wrong by.

References
----------
Kaipio and Somersalo (2007), Statistical inverse problems: discretization, model reduction and inverse crimes,
doi:10.1016/j.cam.2005.09.027. Matheron's rule: Chiles and Delfiner (2012), Geostatistics, chapter 7. Cross-validated
eigenvalues: Bartz (2016), Cross-validation based nonlinear shrinkage, arXiv:1611.00798.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.optimize import isotonic_regression

from geoae.errors import InputError
from geoae.invert.misfit.noise import Noise, decomposed

Array = NDArray[np.float64]
FEWEST = 8
FOLDS = 5
CELLS = 1000
"""Of the rests that tell how much their regression helps: the answer is one number an axis."""
LARGEST = 9.0
"""Factor of the covariance: beyond, the decoder is not near enough to linear for it to say anything."""


class _Axes(NamedTuple):
    """Singular vectors of white errors less their mean."""

    rows: NDArray[np.intp]
    mean: Array
    left: Array
    """(rows, p)"""
    size: Array
    """(p,)"""
    right: Array
    """(data, p)"""


@dataclass(frozen=True, eq=False)
class Representation:
    """Held-out models beside what the decoder makes of them, and both their data."""

    rest: Array
    """(k, cells) held-out models less their decoded codes; 0 where cells are missing."""
    errors: Array
    """(k, data) data of the held-out models less those of their decoded codes."""
    noise: Noise
    """Of the data alone."""
    codes: Array | None = None
    """(k, d) of the held-out models; None where nothing is decoded."""
    decoded_data: Array | None = None
    """(k, data) of the decoded codes."""

    def __post_init__(self) -> None:
        if len(self.errors) < FEWEST:
            raise InputError(
                f"{len(self.errors)} held-out models are too few to tell what the decoder cannot represent; at least "
                f"{FEWEST} are needed, better some hundred. Hold out more, or give representation=False and read "
                "intervals that are too narrow."
            )

    @cached_property
    def total(self) -> Noise:
        """The noise and the representation error together: what a misfit is to be weighed by."""
        sizes, floor = self._sizes
        axes = self._whole.right
        return self.noise.plus(
            self.errors.mean(0), axes, self.inflation * _as_many(sizes, floor, axes.shape[1]), self.inflation * floor
        )

    def rests(self, left: Array, rng: np.random.Generator) -> Array:
        """Draws of the rest r for each code of a sample, given what its data leave to be explained.

        Matheron's rule: a rest of a held-out model, with its error and a draw of the noise, is moved by the regression
        of r on e by as much as its data differ from those that are left. The regression is the one that was fitted
        without that model, so what remains has the spread it has for models that were never seen.

        Parameters
        ----------
        left
            (n, data) measured data less those of each decoded code.

        Returns
        -------
        Array
            (n, cells).
        """
        return self._given(left, rng, self._weight_of_rest) @ self.rest

    def data_errors(self, left: Array, rng: np.random.Generator) -> Array:
        """As `rests`, draws (n, data) of what the rests do to the data."""
        return self._given(left, rng, self._weight_of_errors) @ self.errors

    @cached_property
    def inflation(self) -> float:
        """By how much the covariance has to grow for codes of left-out models to lie where their posteriors say.

        Each code is estimated with the covariance of the other folds and the linear part of the decoder's data; the
        factor is the mean square of the errors in standard deviations.
        """
        if self.codes is None or self.decoded_data is None or len(self.codes) <= self.codes.shape[1] + 1:
            return 1.0
        white = self.noise.whiten(self.decoded_data)
        known = np.c_[np.ones(len(self.codes)), self.codes]
        slope: Array = np.linalg.lstsq(known, white, rcond=None)[0][1:].astype(np.float64)
        rng, scores = np.random.default_rng(0), []
        for fold, axes in enumerate(self._folds):
            rows = self._left_out(fold)
            here = Noise(np.ones(self.noise.n), axes.mean, axes.right, self._sizes_of(axes), self._sizes[1])
            seen = here.whiten(self._white[rows] - axes.mean + rng.normal(size=(len(rows), self.noise.n)))
            jacobian = here.whiten(slope)
            covariance = linalg.inv(jacobian @ jacobian.T + np.eye(len(jacobian)))
            scores.append((seen @ jacobian.T - self.codes[rows]) @ covariance / np.sqrt(np.diagonal(covariance)))
        return float(np.clip(np.mean(np.concatenate(scores) ** 2), 1.0, LARGEST))

    @property
    def ratio(self) -> float:
        """RMS of the representation error over that of the noise."""
        return float(np.sqrt(np.mean(self.errors**2 / self.noise.variance)))

    @cached_property
    def _white(self) -> Array:
        return self.noise.whiten(self.errors)

    @cached_property
    def _whole(self) -> _Axes:
        return self._axes(np.arange(len(self.errors)))

    @cached_property
    def _folds(self) -> list[_Axes]:
        """Axes of the samples without those of each fold."""
        return [self._axes(np.flatnonzero(np.arange(len(self.errors)) % FOLDS != fold)) for fold in range(FOLDS)]

    def _axes(self, rows: NDArray[np.intp]) -> _Axes:
        mean = self._white[rows].mean(0)
        return _Axes(rows, mean, *decomposed(self._white[rows] - mean))

    def _left_out(self, fold: int) -> NDArray[np.intp]:
        return np.arange(fold, len(self.errors), FOLDS)

    @cached_property
    def _sizes(self) -> tuple[Array, float]:
        """Variance of left-out samples along each axis, falling, and along each direction that is none."""
        along, beside = [], []
        for fold, axes in enumerate(self._folds):
            left = self._white[self._left_out(fold)] - axes.mean
            scores = left @ axes.right
            along.append((scores**2).mean(0))
            outside = self.noise.n - axes.right.shape[1]
            beside.append(((left**2).sum(1) - (scores**2).sum(1)).mean() / outside if outside else np.inf)
        n = min(map(len, along))
        sizes = isotonic_regression(np.mean([a[:n] for a in along], axis=0), increasing=False).x
        return sizes, float(max(min(np.mean(beside), sizes[-1]), 0.0))

    def _sizes_of(self, axes: _Axes) -> Array:
        return _as_many(*self._sizes, len(axes.size))

    def _gains(self, axes: _Axes) -> Array:
        """(p,) what makes a score along an axis, times a left singular vector, the weights of samples."""
        return axes.size / (len(axes.rows) - 1) / (self._sizes_of(axes) + 1)

    @cached_property
    def _weight_of_rest(self) -> Array:
        return self._weight(self.rest[:, :: max(self.rest.shape[1] // CELLS, 1)])

    @cached_property
    def _weight_of_errors(self) -> Array:
        return self._weight(self._white)

    def _weight(self, target: Array) -> Array:
        """How much of what an axis says of the target of its samples holds for that of others; falls from axis to axis.

        Least squares over left-out samples, for each axis by itself.
        """
        n = len(self._sizes[0])
        said, size = np.zeros(n), np.zeros(n)
        for fold, axes in enumerate(self._folds):
            rows, middle = self._left_out(fold), target[axes.rows].mean(0)
            says = (axes.left[:, :n] * self._gains(axes)[:n]).T @ (target[axes.rows] - middle)
            scores = (self._white[rows] - axes.mean) @ axes.right[:, :n]
            said += (scores * ((target[rows] - middle) @ says.T)).sum(0)
            size += (scores**2 + 1).sum(0) * (says**2).sum(1)
        size = np.maximum(size, 1e-300)
        found = isotonic_regression(said / size, weights=size, increasing=False).x
        return np.clip(found, 0.0, None)

    def _given(self, left: Array, rng: np.random.Generator, weight: Array) -> Array:
        """Weights (n, k) of the samples whose sum is a draw."""
        chosen = rng.integers(0, len(self.errors), len(left))
        moved = self.noise.whiten(left - self.errors[chosen] - (self.noise.sample(len(left), rng) - self.noise.offset))
        shares = np.zeros((len(left), len(self.errors)))
        for fold, axes in enumerate(self._folds):
            rows = np.flatnonzero(chosen % FOLDS == fold)
            gains = self._gains(axes) * _as_many(weight, weight[-1], len(axes.size))
            shares[np.ix_(rows, axes.rows)] = ((moved[rows] @ axes.right) * gains) @ axes.left.T
        # the weights of all samples add up to none, so their mean takes no part
        shares[np.arange(len(left)), chosen] += 1
        return shares


def _as_many(sizes: Array, floor: float, n: int) -> Array:
    """The first n of sizes; where there are fewer, the floor takes their place."""
    return np.r_[sizes[:n], np.full(max(n - len(sizes), 0), floor)]
