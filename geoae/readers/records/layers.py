"""Overlapping segments of a sensor: identical samples are used once, other samples lie in layers.

A layer is one version of the recording. Segments that begin together, as the components of one file do, are in the same
layer.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from geoae.errors import GeoAEError
from geoae.labels.segments import Overlap, PlacedSegment, Segment

Fetch = Callable[[list[tuple[Segment, int, int]]], list[np.ndarray]]
"""Returns the samples of several (segment, start, stop) of one id."""

TOGETHER_NS = 1_000_000_000
"""Segments of several components that begin within this time belong together."""
MAX_COMPARED = 8
"""Samples are compared up to this number of layers. More layers are traces of many sensors that share an id."""
_FIRST_COMPARED = 1024
_COMPARED_AT_ONCE = 1 << 20
_LEAST_COMPARED = 64


@dataclass(slots=True)
class _Step:
    """A segment in a row of a layer, and its place."""

    segment: Segment
    before: int | None
    """Number of the segment in the row that it follows; None after a gap: it then lies on the nearest sample."""
    shared: int = 0
    """Number of samples that it shares with the end of the segment before."""


@dataclass(slots=True)
class Layer:
    """Segments of a sensor, by id, whose overlapping samples are the same."""

    rows: dict[str, list[_Step]] = field(default_factory=dict)
    overlaps: list[Overlap] = field(default_factory=list)
    """Overlaps with other layers, in which samples differ."""
    ends: dict[str, int] = field(default_factory=dict)
    """Id -> end of its last segment, in ns."""
    _last: dict[str, int] = field(default_factory=dict)
    """Id -> number of the segment that ends last."""

    def fit(self, segment: Segment, fetch: Fetch | None) -> _Step | None:
        """The place of a segment after those that are there; None if other samples are in its place."""
        if (last := self._last.get(segment.id)) is None:
            return _Step(segment, None)
        number, end_ns = last, self.ends[segment.id]
        gap_ns = segment.start_ns - end_ns
        # measured from the segment before, so that clock drift opens no gap
        if gap_ns > 0.5e9 / segment.rate_hz:
            return _Step(segment, None)
        overlap = -gap_ns * segment.rate_hz / 1e9
        if fetch is not None and overlap > 0.5:
            before = self.rows[segment.id][number].segment
            # the nearest number of samples first; clocks are not read to the sample
            counts = sorted({math.ceil(overlap - 0.75), math.floor(overlap + 0.75)}, key=lambda k: abs(k - overlap))
            for shared in counts:
                if 0 < shared <= before.n and _have_same_samples(before, segment, shared, fetch):
                    return _Step(segment, number, shared)
        return _Step(segment, number) if end_ns <= _latest_end_ns(segment) else None

    def add(self, step: _Step) -> None:
        """Add a segment at the place that `fit` found."""
        id_, end_ns = step.segment.id, find_end_ns(step.segment)
        row = self.rows.setdefault(id_, [])
        row.append(step)
        if id_ not in self.ends or end_ns > self.ends[id_]:
            self.ends[id_], self._last[id_] = end_ns, len(row) - 1

    def select(self, segments: Iterable[Segment]) -> "Layer":
        """The layer with some of its segments, between long gaps."""
        chosen, rows = set(map(id, segments)), dict[str, list[_Step]]()
        for id_, steps in self.rows.items():
            kept = [number for number, step in enumerate(steps) if id(step.segment) in chosen]
            if kept:
                found = (steps[number] for number in kept)
                rows[id_] = [replace(s, before=None if s.before is None else kept.index(s.before)) for s in found]
        spans = {(s.segment.id, s.segment.start_ns) for steps in rows.values() for s in steps}
        return Layer(rows, [overlap for overlap in self.overlaps if (overlap.id, overlap.start_ns) in spans])

    @property
    def segments(self) -> Iterator[Segment]:
        """All segments."""
        return (step.segment for row in self.rows.values() for step in row)

    def count_overlap(self, segment: Segment) -> int:
        """Number of samples of a segment that lie before the end of the last one of its id."""
        before = math.ceil((self.ends[segment.id] - segment.start_ns) * segment.rate_hz / 1e9 - 0.5)
        return min(before, segment.n)

    def place(self, rows: Mapping[str, int], start_ns: int, rate_hz: float) -> list[PlacedSegment]:
        """Place segments on the samples of a record, sorted by row and first sample."""
        placed: list[PlacedSegment] = []
        for id_, steps in self.rows.items():
            done: list[PlacedSegment] = []
            free = 0
            for step in steps:
                if step.before is None:
                    first = max(math.floor((step.segment.start_ns - start_ns) * rate_hz / 1e9 + 0.5), free)
                else:
                    before = done[step.before]
                    first = before.first + before.segment.n - step.shared
                done.append(PlacedSegment(step.segment, rows[id_], first))
                free = max(free, first + step.segment.n)
            placed += done
        return sorted(placed, key=lambda item: (item.row, item.first))


def split_into_layers(segments: Sequence[Segment], fetch: Fetch | None) -> list[Layer]:
    """Split the segments of one sensor into layers.

    Parameters
    ----------
    segments
        In the order of time.
    fetch
        Reads samples, to compare those of overlapping segments. None: all overlapping samples differ.

    Returns
    -------
    list of Layer
        One layer if no segments overlap, or all overlapping samples are the same. Segments that begin together are put
        into the first layer that takes all of them.
    """
    layers = [Layer()]
    ends: dict[str, list[float]] = {}  # of each id, the end of its last segment in each layer
    for group in _group_by_start(segments):
        compare = fetch if len(layers) <= MAX_COMPARED else None
        number, steps, differing = _find_layer(group, layers, ends, compare)
        if number == len(layers):
            layers.append(Layer())
            steps = [_Step(segment, None) for segment in group]
        for step in steps:
            id_ = step.segment.id
            layers[number].add(step)
            of_id = ends.setdefault(id_, [])
            of_id += [-math.inf] * (number + 1 - len(of_id))
            of_id[number] = layers[number].ends[id_]
        layers[number].overlaps += differing
    return layers


def _find_layer(
    group: list[Segment], layers: list[Layer], ends: Mapping[str, list[float]], compare: Fetch | None
) -> tuple[int, list[_Step], list[Overlap]]:
    """Number of the first layer that takes a group, its steps there, and overlaps that differ from other layers."""
    numbers: Iterable[int] = range(len(layers))
    if compare is None and len(layers) > 1:  # the first layer, for what overlaps, and the first one that has ended
        numbers = sorted({0, _find_ended(group, ends, len(layers))} - {len(layers)})
    chosen, chosen_steps, overlaps = len(layers), list[_Step](), dict[str, Overlap]()
    for number in numbers:
        found = [layers[number].fit(segment, compare) for segment in group]
        steps = [step for step in found if step is not None]
        if len(steps) == len(group) and chosen == len(layers):
            chosen, chosen_steps = number, steps
        for segment in (segment for segment, step in zip(group, found, strict=True) if step is None):
            n = max(layers[number].count_overlap(segment), overlaps[segment.id].n if segment.id in overlaps else 0)
            overlaps[segment.id] = Overlap(segment.id, segment.start_ns, n)
    return chosen, chosen_steps, list(overlaps.values())


def _find_ended(group: list[Segment], ends: Mapping[str, list[float]], n_layers: int) -> int:
    """Number of the first of many layers in which the last segments of all ids have ended."""
    limits = [(ends.get(segment.id, []), _latest_end_ns(segment)) for segment in group]
    if any(len(of_id) == n_layers and min(of_id) > latest for of_id, latest in limits):  # quick for thousands
        return n_layers
    is_free = (all(i >= len(of_id) or of_id[i] <= latest for of_id, latest in limits) for i in range(n_layers))
    return next((i for i, free in enumerate(is_free) if free), n_layers)


def find_end_ns(segment: Segment) -> int:
    """Time one sample after the last, in ns."""
    return segment.start_ns + round(segment.n * 1e9 / segment.rate_hz)


def _latest_end_ns(segment: Segment) -> int:
    """Latest end of a segment that this one follows: an overlap of less than a sample is clock drift."""
    return segment.start_ns + math.ceil(1e9 / segment.rate_hz) - 1


def _group_by_start(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Groups of segments of one source that begin together, at most one for each id."""
    groups: list[list[Segment]] = []
    of_source: dict[Path | None, list[list[Segment]]] = {}
    oldest: dict[Path | None, int] = {}
    next_group: dict[tuple[Path | None, str], int] = {}
    for segment in segments:
        source, found = segment.source, of_source.setdefault(segment.source, [])
        number = oldest.get(source, 0)
        while number < len(found) and segment.start_ns - found[number][0].start_ns > TOGETHER_NS:
            number += 1
        oldest[source] = number
        number = max(number, next_group.get((source, segment.id), 0))
        if number == len(found):
            found.append([])
            groups.append(found[-1])
        found[number].append(segment)
        next_group[source, segment.id] = number + 1
    return groups


def _have_same_samples(one: Segment, other: Segment, shared: int, fetch: Fetch) -> bool:
    """Whether the last samples of a segment are the first ones of another, which may end earlier.

    Samples that cannot be decoded are left out, if there are others.
    """
    n, at = min(shared, other.n), one.n - shared

    def count_same(start: int, stop: int) -> int:
        """Number of samples that are the same; -1 if some differ."""
        try:
            a, b = fetch([(one, at + start, at + stop), (other, start, stop)])
        except (GeoAEError, OSError):
            if stop - start <= _LEAST_COMPARED:
                return 0
            middle = (start + stop) // 2
            first = count_same(start, middle)
            second = count_same(middle, stop) if first >= 0 else -1
            return first + second if second >= 0 else -1
        return stop - start if np.array_equal(a, b, equal_nan=True) else -1

    start, size, same = 0, _FIRST_COMPARED, 0
    while start < n:
        stop = min(start + size, n)
        if (found := count_same(start, stop)) < 0:
            return False
        same += found
        start, size = stop, _COMPARED_AT_ONCE
    return same > 0
