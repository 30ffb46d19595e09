"""Find the valid records of a damaged miniSEED file, and tell what lies between them.

Records that contradict each other are found in `geoae.readers.records.mseed_strays`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geoae.readers.records.mseed_headers import (
    BAD_BLOCKETTES,
    BAD_DATA,
    BAD_DATE,
    BAD_ENCODING,
    BAD_LENGTH,
    BAD_RATE,
    HEADER_BYTES,
    LONG_HEADER,
    NO_HEADER,
    parse_headers,
)

_CHUNK_BYTES = 2**24  # size of the pieces in which files are searched
_LONGEST_HEADER = 4096
_NO_TABLE = parse_headers(np.zeros((0, HEADER_BYTES), np.uint8))
_CONTROL_HEADER = re.compile(rb"\d{6}[VAST](\*| \d{7})")
"""Headers of a SEED volume that hold no samples: a blockette with type and length, or its continuation."""

_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 ]{11}")

_REASONS = {
    NO_HEADER: "the time in the header is impossible",
    BAD_DATE: "the date in the header is impossible",
    LONG_HEADER: "the blockettes of the header do not end",
    BAD_BLOCKETTES: "the blockettes of the header are damaged",
    BAD_LENGTH: "the record length in the header is impossible",
    BAD_RATE: "the sampling rate in the header is impossible",
    BAD_ENCODING: "the encoding in the header is unknown",
    BAD_DATA: "the header tells of more samples than the record has room for",
}
_OVERLAP = "the record length in the header reaches into the next record"


def find_records(path: Path, size: int) -> tuple[np.ndarray, list[str]]:
    """Find all valid records in a file, at any position.

    Returns
    -------
    table, losses
        Headers in the order of the file, as `parse_headers` gives them, with "offset", the first byte of each record;
        and lines on the bytes that belong to no valid record.
    """
    pieces = [_NO_TABLE]
    with path.open("rb") as file:
        for start in range(0, size, _CHUNK_BYTES):
            file.seek(start)
            for rows in _candidates(file.read(_CHUNK_BYTES + _LONGEST_HEADER), _CHUNK_BYTES):
                rows["offset"] += start
                pieces.append(rows)
    table = np.concatenate(pieces)
    valid = (table["fault"] == 0) & (table["offset"] + table["length"] <= size)
    good, bad = table[valid], table[~valid]
    # where a record contains another header, its length is wrong: one wrong byte must not hide the records after it
    reaches = good["offset"] + good["length"] > np.append(good["offset"][1:], size)
    good, outer = good[~reaches], good[reaches]
    edges = np.concatenate([[0], np.stack([good["offset"], good["offset"] + good["length"]], axis=1).ravel(), [size]])
    lost = [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if a < b]
    return good, _describe_lost(path, size, lost, good, np.concatenate([bad, outer]))


def has_records(head: bytes) -> bool:
    """Whether the first bytes of a file hold two valid records, one directly after the other."""
    table = np.concatenate(list(_candidates(head)) or [_NO_TABLE])
    table = table[table["fault"] == 0]
    return bool(np.isin(table["offset"] + table["length"], table["offset"]).any())


def _candidates(data: bytes, last: int | None = None) -> Iterator[np.ndarray]:
    """Headers at all positions before `last` that begin like a record, valid or not, in pieces."""
    # padded, since the header of a short record may reach beyond the end of the file
    padded = np.frombuffer(data + bytes(_LONGEST_HEADER), np.uint8)
    n = max(min(len(data) - 47, len(data) if last is None else last), 0)
    kinds = np.isin(padded[6 : n + 6], np.frombuffer(b"DRQM", np.uint8))
    at = np.flatnonzero(kinds & np.isin(padded[7 : n + 7], np.frombuffer(b" \0", np.uint8)))
    for begin in range(0, len(at), 2**16):
        some = at[begin : begin + 2**16]
        digits = padded[some[:, np.newaxis] + np.arange(6)]
        some = some[(((digits >= 48) & (digits <= 57)) | (digits == 32) | (digits == 0)).all(axis=1)]
        yield _parse_at(padded, some)


def _parse_at(data: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Parse headers at some positions."""
    table = parse_headers(data[at[:, np.newaxis] + np.arange(HEADER_BYTES)])
    long = np.flatnonzero(table["fault"] == LONG_HEADER)
    if len(long):
        table[long] = parse_headers(data[at[long, np.newaxis] + np.arange(_LONGEST_HEADER)])
    table["offset"] = at
    return table


