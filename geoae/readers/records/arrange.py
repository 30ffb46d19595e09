"""Arrange the segments of files into records: one (channel, time) array for each sensor."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from geoae.labels.segments import PlacedSegment, Record, Segment

MAX_GAP_S = 3600.0
"""A longer gap in all components ends a record: otherwise a few events in a year would make one huge array."""

RATE_TOLERANCE = 1e-6
"""Relative tolerance of rates: rounding to single precision is smaller, differences between digitisers are larger."""

FAMILIES = ("ENZ", "12Z", "123", "RTZ", "QTL", "UVW", "ABC")
"""Component letters of one sensor, in the order of rows."""

_LETTERS = frozenset("".join(FAMILIES))


Key = TypeVar("Key", bound=Hashable)


Fetch = Callable[[list[tuple[Segment, int, int]]], list[np.ndarray]]


def arrange_records(segments: Sequence[Segment]) -> list[Record]:
    """Group segments into records. Every segment with samples is placed once.

    Components of one sensor (same network, station, location, band and instrument code, same rate) share a record.
    Overlapping segments of one id are put into separate records, together with the segments of the other components
    that overlap in the same way. Text segments and segments without samples are left out.

    Parameters
    ----------
    segments
        Segments of any number of files. The result does not depend on their order.

    Returns
    -------
    list of Record
        In the order of the sources; `placed` is sorted by row and first sample. Segments lie on the nearest sample of
        the record. Segments that follow each other to within half a sample, or overlap by less than a sample, are
        placed without a gap, even if the clock drifts.
    """
    with_samples = sorted((segment for segment in segments if segment.n > 0 and not segment.text), key=_time_order)
    records: list[Record] = []
    for sensor in _group(with_samples, lambda segment: _sensor_key(segment.id)):
        for same_rate in _group_by_rate(sensor):
            letter_order = _order_rows({segment.id for segment in same_rate})
            layers: dict[tuple[int, int], list[Segment]] = {}
            for channel in _group(same_rate, lambda segment: segment.id):
                family = letter_order[channel[0].id][0]
                for depth, layer in enumerate(_split_into_layers(channel)):
                    layers.setdefault((family, depth), []).extend(layer)
            for layer in layers.values():
                records += [_place_segments(piece, letter_order) for piece in _split_at_long_gaps(layer)]
    return sorted(records, key=_file_order)


def assemble_block(
    record: Record, rows: Sequence[int], start: int, stop: int, dtype: np.dtype[Any], fetch: Fetch
) -> np.ndarray:
    """Return samples start ... stop of some rows of a record, shape (row, stop - start), NaN where no segment lies.

    Parameters
    ----------
    fetch
        Returns the samples of several (segment, start, stop) of one row.
    """
    out = np.full((len(rows), stop - start), np.nan, dtype)
    for line, row in zip(out, rows, strict=True):
        low = bisect_right(record.placed, (row, start), key=_position) - 1
        high = bisect_left(record.placed, (row, stop), key=_position)
        parts, positions = [], []
        for placed in record.placed[max(low, 0) : high]:
            first = max(start - placed.first, 0)
            last = min(stop - placed.first, placed.segment.n)
            if placed.row == row and first < last:
                parts.append((placed.segment, first, last))
                positions.append(placed.first + first - start)
        for position, samples in zip(positions, fetch(parts), strict=True):
            line[position : position + samples.size] = samples
    return out


@dataclass(frozen=True)
class RecordArray:
    """A record as an array that is read by index, shape (channel, time); `fetch` as for `assemble_block`."""

    record: Record
    dtype: np.dtype[Any]
    fetch: Fetch

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and samples."""
        return len(self.record.ids), self.record.n

    def read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Samples at an int or slice for each axis, for `geoae.labels.lazy_indexing.lazy_array`."""
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


def count_gaps_and_overlaps(segments: Sequence[Segment]) -> tuple[int, int]:
    """Count gaps of more than half a sample in one id, and segments that begin before the one before them ends."""
    gaps = overlaps = 0
    end_ns = -math.inf
    for segment in sorted((segment for segment in segments if segment.n > 0), key=_time_order):
        step = 1e9 / segment.rate_hz
        gaps += 0.5 * step < segment.start_ns - end_ns < math.inf
        overlaps += segment.start_ns - end_ns < -0.5 * step
        end_ns = max(end_ns, _end_ns(segment))
    return gaps, overlaps


def _position(placed: PlacedSegment) -> tuple[int, int]:
    return placed.row, placed.first


def _group(segments: Iterable[Segment], key: Callable[[Segment], Key]) -> list[list[Segment]]:
    groups: dict[Key, list[Segment]] = {}
    for segment in segments:
        groups.setdefault(key(segment), []).append(segment)
    return list(groups.values())


def _time_order(segment: Segment) -> tuple[int, str, str, int, int]:
    # with equal starts, the segment that comes first in the file is in the first layer
    return segment.start_ns, segment.id, str(segment.source or ""), segment.order, segment.n


def _file_order(record: Record) -> tuple[str, int, int]:
    first = min((str(placed.segment.source or ""), placed.segment.order) for placed in record.placed)
    return *first, record.start_ns


def _sensor_key(id_: str) -> tuple[str, str]:
    """Key of a sensor: the id without the component letter, or the whole id of a channel that is no component."""
    return (id_[:-1], "") if id_[-1:] in _LETTERS else (id_, id_)


def _order_rows(ids: set[str]) -> dict[str, tuple[int, int]]:
    """Number of the family of each id of one sensor, and its place in it; the family with most members comes first."""
    letters = {id_[-1:]: id_ for id_ in sorted(ids)}
    order: dict[str, tuple[int, int]] = {}
    while letters.keys() & _LETTERS:
        # max() returns the first of equal families, so Z goes to E N if there are E N Z 1 2
        number = max(range(len(FAMILIES)), key=lambda i: len(letters.keys() & set(FAMILIES[i])))
        for place, letter in enumerate(FAMILIES[number]):
            if letter in letters:
                order[letters.pop(letter)] = (number, place)
    return order | {id_: (len(FAMILIES), 0) for id_ in letters.values()}


def _group_by_rate(segments: list[Segment]) -> list[list[Segment]]:
    rates = sorted({segment.rate_hz for segment in segments})
    cluster, number = {rates[0]: 0}, 0
    for slower, faster in pairwise(rates):
        number += faster - slower > RATE_TOLERANCE * slower
        cluster[faster] = number
    return _group(segments, lambda segment: cluster[segment.rate_hz])


def _end_ns(segment: Segment) -> int:
    """Time one sample after the last, in ns."""
    return segment.start_ns + round(segment.n * 1e9 / segment.rate_hz)


def _split_into_layers(segments: list[Segment]) -> list[list[Segment]]:
    """Split the segments of one id into layers without overlaps: each goes to the first layer that has ended."""
    layers: list[list[Segment]] = []
    ends: list[int] = []
    for segment in segments:
        # an overlap of less than a sample is clock drift, not duplicate data
        latest = segment.start_ns + math.ceil(1e9 / segment.rate_hz) - 1
        if not ends or min(ends) > latest:
            layers.append([segment])
            ends.append(_end_ns(segment))
        else:
            depth = next(i for i, end in enumerate(ends) if end <= latest)
            layers[depth].append(segment)
            ends[depth] = _end_ns(segment)
    return layers


def _split_at_long_gaps(segments: list[Segment]) -> list[list[Segment]]:
    """Split segments at gaps of all components that are longer than MAX_GAP_S."""
    pieces: list[list[Segment]] = []
    end = -math.inf
    for segment in sorted(segments, key=_time_order):
        if segment.start_ns - end > MAX_GAP_S * 1e9:
            pieces.append([])
        pieces[-1].append(segment)
        end = max(end, _end_ns(segment))
    return pieces


def _place_segments(segments: list[Segment], letter_order: dict[str, tuple[int, int]]) -> Record:
    """Place segments of one layer, in order of time, on the sample grid that starts with the earliest one."""
    start_ns, rate_hz = segments[0].start_ns, segments[0].rate_hz
    ids = sorted({segment.id for segment in segments}, key=letter_order.__getitem__)
    placed: list[PlacedSegment] = []
    for row, id_ in enumerate(ids):
        free, end_ns = 0, -math.inf
        for segment in (segment for segment in segments if segment.id == id_):
            first = math.floor((segment.start_ns - start_ns) * rate_hz / 1e9 + 0.5)
            gap = (segment.start_ns - end_ns) * rate_hz / 1e9
            # measured from the segment before, not from the grid, so that clock drift opens no gap
            first = free if gap <= 0.5 else max(first, free)
            placed.append(PlacedSegment(segment, row, first))
            free, end_ns = first + segment.n, _end_ns(segment)
    n = max(item.first + item.segment.n for item in placed)
    return Record(tuple(ids), start_ns, rate_hz, n, tuple(placed))
