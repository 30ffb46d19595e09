"""Tests of geoae.readers.records.mseed_headers."""

import io

import obspy
import pytest

from geoae.readers.records import traces
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
    """Time corrections and the factor and multiplier of the rate mean what the SEED manual says."""
    buffer = io.BytesIO()
    trace(50).write(buffer, format="MSEED", encoding="INT32", reclen=512)
    (tmp_path / "x").write_bytes(patched(buffer.getvalue(), **change))
    (segment,) = traces.scan(tmp_path / "x").segments
    assert segment.start_ns == START.ns + shift_ns
    assert segment.rate_hz == rate
    (expected,) = obspy.read(str(tmp_path / "x"))
    assert (expected.stats.starttime.ns, expected.stats.sampling_rate) == (segment.start_ns, rate)
