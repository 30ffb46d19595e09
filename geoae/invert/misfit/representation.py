"""The representation error: the part of the data that comes from what the decoder cannot represent.

A model is m = D(z) + r with its code z and a residual r that no code can represent. The residual changes the data by
e = F(m) - F(D(z)), the representation error. An inversion that weights misfits by the noise alone is overconfident if
e is larger than the noise. Here the mean and covariance of e, and the regression of r on e, are estimated from models
that the decoder was not trained on.

There are usually fewer held-out models than data. A covariance of few samples is too small along its smallest
eigenvectors, which weigh most in a misfit. All estimates are therefore cross-validated: the variance along each axis is
that of samples that the axis was not fitted to; the regression is shrunk according to its prediction of the residuals
of such samples; the covariance is inflated until the codes of such samples lie inside their posteriors.

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
"""Held-out models, at least."""
FOLDS = 5
CELLS = 1000
"""Cells of the residuals, at most, from which the shrinkage of the regression is estimated: one number for each axis
needs no more."""
MAX_INFLATION = 9.0
"""Inflation of the covariance, at most. Where more would be needed, the linear estimate of codes means nothing."""


class _Axes(NamedTuple):
    """Singular vectors of the centred whitened errors of some samples."""

    rows: NDArray[np.intp]
    """Numbers of the samples."""
    mean: Float64Array
    """(data,)"""
    left: Float64Array
    """(rows, p)"""
    singular: Float64Array
    """(p,) singular values."""
    right: Float64Array
    """(data, p)"""


@dataclass(frozen=True, eq=False, repr=False)
class Representation:
    """The representation error, estimated from samples: held-out models and their decoded codes."""

    residuals: Float64Array
    """(k, cells) held-out models less their decoded codes; 0 where cells are missing."""
    errors: Float64Array
    """(k, data) data of the held-out models less data of their decoded codes."""
    noise: Noise
    """Noise of the data."""
    codes: Float64Array | None = None
    """(k, d) codes of the held-out models; None if models are residuals as a whole."""
    decoded_data: Float64Array | None = None
    """(k, data) data of the decoded codes; None if there are no codes."""

    def __post_init__(self) -> None:
        if len(self.errors) < FEWEST:
            raise InputError(
                f"{len(self.errors)} held-out models are too few to estimate the representation error; at least "
                f"{FEWEST} are needed, and some hundred are better. Hold out more, or give representation=False, which "
                "makes intervals too narrow."
            )

    @cached_property
    def total(self) -> Noise:
        """Noise and representation error together, by which misfits are weighted."""
        variances, floor = self._variances
        axes = self._fit_axes(np.arange(len(self.errors))).right
        variances = self.inflation * _resize(variances, floor, axes.shape[1])
        return self.noise.add_errors(self.errors.mean(0), axes, variances, self.inflation * floor)

    def __repr__(self) -> str:
        return f"Representation({len(self.errors)} held-out models, {self.noise.n} data, {self.ratio:.3g} of the noise)"

    def draw_residuals(self, misfit: Float64Array, rng: np.random.Generator) -> Float64Array:
        """Draw a residual r for each of n codes, given the misfit of its data.

        By Matheron's rule, the residual of a random held-out model is a draw of the prior. A draw of the posterior is
        this residual plus a correction: the regression of r on e, applied to the misfit less the error of that model
        and a draw of the noise. The regression is fitted without that model, so that draws spread as much as the
        residuals of new models.

        Parameters
        ----------
        misfit
            (n, data) measured data less the data of each decoded code.

        Returns
        -------
        Float64Array
            (n, cells).
        """
        return self._draw_weights(misfit, rng, self._shrinkage_of_residuals) @ self.residuals

    def draw_errors(self, misfit: Float64Array, rng: np.random.Generator) -> Float64Array:
        """Draw representation errors (n, data), as `draw_residuals` draws residuals."""
        return self._draw_weights(misfit, rng, self._shrinkage_of_errors) @ self.errors

    @cached_property
    def inflation(self) -> float:
        """Factor of the covariance, between 1 and `MAX_INFLATION`.

        Each code is estimated from the error of its model, with the covariance of the other folds and a linear fit of
        data to codes. The factor is the mean squared error of these estimates in units of their variance.
        """
        if self.codes is None or self.decoded_data is None or len(self.codes) <= self.codes.shape[1] + 1:
            return 1.0
        white = self.noise.whiten(self.decoded_data)
        design = np.c_[np.ones(len(self.codes)), self.codes]
        slope: Float64Array = np.linalg.lstsq(design, white, rcond=None)[0][1:].astype(np.float64)
        rng, scores = np.random.default_rng(0), []
        for fold, axes in enumerate(self._fold_axes):
            rows = self._left_out_rows(fold)
            total = Noise(np.ones(self.noise.n), axes.mean, axes.right, self._variances_along(axes), self._variances[1])
            noisy = total.whiten(self._white[rows] - axes.mean + rng.normal(size=(len(rows), self.noise.n)))
            jacobian = total.whiten(slope)
            covariance = linalg.inv(jacobian @ jacobian.T + np.eye(len(jacobian)))
            scores.append((noisy @ jacobian.T - self.codes[rows]) @ covariance / np.sqrt(np.diagonal(covariance)))
        return float(np.clip(np.mean(np.concatenate(scores) ** 2), 1.0, MAX_INFLATION))

    @property
    def ratio(self) -> float:
        """RMS of the representation error, in standard deviations of the noise."""
        return float(np.sqrt(np.mean(self.errors**2 / self.noise.variance)))

    @cached_property
    def _white(self) -> Float64Array:
        return self.noise.whiten(self.errors)

    @cached_property
    def _fold_axes(self) -> list[_Axes]:
        """Axes of the samples outside of each fold."""
        number = np.arange(len(self.errors))
        return [self._fit_axes(np.flatnonzero(number % FOLDS != fold)) for fold in range(FOLDS)]

    def _fit_axes(self, rows: NDArray[np.intp]) -> _Axes:
        mean = self._white[rows].mean(0)
        return _Axes(rows, mean, *thin_svd(self._white[rows] - mean))

    def _left_out_rows(self, fold: int) -> NDArray[np.intp]:
        return np.arange(fold, len(self.errors), FOLDS)

    @cached_property
    def _variances(self) -> tuple[Float64Array, float]:
        """Variance of left-out samples along each axis, in falling order, and in each direction outside of the axes."""
        along, outside = [], []
        for fold, axes in enumerate(self._fold_axes):
            left_out = self._white[self._left_out_rows(fold)] - axes.mean
            scores = left_out @ axes.right
            along.append((scores**2).mean(0))
            n_outside = self.noise.n - axes.right.shape[1]
            outside.append(((left_out**2).sum(1) - (scores**2).sum(1)).mean() / n_outside if n_outside else np.inf)
        n = min(map(len, along))
        if not n:  # all models of some folds have the same error, such as none
            return np.zeros(0), float(max(np.mean(outside), 0.0)) if np.isfinite(outside).all() else 0.0
        variances = isotonic_regression(np.mean([a[:n] for a in along], axis=0), increasing=False).x
        return variances, float(max(min(np.mean(outside), variances[-1]), 0.0))

    def _variances_along(self, axes: _Axes) -> Float64Array:
        return _resize(*self._variances, len(axes.singular))

    def _gains(self, axes: _Axes) -> Float64Array:
        """Gains (p,) of the regression: scores along the axes, times gains, times `left` are weights of the samples."""
        return axes.singular / (len(axes.rows) - 1) / (self._variances_along(axes) + 1)

    @cached_property
    def _shrinkage_of_residuals(self) -> Float64Array:
        return self._estimate_shrinkage(self.residuals[:, :: max(self.residuals.shape[1] // CELLS, 1)])

    @cached_property
    def _shrinkage_of_errors(self) -> Float64Array:
        return self._estimate_shrinkage(self._white)

    def _estimate_shrinkage(self, target: Float64Array) -> Float64Array:
        """Factors (p,) of the regression's slopes along the axes, in falling order: least squares for left-out samples.

        `target` (k, ...) is what the regression predicts.
        """
        n = len(self._variances[0])
        if not n:
            return np.zeros(1)
        products, squares = np.zeros(n), np.zeros(n)
        for fold, axes in enumerate(self._fold_axes):
            rows, mean = self._left_out_rows(fold), target[axes.rows].mean(0)
            slopes = (axes.left[:, :n] * self._gains(axes)[:n]).T @ (target[axes.rows] - mean)
            scores = (self._white[rows] - axes.mean) @ axes.right[:, :n]
            products += (scores * ((target[rows] - mean) @ slopes.T)).sum(0)
            squares += (scores**2 + 1).sum(0) * (slopes**2).sum(1)
        squares = np.maximum(squares, 1e-300)
        factors = isotonic_regression(products / squares, weights=squares, increasing=False).x
        return np.clip(factors, 0.0, None)

    def _draw_weights(self, misfit: Float64Array, rng: np.random.Generator, shrinkage: Float64Array) -> Float64Array:
        """Draw weights (n, k) of the samples; the weighted sums of residuals or errors are draws of these."""
        chosen = rng.integers(0, len(self.errors), len(misfit))
        noise = self.noise.sample(len(misfit), rng) - self.noise.offset
        difference = self.noise.whiten(misfit - self.errors[chosen] - noise)
        weights = np.zeros((len(misfit), len(self.errors)))
        for fold, axes in enumerate(self._fold_axes):
            rows = np.flatnonzero(chosen % FOLDS == fold)
            gains = self._gains(axes) * _resize(shrinkage, shrinkage[-1], len(axes.singular))
            weights[np.ix_(rows, axes.rows)] = ((difference[rows] @ axes.right) * gains) @ axes.left.T
        # the columns of each regression sum to zero, so the mean of the samples cancels
        weights[np.arange(len(misfit)), chosen] += 1
        return weights


def _resize(values: Float64Array, fill: float, n: int) -> Float64Array:
    """The first n values; missing ones are filled in."""
    return np.r_[values[:n], np.full(max(n - len(values), 0), fill)]
