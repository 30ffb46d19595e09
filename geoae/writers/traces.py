"""Samples of traces to a file of any format that ObsPy writes, all or nothing.

miniSEED goes to disk block by block; every other format is collected in memory and written at the end.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from os import fsync
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from geoae.errors import GeoAEError, InputError, OutputError, OutputExistsError
from geoae.writers.encodings import DTYPES, RecordHead, encode, encoding_of, number, pack, to_integers

if TYPE_CHECKING:
    from geoae.readers.layout import Segment

_REFUSED = {
    "PICKLE": "it can run code when opened",
    "WAV": "it holds neither ids nor times",
}
_ONE_TRACE_A_FILE = {"SAC", "SACXY"}
_INTEGERS_ONLY = {"GSE2", "GCF"}
_SHORT, _LONG = 512, 4096
"""Bytes a miniSEED record, for segments of a few hundred samples and for others."""
_STEIM_PIECE = 65536
"""Samples compressed in one go: each ends with a record that is not full."""
_READ_IN_ONE = 2**31 - _LONG
"""Bytes up to which ObsPy reads a file in one go; beyond, it joins only what lies side by side."""


def supported_formats() -> list[str]:
    """Names of the formats that can be written, as ObsPy calls them.

    GSE2 and GCF hold integers: samples are rounded on purpose. SEGY and SU hold float32 here, and start times to
    the microsecond only as far as their trace headers do. WAV and PICKLE are left out: the first holds neither ids
    nor times, the second can run code when opened.
    """
    from obspy.core.util.base import ENTRY_POINTS

    return sorted(set(ENTRY_POINTS["waveform_write"]) - set(_REFUSED))


class TraceWriter:
    """One output file (or set of files) that appears under its name only when all of it is there.

    Use it in a ``with`` statement: leaving it by an exception, Ctrl-C included, leaves nothing behind and an existing
    output untouched. Work in progress lies in a hidden folder ``.NAME.XXXX.part`` beside the output.

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
        miniSEED only: FLOAT32, FLOAT64, INT16, INT32, STEIM1, STEIM2; samples are rounded on purpose where it holds
        integers. None: by dtype, and 64-bit integers as INT32 where they fit, else as FLOAT64.

    Raises
    ------
    OutputExistsError
        The output is there already.
    OutputError
        The folder is missing or cannot be written to, or, from any method, the disk is full.
    InputError
        Unknown format or encoding.
    """

    def __init__(
        self,
        path: Path,
        format: str = "MSEED",  # noqa: A002 - ObsPy's word, and the command line's
        *,
        overwrite: bool = False,
        encoding: str | None = None,
    ) -> None:
        self._format = _known_format(format)
        if encoding is not None and (self._format != "MSEED" or encoding not in DTYPES):
            raise InputError(f"No encoding {encoding} for {self._format}; MSEED takes {', '.join(DTYPES)}.")
        self._path, self._overwrite = Path(path), overwrite
        self._refuse_existing([self._path])
        self._folder = _part_folder(self._path)
        self._written: tuple[Path, ...] = ()
        self._skipped: list[Segment] = []
        self._progress: dict[object, tuple[Segment, int]] = {}
        self._ranks: dict[Path | None, int] = {}
        self._open = True
        with self._all_or_nothing():
            part = self._folder / self._path.name
            self._sink = _RecordFile(part, encoding) if self._format == "MSEED" else _Collection(part, self._format)

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
        """The files, once closed."""
        return self._written

    @property
    def skipped(self) -> tuple["Segment", ...]:
        """Segments without samples, which no format can hold."""
        return tuple(self._skipped)

    def put(self, segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        """Add samples [offset, offset + len(data)) of a segment.

        Blocks of one segment follow each other without holes; segments may take turns. A block with offset 0 begins
        the segment anew and drops what was put of it before.

        Parameters
        ----------
        segment
            Its times, rate and place in the output's order count.
        data
            Shape (time,), one dtype a segment.
        header
            ObsPy Stats: ids, and whatever else the format holds. Not changed.

        Raises
        ------
        InputError
            Samples that the format or encoding cannot hold, or that are not the next of their segment. The writer
            stays usable: the segment may be put again.
        OutputError
            The disk is full or fails; nothing is left behind.
        """
        self._expect_open()
        data = np.asarray(data)
        if segment.n == 0:
            self._skipped.append(segment)
            return
        key = self._key(segment)
        done = 0 if offset == 0 else self._progress[key][1] if key in self._progress else 0
        if data.ndim != 1 or offset != done or offset + len(data) > segment.n:
            raise InputError(
                f"{segment.id}: expected samples {done} to at most {segment.n} of this segment, "
                f"got {offset} with shape {data.shape}."
            )
        with self._all_or_nothing():
            self._sink.put(key, segment, offset, data, header)
        self._progress[key] = segment, offset + len(data)

    def put_raw(self, segment: "Segment", records: bytes) -> None:
        """Add a whole segment as the miniSEED records it came in; drops what was put of it before.

        Raises
        ------
        InputError
            The output is not miniSEED, or `records` are none.
        """
        self._expect_open()
        if not isinstance(self._sink, _RecordFile):
            raise InputError(f"{segment.id}: miniSEED records can be passed on to MSEED only, not to {self._format}.")
        if not records:
            self._skipped.append(segment)
            return
        if len(records) < 128 or records[6:7] not in (b"D", b"R", b"Q", b"M"):
            raise InputError(f"{segment.id}: {len(records)} bytes that do not begin with a miniSEED data record.")
        key = self._key(segment)
        with self._all_or_nothing():
            self._sink.put_raw(key, records)
        self._progress[key] = segment, segment.n

    def close(self) -> None:
        """Finish the output and give it its name; nothing happens the second time.

        Raises
        ------
        InputError
            No samples at all, or segments that are not complete, or that the format cannot hold.
        OutputExistsError
            A file that is about to be written is there already.
        """
        if not self._open:
            return
        try:
            for segment, done in self._progress.values():
                if done != segment.n:
                    raise InputError(f"{segment.id}: only {done} of {segment.n} samples were put before closing.")
            if not self._progress:
                raise InputError(f"No samples for {self._path}; nothing was written.")
            with self._all_or_nothing():
                self._sink.finish()
                self._written = self._publish()
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove what is unfinished; nothing happens after `close`."""
        self._open = False
        if hasattr(self, "_sink"):
            self._sink.discard()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _key(self, segment: "Segment") -> tuple[int, int]:
        """Sorts segments in the order of the output."""
        return self._ranks.setdefault(segment.source, len(self._ranks)), segment.order

    def _expect_open(self) -> None:
        if not self._open:
            raise InputError(f"The writer of {self._path} is closed.")

    def _refuse_existing(self, paths: list[Path]) -> None:
        for path in paths:
            if path.exists() and not path.is_file():
                raise OutputError(f"{path} is not a regular file and cannot be replaced; choose another output.")
            if path.exists() and not self._overwrite:
                raise OutputExistsError(f"{path} is there already; choose another output, or ask for overwriting.")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Turn failures of the disk into OutputError and clean up."""
        try:
            yield
        except OSError as error:
            self.abort()
            if isinstance(error, GeoAEError):
                raise
            reason = error.strerror or error
            raise OutputError(f"{self._path} could not be written ({reason}); nothing is left of it.") from error

    def _publish(self) -> tuple[Path, ...]:
        parts = sorted(path for path in self._folder.iterdir() if path.name[0] != ".")
        # a link stays a link, and what it points to is replaced
        targets = [(self._path.parent / part.name).resolve() for part in parts]
        self._refuse_existing(targets)
        for part in parts:
            with part.open("rb") as file:
                fsync(file.fileno())
        fresh = [target for target in targets if not target.exists()]
        try:
            for part, target in zip(parts, targets, strict=True):
                part.replace(target)
        except BaseException:
            for target in fresh:
                target.unlink(missing_ok=True)
            raise
        return tuple(self._path.parent / part.name for part in parts)


@dataclass(slots=True)
class _Laid:
    """What is known of one segment of a miniSEED file under way."""

    head: RecordHead | None
    extents: list[tuple[int, int]] = field(default_factory=list)
    """Where its records lie: first byte and number of bytes."""
    stream: bytes = b""
    """Quality letter and ids as they stand in its records: readers join records by them."""
    waiting: list[np.ndarray] = field(default_factory=list)
    """Samples that do not fill a record yet."""
    n_written: int = 0


class _RecordFile:
    """A miniSEED file under way, segments in any order; `finish` puts them in theirs if a reader would notice.

    Readers list ids as they first appear, and join a record to the last segment of its id only. So channels may
    take turns, but overlapping segments of one id may not.
    """

    def __init__(self, path: Path, encoding: str | None) -> None:
        self._path, self._encoding = path, encoding
        self._file = path.open("xb", buffering=1 << 20)
        self._size = 0
        self._sequence = 1
        self._dropped = False
        self._laid: dict[tuple[int, int], _Laid] = {}

    def put(self, key: tuple[int, int], segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        if offset == 0:
            self._begin(key, _Laid(self._head(segment, header, encoding_of(data.dtype))))
        laid = self._laid[key]
        assert laid.head is not None
        laid.waiting.append(data)
        n_waiting = sum(map(len, laid.waiting))
        step = _STEIM_PIECE if laid.head.encoding.startswith("STEIM") else laid.head.capacity
        if self._encoding is None and encoding_of(data.dtype) is None:
            step = segment.n  # all values decide on the encoding; such integers lie in memory anyway
        n = n_waiting if offset + len(data) == segment.n else n_waiting // step * step
        if not n:
            laid.waiting[-1] = data.copy()
            return
        samples = np.concatenate(laid.waiting) if len(laid.waiting) > 1 else data
        laid.waiting = [samples[n:].copy()]
        self._write_samples(laid, laid.head, samples[:n], segment)

    def put_raw(self, key: tuple[int, int], records: bytes) -> None:
        laid = _Laid(None)
        self._begin(key, laid)
        self._write(laid, np.frombuffer(records, np.uint8)[None])

    def finish(self) -> None:
        self._file.close()
        wanted = [(start, size, laid) for _, laid in sorted(self._laid.items()) for start, size in laid.extents]
        found = sorted(wanted, key=lambda extent: extent[0])
        if self._dropped or self._size > _READ_IN_ONE or _as_read(found) != _as_read(wanted):
            self._rewrite(wanted)

    def discard(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _head(self, segment: "Segment", header: Any, by_dtype: str | None) -> RecordHead:
        quality = str(header.get("mseed", {}).get("dataquality", "D"))
        return RecordHead(
            network=header.network,
            station=header.station,
            location=header.location,
            channel=header.channel,
            quality=quality if quality in "DRQM" else "D",
            rate_hz=segment.rate_hz,
            start_ns=segment.start_ns,
            encoding=self._encoding or by_dtype or "FLOAT64",
            length=_SHORT if segment.n < 400 else _LONG,
        )

    def _begin(self, key: tuple[int, int], laid: _Laid) -> None:
        self._dropped |= bool(key in self._laid and self._laid[key].extents)
        self._laid[key] = laid

    def _write_samples(self, laid: _Laid, head: RecordHead, samples: np.ndarray, segment: "Segment") -> None:
        samples, encoding = encode(samples, self._encoding, segment.id)
        head = head if head.encoding == encoding else replace(head, encoding=encoding)
        if encoding.startswith("STEIM"):
            records = _compress(head, laid.n_written, samples)
            number(records, self._sequence)
        else:
            records = pack(head, laid.n_written, samples, self._sequence)
        self._sequence += len(records)
        laid.n_written += len(samples)
        self._write(laid, records)

    def _write(self, laid: _Laid, records: np.ndarray) -> None:
        """Shape (record, bytes)."""
        laid.stream = laid.stream or records[0, 6:20].tobytes()
        self._file.write(records.data)
        if laid.extents and sum(laid.extents[-1]) == self._size:
            start, size = laid.extents[-1]
            laid.extents[-1] = start, size + records.nbytes
        else:
            laid.extents.append((self._size, records.nbytes))
        self._size += records.nbytes

    def _rewrite(self, wanted: list[tuple[int, int, _Laid]]) -> None:
        """Copy the file with its segments in order and number the records anew, those passed on excepted."""
        spool = self._path.with_name("." + self._path.name)
        self._path.rename(spool)
        sequence = 1
        with spool.open("rb") as old, self._path.open("xb", buffering=1 << 20) as self._file:
            for start, size, laid in wanted:
                old.seek(start)
                for n_bytes in _portions(size):
                    records = np.frombuffer(bytearray(old.read(n_bytes)), np.uint8)
                    if laid.head is not None:
                        records = records.reshape(-1, laid.head.length)
                        number(records, sequence)
                        sequence += len(records)
                    self._file.write(records.data)
