"""Write traces to files of any format of ObsPy: complete files, or none.

miniSEED is written to disk block by block. For other formats, samples are collected in memory and written at the end.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from geoae.errors import GeoAEError, InputError, OptionError, OutputError, OutputExistsError
from geoae.files import libmseed
from geoae.files.obspy_formats import writable_formats
from geoae.files.owners import Owner
from geoae.files.whole import follow_link, make_hidden_folder, output_errors, remove_leftovers, sync_to_disk
from geoae.writers.records.collection import Collection
from geoae.writers.records.encodings import DTYPES, RecordHeader, check_codes
from geoae.writers.records.mseed import MseedFile, SegmentKey

if TYPE_CHECKING:
    from geoae.labels.segments import Segment

_REFUSED = {"PICKLE": "it can run code when it is opened", "WAV": "it holds neither ids nor times"}


def supported_formats() -> list[str]:
    """Names of the formats that can be written, as ObsPy calls them.

    GCF and GSE2 hold integers, so samples are rounded. AH, Q, SAC, SACXY, SEGY and SU hold float32. WAV and PICKLE are
    left out: WAV holds neither ids nor times, and opening a PICKLE file can run code.
    """
    return [name for name in writable_formats() if name not in _REFUSED]


def check_format(name: str, encoding: str | None = None, ids: Iterable[str] = ()) -> str:
    """Check a format, its encoding and ids, and return ObsPy's name of the format. Raises InputError.

    Parameters
    ----------
    name
        One of `supported_formats`, in upper or lower case.
    encoding
        An encoding of miniSEED, or None.
    ids
        NET.STA.LOC.CHA of the output. It is an error if the format has room for none of them; `TraceWriter.put` refuses
        those that do not fit.
    """
    known, format_name = supported_formats(), name.upper()
    if format_name in _REFUSED:
        raise OptionError(f"{name} is not written: {_REFUSED[format_name]}. Choose one of {', '.join(known)}.")
    if format_name not in known:
        raise OptionError(f"Unknown output format {name}; choose one of {', '.join(known)}.")
    if encoding is not None and (format_name != "MSEED" or encoding not in DTYPES):
        raise OptionError(f"No encoding {encoding} for {format_name}; only MSEED takes one of {', '.join(DTYPES)}.")
    refused: list[InputError] = []
    codes = [id_.split(".", 3) for id_ in dict.fromkeys(ids)]
    for each in codes:
        try:
            if format_name == "MSEED" and len(each) == 4:
                check_codes(*each)
        except InputError as error:
            refused.append(error)
    if codes and len(refused) == len(codes):
        raise refused[0]
    return format_name


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Remove the temporary folders of this process beside outputs, for an interruption outside a ``with`` statement."""
    remove_leftovers(paths, Owner.THIS)


