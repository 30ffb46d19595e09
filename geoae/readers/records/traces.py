"""Everything ObsPy reads, as segments for writing back and as lazy (channel, time) arrays for working on.

miniSEED is indexed and decoded block by block; other formats are read whole, the last few files being remembered.
"""

import copy
import fnmatch
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

import geoae.readers.records.mseed as mseed
import geoae.readers.records.whole as whole
from geoae.errors import GeoAEError, InputError, MissingFileError, UnknownFormatError, UnreadableFileError
from geoae.labels.lazy_indexing import lazy_array
from geoae.labels.segments import Record, Segment
from geoae.labels.timeaxis import sample_offset_ns, time_coordinates
from geoae.readers.protocols import Kind, Locator, Scan
from geoae.readers.records.arrange import RecordArray, arrange_records, assemble_block, first_segment, samples_within

if TYPE_CHECKING:
    import obspy


kind: Kind = "records"
"""Of what it reads; see `geoae.readers.protocols`."""


@dataclass(frozen=True, slots=True, eq=False)
class _InMemory:
    """A trace of an ObsPy Stream; see `geoae.readers.protocols.Locator`."""

    trace: Any
    dtype: np.dtype[Any]
    skip: int = 0

    def read(self, start: int, stop: int) -> np.ndarray:
        return _samples(self.trace, start + self.skip, stop + self.skip)

    def part(self, start: int, stop: int) -> "_InMemory":
        return replace(self, skip=self.skip + start)

    def headers(self) -> Any:
        return copy.deepcopy(self.trace.stats)

    def raw_bytes(self) -> bytes | None:
        return mseed.encode_text(self.trace) if self.trace.data.dtype.kind == "S" else None


@dataclass(frozen=True, slots=True)
class _InFile:
    """A trace of a file that is read whole; see `geoae.readers.protocols.Locator`."""

    path: Path
    stamp: whole.Stamp
    number: int
    dtype: np.dtype[Any]
    skip: int = 0

    def read(self, start: int, stop: int) -> np.ndarray:
        return _samples(self._trace(), start + self.skip, stop + self.skip)

    def part(self, start: int, stop: int) -> "_InFile":
        return replace(self, skip=self.skip + start)

    def headers(self) -> Any:
        return copy.deepcopy(self._trace().stats)

    def raw_bytes(self) -> bytes | None:
        return mseed.encode_text(self._trace()) if self.dtype.kind == "S" else None

    def _trace(self) -> Any:
        return whole.read_whole(self.path, self.stamp).traces[self.number]


def sniff(path: str | Path) -> bool:
    """Tell whether ObsPy reads a file, by its content; an archive counts if a file in it does. Never raises."""
    try:
        return Path(path).is_file() and whole.is_recording(Path(path))
    except Exception:  # whatever a foreign file does to a parser, it is no recording
        return False


def scan(path: str | Path, ids: str | Sequence[str] = (), start_time: Any = None, end_time: Any = None) -> Scan:
    """Find the segments of a file; samples of miniSEED are not decoded yet.

    Parameters
    ----------
    path
        A file of any format that ObsPy reads, or a tar, zip, gzip or bzip2 archive of such files.
    ids
        NET.STA.LOC.CHA with the wildcards * ? [ ]; a segment that matches any of them is taken. All if empty.
    start_time, end_time
        Anything `obspy.UTCDateTime` takes. Samples from `start_time` to `end_time`, both included, are taken.

    Raises
    ------
    InputError
        If the file is missing, a folder or unreadable, or a time cannot be understood.
    UnknownFormatError
        If the file is empty or no recording.
    DamagedFileError
        If the file is a recording, but nothing can be read from it.
    """
    path = Path(path)
    _check_file(path)
    found = mseed.index_segments(path)
    segments, notes, losses = ([*found[0]], [], found[1]) if found is not None else _scan_whole(path)
    return select_segments(Scan(tuple(segments), tuple(notes), tuple(losses)), path.name, ids, start_time, end_time)


