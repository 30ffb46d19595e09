"""What is no ground motion in a record: filled gaps, which count as gaps, and steps, which are left out for the net.

Any region of a record can be read by itself. Where nothing is found, samples stay as they are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.records import fills, steps
from geoae.records.resample import ReadSpan, to_float64


@dataclass(frozen=True)
class Faults:
    """Faults of one region of a record."""

    start: int
    """First sample of the region."""
    filled: NDArray[np.bool_] | None
    """Samples (row, time) that fill gaps; None: there are none."""
    steps: tuple[tuple[int, int, float], ...]
    """(row, first sample after the step, height), with samples counted from the record's start."""

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
    """

    def __init__(self, read: ReadSpan, n: int, rate_hz: float) -> None:
        self._read, self.n, self.rate_hz = read, n, rate_hz
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
        return Faults(start, filled, tuple(step for step in found.steps if start <= step[1] < stop))

    def read(self, start: int, stop: int) -> Array:
        """Samples start ... stop with NaN for fills, and without the steps after `start`."""
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
