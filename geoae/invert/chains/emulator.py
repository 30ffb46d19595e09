"""An emulator of the data of codes near a posterior: a linear fit, and a Gaussian process for its residuals.

It takes a thousandth of the time of most forward models, and has gradients even if they have none. Near the codes that
it was fitted to, it is accurate enough for long trajectories of chains.

References
----------
Rasmussen and Williams (2006), Gaussian processes for machine learning, equations 2.25 (mean) and 4.17 (Matern 5/2);
Higdon et al. (2008), Computer model calibration using high-dimensional output, doi:10.1198/016214507000000888
(principal axes of data).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from geoae.arrays.types import Float64Array
from geoae.invert.misfit.noise import thin_svd

NOT_EMULATED = 0.005
"""Share of the variance of the data, at most, that is not emulated."""
METRIC_POWER = 0.5
"""Power of the covariance of codes that distances are measured by. Data are less linear along wide directions of the
posterior, but not in proportion: both whitened codes (1) and plain codes (0) are emulated less well."""
LENGTH, NUGGET = 2.0, 1e-6
"""Correlation length in units of the RMS distance from the middle, and variance added on the diagonal. For crosshole
data, lengths from 2 to 4.5 have the smallest leave-one-out errors, which hardly differ; shorter lengths are better far
from the middle, and worse where most draws are."""
ROOT = 5**0.5  # of the Matern kernel 5/2


@dataclass(frozen=True, eq=False)
class Emulator:
    """Cost of codes z = middle + x @ root^T, with x approximately N(0, I), and its gradient, from emulated data."""

    middle: Float64Array
    root: Float64Array
    """(d, d)"""
    inverse_root: Float64Array
    """(d, d), the inverse of `root`, transposed."""
    stretch: Float64Array
    """(d,) factors of x in distances."""
    linear: Float64Array
    """(1 + d, k) linear fit from x to data along the axes; the first row holds the data of the middle."""
    points: Float64Array
    """(n, d) stretched x of the runs."""
    weights: Float64Array
    """(n, k) weights of the kernel at these points."""
    length: float
    measured: Float64Array
    """(k,) measured data along the axes, whitened."""
    outside_cost: float
    """Half the squared misfit of the mean of the runs along all other axes."""

    @classmethod
    def fit(
        cls, codes: Float64Array, white: Float64Array, measured: Float64Array, covariance: Float64Array
    ) -> "Emulator":
        """Fit an emulator to runs.

        Parameters
        ----------
        codes, white
            (n, d) codes, and their whitened data (n, data).
        measured
            (data,) measured data, whitened.
        covariance
            (d, d) approximate covariance of the codes of the posterior.
        """
        variances, rotation = linalg.eigh(covariance)
        variances = np.maximum(variances, 1e-12 * variances[-1])
        middle, stretch = codes.mean(0), variances ** ((1 - METRIC_POWER) / 2)
        x = (codes - middle) @ (rotation / np.sqrt(variances))
        centre = white.mean(0)
        _, singular, axes = thin_svd(white - centre)
        share = np.cumsum(singular**2) / np.sum(singular**2)
        axes = axes[:, : int(np.searchsorted(share, 1 - NOT_EMULATED)) + 1]
        scores, design = (white - centre) @ axes, np.c_[np.ones(len(x)), x]
        linear = np.linalg.lstsq(design, scores, rcond=None)[0]
        measured_scores = (measured - centre) @ axes
        points = x * stretch
        squares = (points**2).sum(1)
        length = LENGTH * (float(np.sqrt(squares.mean())) or 1.0)
        kernel = _matern(_distances(points, points, squares) * (ROOT / length))
        kernel[np.diag_indices(len(x))] += NUGGET
        weights = linalg.solve(kernel, scores - design @ linear, assume_a="pos", overwrite_a=True, check_finite=False)
        return cls(
            middle, rotation * np.sqrt(variances), rotation / np.sqrt(variances), stretch, linear, points, weights,
            length, measured_scores, 0.5 * float(((measured - centre) ** 2).sum() - (measured_scores**2).sum()),
        )  # fmt: skip

    def from_codes(self, z: Float64Array) -> Float64Array:
        """Convert codes (n, d) to coordinates x (n, d)."""
        return (z - self.middle) @ self.inverse_root

    def to_codes(self, x: Float64Array) -> Float64Array:
        """Convert coordinates x (n, d) to codes (n, d)."""
        return self.middle + x @ self.root.T

    def energy(self, x: Float64Array) -> tuple[Float64Array, ...]:
        """Compute the cost (n,) at coordinates x (n, d), as `Problem.cost` but from emulated data; and its gradient."""
        # a trajectory that diverges overflows; its end is not finite and is rejected
        with np.errstate(over="ignore", invalid="ignore"):
            y = x * self.stretch
            q = _distances(y, self.points, self._squares) * (ROOT / self.length)
            misfit = self.linear[0] + x @ self.linear[1:] + _matern(q) @ self.weights - self.measured
            z = self.to_codes(x)
            pull = (misfit @ self.weights.T) * (1 + q) * np.exp(-q) * (-5 / (3 * self.length**2))
            gradient = misfit @ self.linear[1:].T + z @ self.root
            gradient += (pull.sum(1)[:, None] * y - pull @ self.points) * self.stretch
            return 0.5 * (misfit**2).sum(1) + 0.5 * (z**2).sum(1) + self.outside_cost, gradient

    @cached_property
    def _squares(self) -> Float64Array:
        return np.asarray((self.points**2).sum(1))


def _distances(a: Float64Array, b: Float64Array, squares: Float64Array) -> Float64Array:
    """Distances (n, m) between points (n, d) and (m, d); `squares` are the squared lengths of the latter."""
    distances: Float64Array = np.sqrt(np.maximum((a**2).sum(1)[:, None] + squares - 2 * a @ b.T, 0))
    return distances


def _matern(q: Float64Array) -> Float64Array:
    """Matern covariance at distances q = sqrt(5) times the distance in correlation lengths."""
    covariance: Float64Array = (1 + q + q * q / 3) * np.exp(-q)
    return covariance
