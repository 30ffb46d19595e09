"""A miniSEED file under way: segments come block by block and by turns, and lie so that readers join them again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.writers.records.encodings import RecordHeader, choose_encoding, encode_samples, number_records, pack_records

if TYPE_CHECKING:
    from geoae.labels.segments import Segment

_SHORT, _LONG = 512, 4096
"""Bytes a record, for segments of a few hundred samples and for others."""
_STEIM_PIECE = 65536
"""Samples compressed in one go: each piece ends with a record that is not full."""
_BUFFER = 1 << 16
_READ_IN_ONE = 2**31 - _LONG
"""Bytes up to which ObsPy reads a file in one go; beyond, it joins only what lies side by side."""
_PORTION = 1 << 22
"""Bytes copied in one go."""


SegmentKey = tuple[int, ...]
"""Sorts segments in the output."""


@dataclass(slots=True)
class _Laid:
    """What is known of one segment; its head is None where its records came ready-made."""

    head: RecordHeader | None
    extents: list[tuple[int, int]] = field(default_factory=list)
    """Where its records lie: first byte and number of bytes."""
    stream: bytes = b""
    """Quality letter and ids as they stand in its records: readers join records by them."""
    waiting: list[np.ndarray] = field(default_factory=list)
    """Samples that do not fill a record yet."""
    n_written: int = 0


class MseedFile:
    """Records of segments, written as they come and put in order at the end if a reader would notice.

    Readers list ids as they first appear, and join a record to the last segment of its id only. So channels may take
    turns, but segments of one id that touch or overlap may not.

    Parameters
    ----------
    path
        A file that is not there yet.
    encoding
        As in `geoae.writers.records.encodings.encode_samples`.
    compress
        Makes STEIM records, shape (record, bytes), of a head, the position of the first sample, and samples.
    """

    def __init__(
        self, path: Path, encoding: str | None, compress: Callable[[RecordHeader, int, np.ndarray], np.ndarray]
    ) -> None:
        self._path, self._encoding, self._compress = path, encoding, compress
        path.open("xb").close()
        self._buffer = bytearray()
        self._size = 0
        self._sequence = 1
        self._holes = False
        self._laid: dict[SegmentKey, _Laid] = {}

    def put(self, key: SegmentKey, segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        """Add the next samples of a segment; keys sort segments. Offset 0 begins it anew."""
        by_dtype = choose_encoding(data.dtype)
        encoding = self._encoding or by_dtype
        if offset == 0:
            self._begin(key, _head(segment, header, encoding or "FLOAT64"))
        laid = self._laid[key]
        assert laid.head is not None
        step = _STEIM_PIECE if laid.head.encoding.startswith("STEIM") else laid.head.capacity
        if encoding is None:
            step = segment.n  # all values decide on the encoding; such integers lie in memory anyway
        laid.waiting.append(data)
        n = sum(map(len, laid.waiting))
        if offset + len(data) < segment.n:
            n -= n % step
        samples = np.concatenate(laid.waiting) if len(laid.waiting) > 1 else data
        laid.waiting = [samples[n:].copy()] if n < len(samples) else []
        if n:
            self._write_samples(laid, laid.head, samples[:n], segment.id)

    def put_raw(self, key: SegmentKey, records: bytes) -> None:
        """Add a whole segment as ready-made records."""
        self._begin(key, None)
        self._write(self._laid[key], np.frombuffer(records, np.uint8)[None])

    def drop(self, key: SegmentKey) -> None:
        """Leave a segment out, whatever there is of it."""
        laid = self._laid.pop(key, None)
        self._holes |= laid is not None and bool(laid.extents)

    def finish(self) -> None:
        """Complete the file."""
        self._flush()
        wanted = [(start, size, laid) for _, laid in sorted(self._laid.items()) for start, size in laid.extents]
        found = sorted(wanted, key=lambda extent: extent[0])
        if self._holes or self._size > _READ_IN_ONE or _as_read(found) != _as_read(wanted):
            self._rewrite(wanted)

    def discard(self) -> None:
        """Let go of the file, which somebody else removes."""
        self._buffer.clear()

    def _flush(self) -> None:
        # opened anew each time: a year of day files is one record, and more outputs than a process may hold open
        with self._path.open("ab") as file:
            file.write(self._buffer)
        self._buffer.clear()

    def _begin(self, key: SegmentKey, head: RecordHeader | None) -> None:
        self._holes |= key in self._laid and bool(self._laid[key].extents)
        self._laid[key] = _Laid(head)

    def _write_samples(self, laid: _Laid, head: RecordHeader, samples: np.ndarray, name: str) -> None:
        if self._encoding is None and choose_encoding(samples.dtype) is None:
            samples, encoding = encode_samples(samples, None, name)
            head = replace(head, encoding=encoding)
        else:
            samples, _ = encode_samples(samples, head.encoding, name)
        if head.encoding.startswith("STEIM"):
            records = self._compress(head, laid.n_written, samples)
            number_records(records, self._sequence)
        else:
            records = pack_records(head, laid.n_written, samples, self._sequence)
        self._sequence += len(records)
        laid.n_written += len(samples)
        self._write(laid, records)

    def _write(self, laid: _Laid, records: np.ndarray) -> None:
        """Shape (record, bytes)."""
        laid.stream = laid.stream or records[0, 6:20].tobytes()
        self._buffer += records.data
        if len(self._buffer) >= _BUFFER:
            self._flush()
        if laid.extents and sum(laid.extents[-1]) == self._size:
            start, size = laid.extents[-1]
            laid.extents[-1] = start, size + records.nbytes
        else:
            laid.extents.append((self._size, records.nbytes))
        self._size += records.nbytes

    def _rewrite(self, wanted: Iterable[tuple[int, int, _Laid]]) -> None:
        """Copy the file with its segments in order; number the records anew, the ready-made ones excepted."""
        spool = self._path.with_name(self._path.name + ".spool")
        self._path.rename(spool)
        sequence = 1
        with spool.open("rb") as old, self._path.open("xb", buffering=1 << 20) as new:
            for start, size, laid in wanted:
                old.seek(start)
                for n_bytes in _portions(size):
                    portion = np.frombuffer(bytearray(old.read(n_bytes)), np.uint8)
                    if laid.head is not None:
                        records = portion.reshape(-1, laid.head.length)
                        number_records(records, sequence)
                        sequence += len(records)
                    new.write(portion.data)
        spool.unlink()


def _head(segment: "Segment", header: Any, encoding: str) -> RecordHeader:
    quality = header.get("mseed", {}).get("dataquality", "D")
    return RecordHeader(
        network=header.network,
        station=header.station,
        location=header.location,
        channel=header.channel,
        quality=quality if quality in ("D", "R", "Q", "M") else "D",
        rate_hz=segment.rate_hz,
        start_ns=segment.start_ns,
        encoding=encoding,
        length=_SHORT if segment.n < 400 else _LONG,
    )


def _as_read(extents: Iterable[tuple[int, int, _Laid]]) -> list[tuple[bytes, list[int]]]:
    """Ids in the order a reader lists them, each with the segments that it finds one after the other."""
    streams: dict[bytes, list[int]] = {}
    for _, _, laid in extents:
        segments = streams.setdefault(laid.stream, [])
        if not segments or segments[-1] != id(laid):
            segments.append(id(laid))
    return list(streams.items())


def _portions(size: int) -> Iterator[int]:
    for start in range(0, size, _PORTION):
        yield min(_PORTION, size - start)
