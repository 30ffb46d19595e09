"""Read headers of miniSEED 2 records into numpy tables: the fixed header and blockettes 100, 1000 and 1001.

The positions of the fields are those of the SEED manual, version 2.4, chapter 8.
"""

import numpy as np

NO_HEADER, BAD_DATE, LONG_HEADER, BAD_BLOCKETTES, BAD_LENGTH, BAD_RATE, BAD_ENCODING, BAD_DATA = range(1, 9)
"""What is wrong with a header, in the column "fault" of a table; 0 if nothing is."""

SAMPLE_TYPES = {0: "S1", 4: "f4", 5: "f8", 12: "f4", 13: "f4", 14: "f4"} | dict.fromkeys(
    (1, 3, 10, 11, 16, 30, 32), "i4"
)
"""Type of the decoded samples of each encoding that can be read."""

_BITS = {0: 8, 1: 16, 3: 32, 4: 32, 5: 64, 12: 24, 13: 16, 14: 16, 16: 16, 30: 16, 32: 16, 10: 8, 11: 32 / 7}
"""Least number of bits that a sample takes. In STEIM it is that of the smallest differences."""

HEADER_BYTES = 256
"""Enough for the fixed header and the blockettes with times, rates and encodings."""


def is_miniseed(head: bytes) -> bool:
    """Whether the first bytes of a file (48 or more) are the header of a miniSEED 2 record."""
    return len(head) >= 48 and bool(_valid_headers(np.frombuffer(head[:48], np.uint8)[np.newaxis])[0])


def find_record_length(head: bytes) -> int | None:
    """Find the length of a record in bytes from the first bytes of a file; None if they do not contain it."""
    if not is_miniseed(head):
        return None
    # the record may be longer than `head`, but its blockettes come first
    (row,) = parse_headers(np.frombuffer(head.ljust(HEADER_BYTES, b"\0")[:HEADER_BYTES], np.uint8)[np.newaxis])
    readable = row["fault"] in (0, BAD_ENCODING, BAD_DATA)
    return int(row["length"]) if readable and row["length"] else None


def _valid_headers(heads: np.ndarray) -> np.ndarray:
    """Whether each row (record, byte) begins with a data record, by the rules of libmseed."""
    number, blank = heads[:, :6], heads[:, 7]
    good = (((number >= ord("0")) & (number <= ord("9"))) | (number == ord(" ")) | (number == 0)).all(axis=1)
    good &= np.isin(heads[:, 6], np.frombuffer(b"DRQM", np.uint8)) & ((blank == ord(" ")) | (blank == 0))
    return np.asarray(good & (heads[:, 24] <= 23) & (heads[:, 25] <= 59) & (heads[:, 26] <= 60))


_TABLE = np.dtype(
    {
        "names": [
            "id",
            "quality",
            "start_us",
            "end_us",
            "rate_hz",
            "has_blockette_100",
            "n",
            "encoding",
            "byteorder",
            "length",
            "offset",
            "fault",
            "second_60",
            "room",
        ],
        "formats": ["S12", "S1", "i8", "i8", "f8", "?", "i8", "i2", "i2", "i8", "i8", "u1", "?", "i8"],
    }
)


