"""Decode only those miniSEED 2 records of a file that hold the requested samples."""

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
from geoae.files.paths import read_errors
from geoae.readers.records.mseed_headers import SAMPLE_TYPES, is_valid_day, read_field

_CHUNK_BYTES = 2**24  # size of the pieces in which files are read
_MAX_SKIPPED_BYTES = 2**16  # reading unused bytes up to this number is faster than seeking


@dataclass(frozen=True, slots=True, eq=False)
class MseedRecords:
    """The miniSEED records of one segment."""

    path: Path
    length: int
    """Bytes of a record."""
    offsets: np.ndarray
    """First byte of each record in the file, in the order of their samples."""
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
        return np.dtype(SAMPLE_TYPES[self.encoding])


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
        offsets = np.concatenate([parts[number][0].offsets[spans[number][0]] for number in members])
        data = _read_records(path, length, offsets)
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

    search(0, len(records.offsets))
    return spans


def count_samples(records: MseedRecords) -> int:
    """Number of samples in the records, including those before and after the segment."""
    return int(records.ends[-1])


def read_raw_bytes(records: MseedRecords) -> bytes:
    """Return the records of a segment unchanged."""
    return _read_records(records.path, records.length, records.offsets).tobytes()


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
        "number_of_records": len(records.offsets),
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
    return replace(records, offsets=records.offsets[chosen], ends=records.ends[chosen] - before, skip=inside.start)


def _span(records: MseedRecords, start: int, stop: int) -> tuple[slice, int, slice]:
    """Find the records with samples start ... stop, their number of samples, and the position of the range in them."""
    start, stop = start + records.skip, stop + records.skip
    first = int(np.searchsorted(records.ends, start, side="right"))
    last = int(np.searchsorted(records.ends, max(stop, start + 1) - 1, side="right"))
    before = int(records.ends[first - 1]) if first else 0
    held = int(records.ends[min(last, len(records.ends) - 1)]) - before
    return slice(first, last + 1), held, slice(start - before, stop - before)


def _read_records(path: Path, length: int, offsets: np.ndarray) -> np.ndarray:
    """Return the bytes of records as int8, shape (record, byte)."""
    out = np.empty((len(offsets), length), np.int8)
    with read_errors(path), path.open("rb") as file:
        for first, stop in _runs(offsets, length):
            low = int(offsets[first:stop].min())
            span = int(offsets[first:stop].max()) + length - low
            file.seek(low)
            data = np.frombuffer(file.read(span), np.int8)
            if data.size < span:
                raise DamagedFileError(f"{path.name} became shorter while it was read. Read it again.")
            places = offsets[first:stop] - low
            if not (places % length).any():
                out[first:stop] = data.reshape(-1, length)[places // length]
            else:  # bytes were lost or added between records
                out[first:stop] = np.lib.stride_tricks.sliding_window_view(data, length)[places]
    return out


def _runs(offsets: np.ndarray, length: int) -> Iterator[tuple[int, int]]:
    """Split a list of records into runs that are read at once: at large gaps in the file, and at _CHUNK_BYTES."""
    step = np.diff(offsets)
    cuts = np.flatnonzero((step < 0) | (step > _MAX_SKIPPED_BYTES)) + 1
    edges = [0, *cuts.tolist(), len(offsets)]
    for begin, end in pairwise(edges):
        first = begin
        while first < end:
            limit = offsets[first] + max(_CHUNK_BYTES, length)
            stop = begin + int(np.searchsorted(offsets[begin:end], limit))
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
