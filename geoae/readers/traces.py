"""Everything ObsPy reads, as segments for writing back and as lazy (channel, time) arrays for working on.

miniSEED is indexed and decoded block by block; other formats are read whole, the last few files being remembered.
"""

import copy
import fnmatch
import glob
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from xarray.core import indexing

from geoae.errors import DamagedFileError, InputError, UnknownFormatError
from geoae.readers import mseed
from geoae.readers.layout import Record, RecordArray, Segment, arrange, assemble, first_of, within
from geoae.timeaxis import sample_offset_ns, time_coordinates

if TYPE_CHECKING:
    import obspy


class MissingFileError(InputError, FileNotFoundError):
    """There is no such file."""


class UnreadableFileError(InputError, PermissionError):
    """The file is there, but must not or cannot be opened."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a source holds."""

    segments: tuple[Segment, ...]
    notes: tuple[str, ...]
    """One line each: what was damaged, left out or odd."""


@dataclass(frozen=True, slots=True, eq=False)
class _InMemory:
    trace: Any
    dtype: np.dtype[Any]
    skip: int = 0


@dataclass(frozen=True, slots=True)
class _InFile:
    path: Path
    stamp: tuple[int, int]
    number: int
    dtype: np.dtype[Any]
    skip: int = 0


def sniff(path: str | Path) -> bool:
    """Tell whether ObsPy reads a file, by its content; an archive counts if a file in it does. Never raises."""
    try:
        if not Path(path).is_file():
            return False
        with _unpacked(Path(path)) as files:
            return any(_format_of(file) for file in files)
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
    found = mseed.index(path)
    segments, notes = found if found is not None else _scan_with_obspy(path)
    patterns = [ids] if isinstance(ids, str) else list(ids)
    first_ns, last_ns = _limit_ns("start_time", start_time), _limit_ns("end_time", end_time)
    chosen = [
        cut
        for segment in segments
        if not patterns or any(fnmatch.fnmatchcase(segment.id, pattern) for pattern in patterns)
        if (cut := _trimmed(segment, first_ns, last_ns)) is not None
    ]
    if segments and not chosen:
        held = sorted({segment.id for segment in segments})
        notes = [*notes, f"{path.name}: no trace matches the ids and times asked for; there are {_few(held)}."]
    return Scan(tuple(chosen), tuple(notes))


def segments_of(stream: "obspy.Stream | obspy.Trace") -> Scan:
    """Find the segments of an ObsPy Stream or Trace in memory; a masked trace is one segment, with NaN when fetched."""
    traces = [stream] if hasattr(stream, "stats") else list(stream)
    found = (_segment(one, i, None, _InMemory(one, one.data.dtype)) for i, one in enumerate(traces))
    return Scan(tuple(found), ())


