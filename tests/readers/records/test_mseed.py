"""Tests of geoae.readers.records.mseed: the samples are those of ObsPy."""

import numpy as np
import obspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.errors import DamagedFileError
from geoae.readers.records import traces
from tests.support.recordings import START, interleaved, trace


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [("STEIM1", "i4"), ("STEIM2", "i4"), ("INT16", "i2"), ("INT32", "i4"), ("FLOAT32", "f4"), ("FLOAT64", "f8")],
)
def test_encodings_and_byte_orders(tmp_path, encoding, dtype, byteorder):
    """Samples of each encoding come back bit by bit, from both byte orders."""
    written = trace(3000, dtype=dtype, start=START + 0.123456)
    written.write(str(tmp_path / "x"), format="MSEED", encoding=encoding, byteorder=byteorder, reclen=256)
    (segment,) = traces.scan(tmp_path / "x").segments
    assert segment.start_ns == written.stats.starttime.ns
    np.testing.assert_array_equal(traces.fetch_samples(segment), written.data)
    np.testing.assert_array_equal(traces.fetch_samples(segment, 1234, 1300), written.data[1234:1300])


@settings(max_examples=40)
@given(data=st.data())
def test_blocks_of_interleaved_records(tmp_path_factory, data):
    """Any part of any segment of a multiplexed file with gaps equals the samples of ObsPy."""
    path = tmp_path_factory.getbasetemp() / "interleaved.mseed"
    if not path.exists():
        interleaved(path, gap_every=1000)
    segments = traces.scan(path).segments
    expected = obspy.read(str(path))
    k = data.draw(st.integers(0, len(segments) - 1))
    start = data.draw(st.integers(0, segments[k].n))
    stop = data.draw(st.integers(start, segments[k].n))
    np.testing.assert_array_equal(traces.fetch_samples(segments[k], start, stop), expected[k].data[start:stop])


def test_truncated_and_damaged_files(tmp_path):
    """Complete records are read, losses are listed, and a record that cannot be decoded is an error."""
    whole = trace(20_000)
    whole.write(str(tmp_path / "x"), format="MSEED", encoding="STEIM2", reclen=512)
    content = (tmp_path / "x").read_bytes()
    (tmp_path / "cut").write_bytes(content[:5000])
    found = traces.scan(tmp_path / "cut")
    (loss,) = found.losses
    assert loss == "cut: the last 392 bytes are no whole record and were left out (whole records of 512 bytes: 9)."
    np.testing.assert_array_equal(traces.fetch_samples(found.segments[0]), whole.data[: found.segments[0].n])
    with pytest.warns(UserWarning, match="392 bytes"):
        traces.read(tmp_path / "cut")
    (tmp_path / "header").write_bytes(content[:1024] + b"x" * 512 + content[1536:])
    found = traces.scan(tmp_path / "header")
    assert len(found.segments) == 2
    assert "512 bytes hold no record that can be read, the first at byte 1024 (beside" in found.losses[0]
    (tmp_path / "data").write_bytes(content[:1088] + b"\xff" * 448 + content[1536:])
    (segment,) = traces.scan(tmp_path / "data").segments
    with pytest.raises(DamagedFileError, match="data: records cannot be decoded"):
        traces.fetch_samples(segment)
    np.testing.assert_array_equal(traces.fetch_samples(segment, 0, 300), whole.data[:300])
    (segment,) = traces.scan(tmp_path / "x").segments
    (tmp_path / "x").write_bytes(content[:1024])
    with pytest.raises(DamagedFileError, match="shorter"):
        traces.fetch_samples(segment)


def test_failed_integrity_checks_are_warnings(tmp_path):
    """Samples that contradict the check value of their record are returned with a warning."""
    trace(300).write(str(tmp_path / "x"), format="MSEED", encoding="STEIM2", reclen=512)
    content = bytearray((tmp_path / "x").read_bytes())
    content[72:76] = b"\0\0\0\1"  # last sample of the record
    (tmp_path / "x").write_bytes(content)
    (segment,) = traces.scan(tmp_path / "x").segments
    with pytest.warns(UserWarning, match=r"^x: .*integrity.*may be wrong"):
        assert traces.fetch_samples(segment).size == 300
