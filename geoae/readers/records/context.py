"""What a record reads where segments overlap: each sample once, and samples of other layers around its own."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from geoae.errors import GeoAEError
from geoae.labels.segments import PlacedSegment, Record, Segment
from geoae.readers.records.layers import Fetch, Layer
from geoae.readers.records.selection import cut_segment

MAX_STEP_S = 1.5
"""Largest step of a clock, such as a leap second: segments that overlap by less may follow each other."""
_COMPARED_N = 256


def place_with_context(
    layers: Sequence[Layer], ids: Sequence[str], first: Segment, fetch: Fetch | None
) -> list[Record]:
    """Place each layer on the grid of the whole recording, with samples of the other layers around its own.

    Parameters
    ----------
    layers
        All layers of one sensor.
    ids
        Ids of the sensor, in the order of rows.
    first
        The earliest segment. The grid starts with it.
    fetch
        Reads samples.
    """
    present = {id_ for layer in layers for id_ in layer.rows}
    rows = {id_: row for row, id_ in enumerate(id_ for id_ in ids if id_ in present)}
    all_placed = [layer.place(rows, first.start_ns, first.rate_hz) for layer in layers]
    n = max(item.first + item.segment.n for placed in all_placed for item in placed)
    records = []
    for number, (layer, placed) in enumerate(zip(layers, all_placed, strict=True)):
        reads = cut_overlaps(placed)
        for other, around in enumerate(all_placed):
            if other != number:
                reads = _fill_gaps(reads, sorted((_undo_step(item, placed, fetch) for item in around), key=_position))
        records.append(
            Record(
                tuple(rows),
                first.start_ns,
                first.rate_hz,
                n,
                tuple(placed),
                tuple(layer.overlaps),
                tuple(reads),
                has_context=True,
            )
        )
    return records


def cut_overlaps(placed: Sequence[PlacedSegment]) -> list[PlacedSegment]:
    """Parts of segments that do not overlap, in the same order: the later of two segments loses the shared samples."""
    found: list[PlacedSegment] = []
    row, free = -1, 0
    for item in placed:
        if item.row != row:
            row, free = item.row, 0
        if (part := _cut(item, free, item.first + item.segment.n)) is not None:
            found.append(part)
            free = part.first + part.segment.n
    return found


def _undo_step(item: PlacedSegment, own: Sequence[PlacedSegment], fetch: Fetch | None) -> PlacedSegment:
    """Move a segment of another layer so that it follows an own one, or goes before it, if only the clock stepped.

    A clock that is set back makes segments overlap whose samples follow each other. As context, they are read without
    the step: none of them is left out.
    """
    number = bisect_right(own, (item.row, item.first), key=_position)
    limit = MAX_STEP_S * item.segment.rate_hz
    for before, after in ([(own[number - 1], item)] if number else []) + (
        [(item, own[number])] if number < len(own) else []
    ):
        shared = before.first + before.segment.n - after.first
        if (
            before.row == after.row
            and 0 < shared <= min(limit, after.segment.n, before.segment.n)
            and _follows(before.segment, after.segment, shared, fetch)
        ):
            return PlacedSegment(item.segment, item.row, item.first + (shared if item is after else -shared))
    return item


def _follows(before: Segment, after: Segment, shared: int, fetch: Fetch | None) -> bool:
    """Whether a segment follows another one that it overlaps, rather than being another version of its end.

    The samples of two versions differ less from each other than those of one recording at such a distance.
    """
    if fetch is None:
        return False
    start = max(before.n - shared - _COMPARED_N, 0)
    try:
        a, b = fetch([(before, start, before.n), (after, 0, shared)])
    except (GeoAEError, OSError):  # damaged samples are no evidence
        return False
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        usual, between = (np.abs(x[np.isfinite(x)]) for x in (a[shared:] - a[:-shared], b - a[-shared:]))
    return bool(usual.size and between.size and between.mean() > 0.5 * usual.mean())


def _fill_gaps(reads: Sequence[PlacedSegment], around: Sequence[PlacedSegment]) -> list[PlacedSegment]:
    """Add parts of other segments where nothing is read."""
    added: list[PlacedSegment] = []
    for item in cut_overlaps(around):
        at, stop = item.first, item.first + item.segment.n
        low = max(bisect_right(reads, (item.row, at), key=_position) - 1, 0)
        for read in reads[low:]:
            if (read.row, read.first) >= (item.row, stop):
                break
            if read.row == item.row and read.first + read.segment.n > at:
                if (part := _cut(item, at, read.first)) is not None:
                    added.append(part)
                at = read.first + read.segment.n
        if (part := _cut(item, at, stop)) is not None:
            added.append(part)
    return sorted([*reads, *added], key=_position)


def _cut(item: PlacedSegment, start: int, stop: int) -> PlacedSegment | None:
    """Samples start ... stop of the record, as far as a segment has them; None if it has none."""
    first, last = max(start - item.first, 0), min(stop - item.first, item.segment.n)
    if first >= last:
        return None
    if (first, last) == (0, item.segment.n):
        return item
    return PlacedSegment(cut_segment(item.segment, first, last), item.row, item.first + first)


def _position(placed: PlacedSegment) -> tuple[int, int]:
    return placed.row, placed.first
