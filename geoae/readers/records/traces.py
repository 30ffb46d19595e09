"""Read recordings in all formats of ObsPy, as segments and as lazy (channel, time) arrays.

miniSEED is indexed and decoded block by block. Files of other formats are read whole; the last few are cached.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

import geoae.readers.records.mseed as mseed
import geoae.readers.records.mseed_index as mseed_index
import geoae.readers.records.whole as whole
from geoae.errors import GeoAEError, InputError, LossWarning, UnknownFormatError, UnreadableFileError
from geoae.files.paths import find_fault
from geoae.labels.lazy_indexing import lazy_array
from geoae.labels.segments import Record, Segment
from geoae.labels.timeaxis import time_coordinates
from geoae.readers.protocols import Kind, Locator, Scan
from geoae.readers.records.arrange import (
    RecordArray,
    arrange_records,
    assemble_block,
    describe_overlaps,
    describe_rates,
    first_segment,
)
from geoae.readers.records.clocks import describe_drift
from geoae.readers.records.selection import cut_segment, join_first, select_segments

if TYPE_CHECKING:
    import obspy


kind: Kind = "records"
"""Kind of data; see `geoae.readers.protocols`."""


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
    """Whether ObsPy reads a file, or a file in an archive, by its content. Never raises."""
    try:
        return Path(path).is_file() and whole.is_recording(Path(path))
    except Exception:  # a file that breaks the parser is no recording
        return False


def scan(path: str | Path, ids: str | Sequence[str] = (), start_time: Any = None, end_time: Any = None) -> Scan:
    """Find the segments of a file; samples of miniSEED are not decoded yet.

    Parameters
    ----------
    path
        A file of any format that ObsPy reads, or a tar, zip, gzip or bzip2 archive of such files.
    ids
        NET.STA.LOC.CHA with the wildcards * ? [ ]; segments that match one of them are selected. Empty: all.
    start_time, end_time
        Anything `obspy.UTCDateTime` accepts. Both ends are included.

    Raises
    ------
    InputError
        The file is missing, a folder or unreadable, or a time cannot be understood.
    UnknownFormatError
        The file is empty or no recording.
    DamagedFileError
        The file is a recording, but nothing can be read from it.
    """
    path = Path(path)
    _check_file(path)
    index = mseed_index.index_segments(path)
    segments, losses, notes = index if index is not None else _scan_whole(path)
    return select_segments(Scan(tuple(segments), tuple(notes), tuple(losses)), path.name, ids, start_time, end_time)


def scan_stream(stream: "obspy.Stream | obspy.Trace") -> Scan:
    """Find the segments of an ObsPy Stream or Trace in memory. A masked trace is one segment with NaN in it."""
    # not whether it has stats: Streams of SEG-Y and SEG-2 files have them, too
    traces = list(stream) if hasattr(stream, "traces") else [stream]
    segments = (_make_segment(trace, i, None, _InMemory(trace, trace.data.dtype)) for i, trace in enumerate(traces))
    return Scan(tuple(segments), ())


def fetch_samples(
    segment: Segment, start: int = 0, stop: int | None = None, on_warning: Callable[[str], None] = mseed.warn_of_samples
) -> np.ndarray:
    """Return samples start ... stop of a segment in their stored type; masked samples are NaN.

    `on_warning` is called with one line for samples that may be wrong; by default it issues a Python warning.

    Raises
    ------
    DamagedFileError
        They cannot be decoded.
    """
    start, stop, _ = slice(start, stop).indices(segment.n)
    return fetch_parts([(segment, start, max(start, stop))], on_warning)[0]


def decodable_parts(segment: Segment) -> list[Segment]:
    """Return the parts of a segment that can be decoded: the segment, several parts of it, or none."""
    locator: Any = segment.locator
    if isinstance(locator, mseed.MseedRecords):
        spans = mseed.find_decodable_spans(locator)
        return [cut_segment(segment, start, min(stop, segment.n)) for start, stop in spans]
    try:
        locator.read(0, 0)
    except (GeoAEError, OSError):
        return []
    return [segment]


def read_raw_records(segment: Segment) -> bytes | None:
    """Return the miniSEED records of a segment unchanged; None for other formats, and for a part of its records.

    For text in a file that was read whole, new records are made.
    """
    if isinstance(segment.locator, mseed.MseedRecords):
        is_whole = segment.text or mseed.count_samples(segment.locator) == segment.n
        return mseed.read_raw_bytes(segment.locator) if is_whole else None
    return _locator(segment).raw_bytes()


def read_header(segment: Segment) -> "obspy.core.Stats":
    """Return a copy of the ObsPy header, with start and number of samples of the segment."""
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
    return assemble_block(record, rows, start, stop, _block_dtype(record), partial(fetch_parts, on_warning=on_warning))


def open_record(record: Record) -> xr.DataArray:
    """Return a record as an array whose samples are read when they are used.

    Dims (channel, time); coords channel (codes), id, and a lazy time axis. Gaps are NaN.
    """
    networks = [id_.split(".") for id_ in record.ids]
    stats = [read_header(first_segment(record, row)) for row in range(len(record.ids))]
    names = list(dict.fromkeys(p.segment.source.name for p in record.placed if p.segment.source is not None))
    attrs: dict[str, Any] = dict(zip(("network", "station", "location"), networks[0], strict=False))
    attrs |= {"sampling_rate_hz": record.rate_hz, "source": join_first(names) if names else "memory"}
    coords: dict[str, Any] = {
        # objects, because zarr 3 has no stable format for strings of fixed width and warns
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
    samples = RecordArray(record, _block_dtype(record), fetch_parts)
    lazy = lazy_array(samples.shape, samples.dtype, samples.read, slices_only=True)
    array = xr.DataArray(xr.Variable(("channel", "time"), lazy), coords=coords, attrs=attrs, name="trace")
    return array.assign_coords(time_coordinates(record.start_ns, record.rate_hz, record.n))


def read(
    path: str | Path | Sequence[str | Path],
    ids: str | Sequence[str] = (),
    start_time: Any = None,
    end_time: Any = None,
) -> list[xr.DataArray]:
    """Read one or several files into one lazy array for each record.

    Components of one sensor, and segments that follow each other in time, form one record even if they are in different
    files. Text and log channels are left out. Parameters and errors are those of `scan`; its notes and losses become
    warnings.
    """
    segments: list[Segment] = []
    for file in [path] if isinstance(path, str | Path) else path:
        found = scan(file, ids, start_time, end_time)
        segments += found.segments
        for line in found.losses:
            warnings.warn(line, LossWarning, stacklevel=2)
        for line in found.notes:
            warnings.warn(line, stacklevel=2)
    return open_segments(segments)


def open_segments(segments: Sequence[Segment]) -> list[xr.DataArray]:
    """Open segments as lazy arrays, one for each record; notes on overlaps become warnings."""
    records = group_segments(segments)
    lines = *describe_overlaps(records), *describe_rates(records), *describe_drift(segments, is_kept=False)
    for line in lines:
        warnings.warn(line, stacklevel=3)
    return [open_record(record) for record in records]


def group_segments(segments: Sequence[Segment], *, with_context: bool = False) -> list[Record]:
    """Group segments into records as `arrange_records` does; samples of segments that overlap are read."""
    return arrange_records(segments, partial(fetch_parts, on_warning=lambda line: None), with_context=with_context)


def float_dtype(record: Record) -> np.dtype[Any]:
    """Type of denoised samples: float64 if a file has float64, else float32, also for integers."""
    dtypes = {placed.segment.locator.dtype for placed in record.placed}  # type: ignore[attr-defined]
    return np.dtype(np.float64 if any(dtype.kind == "f" and dtype.itemsize > 4 for dtype in dtypes) else np.float32)


def _block_dtype(record: Record) -> np.dtype[Any]:
    dtypes = {placed.segment.locator.dtype for placed in record.sources}  # type: ignore[attr-defined]
    return np.dtype(np.float32) if np.result_type(np.float32, *dtypes) == np.float32 else np.dtype(np.float64)


def fetch_parts(
    parts: list[tuple[Segment, int, int]], on_warning: Callable[[str], None] = mseed.warn_of_samples
) -> list[np.ndarray]:
    """Fetch samples of several segments of one id; those in miniSEED are decoded together."""
    records = [(segment.locator, a, b) for segment, a, b in parts if isinstance(segment.locator, mseed.MseedRecords)]
    decoded = iter(mseed.fetch_blocks(records, on_warning) if records else [])
    return [
        next(decoded) if isinstance(segment.locator, mseed.MseedRecords) else segment.locator.read(start, stop)  # type: ignore[attr-defined]
        for segment, start, stop in parts
    ]


def _samples(trace: Any, start: int, stop: int) -> np.ndarray:
    """Samples of an ObsPy Trace; masked samples are NaN."""
    samples = trace.data[start:stop]
    if np.ma.isMaskedArray(samples):
        samples = np.ma.filled(samples.astype(np.result_type(samples.dtype, np.float32)), np.nan)
    return np.asarray(samples)


def _locator(segment: Segment) -> Locator:
    """Locator of a segment that is not in indexed miniSEED."""
    assert isinstance(segment.locator, Locator)
    return segment.locator


def _make_segment(trace: Any, order: int, source: Path | None, locator: object) -> Segment:
    stats, data = trace.stats, trace.data
    rate, text = float(stats.sampling_rate), data.dtype.kind in "SU" or not stats.sampling_rate
    label = source.name if source else "The stream"
    if not text and data.dtype.kind not in "biuf":
        raise InputError(f"{label}: trace {trace.id} holds {data.dtype} samples; only real numbers can be read.")
    if not np.isfinite(rate) or rate < 0:
        raise InputError(f"{label}: trace {trace.id} has a sampling rate of {rate} Hz. Correct its header.")
    return Segment(trace.id, stats.starttime.ns, rate, 0 if text else len(data), order, source, locator, text)


def _check_file(path: Path) -> None:
    if (fault := find_fault(path)) is not None:
        raise fault
    if path.is_dir():
        raise InputError(f"{path} is a folder, but a file was expected. Name the files in it.")
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
    segments = [
        _make_segment(trace, content.orders[file.number], path, file)
        for trace, file in zip(content.traces, files, strict=True)
    ]
    return segments, list(content.losses), list(content.notes)
