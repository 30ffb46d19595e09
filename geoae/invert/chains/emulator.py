"""An emulator of the data of codes near a posterior: a linear fit, and a Gaussian process for what it leaves.

It costs a thousandth of most forward models and has gradients where these have none. Near the codes it was fitted to,
it is accurate enough for long trajectories of chains, whose ends runs of the forward model then accept or reject.

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
"""Share of the variance of the data that is not emulated."""
METRIC_POWER = 0.5
"""Distances are measured by this power of the covariance of codes. The data are less linear along wide directions than
along narrow ones, but not in proportion: whitened codes (1) and plain codes (0) are both emulated less well."""
LENGTH, NUGGET = 2.0, 1e-6
"""Correlation length in units of the RMS distance from the middle, and variance on the diagonal. For crosshole data,
lengths from 2 to 4.5 have the smallest leave-one-out errors, and hardly differ; shorter ones are better far from the
middle, and worse where most draws are."""
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
    """(d,) factors of x by which distances are measured."""
    linear: Float64Array
    """(1 + d, k) the linear fit from x to data along the axes; the first row holds the data in the middle."""
    points: Float64Array
    """(n, d) stretched x of the runs."""
    weights: Float64Array
    """(n, k) of the kernel at these points."""
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
            (n, d), and their whitened data (n, data).
        measured
            (data,), whitened.
        covariance
            (d, d) of the codes of the posterior, approximately.
        """
        size, rotation = linalg.eigh(covariance)
        size = np.maximum(size, 1e-12 * size[-1])
        middle, stretch = codes.mean(0), size ** ((1 - METRIC_POWER) / 2)
        x = (codes - middle) @ (rotation / np.sqrt(size))
        centre = white.mean(0)
        _, found, axes = thin_svd(white - centre)
        share = np.cumsum(found**2) / np.sum(found**2)
        axes = axes[:, : int(np.searchsorted(share, 1 - NOT_EMULATED)) + 1]
        along, known = (white - centre) @ axes, np.c_[np.ones(len(x)), x]
        linear = np.linalg.lstsq(known, along, rcond=None)[0]
        measured_scores = (measured - centre) @ axes
        points = x * stretch
        squares = (points**2).sum(1)
        length = LENGTH * (float(np.sqrt(squares.mean())) or 1.0)
        kernel = _matern(_distances(points, points, squares) * (ROOT / length))
        kernel[np.diag_indices(len(x))] += NUGGET
        weights = linalg.solve(kernel, along - known @ linear, assume_a="pos", overwrite_a=True, check_finite=False)
        return cls(
            middle, rotation * np.sqrt(size), rotation / np.sqrt(size), stretch, linear, points, weights, length,
            measured_scores, 0.5 * float(((measured - centre) ** 2).sum() - (measured_scores**2).sum()),
        )  # fmt: skip

    def from_codes(self, z: Float64Array) -> Float64Array:
        """Coordinates x (n, d) of codes (n, d)."""
        return (z - self.middle) @ self.inverse_root

    def to_codes(self, x: Float64Array) -> Float64Array:
        """Codes (n, d) of coordinates x (n, d)."""
        return self.middle + x @ self.root.T

    def energy(self, x: Float64Array) -> tuple[Float64Array, ...]:
        """Cost (n,) of coordinates x (n, d), and its gradient (n, d): as `Problem.cost`, from emulated data."""
        # a trajectory that diverges overflows; its end is not finite, and is rejected
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
    found: Float64Array = np.sqrt(np.maximum((a**2).sum(1)[:, None] + squares - 2 * a @ b.T, 0))
    return found


def _matern(q: Float64Array) -> Float64Array:
    """Matern covariance at distances q = sqrt(5) times the distance in correlation lengths."""
    found: Float64Array = (1 + q + q * q / 3) * np.exp(-q)
    return found
