"""Tests of geoae.readers.records.mseed_headers."""

import io

import numpy as np
import obspy
import pytest

from geoae.readers.records import traces
from geoae.readers.records.mseed_headers import (
    HEADER_BYTES,
    find_record_length,
    is_miniseed,
    is_valid_day,
    parse_headers,
    read_field,
)
from tests.support.recordings import START, trace


def patched(record, **fields):
    """A record (big endian) with other header fields, given as position and bytes."""
    changed = bytearray(record)
    for at, value in fields.values():
        changed[at : at + len(value)] = value
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "shift_ns", "rate"),
    [
        ({"correction": (40, (1234).to_bytes(4, "big"))}, 123_400_000, 100.0),
        ({"correction": (40, (1234).to_bytes(4, "big")), "applied": (36, b"\x02")}, 0, 100.0),
        ({"factor": (32, (-10).to_bytes(2, "big", signed=True)), "multiplier": (34, b"\0\1")}, 0, 0.1),
        ({"factor": (32, b"\0\x32"), "multiplier": (34, (-4).to_bytes(2, "big", signed=True))}, 0, 12.5),
        ({"factor": (32, b"\0\x32"), "multiplier": (34, b"\0\4")}, 0, 200.0),
    ],
)
def test_header_rules(tmp_path, change, shift_ns, rate):
    """Time corrections, and factor and multiplier of the rate, follow the SEED manual."""
    buffer = io.BytesIO()
    trace(50).write(buffer, format="MSEED", encoding="INT32", reclen=512)
    (tmp_path / "x").write_bytes(patched(buffer.getvalue(), **change))
    (segment,) = traces.scan(tmp_path / "x").segments
    assert segment.start_ns == START.ns + shift_ns
    assert segment.rate_hz == rate
    (expected,) = obspy.read(str(tmp_path / "x"))
    assert (expected.stats.starttime.ns, expected.stats.sampling_rate) == (segment.start_ns, rate)


def test_only_data_records_are_miniseed():
    """A sequence number of six digits and a quality letter are needed, and a possible time of day."""
    buffer = io.BytesIO()
    trace(50).write(buffer, format="MSEED", encoding="INT32", reclen=512)
    record = buffer.getvalue()
    assert is_miniseed(record[:48])
    assert find_record_length(record) == 512
    assert not is_miniseed(record[:47])
    for change in ({"number": (0, b"x")}, {"quality": (6, b"V")}, {"hour": (24, b"\x18")}):
        assert not is_miniseed(patched(record, **change))
        assert find_record_length(patched(record, **change)) is None


@pytest.mark.parametrize("length", [256, 512, 4096])
def test_the_table_has_the_numbers_of_the_writer(length):
    """Ids, times, numbers of samples, encodings and lengths, in microseconds and Hz."""
    buffer = io.BytesIO()
    trace(3000, dtype=np.float32).write(buffer, format="MSEED", encoding="FLOAT32", reclen=length)
    table = parse_headers(np.frombuffer(buffer.getvalue(), np.uint8).reshape(-1, length)[:, :HEADER_BYTES])
    assert set(table["id"]) == {b"AB   00HHZXX"}
    assert table["n"].sum() == 3000
    first = np.cumsum(table["n"]) - table["n"]
    np.testing.assert_array_equal(table["start_us"] - START.ns // 1000, first * 10_000)
    np.testing.assert_array_equal(table["end_us"] - table["start_us"], (table["n"] - 1) * 10_000)
    assert set(table["rate_hz"]) == {100.0}
    assert set(table["encoding"]) == {4}
    assert set(table["length"]) == {length}


def test_numbers_are_read_at_one_position_or_at_one_for_each_row():
    """In the byte order of the type."""
    heads = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(read_field(heads, 1, ">u2"), [0x0102, 0x0506, 0x090A])
    np.testing.assert_array_equal(read_field(heads, np.array([0, 1, 2]), "<u2"), [0x0100, 0x0605, 0x0B0A])


def test_days_that_are_possible():
    """Years 1900 to 2100 and days 1 to 366."""
    years, days = np.array([1899, 1900, 2024, 2024, 2101]), np.array([1, 1, 366, 367, 1])
    np.testing.assert_array_equal(is_valid_day(years, days), [False, True, True, False, False])
