"""Look without touching: what a recording holds, what a model says of itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoae import model
from geoae.errors import UnknownFormatError
from geoae.readers import layout, seisbench, traces
from geoae.readers.layout import Segment


@dataclass(frozen=True)
class Row:
    """One id at one sampling rate, of a recording."""

    id: str
    start_ns: int
    end_ns: int
    rate_hz: float
    samples: int
    gaps: int
    overlaps: int
    text: bool = False


@dataclass(frozen=True)
class Content:
    """What `geoae info` prints."""

    rows: list[Row]
    notes: list[str]
    problems: list[str]
    records: int
    """Sensors and stretches of time that are denoised together."""


def info(path: Path) -> Content:
    """List the traces of a recording, or the records of a data set by station.

    Raises
    ------
    GeoAEError
        The file cannot be read.
    """
    if seisbench.sniff(path):
        return _data_set(seisbench.open_set(path))
    scan = traces.scan(path)
    groups: dict[tuple[str, float, bool], list[Segment]] = {}
    for segment in scan.segments:
        groups.setdefault((segment.id, segment.rate_hz, segment.text), []).append(segment)
    rows = [_row(parts) for parts in groups.values()]
    return Content(rows, list(scan.notes), list(scan.losses), len(layout.arrange(scan.segments)))


def models() -> list[dict[str, Any]]:
    """What each shipped model says of itself."""
    return [model.describe(name) for name in model.shipped()]


def _row(parts: list[Segment]) -> Row:
    first = parts[0]
    starts = [s.start_ns for s in parts]
    ends = [s.start_ns + round((s.n - 1) * 1e9 / s.rate_hz) if s.n else s.start_ns for s in parts]
    return Row(
        first.id, min(starts), max(ends), first.rate_hz, sum(s.n for s in parts), *layout.gaps_and_overlaps(parts),
        first.text,
    )  # fmt: skip


def _data_set(data: seisbench.SeisBenchSet) -> Content:
    counts: dict[str, int] = {}
    for i in range(len(data)):
        counts[data.station(i)] = counts.get(data.station(i), 0) + 1
    stations = ", ".join(f"{name} ({n})" for name, n in sorted(counts.items(), key=lambda item: -item[1])[:12])
    more = ", ..." if len(counts) > 12 else ""
    notes = [f"a data set of {len(data)} records from {len(counts)} stations: {stations}{more}"]
    if not counts:
        raise UnknownFormatError(f"{data.folder} holds no records.")
    return Content([], notes, [], len(data))