def parse_headers(heads: np.ndarray) -> np.ndarray:
    """Read headers, shape (record, byte), into a table; "fault" tells which of them cannot be used, and why."""
    table = np.zeros(len(heads), _TABLE)
    little = is_valid_day(read_field(heads, 20, "<u2"), read_field(heads, 22, "<u2"))

    def field(at: int | np.ndarray, kind: str) -> np.ndarray:
        return np.where(little, read_field(heads, at, "<" + kind), read_field(heads, at, ">" + kind))

    def blame(fault: int, wrong: np.ndarray) -> None:
        table["fault"] = np.where(wrong & (table["fault"] == 0), fault, table["fault"])

    blame(NO_HEADER, ~_valid_headers(heads))
    blame(BAD_DATE, ~is_valid_day(field(20, "u2"), field(22, "u2")) | (field(28, "u2") > 9999))
    table["id"] = np.where(heads[:, 8:20] == 0, ord(" "), heads[:, 8:20]).astype(np.uint8).view("S12")[:, 0]
    table["quality"] = np.ascontiguousarray(heads[:, 6:7]).view("S1")[:, 0]
    table["second_60"] = heads[:, 26] == 60
    table["n"] = field(30, "u2")
    flags, correction = heads[:, 36], field(40, "i4").astype(np.int64)
    start = _microseconds(field(20, "u2"), field(22, "u2"), heads, field(28, "u2"))
    start += np.where(flags & 2, 0, correction * 100)  # bit 1: the start time includes the correction
    rate = _nominal_rate(field(32, "i2").astype(np.float64), field(34, "i2").astype(np.float64))
    table["encoding"] = -1
    exponent = np.zeros(len(heads), np.int64)
    at = field(46, "u2").astype(np.int64)
    for _ in range(int(heads[:, 39].max(initial=0)) + 1):
        blame(BAD_BLOCKETTES, (at != 0) & (at < 48))
        blame(LONG_HEADER, at + 8 > heads.shape[1])
        here = (at != 0) & (table["fault"] == 0)
        if not here.any():
            break
        place = np.where(here, at, 48)
        kind, following = np.where(here, field(place, "u2"), 0), np.where(here, field(place + 2, "u2"), 0)
        blame(BAD_BLOCKETTES, (following != 0) & (following < at + 8))
        is_rate, is_format, is_micro = kind == 100, kind == 1000, kind == 1001
        table["has_blockette_100"] |= is_rate
        rate = np.where(is_rate, field(place + 4, "f4"), rate)
        table["encoding"] = np.where(is_format, read_field(heads, place + 4, "u1"), table["encoding"])
        table["byteorder"] = np.where(is_format, read_field(heads, place + 5, "u1"), table["byteorder"])
        exponent = np.where(is_format, read_field(heads, place + 6, "u1"), exponent)
        start += np.where(is_micro, read_field(heads, place + 5, "i1"), 0)
        at = following.astype(np.int64)
    blame(BAD_BLOCKETTES, at != 0)
    # libmseed takes 128 bytes to 1 MiB
    blame(BAD_LENGTH, (exponent < 7) | (exponent > 20))
    table["length"] = np.where(exponent > 0, np.left_shift(np.int64(1), np.minimum(exponent, 40)), 0)
    blame(BAD_RATE, ~np.isfinite(rate) | (rate < 0))
    blame(BAD_ENCODING, ~np.isin(table["encoding"], list(SAMPLE_TYPES)))
    data_bytes = table["length"] - field(44, "u2")
    bits = np.array([_BITS.get(code, 0) for code in range(256)])[table["encoding"]]
    blame(BAD_DATA, (table["n"] > 0) & ((field(44, "u2") < 48) | (table["n"] * bits > data_bytes * 8)))
    # samples that a record without compression has room for; 0 for others
    table["room"] = np.where(np.isin(table["encoding"], (1, 3, 4, 5)), data_bytes * 8 // np.maximum(bits, 1), 0)
    table["start_us"], table["rate_hz"] = start, rate
    with np.errstate(divide="ignore", invalid="ignore"):
        span = np.where((rate > 0) & (table["n"] > 0), (table["n"] - 1) / rate * 1e6 + 0.5, 0)
    # bit 4: a leap second lies in the record, so UTC is one second behind at its end
    table["end_us"] = start + np.minimum(span, 1e18).astype(np.int64) - np.where(flags & 16, 10**6, 0)
    return table


def read_field(heads: np.ndarray, at: int | np.ndarray, kind: str) -> np.ndarray:
    """Read one number of each row, at one byte position or at one position for each row."""
    width = np.dtype(kind).itemsize
    if isinstance(at, int):
        raw = np.ascontiguousarray(heads[:, at : at + width])
    else:
        raw = heads[np.arange(len(heads))[:, np.newaxis], at[:, np.newaxis] + np.arange(width)]
    return raw.view(kind)[:, 0]


def is_valid_day(year: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Whether dates are plausible; in the wrong byte order few are."""
    return (year >= 1900) & (year <= 2100) & (day >= 1) & (day <= 366)


def _microseconds(year: np.ndarray, day: np.ndarray, heads: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    new_year = (year.astype(np.int64) - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    hour, minute, second = (heads[:, i].astype(np.int64) for i in (24, 25, 26))
    seconds = (((new_year + day - 1) * 24 + hour) * 60 + minute) * 60 + second
    return np.asarray(seconds * 10**6 + fraction.astype(np.int64) * 100)


def _nominal_rate(factor: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """Return the sampling rate in Hz; negative numbers stand for periods and divisors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(factor < 0, -1 / factor, factor)
        return np.where(multiplier < 0, -rate / multiplier, rate * np.where(multiplier == 0, 1, multiplier))
