"""Whether the type of an output holds a denoised trace, or rounding would change it."""

import math
from dataclasses import dataclass

import numpy as np

from geoae.arrays.types import Array

_SHARE_OF_SIGNAL = {True: 0.1, False: 0.01}
"""Largest rms of rounding errors as a fraction of the signal's rms about its mean: for whole numbers, for others."""
_SHARE_OF_REMOVED = {True: 1.0, False: 0.1}
"""The same as a fraction of the rms of what was removed: rounding must not add as much noise as denoising takes."""
_COUNT = 0.3
"""Slightly more than the rms of the rounding errors in a recording of whole numbers, sqrt(1/12)."""
_NOTHING_REMOVED = 1e-9
"""Fraction of the largest sample below which the removed part is rounding errors of the computation."""


_PART = 1 << 15
_SMALLEST = 1e-280
"""Sums of squares below this have lost digits."""


@dataclass
class RoundingSums:
    """Sums over the blocks of one trace.

    Parameters
    ----------
    rounded
        Whether whole numbers are written.
    """

    rounded: bool
    n: int = 0
    _shift: float = math.nan
    _sum: float = 0.0
    _signal: float = 0.0
    _removed: float = 0.0
    _error: float = 0.0
    _noise_error: float = 0.0
    _peak: float = 0.0
    _whole: bool = True
    _unchanged: "RoundingSums | None" = None
    """Sums of parts from which nothing was removed. They count if there are no others."""

    def add(self, x: Array, exact: Array, signal: Array, removed: Array | None = None) -> None:
        """Add a block: input, signal before rounding, and signal as written; `removed` if the noise is rounded too."""
        for start in range(0, len(x), _PART):  # parts that stay in the cache of a CPU
            part = slice(start, start + _PART)
            self._add(x[part], exact[part], signal[part], None if removed is None else removed[part])

    def _add(self, x: Array, exact: Array, signal: Array, removed: Array | None) -> None:
        finite = np.isfinite(x)
        if not finite.all():
            x, exact, signal = x[finite], exact[finite], signal[finite]
            removed = None if removed is None else removed[finite]
        if not x.size:
            return
        n_changed = np.count_nonzero(changed := exact != x)
        if 0 < n_changed < x.size:  # filled gaps are not part of the signal
            x, exact, signal = x[changed], exact[changed], signal[changed]
            removed = None if removed is None else removed[changed]
        sums = self
        if not n_changed:
            sums = self._unchanged = self._unchanged or RoundingSums(self.rounded)
        sums._add_valid(x, exact, signal, removed)

    def _add_valid(self, x: Array, exact: Array, signal: Array, removed: Array | None) -> None:
        if math.isnan(self._shift):
            self._shift = float(exact[0])
        about, taken, error = exact - self._shift, x - exact, signal - exact
        self.n += x.size
        self._sum += float(about.sum())
        self._signal = math.hypot(self._signal, _norm(about))
        self._removed = math.hypot(self._removed, _norm(taken))
        self._error = math.hypot(self._error, _norm(error))
        if removed is not None:
            self._noise_error = math.hypot(self._noise_error, _norm(np.rint(removed) - removed))
        self._peak = max(self._peak, float(x.max()), -float(x.min()))
        self._whole = self._whole and bool(np.array_equal(np.rint(x), x))

    def find_loss(self) -> str:
        """What rounding would change too much, as text; empty if the output holds the trace.

        A recording of whole numbers has rounding errors of its own. As many more do no harm, if a signal is left.
        """
        if not self.n:
            return self._unchanged.find_loss() if self._unchanged else ""
        root = math.sqrt(self.n)
        norms = self._signal, self._removed, self._error, self._noise_error
        signal, removed, error, noise_error = (norm / root for norm in norms)
        if signal:
            signal *= math.sqrt(max(1 - (self._sum / self.n / signal) ** 2, 0.0))
        allowed = _SHARE_OF_SIGNAL[self.rounded] * signal
        if removed > _NOTHING_REMOVED * self._peak:
            allowed = min(allowed, _SHARE_OF_REMOVED[self.rounded] * removed)
        if self._whole:
            allowed = max(allowed, min(_COUNT, 0.5 * signal))
        if error > allowed:
            return f"rounding changes it by {error:.2g} (rms), with a signal of {signal:.2g} and noise of {removed:.2g}"
        if noise_error > _SHARE_OF_SIGNAL[True] * removed:
            return f"rounding changes its noise, of rms {removed:.2g}, by {noise_error:.2g}"
        return ""


def find_blur(offset: float, rms: float) -> str:
    """How float32 changes a trace of large integers with this offset and rms above it; empty if it holds the trace."""
    if not (math.isfinite(offset) and math.isfinite(rms)):
        return ""
    error = float(np.spacing(np.float32(offset))) / math.sqrt(12)
    if error <= max(_SHARE_OF_SIGNAL[False] * rms, min(_COUNT, 0.5 * rms)):
        return ""
    return f"rounding to float32 changes it by {error:.2g} (rms), with a signal of {rms:.2g}"


def _norm(x: Array) -> float:
    """Square root of the sum of squares, also of numbers whose squares are zero or infinite."""
    x = np.asarray(x, np.float64)
    with np.errstate(over="ignore", under="ignore"):
        total = float(np.einsum("t,t->", x, x))  # uses no BLAS threads
    if _SMALLEST < total < math.inf or not (scale := float(np.abs(x).max())):
        return math.sqrt(total)
    x = x / scale
    return scale * math.sqrt(float(np.einsum("t,t->", x, x)))