def _describe_lost(path: Path, size: int, lost: list[tuple[int, int]], good: np.ndarray, bad: np.ndarray) -> list[str]:
    """Lines on ranges of bytes without a valid record."""
    bad = bad[np.argsort(bad["offset"], kind="stable")]
    found: list[tuple[Any, str]] = []
    unknown: list[tuple[int, int]] = []
    losses: list[str] = []
    with path.open("rb") as file:
        for start, stop in lost:
            file.seek(start)
            if _CONTROL_HEADER.match(file.read(16)):
                continue
            first, last = np.searchsorted(bad["offset"], [start, stop])
            # other bytes may begin like a record by chance, but hardly with the letters of an id
            inside = [row for row in bad[first:last] if _ID.fullmatch(row["id"].ljust(12))]
            if stop == size and len(inside) == 1 and inside[0]["offset"] == start and inside[0]["fault"] == 0:
                whole = f"whole records of {good['length'][0]} bytes: {len(good)}" if len(good) else "no whole record"
                losses.append(
                    f"{path.name}: the last {stop - start} bytes are no whole record and were left out ({whole})."
                )
            elif inside:
                found += [(row, _REASONS.get(int(row["fault"]), _OVERLAP)) for row in inside]
            else:
                unknown.append((start, stop))
    losses = [*_describe(path.name, found), *losses]
    if unknown:
        total = sum(stop - start for start, stop in unknown)
        more = f", in {len(unknown)} places," if len(unknown) > 1 else ""
        near = _name_neighbours(good, unknown[0][0])
        losses.append(
            f"{path.name}: {total} bytes{more} hold no record that can be read, the first at byte "
            f"{unknown[0][0]}{near}. They are left out; what they held is a gap."
        )
    return losses


def _name_neighbours(good: np.ndarray, at: int) -> str:
    """The ids of the records before and after a position."""
    after = int(np.searchsorted(good["offset"], at))
    ids = dict.fromkeys(format_id(row["id"]) for row in good[max(after - 1, 0) : after + 1])
    return f" (beside records of {' and '.join(ids)})" if ids else ""


def _describe(name: str, rows: list[tuple[Any, str]]) -> list[str]:
    """A line on each id and reason."""
    groups: dict[tuple[bytes, str], list[Any]] = {}
    for row, reason in rows:
        groups.setdefault((row["id"], reason), []).append(row)
    return [describe_records(name, group, reason) for (_, reason), group in groups.items()]


def describe_records(name: str, rows: Sequence[Any], reason: str) -> str:
    """One line on records of one id that are left out."""
    return (
        f"{name}: {format_id(rows[0]['id'])}: {count_records(len(rows))} left out "
        f"({sum(int(row['n']) for row in rows)} samples; {name_place(rows[0])}): {reason}. What it held is a gap."
    )


def count_records(n: int) -> str:
    """The subject of a sentence."""
    return "1 record is" if n == 1 else f"{n} records are"


def name_place(row: Any) -> str:
    """Where the first of some records lies in the file, and its time."""
    start = np.datetime64(int(row["start_us"]), "us")
    return f"the first at byte {row['offset']}, by its header of {start}"


def format_id(raw: bytes) -> str:
    """NET.STA.LOC.CHA of the 12 bytes of a header, which has the codes in another order."""
    raw = raw.ljust(12)
    return ".".join(part.decode("ascii", "ignore").strip() for part in (raw[10:], raw[:5], raw[5:7], raw[7:10]))
