"""Arrange the segments of files into records: one (channel, time) array for each sensor."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from geoae.labels.components import group_sensors
from geoae.labels.segments import Overlap, PlacedSegment, Record, Segment
from geoae.readers.records.context import cut_overlaps, place_with_context
from geoae.readers.records.layers import Fetch, Layer, find_end_ns, split_into_layers
from geoae.readers.records.selection import join_first

MAX_GAP_S = 3600.0
"""A longer gap in all components ends a record: otherwise a few events in a year would make one huge array."""

RATE_TOLERANCE = 1e-5
"""Relative tolerance of rates of one sensor: headers round rates, in single precision or to some digits."""
MAX_SHIFT_S = 1.0
"""Rates that differ by more than `SAME_RATE` may move samples of a record by this time against each other."""
SAME_RATE = 1e-6
"""Relative tolerance of rates that are the same over any time: rounding to single precision is smaller."""
MAX_LAYERS_OF_SENSOR = 4
"""More overlapping segments are traces of many sensors that share an id; they do not continue each other."""

Key = TypeVar("Key", bound=Hashable)


def arrange_records(
    segments: Sequence[Segment], fetch: Fetch | None = None, *, with_context: bool = False
) -> list[Record]:
    """Group segments into records. Every segment with samples is placed once.

    Components of one sensor (see `geoae.labels.components`) with the same rate share a record. Overlapping segments of
    one id share it, too, if their samples are the same; else they are put into separate records, together with the
    segments of the other components that begin with them. Text segments and segments without samples are left out.

    Parameters
    ----------
    segments
        Segments of any number of files. The result does not depend on their order.
    fetch
        Reads the samples of segments that overlap. None: they differ.
    with_context
        Let each of several overlapping records begin and end with the whole recording, and read the samples around its
        own segments from the other records. A denoiser then finds no edges where segments overlap.

    Returns
    -------
    list of Record
        In the order of the sources; `placed` is sorted by row and first sample. Segments lie on the nearest sample of
        the record. Segments that follow each other to within half a sample, or overlap by less than a sample, are
        placed without a gap, even if the clock drifts.
    """
    with_samples = sorted((segment for segment in segments if segment.n > 0 and not segment.text), key=_time_order)
    records: list[Record] = []
    for station in _group(with_samples, lambda segment: segment.id.rpartition(".")[0]):
        for same_rate in _group_by_rate(station, RATE_TOLERANCE):
            by_id: dict[str, list[Segment]] = {}
            for segment in same_rate:
                by_id.setdefault(segment.id, []).append(segment)
            for ids in group_sensors({id_: found[0].rate_hz for id_, found in by_id.items()}):
                sensor = sorted((segment for id_ in ids for segment in by_id[id_]), key=_time_order)
                for piece in _split_pieces(sensor):
                    records += _arrange_piece(piece, ids, fetch, with_context)
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
    sources = record.sources
    out = np.full((len(rows), stop - start), np.nan, dtype)
    for line, row in zip(out, rows, strict=True):
        low = bisect_right(sources, (row, start), key=_position) - 1
        high = bisect_left(sources, (row, stop), key=_position)
        parts, positions = [], []
        for placed in sources[max(low, 0) : high]:
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


def describe_overlaps(records: Iterable[Record]) -> list[str]:
    """A line for each sensor of which segments overlap with different samples; ids without any code are left out."""
    found: dict[str, list[Overlap]] = {}
    for overlap in (overlap for record in records for overlap in record.overlaps):
        if overlap.id.strip("."):
            found.setdefault(overlap.id, []).append(overlap)
    alike: dict[tuple[int, int, int], list[str]] = {}
    for id_, overlaps in sorted(found.items()):
        first = min(overlaps, key=lambda overlap: overlap.start_ns)
        alike.setdefault((first.start_ns, first.n, len(overlaps)), []).append(id_)
    lines = []
    for (start_ns, n, times), ids in alike.items():
        time = str(np.datetime64(start_ns, "ns").astype("datetime64[ms]"))
        where = f"at {time}" if times == 1 else f"at {times} times, first at {time}"
        lines.append(
            f"{join_first(ids)}: two segments overlap {where}, by {n} sample{'s' * (n > 1)}, and differ there; both "
            "are kept. Choose one file, or one stretch with --start-time and --end-time, for a single recording."
        )
    return lines


def describe_rates(records: Iterable[Record]) -> list[str]:
    """A line for each record in which other rates move samples of a component by more than a sample."""
    lines = []
    for record in records:
        rate, shifts, rates = record.rate_hz, [0.0] * len(record.ids), [0.0] * len(record.ids)
        for item in record.placed:
            shifts[item.row] += item.segment.n * (rate / item.segment.rate_hz - 1)
            rates[item.row] = item.segment.rate_hz
        row = max(range(len(shifts)), key=lambda row: abs(shifts[row]))
        if abs(shifts[row]) > 1:
            lines.append(
                f"{record.ids[row]}: its rate is {rates[row]:.9g} Hz, that of its record {rate:.9g} Hz. On the time "
                f"axis of the record, samples lie up to {abs(shifts[row]) / rate:.3g} s from their times. "
                "Recordings that are written as files keep the rate of each trace."
            )
    return lines


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
        end_ns = max(end_ns, find_end_ns(segment))
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


def _split_pieces(segments: list[Segment]) -> list[list[Segment]]:
    """Split the segments of a sensor at long gaps, and by rate where the rates move components against each other."""
    pieces = []
    for piece in _split_at_long_gaps(segments):
        rates = [segment.rate_hz for segment in piece]
        duration_s = (max(map(find_end_ns, piece)) - piece[0].start_ns) / 1e9
        if (max(rates) / min(rates) - 1) * duration_s <= MAX_SHIFT_S:
            pieces.append(piece)
        else:
            pieces += [part for group in _group_by_rate(piece, SAME_RATE) for part in _split_at_long_gaps(group)]
    return pieces


def _arrange_piece(segments: list[Segment], ids: Sequence[str], fetch: Fetch | None, context: bool) -> list[Record]:
    """Records of one sensor without long gaps."""
    layers = split_into_layers(segments, fetch)
    is_named = any(ids[0].split(".", 3)[:2])  # segments without ids may be those of many sensors
    if context and is_named and 1 < len(layers) <= MAX_LAYERS_OF_SENSOR:
        return place_with_context(layers, ids, segments[0], fetch)
    if len(layers) == 1:
        return [_place_alone(layers[0], ids)]
    parts = [(layer, part) for layer in layers for part in _split_at_long_gaps(list(layer.segments))]
    return [_place_alone(layer.select(part), ids) for layer, part in parts]


def _group_by_rate(segments: list[Segment], tolerance: float) -> list[list[Segment]]:
    rates = sorted({segment.rate_hz for segment in segments})
    cluster, number = {rates[0]: 0}, 0
    for slower, faster in pairwise(rates):
        number += faster - slower > tolerance * slower
        cluster[faster] = number
    return _group(segments, lambda segment: cluster[segment.rate_hz])


def _split_at_long_gaps(segments: list[Segment]) -> list[list[Segment]]:
    """Split segments at gaps of all components that are longer than MAX_GAP_S."""
    pieces: list[list[Segment]] = []
    end = -math.inf
    for segment in sorted(segments, key=_time_order):
        if segment.start_ns - end > MAX_GAP_S * 1e9:
            pieces.append([])
        pieces[-1].append(segment)
        end = max(end, find_end_ns(segment))
    return pieces


def _place_alone(layer: Layer, ids: Sequence[str]) -> Record:
    """Place the segments of one layer on the sample grid that starts with the earliest one."""
    first = min(layer.segments, key=_time_order)
    rows = {id_: row for row, id_ in enumerate(id_ for id_ in ids if id_ in layer.rows)}
    placed = layer.place(rows, first.start_ns, first.rate_hz)
    n = max(item.first + item.segment.n for item in placed)
    reads = cut_overlaps(placed)
    return Record(
        tuple(rows), first.start_ns, first.rate_hz, n, tuple(placed), tuple(layer.overlaps),
        () if len(reads) == len(placed) and all(a is b for a, b in zip(reads, placed, strict=True)) else tuple(reads),
    )  # fmt: skip
