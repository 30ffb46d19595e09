"""Derive segments and selections from labelled arrays, for readers that have no `scan` of their own."""

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
from geoae.readers.records.selection import parse_time_limits, select_segments

_BLOCK_SAMPLES = 1 << 20
"""Samples along time that are searched for gaps at once."""
_KEPT_ATTRS = {"network", "station", "location", "sampling_rate_hz", "source", "units", "calib"}
"""Attributes that the segments keep."""


@dataclass(frozen=True, eq=False)
class ArrayLocator:
    """Part of one row of an array, from sample `first` on; see `geoae.readers.protocols.Locator`."""

    x: xr.DataArray
    """Dims (channel, time)."""
    row: int
    id: str
    place: str
    """Name of the file in errors."""
    first: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples, in the byte order of this machine."""
        return self.x.dtype.newbyteorder("=")

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop of the segment, shape (time,)."""
        span = slice(self.first + start, self.first + stop)
        return load_samples(self.x[self.row : self.row + 1, span], self.place)[0].astype(self.dtype, copy=False)

    def part(self, start: int, stop: int) -> "ArrayLocator":
        """Return the locator of samples start ... stop of the segment."""
        return replace(self, first=self.first + start)

    def headers(self) -> Any:
        """Return an ObsPy header with id, rate, units and calib; an array has no other headers."""
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
        """Return None: an array has no miniSEED records."""
        return None


def scan_arrays(
    arrays: Sequence[xr.DataArray],
    path: Path,
    reader: str,
    ids: Sequence[str] = (),
    start_time: Any = None,
    end_time: Any = None,
) -> Scan:
    """Derive the segments of a file from its records, with a note that other headers of its format are lost.

    All samples are read once, block by block, to find gaps (NaN). They are read again when they are used.

    Parameters
    ----------
    arrays
        Records that `check_record` returned.
    path
        The file.
    reader
        Name of its reader, for the note.
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
                time_ns = start + int(sample_offset_ns(a, rate))
                segments.append(Segment(id_, time_ns, rate, b - a, len(segments), path, locator))
    lost = sorted({str(name) for x in arrays for name in x.attrs} - _KEPT_ATTRS)
    listed = f" ({', '.join(lost)})" if lost else ""
    note = (
        f"{path.name} is read by the reader {reader!r}: ids, times, rates, units and samples are written in the format "
        f"of the output; other headers{listed} are not."
    )
    return select_segments(Scan(tuple(segments), (note,)), path.name, ids, start_time, end_time)


def select_record(
    x: xr.DataArray, ids: str | Sequence[str] = (), start_time: Any = None, end_time: Any = None
) -> xr.DataArray | None:
    """Select channels and times of a record; None if nothing matches. Parameters are those of `scan`."""
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
    """Check a record, and add the coordinates `channel` and `id` where they are missing.

    Raises
    ------
    InputError
        It is not a DataArray, or has no dimensions (channel, time), rate, channel codes or real numbers.
    """
    prefix = f"{place}: the reader {reader!r} returns"
    if not isinstance(x, xr.DataArray):
        raise InputError(f"{prefix} {type(x).__name__}; an xarray.DataArray, or a list of them, was expected.")
    if set(x.dims) != {"channel", "time"}:
        raise InputError(
            f"{prefix} an array with dimensions ({', '.join(map(str, x.dims))}); records have (channel, time). "
            'A reader of gridded fields must set kind = "fields".'
        )
    if x.dtype.kind not in "biuf":
        raise InputError(f"{prefix} {x.dtype} samples; only real numbers are supported.")
    x = x.transpose("channel", "time")
    try:
        rate = rate_hz(x)
    except InputError as error:
        raise InputError(f"{prefix} an array without a usable rate. {error}") from error
    if not np.isfinite(rate) or rate <= 0:
        raise InputError(f"{prefix} a sampling rate of {rate} Hz; a number above 0 was expected.")
    if "channel" not in x.coords and "id" not in x.coords:
        raise InputError(
            f"{prefix} an array without the coordinate 'channel' (codes such as HHZ) or 'id' (NET.STA.LOC.CHA)."
        )
    names = record_ids(x)
    if wrong := [name for name in names if name.count(".") < 3]:
        raise InputError(f"{prefix} the id {wrong[0]!r}; NET.STA.LOC.CHA was expected, whose parts may be empty.")
    if "id" not in x.coords:
        x = x.assign_coords(id=("channel", np.array(names, dtype=object)))
    if "channel" not in x.coords:
        x = x.assign_coords(channel=np.array([name.split(".", 3)[3] for name in names], dtype=object))
    return x if x.name is not None else x.rename("trace")


def record_ids(x: xr.DataArray) -> list[str]:
    """NET.STA.LOC.CHA of each row: the coordinate `id`, else built from attributes and channel codes."""
    if "id" in x.coords:
        return [str(name) for name in np.broadcast_to(x["id"].values, x.sizes["channel"])]
    sensor = ".".join(str(x.attrs.get(name, "")) for name in ("network", "station", "location"))
    return [f"{sensor}.{code}" for code in x["channel"].values]


def check_field(x: Any, place: object, reader: str) -> xr.DataArray:
    """Check a variable of a gridded data set, and return it.

    Raises
    ------
    InputError
        It is not a DataArray, has no name, or has fewer than two dimensions.
    """
    prefix = f"{place}: the reader {reader!r} returns"
    if not isinstance(x, xr.DataArray):
        raise InputError(f"{prefix} {type(x).__name__}; an xarray.DataArray, or a list of them, was expected.")
    if x.ndim < 2:
        raise InputError(
            f"{prefix} an array with dimensions ({', '.join(map(str, x.dims))}); two horizontal ones were expected."
        )
    if x.name is None:
        raise InputError(f"{prefix} an array without a name; set x.name to that of the variable.")
    return x


def load_samples(x: xr.DataArray, place: str) -> np.ndarray:
    """Load the samples of an array into memory.

    Raises
    ------
    DamagedFileError
        The reader of the array cannot read them.
    """
    data = x.variable
    try:
        if x.chunks is not None:
            # compute in this thread: a task on a worker must not wait for other tasks
            return np.asarray(data.data.compute(scheduler="synchronous"))
        return np.asarray(data.values)
    except (GeoAEError, MemoryError):
        raise
    except Exception as error:  # readers of other packages may raise anything
        raise DamagedFileError(f"{place}: samples cannot be read: {one_line(error)}.") from error


def _finite_spans(x: xr.DataArray, place: str) -> list[list[tuple[int, int]]]:
    """Start and stop of each stretch without NaN, for every row."""
    n = x.sizes["time"]
    if x.dtype.kind != "f":
        return [[(0, n)] if n else [] for _ in range(x.sizes["channel"])]
    all_spans: list[list[tuple[int, int]]] = [[] for _ in range(x.sizes["channel"])]
    for start in range(0, n, _BLOCK_SAMPLES):
        valid = ~np.isnan(load_samples(x[:, start : start + _BLOCK_SAMPLES], place))
        for spans, row in zip(all_spans, valid, strict=True):
            for a, b in _runs(row):
                if spans and spans[-1][1] == start + a:
                    spans[-1] = spans[-1][0], start + b
                else:
                    spans.append((start + a, start + b))
    return all_spans


def _runs(is_valid: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and stop of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_valid, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