def select_segments(
    scan: Scan, name: str, ids: str | Sequence[str] = (), start_time: Any = None, end_time: Any = None
) -> Scan:
    """Choose segments by id and time; parameters as for `scan`.

    Parameters
    ----------
    scan
        All segments of a file.
    name
        Of the file, for the note that nothing matches.

    Raises
    ------
    InputError
        If a time cannot be understood, or the start lies after the end.
    """
    patterns = [ids] if isinstance(ids, str) else list(ids)
    first_ns, last_ns = parse_time_limits(start_time, end_time)
    chosen = [
        cut
        for segment in scan.segments
        if not patterns or any(fnmatch.fnmatchcase(segment.id, pattern) for pattern in patterns)
        if (cut := _trimmed(segment, first_ns, last_ns)) is not None
    ]
    notes = scan.notes
    if scan.segments and not chosen:
        held = sorted({segment.id for segment in scan.segments})
        notes = (*notes, f"{name}: no trace matches the ids and times asked for; there are {_few(held)}.")
    return Scan(tuple(chosen), notes, scan.losses)


def parse_time_limits(start_time: Any, end_time: Any) -> tuple[int | None, int | None]:
    """Return a start and an end in ns since 1970-01-01 UTC; None stays None.

    Raises
    ------
    InputError
        If a time cannot be understood, or the start lies after the end.
    """
    first_ns, last_ns = _limit_ns("start_time", start_time), _limit_ns("end_time", end_time)
    if first_ns is not None and last_ns is not None and first_ns > last_ns:
        raise InputError(f"The start time {start_time} lies after the end time {end_time}. Exchange them.")
    return first_ns, last_ns


def scan_stream(stream: "obspy.Stream | obspy.Trace") -> Scan:
    """Find the segments of an ObsPy Stream or Trace in memory; a masked trace is one segment, with NaN when fetched."""
    traces = [stream] if hasattr(stream, "stats") else list(stream)
    found = (_segment(one, i, None, _InMemory(one, one.data.dtype)) for i, one in enumerate(traces))
    return Scan(tuple(found), ())


def fetch_samples(
    segment: Segment, start: int = 0, stop: int | None = None, on_warning: Callable[[str], None] = mseed.warn_of_samples
) -> np.ndarray:
    """Return samples start ... stop of a segment in the type they are stored in; masked ones as NaN.

    `on_warning` is called with one line for samples that may be wrong; by default it issues a Python warning.

    Raises
    ------
    DamagedFileError
        If they cannot be decoded.
    """
    start, stop, _ = slice(start, stop).indices(segment.n)
    return _fetch([(segment, start, max(start, stop))], on_warning)[0]


def decodable_parts(segment: Segment) -> list[Segment]:
    """Return the parts of a segment that can be decoded: itself, or stretches of it with gaps between, or nothing."""
    locator: Any = segment.locator
    if isinstance(locator, mseed.MseedRecords):
        spans = mseed.find_decodable_spans(locator)
        return [_part(segment, start, min(stop, segment.n)) for start, stop in spans]
    try:
        locator.read(0, 0)
    except (GeoAEError, OSError):
        return []
    return [segment]


def read_raw_records(segment: Segment) -> bytes | None:
    """Return the miniSEED records of a segment as they are in its file; None if it comes from another format.

    Text gets records of its own where the file was read whole.
    """
    if isinstance(segment.locator, mseed.MseedRecords):
        return mseed.read_raw_bytes(segment.locator)
    return _locator(segment).raw_bytes()


def read_header(segment: Segment) -> "obspy.core.Stats":
    """Return a copy of the ObsPy header with the segment's own start and number of samples."""
    from obspy import UTCDateTime

    if isinstance(segment.locator, mseed.MseedRecords):
        stats = mseed.make_header(segment.locator)
        stats.network, stats.station, stats.location, stats.channel = segment.id.split(".", 3)
        stats.sampling_rate = segment.rate_hz
    else:
        stats = _locator(segment).headers()
    stats.starttime = UTCDateTime(ns=segment.start_ns)
    stats.npts = segment.n
    return stats


