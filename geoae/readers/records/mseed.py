"""Index miniSEED 2 files without decoding them, and decode only the records with the requested samples.

This covers files whose records all have the same length. For other files `index_segments` returns None, and ObsPy reads
the whole file.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from geoae.errors import DamagedFileError, one_line
from geoae.files import libmseed
from geoae.labels.segments import Segment
from geoae.readers.records.mseed_headers import (
    HEADER_BYTES,
    find_record_length,
    is_valid_day,
    parse_headers,
    read_field,
)

_DTYPES = {0: "S1", 4: "f4", 5: "f8", 12: "f4", 13: "f4", 14: "f4"} | dict.fromkeys((1, 3, 10, 11, 16, 30, 32), "i4")
_CHUNK_BYTES = 2**24  # size of the pieces in which files are read
_MAX_SKIPPED_BYTES = 2**16  # reading unused bytes up to this number is faster than seeking


@dataclass(frozen=True, slots=True, eq=False)
class MseedRecords:
    """The miniSEED records of one segment; record k of the file begins at byte k * length."""

    path: Path
    length: int
    rows: np.ndarray
    """Numbers of the records in the file, in the order of their samples."""
    ends: np.ndarray
    """Number of samples up to the end of each record, counted from the first record of the segment."""
    skip: int
    """Samples of the first record before the segment begins; not 0 after a selection of time."""
    encoding: int
    quality: str
    byteorder: str
    has_blockette_100: bool
    """Whether a blockette 100 has the sampling rate."""
    file_bytes: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the decoded samples."""
        return np.dtype(_DTYPES[self.encoding])


