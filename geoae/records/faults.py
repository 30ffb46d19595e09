"""What is no ground motion in a record: filled gaps, which count as gaps, and steps, which are left out for the net.

A record that is high-passed first loses its steps with all else that lies below the corner frequency. Any region of a
record can be read by itself. Where nothing is found, samples stay as they are.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array, Float64Array
from geoae.records import fills, steps
from geoae.records.highpass import highpass_region
from geoae.records.resample import ReadSpan, keep_last_block, to_float64


@dataclass(frozen=True)
class Faults:
    """Faults of one region of a record."""

    start: int
    """First sample of the region."""
    filled: NDArray[np.bool_] | None
    """Samples (row, time) that fill gaps; None: there are none."""
    steps: tuple[tuple[int, int, float], ...]
    """(row, first sample after the step, height), with samples counted from the record's start."""
    are_steps_kept: bool = True
    """Whether the steps stay in the signal: not in a record that is high-passed."""

    @property
    def n_filled(self) -> int:
        """Number of samples that fill gaps."""
        return 0 if self.filled is None else int(self.filled.sum())

    def __bool__(self) -> bool:
        return self.filled is not None or bool(self.steps)


class FaultFinder:
    """Finds the faults in any region of a record, and reads samples without them.

    Parameters
    ----------
    read
        (start, stop) -> samples (row, stop - start) of the record, NaN in gaps.
    n
        Samples of the whole record.
    rate_hz
        Sampling rate of the record.
    highpass_hz
        Corner frequency of the high-pass through which samples are read, see `geoae.records.highpass`; None: none.
    """

    def __init__(self, read: ReadSpan, n: int, rate_hz: float, highpass_hz: float | None = None) -> None:
        self._read, self.n, self.rate_hz, self._highpass_hz = read, n, rate_hz, highpass_hz
        self._read_high: ReadSpan = self._read_without
        if highpass_hz is not None:
            self._read_high = keep_last_block(partial(highpass_region, self._read_without, n, rate_hz, highpass_hz))
        # windows have a smallest number of samples, which takes longer at low rates
        self._reach = round((fills.REACH_S + steps.REACH_S) * rate_hz) + 800
        self._last: tuple[int, int, Faults] = (0, 0, Faults(0, None, ()))

    def find(self, start: int, stop: int) -> Faults:
        """Faults of the samples start ... stop."""
        first, last, found = self._last
        if not first <= start < stop <= last:
            first, last, found = start, stop, self._search(start, stop)
            self._last = first, last, found
        filled = None if found.filled is None else found.filled[:, start - first : stop - first]
        if filled is not None and not filled.any():
            filled = None
        inside = tuple(step for step in found.steps if start <= step[1] < stop)
        return Faults(start, filled, inside, self._highpass_hz is None)

    def read(self, start: int, stop: int) -> Array:
        """Samples start ... stop with NaN for fills, without the steps after `start`, and high-passed if asked for."""
        return self._read_high(start, stop)

    def read_below(self, start: int, stop: int) -> Float64Array | None:
        """What the high-pass takes from samples start ... stop, with all steps; 0 in gaps. None without a high-pass."""
        if self._highpass_hz is None:
            return None
        high = self.read(start, stop)
        return np.where(np.isfinite(high), to_float64(self._read(start, stop)) - high, 0.0)

    def _read_without(self, start: int, stop: int) -> Array:
        found = self.find(start, stop)
        x = self._read(start, stop)
        if not found:
            return x
        x = to_float64(x).copy()
        if found.filled is not None:
            x[found.filled] = np.nan
        for row, at, height in found.steps:
            x[row, at - start :] -= height
        return x

    def _search(self, start: int, stop: int) -> Faults:
        a, b = max(start - self._reach, 0), min(stop + self._reach, self.n)
        a -= a % fills.BLOCK
        x = to_float64(self._read(a, b))
        filled = np.zeros((len(x), stop - start), bool)
        found: list[tuple[int, int, float]] = []
        for row, samples in enumerate(x):
            finite = np.isfinite(samples)
            trace = samples if finite.all() else np.where(finite, samples, np.nan)
            if b - a == self.n and np.unique(trace[finite]).size <= 1:
                continue  # the whole trace is dead
            marked = fills.find_fills(trace, self.rate_hz)
            if marked.any():
                trace = np.where(marked, np.nan, trace)
                filled[row] = marked[start - a : stop - a]
            found += [
                (row, a + at, height) for at, height in steps.find_steps(trace, self.rate_hz) if start <= a + at < stop
            ]
        return Faults(start, filled if filled.any() else None, tuple(found))