def read_block(
    record: Record, start: int, stop: int, on_warning: Callable[[str], None] = mseed.warn_of_samples
) -> np.ndarray:
    """Return samples start ... stop of a record, shape (row, stop - start), NaN where no segment lies.

    float64 if any segment of the record needs it (int32, float64), else float32. Errors and `on_warning` are those of
    `fetch_samples`.
    """
    rows = range(len(record.ids))
    return assemble_block(record, rows, start, stop, _block_dtype(record), partial(_fetch, on_warning=on_warning))


def open_record(record: Record) -> xr.DataArray:
    """Return a record as an array whose samples are read when they are used.

    Dims (channel, time); coords channel (codes), id, and a lazy time axis. Gaps are NaN.
    """
    networks = [id_.split(".") for id_ in record.ids]
    stats = [read_header(first_segment(record, row)) for row in range(len(record.ids))]
    names = list(dict.fromkeys(p.segment.source.name for p in record.placed if p.segment.source is not None))
    attrs: dict[str, Any] = dict(zip(("network", "station", "location"), networks[0], strict=False))
    attrs |= {"sampling_rate_hz": record.rate_hz, "source": _few(names) if names else "memory"}
    coords: dict[str, Any] = {
        # objects, since zarr 3 has no settled form for strings of fixed width and warns
        "channel": ("channel", np.array([parts[-1] for parts in networks], dtype=object)),
        "id": ("channel", np.array(record.ids, dtype=object)),
    }
    calibs = [float(item.get("calib", 1.0)) for item in stats]
    if len(set(calibs)) > 1:
        coords["calib"] = ("channel", calibs)
    elif calibs[0] != 1:
        attrs["calib"] = calibs[0]
    units = {str(item.get("units") or "") for item in stats}
    if len(units) == 1 and units != {""}:
        attrs["units"] = units.pop()
    samples = RecordArray(record, _block_dtype(record), _fetch)
    lazy = lazy_array(samples.shape, samples.dtype, samples.read, slices_only=True)
    array = xr.DataArray(xr.Variable(("channel", "time"), lazy), coords=coords, attrs=attrs, name="trace")
    return array.assign_coords(time_coordinates(record.start_ns, record.rate_hz, record.n))


def read(
    path: str | Path | Sequence[str | Path],
    ids: str | Sequence[str] = (),
    start_time: Any = None,
    end_time: Any = None,
) -> list[xr.DataArray]:
    """Read one file, or several that belong together, as one lazy array per record.

    Components of one sensor, and pieces that follow each other in time, lie in one record wherever the files part
    them. Text and log channels are left out. Parameters and errors are those of `scan`; its notes and losses become
    warnings.
    """
    segments: list[Segment] = []
    for one in [path] if isinstance(path, str | Path) else path:
        found = scan(one, ids, start_time, end_time)
        segments += found.segments
        for line in (*found.losses, *found.notes):
            warnings.warn(line, stacklevel=2)
    return [open_record(record) for record in arrange_records(segments)]


def float_dtype(record: Record) -> np.dtype[Any]:
    """float64 where a file holds that, else float32: enough for what is left of whole numbers when noise is gone."""
    kinds = {placed.segment.locator.dtype for placed in record.placed}  # type: ignore[attr-defined]
    return np.dtype(np.float64 if any(kind.kind == "f" and kind.itemsize > 4 for kind in kinds) else np.float32)


def _block_dtype(record: Record) -> np.dtype[Any]:
    kinds = {placed.segment.locator.dtype for placed in record.placed}  # type: ignore[attr-defined]
    return np.dtype(np.float32) if np.result_type(np.float32, *kinds) == np.float32 else np.dtype(np.float64)


