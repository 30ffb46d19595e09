"""The representation error: what the decoder cannot represent, and its effect on the data.

A model is m = D(z) + r with its code z and a residual r that no code can represent. The residual changes the data by
e = F(m) - F(D(z)), the representation error. An inversion that weights misfits by the noise alone is overconfident as
soon as e is larger than the noise. Here the mean and covariance of e, and the regression of r on e, are estimated from
models that the decoder was not trained on.

There are usually fewer held-out models than data, and a covariance of few samples is too small in the directions of
its smallest eigenvalues, which matter most. So everything is cross-validated: the variance along each axis is that of
samples that the axis was not fitted to; the regression is shrunk by how well it predicts the residuals of such samples;
and the covariance is inflated until the codes of such samples lie in their posteriors.

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

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.misfit.noise import Noise, thin_svd

FEWEST = 8
FOLDS = 5
CELLS = 1000
"""Cells of the residuals from which the shrinkage of the regression is estimated: it is one number an axis."""
MAX_INFLATION = 9.0
"""Inflation of the covariance, at most: beyond, the linear estimate of codes is meaningless."""


class _Axes(NamedTuple):
    """Singular vectors of centred whitened errors."""

    rows: NDArray[np.intp]
    mean: Float64Array
    left: Float64Array
    """(rows, p)"""
    size: Float64Array
    """(p,)"""
    right: Float64Array
    """(data, p)"""


@dataclass(frozen=True, eq=False)
class Representation:
    """The representation error, estimated from held-out models and their decoded codes."""

    residuals: Float64Array
    """(k, cells) held-out models less their decoded codes; 0 where cells are missing."""
    errors: Float64Array
    """(k, data) data of the held-out models less those of their decoded codes."""
    noise: Noise
    """Of the data alone."""
    codes: Float64Array | None = None
    """(k, d) of the held-out models; None where nothing is decoded."""
    decoded_data: Float64Array | None = None
    """(k, data) of the decoded codes."""

    def __post_init__(self) -> None:
        if len(self.errors) < FEWEST:
            raise InputError(
                f"{len(self.errors)} held-out models are too few to estimate the representation error; at least "
                f"{FEWEST} are needed, better some hundred. Hold out more, or give representation=False and read "
                "intervals that are too narrow."
            )

    @cached_property
    def total(self) -> Noise:
        """Noise and representation error together, by which misfits are weighted."""
        sizes, floor = self._sizes
        axes = self._whole.right
        return self.noise.plus(
            self.errors.mean(0), axes, self.inflation * _resize(sizes, floor, axes.shape[1]), self.inflation * floor
        )

    def draw_residuals(self, misfit: Float64Array, rng: np.random.Generator) -> Float64Array:
        """Draw a residual r for each code of a sample, given the misfit of its data.

        Matheron's rule: the residual of a random held-out model, with its error and a draw of the noise, is corrected
        by the regression of r on e, applied to the difference between the misfit and that error and noise. The
        regression was fitted without that model, so the spread is that of models that were not used.

        Parameters
        ----------
        misfit
            (n, data) measured data less those of each decoded code.

        Returns
        -------
        Float64Array
            (n, cells).
        """
        return self._draw_weights(misfit, rng, self._weight_of_residuals) @ self.residuals

    def draw_errors(self, misfit: Float64Array, rng: np.random.Generator) -> Float64Array:
        """Draw the representation error (n, data) in the same way as `draw_residuals`."""
        return self._draw_weights(misfit, rng, self._weight_of_errors) @ self.errors

    @cached_property
    def inflation(self) -> float:
        """Factor of the covariance with which the codes of left-out models lie in their posteriors.

        Each code is estimated with the covariance of the other folds and a linear fit of data to codes; the factor is
        the mean squared error in standard deviations.
        """
        if self.codes is None or self.decoded_data is None or len(self.codes) <= self.codes.shape[1] + 1:
            return 1.0
        white = self.noise.whiten(self.decoded_data)
        known = np.c_[np.ones(len(self.codes)), self.codes]
        slope: Float64Array = np.linalg.lstsq(known, white, rcond=None)[0][1:].astype(np.float64)
        rng, scores = np.random.default_rng(0), []
        for fold, axes in enumerate(self._folds):
            rows = self._left_out(fold)
            here = Noise(np.ones(self.noise.n), axes.mean, axes.right, self._sizes_of(axes), self._sizes[1])
            seen = here.whiten(self._white[rows] - axes.mean + rng.normal(size=(len(rows), self.noise.n)))
            jacobian = here.whiten(slope)
            covariance = linalg.inv(jacobian @ jacobian.T + np.eye(len(jacobian)))
            scores.append((seen @ jacobian.T - self.codes[rows]) @ covariance / np.sqrt(np.diagonal(covariance)))
        return float(np.clip(np.mean(np.concatenate(scores) ** 2), 1.0, MAX_INFLATION))

    @property
    def ratio(self) -> float:
        """RMS of the representation error over that of the noise."""
        return float(np.sqrt(np.mean(self.errors**2 / self.noise.variance)))

    @cached_property
    def _white(self) -> Float64Array:
        return self.noise.whiten(self.errors)

    @cached_property
    def _whole(self) -> _Axes:
        return self._axes(np.arange(len(self.errors)))

    @cached_property
    def _folds(self) -> list[_Axes]:
        """Axes of the samples outside of each fold."""
        return [self._axes(np.flatnonzero(np.arange(len(self.errors)) % FOLDS != fold)) for fold in range(FOLDS)]

    def _axes(self, rows: NDArray[np.intp]) -> _Axes:
        mean = self._white[rows].mean(0)
        return _Axes(rows, mean, *thin_svd(self._white[rows] - mean))

    def _left_out(self, fold: int) -> NDArray[np.intp]:
        return np.arange(fold, len(self.errors), FOLDS)

    @cached_property
    def _sizes(self) -> tuple[Float64Array, float]:
        """Variance of left-out samples along each axis, in falling order, and in each direction outside of the axes."""
        along, outside_axes = [], []
        for fold, axes in enumerate(self._folds):
            left = self._white[self._left_out(fold)] - axes.mean
            scores = left @ axes.right
            along.append((scores**2).mean(0))
            outside = self.noise.n - axes.right.shape[1]
            outside_axes.append(((left**2).sum(1) - (scores**2).sum(1)).mean() / outside if outside else np.inf)
        n = min(map(len, along))
        sizes = isotonic_regression(np.mean([a[:n] for a in along], axis=0), increasing=False).x
        return sizes, float(max(min(np.mean(outside_axes), sizes[-1]), 0.0))

    def _sizes_of(self, axes: _Axes) -> Float64Array:
        return _resize(*self._sizes, len(axes.size))

    def _gains(self, axes: _Axes) -> Float64Array:
        """(p,) factors that turn scores along the axes, times left singular vectors, into weights of the samples."""
        return axes.size / (len(axes.rows) - 1) / (self._sizes_of(axes) + 1)

    @cached_property
    def _weight_of_residuals(self) -> Float64Array:
        return self._weight(self.residuals[:, :: max(self.residuals.shape[1] // CELLS, 1)])

    @cached_property
    def _weight_of_errors(self) -> Float64Array:
        return self._weight(self._white)

    def _weight(self, target: Float64Array) -> Float64Array:
        """Shrinkage (p,) of the regression along each axis, in falling order: least squares over left-out samples."""
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

    def _draw_weights(self, misfit: Float64Array, rng: np.random.Generator, weight: Float64Array) -> Float64Array:
        """Draw weights (n, k): the weighted sum of the samples is a draw."""
        chosen = rng.integers(0, len(self.errors), len(misfit))
        moved = self.noise.whiten(
            misfit - self.errors[chosen] - (self.noise.sample(len(misfit), rng) - self.noise.offset)
        )
        shares = np.zeros((len(misfit), len(self.errors)))
        for fold, axes in enumerate(self._folds):
            rows = np.flatnonzero(chosen % FOLDS == fold)
            gains = self._gains(axes) * _resize(weight, weight[-1], len(axes.size))
            shares[np.ix_(rows, axes.rows)] = ((moved[rows] @ axes.right) * gains) @ axes.left.T
        # the columns of each regression sum to zero, so the mean of the samples cancels
        shares[np.arange(len(misfit)), chosen] += 1
        return shares


def _resize(sizes: Float64Array, floor: float, n: int) -> Float64Array:
    """The first n of sizes, filled up with the floor."""
    return np.r_[sizes[:n], np.full(max(n - len(sizes), 0), floor)]
