"""What the jobs need of a reader, derived from one that only gives labelled arrays: segments, contents, selections."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import DamagedFileError, GeoAEError, InputError, one_line
from geoae.labels.segments import Segment
from geoae.labels.timeaxis import first_position, rate_hz, sample_offset_ns, start_ns
from geoae.readers.protocols import Scan
from geoae.readers.records.traces import parse_time_limits, select_segments

_BLOCK = 1 << 20
"""Samples along time that are looked at together for gaps."""
_KNOWN = {"network", "station", "location", "sampling_rate_hz", "source", "units", "calib"}
"""Attributes that the segments keep."""


@dataclass(frozen=True, eq=False)
class ArrayLocator:
    """Samples first ... of one row of an array; see `geoae.readers.protocols.Locator`."""

    x: xr.DataArray
    """Dims (channel, time)."""
    row: int
    id: str
    place: str
    """For errors."""
    first: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        return self.x.dtype.newbyteorder("=")

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples of the segment."""
        span = slice(self.first + start, self.first + stop)
        return load_samples(self.x[self.row : self.row + 1, span], self.place)[0].astype(self.dtype, copy=False)

    def part(self, start: int, stop: int) -> "ArrayLocator":
        """The locator of a part of the segment."""
        return replace(self, first=self.first + start)

    def headers(self) -> Any:
        """Id, rate, units and calib; an array holds no other header of a format."""
        from obspy.core import Stats

        names = ("network", "station", "location", "channel")
        stats = Stats(dict(zip(names, self.id.split(".", 3), strict=True)))
        stats.sampling_rate = rate_hz(self.x)
        if "units" in self.x.attrs:
            stats.units = str(self.x.attrs["units"])
        calib = self.x["calib"].values[self.row] if "calib" in self.x.coords else self.x.attrs.get("calib", 1.0)
        stats.calib = float(calib)
        return stats

    def raw_bytes(self) -> bytes | None:
        """There are no miniSEED records."""
        return None


def scan_arrays(
    arrays: Sequence[xr.DataArray],
    path: Path,
    reader: str,
    ids: Sequence[str] = (),
    start_time: Any = None,
    end_time: Any = None,
) -> Scan:
    """Derive the segments of a file from its records, with a note that other headers of its format are not kept.

    Samples are looked at once, block by block, since gaps are found as NaN; they are read again when they are used.

    Parameters
    ----------
    arrays
        Checked by `check_record`.
    path
        The file.
    reader
        Its reader's name, for the note.
    ids, start_time, end_time
        As for `geoae.readers.records.traces.scan`.
    """
    segments: list[Segment] = []
    for x in arrays:
        rate, start = rate_hz(x), start_ns(x)
        names = record_ids(x)
        spans = _finite_spans(x, str(path))
        for row, id_ in enumerate(names):
            for a, b in spans[row]:
                locator = ArrayLocator(x, row, id_, str(path), a)
                at = start + int(sample_offset_ns(a, rate))
                segments.append(Segment(id_, at, rate, b - a, len(segments), path, locator))
    others = sorted({str(name) for x in arrays for name in x.attrs} - _KNOWN)
    listed = f" ({', '.join(others)})" if others else ""
    note = (
        f"{path.name} is read by the reader {reader!r}: ids, times, rates, units and samples are written in the format "
        f"of the output; other headers{listed} are not."
    )
    return select_segments(Scan(tuple(segments), (note,)), path.name, ids, start_time, end_time)


def select_record(
    x: xr.DataArray, ids: str | Sequence[str] = (), start_time: Any = None, end_time: Any = None
) -> xr.DataArray | None:
    """The channels and times of a record that were asked for; None if there are none. Parameters as for `scan`."""
    first, last = parse_time_limits(start_time, end_time)
    patterns = [ids] if isinstance(ids, str) else list(ids)
    rows = [
        row
        for row, id_ in enumerate(record_ids(x))
        if not patterns or any(fnmatch.fnmatchcase(id_, pattern) for pattern in patterns)
    ]
    rate, origin, n = rate_hz(x), start_ns(x), x.sizes["time"]
    start = 0 if first is None else max(first_position(first - origin, rate), 0)
    stop = n if last is None else min(first_position(last + 1 - origin, rate), n)
    if not rows or start >= stop:
        return None
    if len(rows) < x.sizes["channel"]:
        x = x.isel(channel=rows)
    return x if (start, stop) == (0, n) else x.isel(time=slice(start, stop))