def index_segments(path: Path) -> tuple[list[Segment], list[str]] | None:
    """Find the same segments in a file as ObsPy, from the headers alone.

    Returns
    -------
    segments and losses, or None
        None if the file is not miniSEED with records of one length, or has a header that only ObsPy can interpret.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = find_record_length(file.read(4096))
        if length is None:
            return None
        if size < length:
            raise DamagedFileError(
                f"{path.name} holds {size} bytes, but its first record has {length}: nothing can be read from it. "
                "Fetch the file again."
            )
        file.seek(size - size % length)
        tail = file.read(4096)
        if (find_record_length(tail) or length) <= size % length:  # the file goes on with records of another length
            return None
        file.seek(0)
        parts = [parse_headers(chunk) for chunk in _record_heads(file, length, size // length)]
    if any(part is None for part in parts):
        return None
    table = np.concatenate([part for part in parts if part is not None])
    if np.any(table["length"] != length) or not np.isin(table["encoding"], list(_DTYPES)).all():
        return None
    loss = (
        f"{path.name}: the last {size % length} bytes are no whole record and were left out "
        f"(whole records of {length} bytes: {size // length})."
    )
    return _segments(table, path, length, size), [loss] if size % length else []


def warn_of_samples(line: str) -> None:
    """Issue a Python warning that some samples may be wrong."""
    warnings.warn(line, stacklevel=3)


def fetch_blocks(
    parts: Sequence[tuple[MseedRecords, int, int]], on_warning: Callable[[str], None] = warn_of_samples
) -> list[np.ndarray]:
    """Decode samples start ... stop of several segments of one id at once.

    Parameters
    ----------
    parts
        (records, start, stop) of each. Reading many small segments of one file together is almost as fast as reading
        one large segment.
    on_warning
        Called with one line for samples that contradict the check value of their record.

    Raises
    ------
    DamagedFileError
        A record cannot be decoded.
    """
    spans = [_span(*part) for part in parts]
    results: list[np.ndarray | None] = [None] * len(parts)
    groups: dict[tuple[Path, int, str, str], list[int]] = {}
    for number, (records, _, _) in enumerate(parts):
        # ObsPy keeps the order of traces only within one id, quality and type of samples
        groups.setdefault((records.path, records.length, records.quality, records.dtype.str), []).append(number)
    for (path, length, _, kind), members in groups.items():
        rows = np.concatenate([parts[number][0].rows[spans[number][0]] for number in members])
        data = _read_rows(path, length, rows)
        if len(members) > 1 and not any(parts[number][0].has_blockette_100 for number in members):
            sizes = [np.diff(parts[number][0].ends, prepend=0)[spans[number][0]] for number in members]
            _close_gaps(data, np.concatenate(sizes))
        counts = [spans[number][1] for number in members]
        samples = _decode(data, path, length, np.dtype(kind), on_warning)
        if samples.size != sum(counts):
            raise DamagedFileError(
                f"{path.name}: {samples.size} samples could be decoded where the headers have {sum(counts)}. "
                "The file is damaged, or it changed while it was read."
            )
        pieces = np.split(samples, np.cumsum(counts)[:-1])
        for number, piece in zip(members, pieces, strict=True):
            results[number] = piece[spans[number][2]]
    return [result for result in results if result is not None]


def find_decodable_spans(records: MseedRecords) -> list[tuple[int, int]]:
    """Find the ranges of samples, (start, stop), in records that can be decoded, by bisection."""
    spans: list[tuple[int, int]] = []

    def search(first: int, last: int) -> None:
        start = int(records.ends[first - 1]) - records.skip if first else 0
        stop = int(records.ends[last - 1]) - records.skip
        try:
            fetch_blocks([(records, start, stop)], lambda line: None)
        except (DamagedFileError, OSError):
            if last - first > 1:
                middle = (first + last) // 2
                search(first, middle)
                search(middle, last)
        else:
            if spans and spans[-1][1] == start:
                start, _ = spans.pop()
            spans.append((start, stop))

    search(0, len(records.rows))
    return spans


def count_samples(records: MseedRecords) -> int:
    """Number of samples in the records, including those before and after the segment."""
    return int(records.ends[-1])


def read_raw_bytes(records: MseedRecords) -> bytes:
    """Return the records of a segment unchanged."""
    return _read_rows(records.path, records.length, records.rows).tobytes()


def encode_text(trace: Any) -> bytes | None:
    """Return new miniSEED records with the text of an ObsPy Trace; None if it is not text."""
    import io

    if trace.data.dtype != np.dtype("S1"):
        return None
    buffer = io.BytesIO()
    libmseed.write_records(trace, buffer, "ASCII", 512, byteorder=None)
    return buffer.getvalue()


def make_header(records: MseedRecords) -> Any:
    """Return the ObsPy header of these records, without id, rate, start and number of samples."""
    from obspy.core import Stats

    details = {
        "dataquality": records.quality,
        "number_of_records": len(records.rows),
        "encoding": libmseed.encoding_name(records.encoding),
        "byteorder": records.byteorder,
        "record_length": records.length,
        "filesize": records.file_bytes,
    }
    return Stats({"mseed": details, "_format": "MSEED"})


def trim_records(records: MseedRecords, start: int, stop: int) -> MseedRecords:
    """Return the records with samples start ... stop."""
    chosen, _, inside = _span(records, start, stop)
    before = int(records.ends[chosen.start - 1]) if chosen.start else 0
    return replace(records, rows=records.rows[chosen], ends=records.ends[chosen] - before, skip=inside.start)


def _span(records: MseedRecords, start: int, stop: int) -> tuple[slice, int, slice]:
    """Find the records with samples start ... stop, their number of samples, and the position of the range in them."""
    start, stop = start + records.skip, stop + records.skip
    first = int(np.searchsorted(records.ends, start, side="right"))
    last = int(np.searchsorted(records.ends, max(stop, start + 1) - 1, side="right"))
    before = int(records.ends[first - 1]) if first else 0
    held = int(records.ends[min(last, len(records.ends) - 1)]) - before
    return slice(first, last + 1), held, slice(start - before, stop - before)


def _record_heads(file: Any, length: int, n_records: int) -> Iterator[np.ndarray]:
    """First bytes of all complete records, shape (record, byte), some thousands at a time."""
    width = min(length, HEADER_BYTES)
    at_once = max(_CHUNK_BYTES // length, 1)
    for done in range(0, n_records, at_once):
        n = min(at_once, n_records - done)
        chunk = np.frombuffer(file.read(n * length), np.uint8)
        # the file may become shorter while it is read
        yield np.ascontiguousarray(chunk[: chunk.size // length * length].reshape(-1, length)[:, :width])


def _segments(table: np.ndarray, path: Path, length: int, size: int) -> list[Segment]:
    """Merge records as libmseed does: a record extends the last segment of its id if it continues it."""
    key = np.char.add(table["quality"], table["id"])
    _, first_rows, number = np.unique(key, return_index=True, return_inverse=True)
    segments: list[Segment] = []
    # ids in the order of their first record, as ObsPy lists them
    for group in np.argsort(first_rows):
        rows = np.flatnonzero(number == group)
        headers = table[rows]
        cuts = np.append(np.flatnonzero(_begins_segment(headers)), len(headers))
        ends = np.cumsum(headers["n"])
        for first, stop in pairwise(cuts.tolist()):
            head = headers[first]
            before = int(ends[first - 1]) if first else 0
            records = MseedRecords(
                path,
                length,
                rows[first:stop],
                ends[first:stop] - before,
                0,
                int(head["encoding"]),
                head["quality"].decode(),
                ">" if head["byteorder"] else "<",
                bool(headers["has_blockette_100"][first:stop].any()),
                size,
            )
            text = head["encoding"] == 0 or head["rate_hz"] == 0
            n = 0 if text else int(ends[stop - 1]) - before
            start_ns, rate = int(head["start_us"]) * 1000, float(head["rate_hz"])
            segments.append(Segment(_id(head["id"]), start_ns, rate, n, len(segments), path, records, bool(text)))
    return segments


def _begins_segment(headers: np.ndarray) -> np.ndarray:
    """Return whether each record (of one id, in file order) begins a segment."""
    last, this = headers[:-1], headers[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        period = np.where(last["rate_hz"] > 0, 1e6 / last["rate_hz"], 0).astype(np.int64)
        same_rate = np.abs(1 - last["rate_hz"] / this["rate_hz"]) < 1e-4
    gap = this["start_us"] - last["end_us"] - period
    kinds = np.array([_DTYPES[code] for code in headers["encoding"]])
    continues = (np.abs(gap) <= (0.5 * period).astype(np.int64)) & same_rate & (kinds[1:] == kinds[:-1])
    return np.append(True, ~(continues & (last["n"] > 0) & (this["n"] > 0)))


def _id(raw: bytes) -> str:
    raw = raw.ljust(12)
    return ".".join(part.decode("ascii", "ignore").strip() for part in (raw[10:], raw[:5], raw[5:7], raw[7:10]))


def _read_rows(path: Path, length: int, rows: np.ndarray) -> np.ndarray:
    """Return the bytes of records as int8, shape (record, byte)."""
    out = np.empty((len(rows), length), np.int8)
    with path.open("rb") as file:
        for first, stop in _runs(rows, length):
            low = int(rows[first:stop].min())
            span = int(rows[first:stop].max()) + 1 - low
            file.seek(low * length)
            data = np.frombuffer(file.read(span * length), np.int8)
            if data.size < span * length:
                raise DamagedFileError(f"{path.name} became shorter while it was read. Read it again.")
            out[first:stop] = data.reshape(span, length)[rows[first:stop] - low]
    return out


def _runs(rows: np.ndarray, length: int) -> Iterator[tuple[int, int]]:
    """Split a list of records into runs that are read at once: at large gaps in the file, and at _CHUNK_BYTES."""
    step = np.diff(rows)
    cuts = np.flatnonzero((step < 0) | (step * length > _MAX_SKIPPED_BYTES)) + 1
    edges = [0, *cuts.tolist(), len(rows)]
    for begin, end in pairwise(edges):
        first = begin
        while first < end:
            limit = rows[first] + max(_CHUNK_BYTES // length, 1)
            stop = begin + int(np.searchsorted(rows[begin:end], limit))
            yield first, stop
            first = stop


def _close_gaps(data: np.ndarray, sizes: np.ndarray) -> None:
    """Rewrite times and rates in place, so that records of `sizes` samples follow each other at 1 Hz.

    ObsPy then makes one trace. Making a trace for each of thousands of segments takes longer than decoding them.
    """
    heads = data[:, :48].view(np.uint8)
    seconds = (np.cumsum(sizes) - sizes).astype("datetime64[s]")
    days, years = seconds.astype("datetime64[D]"), seconds.astype("datetime64[Y]")
    day_of_year = (days - years.astype("datetime64[D]")).astype(np.int64) + 1
    little = is_valid_day(read_field(heads, 20, "<u2"), read_field(heads, 22, "<u2"))[:, np.newaxis]
    ones = np.ones(len(data), np.int64)
    for at, values in ((20, years.astype(np.int64) + 1970), (22, day_of_year), (32, ones), (34, ones)):
        low_high = np.stack([values & 255, values >> 8], axis=1)
        heads[:, at : at + 2] = np.where(little, low_high, low_high[:, ::-1])
    clock = (seconds - days).astype(np.int64)
    heads[:, 24:27] = np.stack([clock // 3600, clock // 60 % 60, clock % 60], axis=1)
    heads[:, [28, 29, 36, 40, 41, 42, 43]] = 0  # fraction of the second, leap seconds, time correction


def _decode(
    data: np.ndarray, path: Path, length: int, dtype: np.dtype[Any], on_warning: Callable[[str], None]
) -> np.ndarray:
    """Decode records of one id with ObsPy. A failed integrity check is a warning, not an error."""
    import io

    import obspy

    if data.size == 0:
        return np.empty(0, dtype)
    with libmseed.lock_and_record_warnings(only_mseed=True) as caught:
        try:
            stream = obspy.read(io.BytesIO(data.tobytes()), format="MSEED", reclen=length if length >= 256 else None)
        except Exception as error:  # ObsPy raises a plain Exception here
            reason = re.sub(r"^Encountered .*?\(\): ", "", one_line(error))
            raise DamagedFileError(f"{path.name}: records cannot be decoded ({reason}).") from error
    for message in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
        # other messages are about headers, which `index_segments` has checked
        if "integrity" in message:
            on_warning(f"{path.name}: {message}. Some samples may be wrong.")
    traces = [np.asarray(trace.data) for trace in stream]
    return np.concatenate(traces) if traces else np.empty(0, dtype)
