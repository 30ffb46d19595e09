"""Judge the noise that was removed from a record, window by window.

Windows are anchored to the whole record, and judged by themselves and by windows of the record around them. So flags
do not depend on how the record is divided into regions.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array, Float64Array
from geoae.arrays.windows import WindowGrid, join_region
from geoae.records import doubt
from geoae.records.resample import ReadSpan
from geoae.records.sigma import find_local_power

TRANSIENT, UNLIKE, NEAR = "transient", "unlike", "near"
"""Flags: removed noise holds a transient; the record is unlike the training data; the signal is near the noise."""
FLAGS = (TRANSIENT, UNLIKE, NEAR)
_EVERY, _REACH = 4, 16  # each fourth window, up to 16 windows away, tells the level of the record's noise


class Flag(NamedTuple):
    """A doubt about one row of a record in one window."""

    kind: str
    """One of `FLAGS`."""
    row: int
    start: int
    """First sample of the window, counted in the record."""
    stop: int


def mark_flags(flags: Iterable[Flag], span: slice, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Flags of the samples of a span of a record (row, time), one bit for each of `FLAGS`, from the lowest."""
    marks = np.zeros(shape, np.uint8)
    for flag in flags:
        part = slice(max(flag.start - span.start, 0), max(flag.stop - span.start, 0))
        marks[flag.row, part] |= np.uint8(1 << FLAGS.index(flag.kind))
    return marks