def _fetch(
    parts: list[tuple[Segment, int, int]], on_warning: Callable[[str], None] = mseed.warn_of_samples
) -> list[np.ndarray]:
    """Fetch from several segments of one id, those of miniSEED in one go."""
    records = [(segment.locator, a, b) for segment, a, b in parts if isinstance(segment.locator, mseed.MseedRecords)]
    decoded = iter(mseed.fetch_blocks(records, on_warning) if records else [])
    return [
        next(decoded) if isinstance(segment.locator, mseed.MseedRecords) else segment.locator.read(start, stop)  # type: ignore[attr-defined]
        for segment, start, stop in parts
    ]


def _samples(trace: Any, start: int, stop: int) -> np.ndarray:
    """Samples of an ObsPy Trace; masked ones as NaN."""
    samples = trace.data[start:stop]
    if np.ma.isMaskedArray(samples):
        samples = np.ma.filled(samples.astype(np.result_type(samples.dtype, np.float32)), np.nan)
    return np.asarray(samples)


def _locator(segment: Segment) -> Locator:
    """The locator of a segment that is not in miniSEED with records of one length."""
    assert isinstance(segment.locator, Locator)
    return segment.locator


def _segment(trace: Any, order: int, source: Path | None, locator: object) -> Segment:
    stats, data = trace.stats, trace.data
    rate, text = float(stats.sampling_rate), data.dtype.kind in "SU" or not stats.sampling_rate
    where = source.name if source else "The stream"
    if not text and data.dtype.kind not in "biuf":
        raise InputError(f"{where}: trace {trace.id} holds {data.dtype} samples; only real numbers can be read.")
    if not np.isfinite(rate) or rate < 0:
        raise InputError(f"{where}: trace {trace.id} has a sampling rate of {rate} Hz. Correct its header.")
    return Segment(trace.id, stats.starttime.ns, rate, 0 if text else len(data), order, source, locator, text)


def _trimmed(segment: Segment, first_ns: int | None, last_ns: int | None) -> Segment | None:
    """Return the part of a segment that lies within limits; None if nothing does."""
    span = samples_within(segment, first_ns, last_ns)
    if span is None:
        return None
    return _part(segment, *span)


def _part(segment: Segment, start: int, stop: int) -> Segment:
    """The segment that holds samples start ... stop of another one."""
    if (start, stop) == (0, segment.n):
        return segment
    locator: Any = segment.locator
    locator = (
        mseed.trim_records(locator, start, stop)
        if isinstance(locator, mseed.MseedRecords)
        else locator.part(start, stop)
    )
    start_ns = segment.start_ns + int(sample_offset_ns(start, segment.rate_hz))
    return replace(segment, start_ns=start_ns, n=stop - start, locator=locator)


def _limit_ns(name: str, time: Any) -> int | None:
    if time is None:
        return None
    if isinstance(time, np.datetime64):
        return int(time.astype("datetime64[ns]").astype(np.int64))
    from obspy import UTCDateTime

    try:
        return int(UTCDateTime(time).ns)
    except Exception as error:  # UTCDateTime raises many kinds
        raise InputError(f"{name}={time!r} is no time. Write it as 2010-09-01T12:30:00.") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder, but a file was expected. Name the files in it.")
    if not path.exists():
        raise MissingFileError(f"{path} does not exist. Check the name and the folder.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise UnreadableFileError(f"{path} cannot be opened ({error.strerror}). Check its permissions.") from error
    if empty:
        raise UnknownFormatError(f"{path.name} is empty, but a recording was expected. Fetch the file again.")


def _scan_whole(path: Path) -> tuple[list[Segment], list[str], list[str]]:
    stamp = whole.read_stamp(path)
    content = whole.read_whole(path, stamp)
    files = (_InFile(path, stamp, i, trace.data.dtype) for i, trace in enumerate(content.traces))
    segments = [_segment(trace, file.number, path, file) for trace, file in zip(content.traces, files, strict=True)]
    return segments, list(content.notes), list(content.losses)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
