"""Look without touching: what a recording holds, what a model says of itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoae import model
from geoae.errors import UnknownFormatError
from geoae.readers import layout, seisbench, traces


@dataclass(frozen=True)
class Row:
    """One id of a recording."""

    id: str
    start_ns: int
    end_ns: int
    rate_hz: float
    samples: int
    gaps: int
    overlaps: int


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
    rows = []
    for name in dict.fromkeys(s.id for s in scan.segments):
        parts = sorted((s for s in scan.segments if s.id == name), key=lambda s: s.start_ns)
        ends = [s.start_ns + round((s.n - 1) * 1e9 / s.rate_hz) if s.n else s.start_ns for s in parts]
        gaps = overlaps = 0
        until = ends[0]
        for segment, end in zip(parts[1:], ends[1:], strict=True):
            step = 1e9 / segment.rate_hz if segment.rate_hz > 0 else 0
            gaps += segment.start_ns - until > 1.5 * step
            overlaps += segment.start_ns - until < 0.5 * step
            until = max(until, end)
        rows.append(Row(name, parts[0].start_ns, max(ends), parts[0].rate_hz, sum(s.n for s in parts), gaps, overlaps))
    return Content(rows, list(scan.notes), list(getattr(scan, "losses", ())), len(layout.arrange(scan.segments)))


def models() -> list[dict[str, Any]]:
    """What each shipped model says of itself."""
    return [model.describe(name) for name in model.shipped()]


def _data_set(data: seisbench.SeisBenchSet) -> Content:
    counts: dict[str, int] = {}
    for i in range(len(data)):
        counts[data.station(i)] = counts.get(data.station(i), 0) + 1
    stations = ", ".join(f"{name} ({n})" for name, n in sorted(counts.items(), key=lambda item: -item[1])[:12])
    notes = [
        f"a data set of {len(data)} records from {len(counts)} stations: {stations}{', ...' if len(counts) > 12 else ''}"
    ]
    if not counts:
        raise UnknownFormatError(f"{data.folder} holds no records.")
    return Content([], notes, [], len(data))