class TraceWriter:
    """One output that appears under its name only when it is complete.

    Use it in a ``with`` statement: after an exception, also Ctrl-C, no new file is left, and an existing output is
    unchanged. Unfinished files lie in a hidden folder beside the output.

    Parameters
    ----------
    path
        The output. Formats with one trace in a file (SAC, SACXY) write several traces to STEM.NET.STA.LOC.CHA.SUFFIX,
        with the start time before the suffix if an id occurs more than once.
    format
        One of `supported_formats`.
    overwrite
        Replace an existing output.
    encoding
        Encoding of miniSEED: FLOAT32, FLOAT64, INT16, INT32, STEIM1 or STEIM2; the integer encodings round. None:
        chosen by dtype, and for 64-bit integers INT32 if they fit, else FLOAT64.
    sources
        Order of the sources of segments in the output; other sources follow in the order in which they come.
    otherwise
        Name of a miniSEED file in the same folder, which is written if `format` cannot hold all segments. None: those
        that do not come back when the file is read are left out; see `refused`.

    Raises
    ------
    OutputExistsError
        The output exists already.
    OutputError
        The folder is missing or not writable. From any method: the disk is full or fails.
    InputError
        Unknown format or encoding.
    """

    def __init__(
        self,
        path: Path,
        format: str = "MSEED",  # noqa: A002 - the name in ObsPy and on the command line
        *,
        overwrite: bool = False,
        encoding: str | None = None,
        sources: "Iterable[Path | None]" = (),
        otherwise: str | None = None,
    ) -> None:
        self._format = check_format(format, encoding)
        self._path = follow_link(path)
        self._overwrite = overwrite
        self._refuse_existing([self._path])
        self._written: tuple[Path, ...] = ()
        self._skipped: list[Segment] = []
        self._refused: dict[Segment, str] = {}
        self._replaced: dict[Segment, np.ndarray] = {}
        self._notes: list[str] = []
        self._progress: dict[SegmentKey, tuple[Segment, int]] = {}
        self._ranks: dict[Path | None, int] = {source: rank for rank, source in enumerate(sources)}
        self._sink: MseedFile | Collection | None = None
        self._folder = _make_temporary_folder(self._path)
        with self._all_or_nothing():
            part = self._folder / self._path.name
            self._sink = (
                MseedFile(part, encoding, _compress_steim)
                if self._format == "MSEED"
                else Collection(part, self._format, self._folder / otherwise if otherwise else None)
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
        """The written files, sorted; empty before `close`."""
        return self._written

    @property
    def skipped(self) -> "tuple[Segment, ...]":
        """Segments without samples, which are not written."""
        return tuple(self._skipped)

    @property
    def format(self) -> str:
        """Name of the format; after `close` that of the written files."""
        return self._format

    @property
    def refused(self) -> "dict[Segment, str]":
        """Segments that `close` left out because the format cannot hold them, and why."""
        return self._refused

    @property
    def replaced(self) -> "dict[Segment, np.ndarray]":
        """Samples of each segment if miniSEED was written instead of `format`; known after `close`."""
        return self._replaced

    @property
    def notes(self) -> tuple[str, ...]:
        """What the format has no place for, and whether miniSEED was written instead; known after `close`."""
        return tuple(self._notes)

    def put(self, segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        """Add samples [offset, offset + len(data)) of a segment.

        Blocks of one segment follow each other without gaps; blocks of several segments may alternate. Offset 0 starts
        a segment again and drops its samples so far.

        Parameters
        ----------
        segment
            Its id, start, rate, length and order are used.
        offset
            Position of ``data[0]`` in the segment.
        data
            Shape (time,), the same dtype for all blocks of a segment. The array may be reused afterwards.
        header
            ObsPy Stats with ids and the other headers of the format. It is not changed.

        Raises
        ------
        InputError
            The output cannot hold the samples or ids, or the samples are not the next of their segment. The writer
            stays open, and the segment must be written again from its start.
        OutputError
            The disk is full or fails; no file is left.
        """
        self._put(segment, offset, data, header, is_copy=False)

    def put_copy(self, segment: "Segment", data: np.ndarray, header: Any) -> None:
        """Add all samples of a segment as they are: in the encoding of their own type, whatever that of the file.

        `close` refuses those that the format would change. Errors are those of `put`.
        """
        self._put(segment, 0, data, header, is_copy=True)

    def put_raw(self, segment: "Segment", records: bytes) -> None:
        """Copy a whole segment as miniSEED records; this replaces its samples so far.

        Raises
        ------
        InputError
            The output or `records` are not miniSEED.
        OutputError
            The disk is full or fails; no file is left.
        """
        sink, key = self._expect_open(), self._key(segment)
        if isinstance(sink, Collection):
            raise InputError(f"{segment.id}: miniSEED records can only be copied to MSEED, not to {self._format}.")
        if len(records) < 128 or records[6:7] not in (b"D", b"R", b"Q", b"M"):
            raise InputError(f"{segment.id}: got {len(records)} bytes that do not begin with a miniSEED data record.")
        with self._all_or_nothing():
            sink.put_raw(key, records)
        self._progress[key] = segment, segment.n

    def refuse_format(self, reason: str) -> None:
        """Write the miniSEED file `otherwise`, for a reason that the samples do not tell."""
        if isinstance(self._sink, Collection):
            self._sink.refuse_format(reason)

    def drop(self, segment: "Segment") -> None:
        """Remove a segment and its samples so far."""
        key = self._key(segment)
        self._progress.pop(key, None)
        self._expect_open().drop(key)

    def close(self) -> None:
        """Finish the output and give it its name. A second call does nothing.

        Raises
        ------
        InputError
            There are no samples, a segment is incomplete, or the format cannot hold something.
        OutputExistsError
            One of the files exists already.
        OutputError
            The disk is full or fails; no file is left.
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
                try:
                    self._sink.finish()
                finally:
                    if isinstance(self._sink, Collection):
                        self._format, self._refused = self._sink.format, self._sink.refused
                        self._replaced, self._notes = self._sink.replaced, self._sink.notes
                self._written = self._publish()
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove unfinished files. After `close` this does nothing."""
        if self._sink is not None:
            self._sink.discard()
        self._sink = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _put(self, segment: "Segment", offset: int, data: np.ndarray, header: Any, *, is_copy: bool) -> None:
        if segment.n == 0:
            self._skipped.append(segment)
            return
        sink, key = self._expect_open(), self._key(segment)
        done = 0 if offset == 0 else self._progress.get(key, (segment, 0))[1]
        self._progress[key] = segment, 0
        if offset == 0 and self._format == "MSEED" and any(code != code.strip() for code in segment.id.split(".")):
            note = f"{segment.id!r}: miniSEED takes blanks around codes for padding, and they are not kept."
            self._notes += [note] if note not in self._notes else []
        if data.ndim != 1 or offset != done or offset + len(data) > segment.n:
            raise InputError(
                f"{segment.id}: expected samples of this segment from {done} to at most {segment.n}, "
                f"got shape {data.shape} from {offset}."
            )
        with self._all_or_nothing():
            if is_copy:
                sink.put_copy(key, segment, data, header)
            else:
                sink.put(key, segment, offset, data, header)
        self._progress[key] = segment, offset + len(data)

    def _expect_open(self) -> "MseedFile | Collection":
        if self._sink is None:
            raise InputError(f"The writer of {self._path} is closed.")
        return self._sink

    def _key(self, segment: "Segment") -> SegmentKey:
        """Sort key of a segment: source, order in the source, and time for parts of one segment."""
        return self._ranks.setdefault(segment.source, len(self._ranks)), segment.order, segment.start_ns

    def _refuse_existing(self, paths: list[Path]) -> None:
        for path in paths:
            with output_errors(path):
                if path.exists() and not path.is_file():
                    raise OutputError(f"{path} is not a file that could be replaced; choose another output.")
                if path.exists() and not self._overwrite:
                    raise OutputExistsError(f"{path} is there already; choose another output, or ask for overwriting.")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Turn errors of the disk into OutputError, and remove unfinished files."""
        try:
            yield
        except OSError as error:
            self.abort()
            if isinstance(error, GeoAEError):
                raise
            # the error of numpy's tofile has no reason of the operating system
            reason = error.strerror or f"is the disk full? ({error})"
            raise OutputError(f"{self._path} cannot be written: {reason}. Nothing is left of it.") from error

    def _publish(self) -> tuple[Path, ...]:
        parts = sorted(self._folder.iterdir())
        targets = [self._path.parent / part.name for part in parts]
        self._refuse_existing(targets)
        sync_to_disk(*parts)
        fresh = [target for target in targets if not target.exists()]
        try:
            for part, target in zip(parts, targets, strict=True):
                part.replace(target)
        except BaseException:
            for target in fresh:
                target.unlink(missing_ok=True)
            raise
        return tuple(targets)


def _compress_steim(head: RecordHeader, first: int, samples: np.ndarray) -> np.ndarray:
    """Compress samples from position `first` of a segment into records, shape (record, byte)."""
    from obspy import Trace, UTCDateTime

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
    libmseed.write_records(Trace(samples, header), buffer, head.encoding, head.length)
    return np.frombuffer(bytearray(buffer.getbuffer()), np.uint8).reshape(-1, head.length)


def _make_temporary_folder(path: Path) -> Path:
    with output_errors(path):
        if not path.parent.is_dir():
            raise OutputError(f"The folder {path.parent} for the output is not there; make it first.")
    try:
        return make_hidden_folder(path)
    except OSError as error:
        raise OutputError(f"The folder {path.parent} cannot be written to: {error.strerror}.") from error