def find_marked(marks: NDArray[np.uint8], start: int) -> tuple[Flag, ...]:
    """Flags of spans of samples from what `mark_flags` returned for samples from `start` on."""
    found = []
    for bit, kind in enumerate(FLAGS):
        for row, marked in enumerate(marks & np.uint8(1 << bit) > 0):
            edges = np.flatnonzero(np.diff(marked, prepend=False, append=False)) + start
            found += [Flag(kind, row, int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    return tuple(found)


class Judge:
    """Flags of the windows of a record, and the safe part of its noise.

    Parameters
    ----------
    read
        (start, stop) -> samples (row, stop - start) of the record at the rate of the model, NaN in gaps.
    estimate
        (start, stop) -> noise, and standard errors if they are asked for: (1 or 2, row, stop - start).
    grid
        Positions of the windows.
    rate_hz
        Rate of the model.
    periods_s
        Shortest and longest dominant period of the training events; empty: unknown.
    keep_doubtful
        Whether windows with the flag `TRANSIENT` lose only as much as the record's noise explains.
    """

    def __init__(
        self,
        read: ReadSpan,
        estimate: ReadSpan,
        grid: WindowGrid,
        rate_hz: float,
        periods_s: tuple[float, ...] = (),
        keep_doubtful: bool = False,
    ) -> None:
        self._read, self._estimate, self._grid, self._starts = read, estimate, grid, grid.starts(0)
        self._rate_hz, self._periods_s, self._keep_doubtful = rate_hz, periods_s, keep_doubtful
        self._levels: dict[int, Float64Array] = {}
        self._flags: dict[int, tuple[Flag, ...]] = {}

    def estimate(self, start: int, stop: int) -> Array:
        """The result of `estimate` for a region, with limited noise if it is asked for."""
        numbers = self._list_touching(start, stop)
        self._read_levels(numbers)  # before the region, which readers keep
        first, last = int(self._starts[numbers[0]]), min(int(self._starts[numbers[-1]]) + self._window, self._n)
        parts = self._estimate(first, last)
        x = self._read(first, last)
        self._add_levels(first, last, x)
        unsafe = {}
        for number in numbers.tolist():
            a = int(self._starts[number]) - first
            window = slice(a, a + self._window)
            removed = self._judge(number, _pad(x[..., window], self._window), _pad(parts[0][..., window], self._window))
            if removed is not None:
                unsafe[number] = removed
        parts = parts[..., start - first : stop - first]
        return self._put_back(parts, unsafe, numbers, slice(start, stop)) if unsafe else parts

    def find_flags(self, start: int, stop: int) -> tuple[Flag, ...]:
        """Flags of the windows that share samples with a region that was estimated."""
        found = (self._flags.get(int(i), ()) for i in self._list_touching(start, stop))
        return tuple(flag for flags in found for flag in flags)

    @property
    def _window(self) -> int:
        return self._grid.window[0]

    @property
    def _n(self) -> int:
        return self._grid.shape[0]

    def _list_touching(self, start: int, stop: int) -> NDArray[np.intp]:
        return np.searchsorted(self._starts, self._grid.touching(0, slice(start, stop)))

    def _judge(self, number: int, x: Array, noise: Array) -> Float64Array | None:
        """Find the flags of a window (row, time), and what is not safe of its noise; None if all is."""
        valid = np.isfinite(x)
        noise = np.nan_to_num(noise)  # beyond the end of a short record
        before, removed = _measure_bridged(x), doubt.measure_bands(noise, valid)
        around = [self._levels[i] for i in self._list_anchors(number)]
        levels = doubt.combine_levels(doubt.find_levels(before), around)
        found = {
            TRANSIENT: doubt.score_transients(before, removed, levels) > doubt.LIMIT,
            UNLIKE: doubt.is_unlike(before, levels, self._periods_s, self._rate_hz),
            NEAR: doubt.is_near_noise(before, removed, levels),
        }
        start = int(self._starts[number])
        stop = min(start + self._window, self._n)
        self._flags[number] = tuple(
            Flag(kind, row, start, stop) for kind in FLAGS for row in np.flatnonzero(found[kind]).tolist()
        )
        rows = found[TRANSIENT]
        if not (self._keep_doubtful and rows.any()):
            return None
        unsafe = np.zeros(noise.shape)
        unsafe[rows] = noise[rows] - doubt.limit_transients(noise[rows], levels[rows])
        return unsafe

    def _put_back(
        self, parts: Array, unsafe: dict[int, Float64Array], numbers: NDArray[np.intp], region: slice
    ) -> Array:
        """Noise of a region without what is not safe. Sigma grows by it, since it may be noise after all."""
        pending = iter(numbers.tolist())
        n_rows, window = parts.shape[1], self._window

        def read(wanted: tuple[slice, ...]) -> Array:
            return np.zeros((2, n_rows, wanted[0].stop - wanted[0].start))

        def apply(windows: Array) -> Array:
            out = np.zeros((len(windows), 2, n_rows, window))
            for one, number in zip(out, islice(pending, len(windows)), strict=True):
                if number in unsafe:
                    one[0], one[1] = unsafe[number], find_local_power(unsafe[number])
            return out

        excess, power = join_region(read, apply, self._grid, (region,))
        return np.stack([parts[0] - excess, *(np.sqrt(np.square(sigma) + power) for sigma in parts[1:])])

    def _list_anchors(self, number: int) -> range:
        """Windows that tell the level of the noise around a window."""
        first = -(-max(number - _REACH, 0) // _EVERY) * _EVERY
        return range(first, min(number + _REACH + 1, len(self._starts)), _EVERY)

    def _read_levels(self, numbers: NDArray[np.intp]) -> None:
        """Measure the levels of windows around a region that lie outside of it."""
        first, last = int(numbers[0]), int(numbers[-1])
        wanted = {i for number in (first, last) for i in self._list_anchors(number)}
        for i in sorted(i for i in wanted - self._levels.keys() if not first <= i <= last):
            start = int(self._starts[i])
            stop = min(start + self._window, self._n)
            self._add_levels(start, stop, self._read(start, stop))

    def _add_levels(self, a: int, b: int, rows: Array) -> None:
        """Measure the levels of each fourth window among the samples a ... b."""
        first, last = np.searchsorted(self._starts, [a, b])
        for i in range(-(-int(first) // _EVERY) * _EVERY, int(last), _EVERY):
            start = int(self._starts[i])
            if min(start + self._window, self._n) <= b and i not in self._levels:
                x = _pad(rows[..., start - a : start - a + self._window], self._window)
                self._levels[i] = doubt.find_levels(_measure_bridged(x))


def _pad(x: Array, n: int) -> Array:
    missing = n - x.shape[-1]
    return np.pad(x, [(0, 0), (0, missing)], constant_values=np.nan) if missing else x


def _measure_bridged(x: Array) -> Float64Array:
    """Local powers of windows (..., time), whose gaps are bridged."""
    valid = np.isfinite(x)
    if valid.all():
        return doubt.measure_bands(x)
    bridged = np.zeros(x.shape)
    at = np.arange(x.shape[-1])
    for i in np.ndindex(x.shape[:-1]):
        if valid[i].any():
            bridged[i] = np.interp(at, at[valid[i]], x[i][valid[i]])
    return doubt.measure_bands(bridged, valid)
