"""Index miniSEED 2 files by their headers, without decoding samples.

Files whose records all have the same length are indexed as fast as they can be read. In damaged files, the valid
records are searched for. For other files `index_segments` returns None, and ObsPy reads the whole file.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geoae.errors import DamagedFileError
from geoae.labels.segments import Segment
from geoae.readers.records.mseed import MseedRecords
from geoae.readers.records.mseed_damage import find_records, format_id
from geoae.readers.records.mseed_headers import (
    HEADER_BYTES,
    SAMPLE_TYPES,
    find_record_length,
    is_miniseed,
    parse_headers,
)
from geoae.readers.records.mseed_strays import find_strays

_CHUNK_BYTES = 2**24  # size of the pieces in which files are read


class MseedIndex(NamedTuple):
    """Segments of a file, and what was found about it."""

    segments: list[Segment]
    losses: list[str]
    """Parts that could not be read, one line each."""
    notes: list[str]
    """Remarks, one line each."""


def index_segments(path: Path, *, salvage: bool = False) -> MseedIndex | None:
    """Find the same segments in a file as ObsPy, from the headers alone; in a damaged file, all that can be read.

    Segments with the same `order` touch each other: they are one segment of ObsPy, divided where the start times of
    records differ by half a sample from the sampling rate, so that each part has its own start time.

    Parameters
    ----------
    path
        Any file.
    salvage
        Index the valid records of any file, at any position, and of any lengths.

    Returns
    -------
    MseedIndex or None
        None if the file is not miniSEED; without `salvage`, also if the records of an undamaged file differ in length,
        or have headers that only ObsPy can interpret.

    Raises
    ------
    DamagedFileError
        The file ends in its first record.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4096)
        if not (salvage or is_miniseed(head)):
            return None
        length = find_record_length(head)
        table = None if length is None or size < length else _table_of_equal_records(file, length, size)
    losses: list[str] = []
    if table is not None and length is not None:
        if size % length:
            losses = [
                f"{path.name}: the last {size % length} bytes are no whole record and were left out "
                f"(whole records of {length} bytes: {size // length})."
            ]
    else:
        table, losses = find_records(path, size)
        if len(table) == 0 and losses and length is not None and size < length:
            raise DamagedFileError(
                f"{path.name} holds {size} bytes, but its first record has {length}: nothing can be read from it. "
                "Fetch the file again."
            )
        if len(table) == 0 or not (losses or salvage):
            return None
    strays, stray_losses, notes = find_strays(table, path.name)
    if n_late := int(np.count_nonzero(table["second_60"])):
        records = "1 record begins" if n_late == 1 else f"{n_late} records begin"
        notes.append(f"{path.name}: {records} in second 60 of a minute, taken for the first second of the next one.")
    return MseedIndex(_segments(table[~strays] if strays.any() else table, path, size), [*losses, *stray_losses], notes)


def _table_of_equal_records(file: Any, length: int, size: int) -> np.ndarray | None:
    """Headers of a file whose records all have one length; None if anything is unusual."""
    file.seek(size - size % length)
    tail = file.read(4096)
    if (find_record_length(tail) or length) <= size % length:  # the file goes on with records of another length
        return None
    file.seek(0)
    table = np.concatenate([parse_headers(chunk) for chunk in _record_heads(file, length, size // length)])
    if table["fault"].any() or np.any(table["length"] != length):
        return None
    table["offset"] = np.arange(len(table)) * length
    return table


def _record_heads(file: Any, length: int, n_records: int) -> Iterator[np.ndarray]:
    """First bytes of all complete records, shape (record, byte), some thousands at a time."""
    width = min(length, HEADER_BYTES)
    at_once = max(_CHUNK_BYTES // length, 1)
    for done in range(0, n_records, at_once):
        n = min(at_once, n_records - done)
        chunk = np.frombuffer(file.read(n * length), np.uint8)
        # the file may become shorter while it is read
        yield np.ascontiguousarray(chunk[: chunk.size // length * length].reshape(-1, length)[:, :width])


def _segments(table: np.ndarray, path: Path, size: int) -> list[Segment]:
    """Merge records as libmseed does: a record extends the last segment of its id if it continues it."""
    key = np.char.add(table["quality"], table["id"])
    _, first_rows, number = np.unique(key, return_index=True, return_inverse=True)
    segments: list[Segment] = []
    order = 0
    # ids in the order of their first record, as ObsPy lists them
    for group in np.argsort(first_rows):
        headers = table[number == group]
        cuts = np.append(np.flatnonzero(_begins_segment(headers)), len(headers))
        ends = np.cumsum(headers["n"])
        for first, stop in pairwise(cuts.tolist()):
            head = headers[first]  # rates may differ in the last digits; readers take that of the first record
            for begin, end in pairwise(_divide_at_drift(headers[first:stop])):
                a, b = first + begin, first + end
                before = int(ends[a - 1]) if a else 0
                records = MseedRecords(
                    path,
                    int(head["length"]),
                    headers["offset"][a:b],
                    ends[a:b] - before,
                    0,
                    int(head["encoding"]),
                    head["quality"].decode(),
                    ">" if head["byteorder"] else "<",
                    bool(headers["has_blockette_100"][a:b].any()),
                    size,
                )
                text = head["encoding"] == 0 or head["rate_hz"] == 0
                n = 0 if text else int(ends[b - 1]) - before
                start_ns, rate = int(headers["start_us"][a]) * 1000, float(head["rate_hz"])
                segments.append(Segment(format_id(head["id"]), start_ns, rate, n, order, path, records, bool(text)))
            order += 1
    return segments


def _begins_segment(headers: np.ndarray) -> np.ndarray:
    """Return whether each record (of one id, in file order) begins a segment."""
    last, this = headers[:-1], headers[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        period = np.where(last["rate_hz"] > 0, np.minimum(1e6 / last["rate_hz"], 1e18), 0).astype(np.int64)
        same_rate = np.abs(1 - last["rate_hz"] / this["rate_hz"]) < 1e-4
    gap = this["start_us"] - last["end_us"] - period
    kinds = np.array([SAMPLE_TYPES[code] for code in headers["encoding"]])
    continues = (np.abs(gap) <= (0.5 * period).astype(np.int64)) & same_rate & (kinds[1:] == kinds[:-1])
    continues &= last["length"] == this["length"]
    return np.append(True, ~(continues & (last["n"] > 0) & (this["n"] > 0)))


def _divide_at_drift(headers: np.ndarray) -> list[int]:
    """Edges of the parts of one segment in each of which all records begin within half a sample of the sampling rate.

    Each part begins with a record, at the time of its header. The next one begins at most half a sample away from where
    this one ends, so readers still join them.
    """
    rate = float(headers["rate_hz"][0])
    if len(headers) < 3 or rate <= 0:
        return [0, len(headers)]
    nominal = np.rint((np.cumsum(headers["n"]) - headers["n"]) / rate * 1e6)
    drift = headers["start_us"] - headers["start_us"][0] - nominal
    limit = max(0.5e6 / rate - 2, 0.25e6 / rate)  # times are rounded to whole microseconds, here and in other readers
    if not (np.abs(drift) > limit).any():
        return [0, len(headers)]
    edges, base = [0], 0.0
    values = drift.tolist()
    for row, value in enumerate(values):
        if abs(value - base) > limit:
            # the last record that is near enough to be joined; the first one after an edge always is
            edges.append(max(row - 1, edges[-1] + 1))
            base = values[edges[-1]]
    return [*edges, len(headers)]
