"""Samples of traces to files of any format that ObsPy writes, all or nothing.

miniSEED goes to disk block by block; every other format is collected in memory and written at the end.
"""

import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from geoae.errors import GeoAEError, InputError, OutputError, OutputExistsError
from geoae.writers.encodings import DTYPES, RecordHead, encode, encoding_of, fits_cm6, to_integers
from geoae.writers.records import RecordFile

if TYPE_CHECKING:
    from geoae.readers.layout import Segment

_REFUSED = {"PICKLE": "it can run code when it is opened", "WAV": "it holds neither ids nor times"}
_ONE_TRACE_A_FILE = {"SAC", "SACXY"}
_INTEGERS_ONLY = {"GCF", "GSE2"}
_SINGLE_PRECISION = {"AH", "Q", "SAC", "SACXY", "SEGY", "SU"}


def supported_formats() -> list[str]:
    """Names of the formats that can be written, as ObsPy calls them.

    GCF and GSE2 hold integers: samples are rounded on purpose. AH, Q, SAC, SACXY, SEGY and SU hold float32. Ids,
    and times below a millisecond or second, survive as far as the format has room for them. WAV and PICKLE are left
    out: the first holds neither ids nor times, the second can run code when it is opened.
    """
    from obspy.core.util.base import ENTRY_POINTS

    return sorted(set(ENTRY_POINTS["waveform_write"]) - set(_REFUSED))


