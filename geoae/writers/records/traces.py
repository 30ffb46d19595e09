"""Samples of traces to files of any format that ObsPy writes, all or nothing.

miniSEED goes to disk block by block; every other format is collected in memory and written at the end.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from geoae.errors import GeoAEError, InputError, OutputError, OutputExistsError
from geoae.files import libmseed
from geoae.files.obspy_formats import writable_formats
from geoae.files.whole import sync_to_disk
from geoae.writers.records.collection import Collection
from geoae.writers.records.encodings import DTYPES, RecordHeader, check_codes
from geoae.writers.records.mseed import MseedFile, SegmentKey

if TYPE_CHECKING:
    from geoae.labels.segments import Segment

_REFUSED = {"PICKLE": "it can run code when it is opened", "WAV": "it holds neither ids nor times"}


def supported_formats() -> list[str]:
    """Names of the formats that can be written, as ObsPy calls them.

    GCF and GSE2 hold integers: samples are rounded on purpose. AH, Q, SAC, SACXY, SEGY and SU hold float32. Ids,
    and times below a millisecond or second, survive as far as the format has room for them. WAV and PICKLE are left
    out: the first holds neither ids nor times, the second can run code when it is opened.
    """
    return [name for name in writable_formats() if name not in _REFUSED]


def check_format(name: str, encoding: str | None = None, ids: Iterable[str] = ()) -> str:
    """Return the name of a format as ObsPy has it, or raise InputError.

    Parameters
    ----------
    name
        One of `supported_formats`, in letters of any case.
    encoding
        One that the format takes, or None.
    ids
        NET.STA.LOC.CHA that the output is to hold.
    """
    known, wanted = supported_formats(), name.upper()
    if wanted in _REFUSED:
        raise InputError(f"{name} is not written: {_REFUSED[wanted]}. Choose one of {', '.join(known)}.")
    if wanted not in known:
        raise InputError(f"Unknown output format {name}; choose one of {', '.join(known)}.")
    if encoding is not None and (wanted != "MSEED" or encoding not in DTYPES):
        raise InputError(f"No encoding {encoding} for {wanted}; only MSEED takes one of {', '.join(DTYPES)}.")
    for codes in (id_.split(".", 3) for id_ in dict.fromkeys(ids)):
        if wanted == "MSEED" and len(codes) == 4:
            check_codes(*codes)
    return wanted


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Remove what this process has left beside outputs, also where a signal came before a writer had an owner."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(_part_name(path))
    for folder, ours in names.items():
        for part in folder.glob(f".*.{os.getpid()}.*.part"):
            if part.name.rsplit(".", 2)[0] in ours:
                shutil.rmtree(part, ignore_errors=True)


class TraceWriter:
    """One output that appears under its name only when all of it is there.

    Use it in a ``with`` statement: leaving that by an exception, Ctrl-C included, leaves nothing behind, and an
    existing output as it was. Work in progress lies in a hidden folder ``.NAME.PID.XXXX.part`` beside the output.

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
    sources
        The order of the segments' sources in the output; others follow as they come.

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
        sources: "Iterable[Path | None]" = (),
    ) -> None:
        self._format = check_format(format, encoding)
        # a link stays a link: what it points to is replaced
        self._path = path.resolve() if path.is_symlink() else path
        self._overwrite = overwrite
        self._refuse_existing([self._path])
        self._written: tuple[Path, ...] = ()
        self._skipped: list[Segment] = []
        self._progress: dict[SegmentKey, tuple[Segment, int]] = {}
        self._ranks: dict[Path | None, int] = {source: rank for rank, source in enumerate(sources)}
        self._sink: MseedFile | Collection | None = None
        self._folder = _part_folder(self._path)
        with self._all_or_nothing():
            part = self._folder / self._path.name
            self._sink = (
                MseedFile(part, encoding, _steim) if self._format == "MSEED" else Collection(part, self._format)
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
        if isinstance(sink, Collection):
            raise InputError(f"{segment.id}: miniSEED records can be passed on to MSEED only, not to {self._format}.")
        if len(records) < 128 or records[6:7] not in (b"D", b"R", b"Q", b"M"):
            raise InputError(f"{segment.id}: got {len(records)} bytes that do not begin with a miniSEED data record.")
        with self._all_or_nothing():
            sink.put_raw(key, records)
        self._progress[key] = segment, segment.n

    def drop(self, segment: "Segment") -> None:
        """Leave a segment out, whatever was put of it before."""
        key = self._key(segment)
        self._progress.pop(key, None)
        self._expect_open().drop(key)

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

    def _expect_open(self) -> "MseedFile | Collection":
        if self._sink is None:
            raise InputError(f"The writer of {self._path} is closed.")
        return self._sink

    def _key(self, segment: "Segment") -> SegmentKey:
        """Sorts segments: sources as they come, the order inside each, and parts of one segment by time."""
        return self._ranks.setdefault(segment.source, len(self._ranks)), segment.order, segment.start_ns

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


def _steim(head: RecordHeader, first: int, samples: np.ndarray) -> np.ndarray:
    """Compressed records, bytes of shape (record, length), of samples from position `first` of a segment."""
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


def _part_name(path: Path) -> str:
    return f".{path.name[:80]}.{os.getpid()}"


def _part_folder(path: Path) -> Path:
    if not path.parent.is_dir():
        raise OutputError(f"The folder {path.parent} for the output is not there; make it first.")
    try:
        return Path(tempfile.mkdtemp(prefix=_part_name(path) + ".", suffix=".part", dir=path.parent))
    except OSError as error:
        raise OutputError(f"The folder {path.parent} cannot be written to: {error.strerror}.") from error
