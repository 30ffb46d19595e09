"""A stand-in for the data of codes near a posterior: a straight line, and a Gaussian process for what bends.

It costs a thousandth of what most forward models do, gives gradients where these have none, and is right enough near
the codes it has learnt from for chains to take long steps on it, which runs of the forward model then judge.

References
----------
Rasmussen and Williams (2006), Gaussian processes for machine learning, equations 2.25 (mean) and 4.17 (Matern 5/2);
Higdon et al. (2008), Computer model calibration using high-dimensional output, doi:10.1198/016214507000000888
(principal axes of data).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from geoae.invert.misfit.noise import decomposed

Array = NDArray[np.float64]
LEFT_OUT = 0.005
"""Share of the variance of data along axes that are not emulated."""
HALF = 0.5
"""Power of the covariance of codes that distances are measured by. Wide directions bend more than narrow ones, but not
in proportion: neither white codes (1) nor codes as they are (0) emulate as well."""
LENGTH, NUGGET = 2.0, 1e-6
"""Correlation length in units of the RMS distance from the middle, and variance on the diagonal. By leave-one-out 2 to
4.5 are the best between boreholes, and hardly differ; shorter ones err less far out, but more where most draws are."""
ROOT = 5**0.5


@dataclass(frozen=True, eq=False)
class Emulator:
    """Cost of codes z = middle + x @ root^T, x about N(0, I), and its slope, from data that are guessed."""

    middle: Array
    root: Array
    """(d, d)"""
    back: Array
    """(d, d), the inverse of `root`, transposed."""
    stretch: Array
    """(d,) factors of x by which distances are measured."""
    straight: Array
    """(1 + d, k) the straight line from x to data along the axes, first the data in the middle."""
    points: Array
    """(n, d) stretched x that were learnt from."""
    weights: Array
    """(n, k) of the kernel at these points."""
    length: float
    wanted: Array
    """(k,) measured data along the axes, white."""
    beside: float
    """Half the squared misfit of the middle along all other axes."""

    @classmethod
    def learn(cls, codes: Array, white: Array, measured: Array, covariance: Array) -> "Emulator":
        """From runs.

        Parameters
        ----------
        codes, white
            (n, d), and their white data (n, data).
        measured
            (data,), white.
        covariance
            (d, d) of the codes of the posterior, more or less.
        """
        size, turn = linalg.eigh(covariance)
        size = np.maximum(size, 1e-12 * size[-1])
        middle, stretch = codes.mean(0), size ** ((1 - HALF) / 2)
        x = (codes - middle) @ (turn / np.sqrt(size))
        centre = white.mean(0)
        _, found, axes = decomposed(white - centre)
        share = np.cumsum(found**2) / np.sum(found**2)
        axes = axes[:, : int(np.searchsorted(share, 1 - LEFT_OUT)) + 1]
        along, known = (white - centre) @ axes, np.c_[np.ones(len(x)), x]
        straight = np.linalg.lstsq(known, along, rcond=None)[0]
        wanted = (measured - centre) @ axes
        points = x * stretch
        squares = (points**2).sum(1)
        length = LENGTH * (float(np.sqrt(squares.mean())) or 1.0)
        kernel = _matern(_distances(points, points, squares) * (ROOT / length))
        kernel[np.diag_indices(len(x))] += NUGGET
        weights = linalg.solve(kernel, along - known @ straight, assume_a="pos", overwrite_a=True, check_finite=False)
        return cls(
            middle, turn * np.sqrt(size), turn / np.sqrt(size), stretch, straight, points, weights, length, wanted,
            0.5 * float(((measured - centre) ** 2).sum() - (wanted**2).sum()),
        )  # fmt: skip

    def of(self, z: Array) -> Array:
        """(n, d) x of codes."""
        return (z - self.middle) @ self.back

    def codes(self, x: Array) -> Array:
        """(n, d) codes."""
        return self.middle + x @ self.root.T

    def energy(self, x: Array) -> tuple[Array, ...]:
        """Cost (n,) and its slope (n, d) by x (n, d): half the squared misfit of guessed data, and half the code's."""
        # where trajectories lose their way numbers overflow; nothing that is not finite is taken
        with np.errstate(over="ignore", invalid="ignore"):
            y = x * self.stretch
            q = _distances(y, self.points, self._squares) * (ROOT / self.length)
            misfit = self.straight[0] + x @ self.straight[1:] + _matern(q) @ self.weights - self.wanted
            z = self.codes(x)
            pull = (misfit @ self.weights.T) * (1 + q) * np.exp(-q) * (-5 / (3 * self.length**2))
            slope = misfit @ self.straight[1:].T + z @ self.root
            slope += (pull.sum(1)[:, None] * y - pull @ self.points) * self.stretch
            return 0.5 * (misfit**2).sum(1) + 0.5 * (z**2).sum(1) + self.beside, slope

    @cached_property
    def _squares(self) -> Array:
        return np.asarray((self.points**2).sum(1))


def _distances(a: Array, b: Array, squares: Array) -> Array:
    """(n, m) between points (n, d) and (m, d), whose squared lengths are given."""
    found: Array = np.sqrt(np.maximum((a**2).sum(1)[:, None] + squares - 2 * a @ b.T, 0))
    return found


def _matern(q: Array) -> Array:
    """Covariance at distances of q correlation lengths, over the root of five."""
    found: Array = (1 + q + q * q / 3) * np.exp(-q)
    return found