def fetch(segment: Segment, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Return samples start ... stop of a segment in the type they are stored in; masked ones as NaN.

    Raises
    ------
    DamagedFileError
        If they cannot be decoded.
    """
    start, stop, _ = slice(start, stop).indices(segment.n)
    return _fetch([(segment, start, max(start, stop))])[0]


def raw_bytes(segment: Segment) -> bytes | None:
    """Return the miniSEED records of a segment as they are in its file; None if it comes from another format."""
    return mseed.raw_bytes(segment.locator) if isinstance(segment.locator, mseed.Records) else None


def headers_of(segment: Segment) -> "obspy.core.trace.Stats":
    """Return a copy of the ObsPy header with the segment's own start and number of samples."""
    from obspy import UTCDateTime

    if isinstance(segment.locator, mseed.Records):
        stats = mseed.headers_of(segment.locator)
        stats.network, stats.station, stats.location, stats.channel = segment.id.split(".", 3)
        stats.sampling_rate = segment.rate_hz
    else:
        stats = copy.deepcopy(_trace(segment).stats)
    stats.starttime = UTCDateTime(ns=segment.start_ns)
    stats.npts = segment.n
    return stats


def read_block(record: Record, start: int, stop: int) -> np.ndarray:
    """Return samples start ... stop of a record, shape (row, stop - start), NaN where no segment lies.

    float64 if any segment of the record needs it (int32, float64), else float32.
    """
    return assemble(record, range(len(record.ids)), start, stop, _block_dtype(record), _fetch)


def open_record(record: Record) -> xr.DataArray:
    """Return a record as an array whose samples are read when they are used.

    Dims (channel, time); coords channel (codes), id, and a lazy time axis. Gaps are NaN.
    """
    networks = [id_.split(".") for id_ in record.ids]
    stats = [headers_of(first_of(record, row)) for row in range(len(record.ids))]
    names = list(dict.fromkeys(p.segment.source.name for p in record.placed if p.segment.source is not None))
    attrs: dict[str, Any] = dict(zip(("network", "station", "location"), networks[0], strict=False))
    attrs |= {"sampling_rate_hz": record.rate_hz, "source": _few(names) if names else "memory"}
    coords: dict[str, Any] = {
        "channel": ("channel", [parts[-1] for parts in networks]),
        "id": ("channel", list(record.ids)),
    }
    calibs = [float(item.get("calib", 1.0)) for item in stats]
    if len(set(calibs)) > 1:
        coords["calib"] = ("channel", calibs)
    elif calibs[0] != 1:
        attrs["calib"] = calibs[0]
    units = {str(item.get("units") or "") for item in stats}
    if len(units) == 1 and units != {""}:
        attrs["units"] = units.pop()
    lazy = indexing.LazilyIndexedArray(RecordArray(record, _block_dtype(record), _fetch))
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
    them. Text and log channels are left out. Parameters and errors are those of `scan`; its notes become warnings.
    """
    segments: list[Segment] = []
    for one in [path] if isinstance(path, str | Path) else path:
        found = scan(one, ids, start_time, end_time)
        segments += found.segments
        for note in found.notes:
            warnings.warn(note, stacklevel=2)
    return [open_record(record) for record in arrange(segments)]


def _block_dtype(record: Record) -> np.dtype[Any]:
    kinds = {placed.segment.locator.dtype for placed in record.placed}  # type: ignore[attr-defined]
    return np.dtype(np.float32) if np.result_type(np.float32, *kinds) == np.float32 else np.dtype(np.float64)


def _fetch(parts: list[tuple[Segment, int, int]]) -> list[np.ndarray]:
    """Fetch from several segments of one id, those of miniSEED in one go."""
    records = [(segment.locator, a, b) for segment, a, b in parts if isinstance(segment.locator, mseed.Records)]
    decoded = iter(mseed.fetch(records) if records else [])
    return [next(decoded) if isinstance(part[0].locator, mseed.Records) else _slice(*part) for part in parts]


def _slice(segment: Segment, start: int, stop: int) -> np.ndarray:
    skip = segment.locator.skip  # type: ignore[attr-defined]
    samples = _trace(segment).data[start + skip : stop + skip]
    if np.ma.isMaskedArray(samples):
        samples = np.ma.filled(samples.astype(np.result_type(samples.dtype, np.float32)), np.nan)
    return np.asarray(samples)


def _trace(segment: Segment) -> Any:
    locator = segment.locator
    if isinstance(locator, _InMemory):
        return locator.trace
    assert isinstance(locator, _InFile)
    if _stamp(locator.path) != locator.stamp:
        raise DamagedFileError(f"{locator.path.name} has changed while it was read. Read it again.")
    return _read_whole(locator.path, locator.stamp)[0][locator.number]


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
    span = within(segment, first_ns, last_ns)
    if span is None:
        return None
    start, stop = span
    if (start, stop) == (0, segment.n):
        return segment
    locator: Any = segment.locator
    if isinstance(locator, mseed.Records):
        locator = mseed.trim(locator, start, stop)
    else:
        locator = replace(locator, skip=locator.skip + start)
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


def _scan_with_obspy(path: Path) -> tuple[list[Segment], list[str]]:
    stamp = _stamp(path)
    traces, notes = _read_whole(path, stamp)
    files = (_InFile(path, stamp, i, trace.data.dtype) for i, trace in enumerate(traces))
    return [_segment(trace, file.number, path, file) for trace, file in zip(traces, files, strict=True)], list(notes)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _read_whole(path: Path, stamp: tuple[int, int]) -> tuple[list[Any], tuple[str, ...]]:
    """Read all traces of a file and what ObsPy said about them; `stamp` tells a new file of the same name."""
    import obspy

    traces: list[Any] = []
    notes: list[str] = []
    format_: str | None = "an archive"
    try:
        with _unpacked(path) as files, mseed.LIBMSEED_LOCK, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for file in files:
                if (format_ := _format_of(file)) is None:
                    notes.append(f"{path.name}: {file.name} is no recording and was left out.")
                else:
                    # given the format, ObsPy looks for no archive, and never tries PICKLE, which could run code
                    traces += obspy.read(glob.escape(str(file)), format=format_, check_compression=False)
    except MemoryError:
        raise
    except Exception as error:  # ObsPy's formats and the archives' modules raise whatever comes
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DamagedFileError(
            f"{path.name} looks like {format_} but cannot be read: {reason[:300]}. Fetch the file again."
        ) from error
    if len(notes) == len(files):
        raise UnknownFormatError(
            f"{path.name} is in no format that ObsPy reads (miniSEED, SAC, GSE2, SEG-Y, ...). "
            "Check that it is a recording; text, pickles and metadata are not."
        )
    return traces, (*notes, *_condensed(path.name, (str(warning.message) for warning in caught)))


def _format_of(path: Path) -> str | None:
    """Name of the ObsPy format of a file; PICKLE is never tried, since asking already runs what is in it."""
    with path.open("rb") as file:
        if mseed.is_miniseed(file.read(48)):
            return "MSEED"
    from importlib.metadata import entry_points

    from obspy.core.util.base import ENTRY_POINTS

    installed = entry_points()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ENTRY_POINTS["waveform"]:
            for entry in installed.select(group=f"obspy.plugin.waveform.{name}", name="isFormat"):
                try:
                    if name != "PICKLE" and entry.load()(str(path)):
                        return str(name)
                except Exception:  # a parser that stumbles has not recognised its format
                    continue
    return None


@contextmanager
def _unpacked(path: Path) -> Iterator[list[Path]]:
    """Give the file itself, or the files of the archive that it is, for as long as the context lasts."""
    import bz2
    import gzip
    import shutil
    import tarfile

    with path.open("rb") as file:
        head = file.read(512)
    opener: Any = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}.get(head[:2])
    is_zip, is_tar = head[:4] == b"PK\3\4", head[257:262] == b"ustar"
    if not (opener or is_zip or is_tar) or mseed.is_miniseed(head):
        yield [path]
        return
    with TemporaryDirectory() as folder:
        if is_zip:
            shutil.unpack_archive(path, folder, "zip")
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        else:
            with opener(path) as source, (Path(folder) / path.stem).open("wb") as target:
                shutil.copyfileobj(source, target)
        yield sorted(file for file in Path(folder).rglob("*") if file.is_file())


def _condensed(name: str, messages: Iterable[str]) -> list[str]:
    """One note for all messages that differ in numbers only: libmseed has one for every 128 bytes of rubbish."""
    kinds: dict[str, list[str]] = {}
    for message in messages:
        message = re.sub(r"^\w+\(\): ", "", " ".join(message.split()))  # the C function that speaks
        kinds.setdefault(re.sub(r"\d+", "#", message), []).append(message)
    return [
        f"{name}: {alike[0][:300]}" + (f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else "")
        for alike in kinds.values()
    ]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
