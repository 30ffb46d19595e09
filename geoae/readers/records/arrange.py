"""How the stretches of samples found in files lie together as records: one (channel, time) array per sensor."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from geoae.labels.segments import PlacedSegment, Record, Segment
from geoae.labels.timeaxis import first_position

MAX_GAP_S = 3600.0
"""A longer gap in all components ends a record: a dense array would hold years of nothing for a few events."""

RATE_TOLERANCE = 1e-6
"""Relative: single-precision rates in headers differ by less, digitisers on purpose by more."""

FAMILIES = ("ENZ", "12Z", "123", "RTZ", "QTL", "UVW", "ABC")
"""Component letters that make one sensor, in row order."""

_LETTERS = frozenset("".join(FAMILIES))


Key = TypeVar("Key", bound=Hashable)


Fetch = Callable[[list[tuple[Segment, int, int]]], list[np.ndarray]]


def arrange_records(segments: Sequence[Segment]) -> list[Record]:
    """Group segments into records, so that every one with samples has its place.

    Components of one sensor (same network, station, location, band and instrument code, same rate) share a record.
    Segments of one id that overlap never do: they lie in further records, with those of the other components that
    overlap in the same way. Text segments and segments without samples are in no record.

    Parameters
    ----------
    segments
        Of any number of files, in any order: the result does not depend on it.

    Returns
    -------
    list of Record
        In the order of the sources; `placed` is sorted by row and first sample. Segments lie on the nearest sample of
        the record's grid. Those that follow each other to within half a sample, or overlap by less than a sample, are
        placed gap-free even where the clock drifts.
    """
    wanted = sorted((segment for segment in segments if segment.n > 0 and not segment.text), key=_time_order)
    records: list[Record] = []
    for sensor in _grouped(wanted, lambda segment: _sensor(segment.id)):
        for same_rate in _by_rate(sensor):
            letter_order = _row_order({segment.id for segment in same_rate})
            layers: dict[tuple[int, int], list[Segment]] = {}
            for channel in _grouped(same_rate, lambda segment: segment.id):
                family = letter_order[channel[0].id][0]
                for depth, layer in enumerate(_layers(channel)):
                    layers.setdefault((family, depth), []).extend(layer)
            for layer in layers.values():
                records += [_place(piece, letter_order) for piece in _pieces(layer)]
    return sorted(records, key=_file_order)


def assemble_block(
    record: Record, rows: Sequence[int], start: int, stop: int, dtype: np.dtype[Any], fetch: Fetch
) -> np.ndarray:
    """Return samples start ... stop of some rows of a record, shape (row, stop - start), NaN where no segment lies.

    Parameters
    ----------
    fetch
        Gives the samples of several (segment, start, stop) of one row.
    """
    out = np.full((len(rows), stop - start), np.nan, dtype)
    for line, row in zip(out, rows, strict=True):
        low = bisect_right(record.placed, (row, start), key=_position) - 1
        high = bisect_left(record.placed, (row, stop), key=_position)
        parts, at = [], []
        for placed in record.placed[max(low, 0) : high]:
            first = max(start - placed.first, 0)
            last = min(stop - placed.first, placed.segment.n)
            if placed.row == row and first < last:
                parts.append((placed.segment, first, last))
                at.append(placed.first + first - start)
        for position, samples in zip(at, fetch(parts), strict=True):
            line[position : position + samples.size] = samples
    return out


@dataclass(frozen=True)
class RecordArray:
    """Parts of a record by index, shape (channel, time); `fetch` as for `assemble_block`."""

    record: Record
    dtype: np.dtype[Any]
    fetch: Fetch

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and samples."""
        return len(self.record.ids), self.record.n

    def read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Samples at one int or slice an axis, for `geoae.labels.lazy_indexing.lazy_array`."""
        rows, times = (
            range(size)[k] if isinstance(k, slice) else range(int(k), int(k) + 1)
            for k, size in zip(key, self.shape, strict=True)
        )
        start, stop = (min(times[0], times[-1]), max(times[0], times[-1]) + 1) if times else (0, 0)
        block = assemble_block(self.record, rows, start, stop, self.dtype, self.fetch)[:, :: times.step]
        return block[tuple(slice(None) if isinstance(k, slice) else 0 for k in key)]


def first_segment(record: Record, row: int) -> Segment:
    """Return the earliest segment of a row."""
    return record.placed[bisect_left(record.placed, (row, 0), key=_position)].segment


def samples_within(segment: Segment, first_ns: int | None, last_ns: int | None) -> tuple[int, int] | None:
    """Return which samples, start ... stop, lie from one time to another, both included; None if none does."""
    if segment.n == 0:
        inside = (first_ns is None or segment.start_ns >= first_ns) and (last_ns is None or segment.start_ns <= last_ns)
        return (0, 0) if inside else None
    start, stop = 0, segment.n
    if first_ns is not None:
        start = max(first_position(first_ns - segment.start_ns, segment.rate_hz), 0)
    if last_ns is not None:
        stop = min(first_position(last_ns + 1 - segment.start_ns, segment.rate_hz), segment.n)
    return (start, stop) if start < stop else None


def count_gaps_and_overlaps(segments: Sequence[Segment]) -> tuple[int, int]:
    """Count the interruptions of one id by more than half a sample, and the segments that begin before another ends."""
    gaps = overlaps = 0
    until = -math.inf
    for segment in sorted((one for one in segments if one.n > 0), key=_time_order):
        step = 1e9 / segment.rate_hz
        gaps += 0.5 * step < segment.start_ns - until < math.inf
        overlaps += segment.start_ns - until < -0.5 * step
        until = max(until, _end_ns(segment))
    return gaps, overlaps


def _position(placed: PlacedSegment) -> tuple[int, int]:
    return placed.row, placed.first


def _grouped(segments: Iterable[Segment], key: Callable[[Segment], Key]) -> list[list[Segment]]:
    groups: dict[Key, list[Segment]] = {}
    for segment in segments:
        groups.setdefault(key(segment), []).append(segment)
    return list(groups.values())


def _time_order(segment: Segment) -> tuple[int, str, str, int, int]:
    # the order within a file decides before its length: of two equal starts the first written is the first layer
    return segment.start_ns, segment.id, str(segment.source or ""), segment.order, segment.n


def _file_order(record: Record) -> tuple[str, int, int]:
    first = min((str(placed.segment.source or ""), placed.segment.order) for placed in record.placed)
    return *first, record.start_ns


def _sensor(id_: str) -> tuple[str, str]:
    """Return what the components of one sensor share, and what sets a channel apart that is no component."""
    return (id_[:-1], "") if id_[-1:] in _LETTERS else (id_, id_)


def _row_order(ids: set[str]) -> dict[str, tuple[int, int]]:
    """Family and place in it of each id of one sensor; the family with most members is served first."""
    letters = {id_[-1:]: id_ for id_ in sorted(ids)}
    order: dict[str, tuple[int, int]] = {}
    while letters.keys() & _LETTERS:
        # max() keeps the first of equals: E N Z 1 2 gives Z to E N
        number = max(range(len(FAMILIES)), key=lambda i: len(letters.keys() & set(FAMILIES[i])))
        for place, letter in enumerate(FAMILIES[number]):
            if letter in letters:
                order[letters.pop(letter)] = (number, place)
    return order | {id_: (len(FAMILIES), 0) for id_ in letters.values()}


def _by_rate(segments: list[Segment]) -> list[list[Segment]]:
    rates = sorted({segment.rate_hz for segment in segments})
    cluster, number = {rates[0]: 0}, 0
    for slower, faster in pairwise(rates):
        number += faster - slower > RATE_TOLERANCE * slower
        cluster[faster] = number
    return _grouped(segments, lambda segment: cluster[segment.rate_hz])


def _end_ns(segment: Segment) -> int:
    """Time at which a sample after the last would lie."""
    return segment.start_ns + round(segment.n * 1e9 / segment.rate_hz)


def _layers(segments: list[Segment]) -> list[list[Segment]]:
    """Share the segments of one id, in order of time, among as few layers without overlaps as a greedy rule finds."""
    layers: list[list[Segment]] = []
    ends: list[int] = []
    for segment in segments:
        # less than a sample of overlap is a clock's drift, not data twice
        latest = segment.start_ns + math.ceil(1e9 / segment.rate_hz) - 1
        if not ends or min(ends) > latest:
            layers.append([segment])
            ends.append(_end_ns(segment))
        else:
            depth = next(i for i, end in enumerate(ends) if end <= latest)
            layers[depth].append(segment)
            ends[depth] = _end_ns(segment)
    return layers


def _pieces(segments: list[Segment]) -> list[list[Segment]]:
    """Cut where no component has data for long."""
    pieces: list[list[Segment]] = []
    end = -math.inf
    for segment in sorted(segments, key=_time_order):
        if segment.start_ns - end > MAX_GAP_S * 1e9:
            pieces.append([])
        pieces[-1].append(segment)
        end = max(end, _end_ns(segment))
    return pieces


def _place(segments: list[Segment], letter_order: dict[str, tuple[int, int]]) -> Record:
    """Put segments of one layer, in order of time, on the grid that starts with the earliest."""
    start_ns, rate_hz = segments[0].start_ns, segments[0].rate_hz
    ids = sorted({segment.id for segment in segments}, key=letter_order.__getitem__)
    placed: list[PlacedSegment] = []
    for row, id_ in enumerate(ids):
        free, end_ns = 0, -math.inf
        for segment in (segment for segment in segments if segment.id == id_):
            first = math.floor((segment.start_ns - start_ns) * rate_hz / 1e9 + 0.5)
            gap = (segment.start_ns - end_ns) * rate_hz / 1e9
            # measured from the neighbour, not from the grid, so that drift opens no gap between abutting pieces
            first = free if gap <= 0.5 else max(first, free)
            placed.append(PlacedSegment(segment, row, first))
            free, end_ns = first + segment.n, _end_ns(segment)
    n = max(item.first + item.segment.n for item in placed)
    return Record(tuple(ids), start_ns, rate_hz, n, tuple(placed))
