"""Write a miniSEED file block by block: the blocks of several segments may alternate, and readers still join them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.files.owners import hidden_name
from geoae.writers.records.encodings import RecordHeader, choose_encoding, encode_samples, number_records, pack_records

if TYPE_CHECKING:
    from geoae.labels.segments import Segment

_SHORT, _LONG = 512, 4096
"""Bytes of a record, for segments of a few hundred samples and for longer ones."""
_STEIM_SAMPLES = 65536
"""Number of samples that are compressed at once; only the last record of a piece may be incomplete."""
_BUFFER = 1 << 16
_READ_AT_ONCE = 2**31 - _LONG
"""Largest file, in bytes, that ObsPy reads at once; in larger files it joins only neighbouring records."""
_COPY_BYTES = 1 << 22
"""Number of bytes that are copied at once."""


SegmentKey = tuple[int, ...]
"""Position of a segment in the output; segments are sorted by it."""


@dataclass(slots=True)
class _WrittenSegment:
    """State of one segment in the file; `head` is None if its records were copied."""

    head: RecordHeader | None
    extents: list[tuple[int, int]] = field(default_factory=list)
    """First byte and number of bytes of each group of its records in the file."""
    stream: bytes = b""
    """Quality letter and codes in its records; readers join records with equal ones."""
    waiting: list[np.ndarray] = field(default_factory=list)
    """Samples that are not yet enough for a record."""
    n_written: int = 0
    encoding: str | None = None
    """Encoding that was asked for; None: by the type of the samples."""


class MseedFile:
    """A miniSEED file. Records are written in the order in which they come, and sorted at the end if necessary.

    Readers list ids in the order of their first records, and join a record only to the last segment of its id. So the
    records of different channels may alternate, but not those of segments of one id that touch or overlap.

    Parameters
    ----------
    path
        A file that does not exist yet.
    encoding
        As for `geoae.writers.records.encodings.encode_samples`.
    compress
        Function of the header, the position of the first sample and samples that returns STEIM records, (record, byte).
    """

    def __init__(
        self, path: Path, encoding: str | None, compress: Callable[[RecordHeader, int, np.ndarray], np.ndarray]
    ) -> None:
        self._path, self._encoding, self._compress = path, encoding, compress
        path.open("xb").close()
        self._buffer = bytearray()
        self._size = 0
        self._sequence = 1
        self._has_holes = False
        self._segments: dict[SegmentKey, _WrittenSegment] = {}

    def put(self, key: SegmentKey, segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        """Add the next samples of a segment; `key` is its position in the output. Offset 0 starts the segment again."""
        self._put(key, segment, offset, data, header, self._encoding)

    def put_copy(self, key: SegmentKey, segment: "Segment", data: np.ndarray, header: Any) -> None:
        """Add all samples of a segment in the encoding of their own type, whatever the encoding of the file."""
        self._put(key, segment, 0, data, header, None)

    def _put(
        self, key: SegmentKey, segment: "Segment", offset: int, data: np.ndarray, header: Any, asked: str | None
    ) -> None:
        encoding = asked or choose_encoding(data.dtype)
        if offset == 0:
            self._begin(key, _make_header(segment, header, encoding or "FLOAT64"), asked)
        state = self._segments[key]
        assert state.head is not None
        step = _STEIM_SAMPLES if state.head.encoding.startswith("STEIM") else state.head.capacity
        if encoding is None:
            step = segment.n  # the encoding depends on all values, so the whole segment is kept in memory
        state.waiting.append(data)
        n = sum(map(len, state.waiting))
        if offset + len(data) < segment.n:
            n -= n % step
        samples = np.concatenate(state.waiting) if len(state.waiting) > 1 else data
        state.waiting = [samples[n:].copy()] if n < len(samples) else []
        if n:
            self._write_samples(state, state.head, samples[:n], segment.id)

    def put_raw(self, key: SegmentKey, records: bytes) -> None:
        """Add a whole segment as miniSEED records that are copied."""
        self._begin(key, None)
        self._write(self._segments[key], np.frombuffer(records, np.uint8)[None])

    def drop(self, key: SegmentKey) -> None:
        """Remove a segment."""
        state = self._segments.pop(key, None)
        self._has_holes |= state is not None and bool(state.extents)

    def finish(self) -> None:
        """Complete the file."""
        self._flush()
        sorted_extents = [
            (start, size, state) for _, state in sorted(self._segments.items()) for start, size in state.extents
        ]
        extents = sorted(sorted_extents, key=lambda extent: extent[0])
        if (
            self._has_holes
            or self._size > _READ_AT_ONCE
            or _join_as_readers(extents) != _join_as_readers(sorted_extents)
        ):
            self._rewrite(sorted_extents)

    def discard(self) -> None:
        """Drop what is not yet written; the caller removes the file."""
        self._buffer.clear()

    def _flush(self) -> None:
        # opened each time: the outputs of a year of day files are more than a process may keep open
        with self._path.open("ab") as file:
            file.write(self._buffer)
        self._buffer.clear()

    def _begin(self, key: SegmentKey, head: RecordHeader | None, encoding: str | None = None) -> None:
        self._has_holes |= key in self._segments and bool(self._segments[key].extents)
        self._segments[key] = _WrittenSegment(head, encoding=encoding)

    def _write_samples(self, state: _WrittenSegment, head: RecordHeader, samples: np.ndarray, name: str) -> None:
        if state.encoding is None and choose_encoding(samples.dtype) is None:
            samples, encoding = encode_samples(samples, None, name)
            head = replace(head, encoding=encoding)
        else:
            samples, _ = encode_samples(samples, head.encoding, name)
        if head.encoding.startswith("STEIM"):
            records = self._compress(head, state.n_written, samples)
            number_records(records, self._sequence)
        else:
            records = pack_records(head, state.n_written, samples, self._sequence)
        self._sequence += len(records)
        state.n_written += len(samples)
        self._write(state, records)

    def _write(self, state: _WrittenSegment, records: np.ndarray) -> None:
        """Append records, shape (record, byte)."""
        state.stream = state.stream or records[0, 6:20].tobytes()
        self._buffer += records.data
        if len(self._buffer) >= _BUFFER:
            self._flush()
        if state.extents and sum(state.extents[-1]) == self._size:
            start, size = state.extents[-1]
            state.extents[-1] = start, size + records.nbytes
        else:
            state.extents.append((self._size, records.nbytes))
        self._size += records.nbytes

    def _rewrite(self, extents: Iterable[tuple[int, int, _WrittenSegment]]) -> None:
        """Copy the file with its segments in order, and renumber the records, except those that were copied."""
        spool = self._path.with_name(hidden_name(self._path))
        self._path.rename(spool)
        sequence = 1
        with spool.open("rb") as old, self._path.open("xb", buffering=1 << 20) as new:
            for start, size, state in extents:
                old.seek(start)
                for n_bytes in _split_size(size):
                    part = np.frombuffer(bytearray(old.read(n_bytes)), np.uint8)
                    if state.head is not None:
                        records = part.reshape(-1, state.head.length)
                        number_records(records, sequence)
                        sequence += len(records)
                    new.write(part.data)
        spool.unlink()


def _make_header(segment: "Segment", header: Any, encoding: str) -> RecordHeader:
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


def _join_as_readers(extents: Iterable[tuple[int, int, _WrittenSegment]]) -> list[tuple[bytes, list[int]]]:
    """Ids in the order in which a reader lists them, each with its segments in the order of reading."""
    streams: dict[bytes, list[int]] = {}
    for _, _, state in extents:
        segments = streams.setdefault(state.stream, [])
        if not segments or segments[-1] != id(state):
            segments.append(id(state))
    return list(streams.items())


def _split_size(size: int) -> Iterator[int]:
    for start in range(0, size, _COPY_BYTES):
        yield min(_COPY_BYTES, size - start)