class TraceWriter:
    """One output that appears under its name only when all of it is there.

    Use it in a ``with`` statement: leaving that by an exception, Ctrl-C included, leaves nothing behind, and an
    existing output as it was. Work in progress lies in a hidden folder ``.NAME.XXXX.part`` beside the output.

    Parameters
    ----------
    path
        The output. Formats with one trace a file (SAC, SACXY) write a single trace there, and several to
        STEM.NET.STA.LOC.CHA.SUFFIX, with the start time before the suffix where an id comes more than once.
    format
        One of `supported_formats`.
    overwrite
        Replace what is there.
    encoding
        Of miniSEED: FLOAT32, FLOAT64, INT16, INT32, STEIM1 or STEIM2; samples are rounded on purpose where it holds
        integers. None: by dtype, and 64-bit integers as INT32 where they fit, else as FLOAT64.

    Raises
    ------
    OutputExistsError
        The output is there already.
    OutputError
        The folder is missing or cannot be written to; from any method: the disk is full or fails.
    InputError
        Unknown format or encoding.
    """

    def __init__(
        self,
        path: Path,
        format: str = "MSEED",  # noqa: A002 - ObsPy's word, and that of the command line
        *,
        overwrite: bool = False,
        encoding: str | None = None,
    ) -> None:
        self._format = _known_format(format)
        if encoding is not None and (self._format != "MSEED" or encoding not in DTYPES):
            raise InputError(f"No encoding {encoding} for {self._format}; only MSEED takes one of {', '.join(DTYPES)}.")
        # a link stays a link: what it points to is replaced
        self._path = path.resolve() if path.is_symlink() else path
        self._overwrite = overwrite
        self._refuse_existing([self._path])
        self._written: tuple[Path, ...] = ()
        self._skipped: list[Segment] = []
        self._progress: dict[tuple[int, int], tuple[Segment, int]] = {}
        self._ranks: dict[Path | None, int] = {}
        self._sink: RecordFile | _Collection | None = None
        self._folder = _part_folder(self._path)
        with self._all_or_nothing():
            part = self._folder / self._path.name
            self._sink = (
                RecordFile(part, encoding, _steim) if self._format == "MSEED" else _Collection(part, self._format)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def written(self) -> tuple[Path, ...]:
        """The files, sorted; none before `close`."""
        return self._written

    @property
    def skipped(self) -> "tuple[Segment, ...]":
        """Segments without samples, which are left out."""
        return tuple(self._skipped)

    def put(self, segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        """Add samples [offset, offset + len(data)) of a segment.

        Blocks of one segment follow each other without holes; segments may take turns. Offset 0 begins a segment
        anew: what was put of it before is dropped.

        Parameters
        ----------
        segment
            Its start, rate, length and order count.
        offset
            Position of ``data[0]`` in the segment.
        data
            Shape (time,), one dtype a segment; may be reused afterwards.
        header
            ObsPy Stats: ids, and whatever else the format holds. Not changed.

        Raises
        ------
        InputError
            Samples or ids that the output cannot hold, or samples that are not the next of their segment. The writer
            stays open, and the segment must be put from its start.
        OutputError
            The disk is full or fails; nothing is left behind.
        """
        if segment.n == 0:
            self._skipped.append(segment)
            return
        sink, key = self._expect_open(), self._key(segment)
        done = 0 if offset == 0 else self._progress.get(key, (segment, 0))[1]
        self._progress[key] = segment, 0
        if data.ndim != 1 or offset != done or offset + len(data) > segment.n:
            raise InputError(
                f"{segment.id}: expected samples of this segment from {done} to at most {segment.n}, "
                f"got shape {data.shape} from {offset}."
            )
        with self._all_or_nothing():
            sink.put(key, segment, offset, data, header)
        self._progress[key] = segment, offset + len(data)

    def put_raw(self, segment: "Segment", records: bytes) -> None:
        """Add a whole segment as the miniSEED records it came in, in place of what was put of it before.

        Raises
        ------
        InputError
            The output is not miniSEED, or `records` are not.
        OutputError
            The disk is full or fails; nothing is left behind.
        """
        sink, key = self._expect_open(), self._key(segment)
        if isinstance(sink, _Collection):
            raise InputError(f"{segment.id}: miniSEED records can be passed on to MSEED only, not to {self._format}.")
        if len(records) < 128 or records[6:7] not in (b"D", b"R", b"Q", b"M"):
            raise InputError(f"{segment.id}: got {len(records)} bytes that do not begin with a miniSEED data record.")
        with self._all_or_nothing():
            sink.put_raw(key, records)
        self._progress[key] = segment, segment.n

    def close(self) -> None:
        """Finish the output and give it its name; nothing happens the second time.

        Raises
        ------
        InputError
            No samples at all, a segment that is not complete, or something that the format cannot hold.
        OutputExistsError
            A file of the output has appeared meanwhile, or one of several is there already.
        OutputError
            The disk is full or fails; nothing is left behind.
        """
        if self._sink is None:
            return
        try:
            if not self._progress:
                raise InputError(f"There are no samples to write; {self._path} was not made.")
            for segment, done in self._progress.values():
                if done < segment.n:
                    raise InputError(f"{segment.id}: only {done} of {segment.n} samples were put; nothing was written.")
            with self._all_or_nothing():
                self._sink.finish()
                self._written = self._publish()
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove what is unfinished; nothing happens after `close`."""
        if self._sink is not None:
            self._sink.discard()
        self._sink = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _expect_open(self) -> "RecordFile | _Collection":
        if self._sink is None:
            raise InputError(f"The writer of {self._path} is closed.")
        return self._sink

    def _key(self, segment: "Segment") -> tuple[int, int]:
        """Sorts segments: sources as they come, then the order inside each."""
        return self._ranks.setdefault(segment.source, len(self._ranks)), segment.order

    def _refuse_existing(self, paths: list[Path]) -> None:
        for path in paths:
            if path.exists() and not path.is_file():
                raise OutputError(f"{path} is not a file that could be replaced; choose another output.")
            if path.exists() and not self._overwrite:
                raise OutputExistsError(f"{path} is there already; choose another output, or ask for overwriting.")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Clean up when the disk fails, and say so."""
        try:
            yield
        except OSError as error:
            self.abort()
            if isinstance(error, GeoAEError):
                raise
            # numpy's tofile tells only how much it could write
            reason = error.strerror or f"is the disk full? ({error})"
            raise OutputError(f"{self._path} cannot be written: {reason}. Nothing is left of it.") from error

    def _publish(self) -> tuple[Path, ...]:
        parts = sorted(self._folder.iterdir())
        targets = [self._path.parent / part.name for part in parts]
        self._refuse_existing(targets)
        for part in parts:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        fresh = [target for target in targets if not target.exists()]
        try:
            for part, target in zip(parts, targets, strict=True):
                part.replace(target)
        except BaseException:
            for target in fresh:
                target.unlink(missing_ok=True)
            raise
        return tuple(targets)


class _Collection:
    """Whole segments in memory, for the formats that are written in one go."""

    def __init__(self, path: Path, format_name: str) -> None:
        self._path, self._format = path, format_name
        self._kept: dict[tuple[int, int], tuple[Segment, Any, list[np.ndarray]]] = {}

    def put(self, key: tuple[int, int], segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        encoding_of(data.dtype)  # refuses what are no samples
        if self._format in _INTEGERS_ONLY:
            block = to_integers(data, np.dtype(np.int32), f"{segment.id}: {self._format}")
        elif self._format in _SINGLE_PRECISION:
            block, _ = encode(data, "FLOAT32", segment.id)
        else:
            block = data
        if offset == 0:
            self._kept[key] = segment, deepcopy(header), []
        self._kept[key][2].append(block.copy())

    def finish(self) -> None:
        from obspy import Stream

        traces = [_trace(*kept) for _, kept in sorted(self._kept.items(), key=lambda item: item[0])]
        if self._format in _ONE_TRACE_A_FILE and len(traces) > 1:
            jobs = [([trace], path) for trace, path in zip(traces, self._names(traces), strict=True)]
        else:
            jobs = [(traces, self._path)]
        # 5 is IEEE float32; the default, IBM's, has fewer digits
        options = {"data_encoding": 5} if self._format == "SEGY" else {}
        for some, path in jobs:
            for trace in some:
                _prepare(trace, self._format)
            try:
                with warnings.catch_warnings():
                    # SEGY and SU say so for every trace that comes from another format
                    warnings.filterwarnings("ignore", "CREATING TRACE HEADER")
                    Stream(some).write(str(path), format=self._format, **options)
            except Exception as error:  # each format has its own kinds for what it cannot hold
                _raise_disk_error(error)
                reason = " ".join(str(error).split())
                raise InputError(
                    f"{self._format} cannot hold this: {reason}. Choose another output format; MSEED holds most."
                ) from error

    def discard(self) -> None:
        self._kept.clear()

    def _names(self, traces: list[Any]) -> list[Path]:
        labels = [trace.id.replace("/", "_") for trace in traces]
        times = Counter(labels)
        for i, trace in enumerate(traces):
            if times[labels[i]] > 1:
                labels[i] += trace.stats.starttime.strftime(".%Y%m%dT%H%M%S.%fZ")
        for i, label in enumerate(labels):
            if label in labels[:i]:
                labels[i] += f".{i}"
        return [self._path.with_name(f"{self._path.stem}.{label}{self._path.suffix}") for label in labels]


def _trace(segment: "Segment", header: Any, blocks: list[np.ndarray]) -> Any:
    """ObsPy Trace of a whole segment; the segment has the last word on start and rate."""
    from obspy import Trace, UTCDateTime

    start = UTCDateTime(ns=segment.start_ns)
    if header.starttime != start:
        header.starttime = start
    if header.sampling_rate != segment.rate_hz:
        header.sampling_rate = segment.rate_hz
    trace = Trace(header=header)
    trace.data = np.concatenate(blocks)
    return trace


def _prepare(trace: Any, format_name: str) -> None:
    """Correct what ObsPy would write from the header of the input as it was, and refuse what it would write wrongly."""
    stats = trace.stats
    if format_name == "GSE2":
        if not fits_cm6(trace.data):
            raise InputError(f"{trace.id}: numbers too large for the compression of GSE2; choose MSEED.")
        if "gse2" in stats:
            stats.gse2.datatype = "CM6"  # ObsPy compresses always, but copies what the input said
    elif format_name == "AH" and "ah" in stats:
        start = stats.starttime
        parts = {name: getattr(start, name) for name in ("year", "month", "day", "hour", "minute")}
        # ObsPy packs this start, with whole seconds if it were a time
        stats.ah.record.start_time = SimpleNamespace(**parts, second=start.second + start.microsecond / 1e6)
        stats.ah.record.delta = stats.delta


def _raise_disk_error(error: BaseException) -> None:
    """Raise what lies at the root of an error if that is the disk: ObsPy's SAC errors are OSErrors of their own."""
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        raise error


def _steim(head: RecordHead, first: int, samples: np.ndarray) -> np.ndarray:
    """Compressed records, bytes of shape (record, length), of samples from position `first` of a segment."""
    from obspy import Trace, UTCDateTime

    # what Stream.write ends up calling, which searches for it for longer than a short trace takes to compress
    from obspy.io.mseed.core import _write_mseed

    header = {
        "network": head.network,
        "station": head.station,
        "location": head.location,
        "channel": head.channel,
        "sampling_rate": head.rate_hz,
        "starttime": UTCDateTime(ns=head.start_ns + round(first / head.rate_hz * 1e9)),
        "mseed": {"dataquality": head.quality},
    }
    buffer = BytesIO()
    _write_mseed([Trace(samples, header)], buffer, encoding=head.encoding, reclen=head.length, byteorder=">")
    return np.frombuffer(bytearray(buffer.getbuffer()), np.uint8).reshape(-1, head.length)


def _known_format(name: str) -> str:
    known = supported_formats()
    if name.upper() in _REFUSED:
        raise InputError(f"{name} is not written: {_REFUSED[name.upper()]}. Choose one of {', '.join(known)}.")
    if name.upper() not in known:
        raise InputError(f"Unknown output format {name}; choose one of {', '.join(known)}.")
    return name.upper()


def _part_folder(path: Path) -> Path:
    if not path.parent.is_dir():
        raise OutputError(f"The folder {path.parent} for the output is not there; make it first.")
    try:
        return Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise OutputError(f"The folder {path.parent} cannot be written to: {error.strerror}.") from error
