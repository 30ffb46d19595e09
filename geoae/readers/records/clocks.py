"""Tell where the clock of a recorder drifts: start times of records move away from the sampling rate."""

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from geoae.labels.segments import Segment, count_missing_samples, touches
from geoae.readers.records.selection import join_first

_LEAST_SAMPLES = 0.01
"""Segments are divided at half a sample; parts that touch to within less are no drift, but rounding of times."""
_KEPT = "The output keeps these times to half a sample"
_LOST = (
    "There is one start time for all samples here, so the last ones are that far from their times; miniSEED files keep "
    "the times"
)


class _Drift(NamedTuple):
    id: str
    drift_s: float
    length_s: float


def describe_drift(segments: Iterable[Segment], *, is_kept: bool | None = None) -> list[str]:
    """One line on all ids whose records drift by more than half a sample; none if there are no such ids.

    Parameters
    ----------
    segments
        Segments of any number of files. Parts of one segment have the same `order` and touch.
    is_kept
        Whether the start times of the parts are kept; None if nothing is written.
    """
    found = list(_find_drifts(segments))
    if not found:
        return []
    worst = max(found, key=lambda drift: abs(drift.drift_s))
    ids = join_first(sorted({drift.id for drift in found}))
    outcome = {None: "", True: f" {_KEPT}.", False: f" {_LOST}."}[is_kept]
    return [
        f"{ids}: the clock drifts. Start times of records move by up to {worst.drift_s:+.3g} s in "
        f"{worst.length_s:.6g} s against the sampling rate ({worst.id}).{outcome}"
    ]


def _find_drifts(segments: Iterable[Segment]) -> Iterator[_Drift]:
    def key(segment: Segment) -> tuple[str, int]:
        return str(segment.source or ""), segment.order

    with_samples = (segment for segment in segments if segment.n > 0 and segment.rate_hz > 0)
    for _, group in groupby(sorted(with_samples, key=lambda s: (*key(s), s.start_ns)), key):
        parts = list(group)
        gaps = [count_missing_samples(a, b) for a, b in pairwise(parts) if touches(a, b)]
        length = sum(part.n for part in parts) / parts[0].rate_hz
        if abs(sum(gaps)) > _LEAST_SAMPLES:
            yield _Drift(parts[0].id, sum(gaps) / parts[0].rate_hz, length)