def check_record(x: Any, place: object, reader: str) -> xr.DataArray:
    """Return a record as geoae needs it, with the coordinates `channel` and `id`, or say what is missing.

    Raises
    ------
    InputError
        It is no DataArray, or lacks dimensions, a rate, codes of channels, or real numbers.
    """
    said = f"{place}: the reader {reader!r} gives"
    if not isinstance(x, xr.DataArray):
        raise InputError(f"{said} {type(x).__name__}; an xarray.DataArray, or a list of them, was expected.")
    if set(x.dims) != {"channel", "time"}:
        raise InputError(
            f"{said} an array with dimensions ({', '.join(map(str, x.dims))}); records have (channel, time). "
            'A reader of gridded fields says kind = "fields".'
        )
    if x.dtype.kind not in "biuf":
        raise InputError(f"{said} {x.dtype} samples; only real numbers can be worked on.")
    x = x.transpose("channel", "time")
    try:
        rate = rate_hz(x)
    except InputError as error:
        raise InputError(f"{said} an array without a usable rate. {error}") from error
    if not np.isfinite(rate) or rate <= 0:
        raise InputError(f"{said} a sampling rate of {rate} Hz; a number above 0 was expected.")
    if "channel" not in x.coords and "id" not in x.coords:
        raise InputError(
            f"{said} an array without the coordinate 'channel' (codes such as HHZ) or 'id' (NET.STA.LOC.CHA)."
        )
    names = record_ids(x)
    if wrong := [name for name in names if name.count(".") < 3]:
        raise InputError(f"{said} the id {wrong[0]!r}; NET.STA.LOC.CHA was expected, whose parts may be empty.")
    if "id" not in x.coords:
        x = x.assign_coords(id=("channel", np.array(names, dtype=object)))
    if "channel" not in x.coords:
        x = x.assign_coords(channel=np.array([name.split(".", 3)[3] for name in names], dtype=object))
    return x if x.name is not None else x.rename("trace")


def record_ids(x: xr.DataArray) -> list[str]:
    """NET.STA.LOC.CHA of each row: the coordinate `id`, else made of attributes and the codes of channels."""
    if "id" in x.coords:
        return [str(name) for name in np.broadcast_to(x["id"].values, x.sizes["channel"])]
    sensor = ".".join(str(x.attrs.get(name, "")) for name in ("network", "station", "location"))
    return [f"{sensor}.{code}" for code in x["channel"].values]


def check_field(x: Any, place: object, reader: str) -> xr.DataArray:
    """Return a variable of a gridded data set, or say what is missing.

    Raises
    ------
    InputError
        It is no DataArray, has no name, or has fewer than two dimensions.
    """
    said = f"{place}: the reader {reader!r} gives"
    if not isinstance(x, xr.DataArray):
        raise InputError(f"{said} {type(x).__name__}; an xarray.DataArray, or a list of them, was expected.")
    if x.ndim < 2:
        raise InputError(
            f"{said} an array with dimensions ({', '.join(map(str, x.dims))}); two horizontal ones were expected."
        )
    if x.name is None:
        raise InputError(f"{said} an array without a name; set x.name to that of the variable.")
    return x


def load_samples(x: xr.DataArray, place: str) -> np.ndarray:
    """Samples of an array in memory.

    Raises
    ------
    DamagedFileError
        The reader that gave the array cannot read them.
    """
    data = x.variable
    try:
        if x.chunks is not None:
            # in this thread: workers of a scheduler must not ask it for more
            return np.asarray(data.data.compute(scheduler="synchronous"))
        return np.asarray(data.values)
    except (GeoAEError, MemoryError):
        raise
    except Exception as error:  # readers of other packages raise whatever comes
        raise DamagedFileError(f"{place}: samples cannot be read: {one_line(error)}.") from error


def _finite_spans(x: xr.DataArray, place: str) -> list[list[tuple[int, int]]]:
    """Start and stop of the stretches of each row that hold numbers."""
    n = x.sizes["time"]
    if x.dtype.kind != "f":
        return [[(0, n)] if n else [] for _ in range(x.sizes["channel"])]
    found: list[list[tuple[int, int]]] = [[] for _ in range(x.sizes["channel"])]
    for start in range(0, n, _BLOCK):
        there = ~np.isnan(load_samples(x[:, start : start + _BLOCK], place))
        for spans, row in zip(found, there, strict=True):
            for a, b in _runs(row):
                if spans and spans[-1][1] == start + a:
                    spans[-1] = spans[-1][0], start + b
                else:
                    spans.append((start + a, start + b))
    return found


def _runs(there: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and stop of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
