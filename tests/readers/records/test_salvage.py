"""Tests of geoae.readers.records.salvage: a damaged trace costs no other trace, and what it costs is told."""

import gzip
import io
import re

import numpy as np
import obspy
import pytest
from obspy import Stream

from geoae.readers.records import salvage, traces
from tests.support.recordings import SHIPPED, START, trace

CHANNELS = ("HHE", "HHN", "HHZ")


def three_traces(path, format_name, n=600):
    """Write three traces, and return the samples of each."""
    dtype = np.int32 if format_name in ("GSE2", "SLIST", "TSPAIR") else np.float32
    stream = Stream([trace(n, channel, seed=k, dtype=dtype) for k, channel in enumerate(CHANNELS)])
    options = {"data_encoding": 5} if format_name == "SEGY" else {}
    stream.write(str(path), format=format_name, **options)
    return [one.data for one in stream]


def scan_samples(path):
    """Samples of all segments that come back, and the losses."""
    found = traces.scan(path)
    return [traces.fetch_samples(segment) for segment in found.segments], found.losses


@pytest.mark.parametrize("format_name", ["GSE2", "SLIST", "TSPAIR", "SEGY", "SU"])
@pytest.mark.filterwarnings("ignore:CREATING TRACE HEADER")
def test_undamaged_files_come_back_whole(tmp_path, format_name):
    """All samples, and nothing to tell."""
    samples = three_traces(tmp_path / "x", format_name)
    found, losses = scan_samples(tmp_path / "x")
    assert losses == ()
    for one, expected in zip(found, samples, strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize(
    ("format_name", "old", "new", "left", "told"),
    [
        ("GSE2", b"CHK2 ", b"CHK2 1", [0, 1, 2], "checksum is not that of its samples"),
        ("GSE2", b"DAT2", b"DAT3", [0, 2], "trace 2 of 3 .* is left out: .* begin with a line DAT"),
        ("GSE2", b"WID2", b"WIX2", [0, 2], "trace 1 of 2 .* the header of another trace after it cannot be read"),
        ("GSE2", b"CM6", b"CM9", [0, 2], "trace 2 of 3 .* is left out"),
        ("SLIST", b"600 samples", b"60X samples", [0, 2], "trace 2 of 3 .* is left out"),
        ("SLIST", b"TIMESERIES", b"TIMEXERIES", [0, 2], "trace 2 of 3 .* is left out"),
        ("TSPAIR", b"TIMESERIES", b"TIMEXERIES", [0, 2], "trace 2 of 3 .* is left out"),
        ("TSPAIR", b"600 samples", b"700 samples", [0, 2], "tells of 700 samples, but 600 follow"),
    ],
)
def test_a_damaged_trace_of_a_text_costs_no_other_one(tmp_path, format_name, old, new, left, told):
    """The second of three traces is damaged."""
    samples = three_traces(tmp_path / "x", format_name)
    content = (tmp_path / "x").read_bytes()
    at = content.index(old, content.index(old) + 1)
    (tmp_path / "x").write_bytes(content[:at] + new + content[at + len(old) :])
    found, losses = scan_samples(tmp_path / "x")
    assert any(re.search(told, line) for line in losses), losses
    for one, number in zip(found, left, strict=True):
        np.testing.assert_array_equal(one, samples[number])


@pytest.mark.parametrize(("format_name", "first"), [("SEGY", 3600), ("SU", 0)])
@pytest.mark.filterwarnings("ignore:CREATING TRACE HEADER")
def test_a_damaged_length_of_a_trace_costs_no_other_one(tmp_path, format_name, first):
    """All traces have one length, so those after the damaged one are found."""
    samples = three_traces(tmp_path / "x", format_name)
    content = bytearray((tmp_path / "x").read_bytes())
    at = first + 240 + 4 * 600 + 114
    content[at : at + 2] = b"\x01\x01"
    (tmp_path / "x").write_bytes(content)
    found, losses = scan_samples(tmp_path / "x")
    assert "trace 2 of 3 is left out: it is cut, or its header tells of another number" in losses[0]
    for one, number in zip(found, [0, 2], strict=True):
        np.testing.assert_array_equal(one, samples[number])


@pytest.mark.parametrize("format_name", ["GSE2", "SLIST", "TSPAIR", "SEGY"])
@pytest.mark.filterwarnings("ignore:CREATING TRACE HEADER")
def test_a_file_that_was_cut(tmp_path, format_name):
    """The traces before the cut are whole, and the samples of the last one are told."""
    samples = three_traces(tmp_path / "x", format_name)
    content = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(content[: len(content) - 700])
    found, losses = scan_samples(tmp_path / "x")
    assert "trace 3 of 3" in losses[0]
    for one, expected in zip(found[:2], samples, strict=False):
        np.testing.assert_array_equal(one, expected)
    assert sum(map(len, found)) < 1800


def test_lines_that_are_too_long_never_reach_the_library(tmp_path, monkeypatch):
    """ObsPy copies them beyond the end of a buffer."""
    three_traces(tmp_path / "x", "GSE2")
    content = (tmp_path / "x").read_bytes()
    at = content.index(b"\n", content.index(b"DAT2") + 5)
    (tmp_path / "x").write_bytes(content[:at] + content[at + 1 :])
    seen = []
    read = salvage._read
    monkeypatch.setattr(salvage, "_read", lambda file, *rest, **more: seen.append(file) or read(file, *rest, **more))
    found, losses = scan_samples(tmp_path / "x")
    assert len(found) == len(seen) == 2
    assert "trace 1 of 3" in losses[0]


@pytest.mark.filterwarnings("ignore")
def test_lines_of_numbers_may_be_long():
    """Files of GSE that come with ObsPy are read whole, compressed or not."""
    files = [path for path in SHIPPED if path.parts[-4] == "gse2" and path.read_bytes()[:3] == b"WID"]
    assert len(files) > 5
    for path in files:
        try:
            expected = obspy.read(str(path), verify_chksum=False)
        except Exception:  # ObsPy cannot read them either
            continue
        assert [segment.n for segment in traces.scan(path).segments] == [len(one.data) for one in expected], path


def test_miniseed_in_an_archive_is_read_like_a_file(tmp_path):
    """A damaged header and a record that cannot be decoded each cost a record; the segment keeps its times."""
    one, buffer = trace(4000), io.BytesIO()
    one.write(buffer, format="MSEED", encoding="STEIM2", reclen=512)
    content = bytearray(buffer.getvalue())
    content[512 + 54] = 24
    content[4 * 512 + 64 : 4 * 512 + 128] = b"\xff" * 64
    (tmp_path / "x").write_bytes(content)
    (tmp_path / "x.gz").write_bytes(gzip.compress(content))
    found = traces.scan(tmp_path / "x.gz")
    assert len(found.losses) == 2
    assert "impossible" in found.losses[0]
    assert "samples are lost: they cannot be decoded" in found.losses[1]
    left = 0
    for segment in found.segments:
        first = round((segment.start_ns - START.ns) / 1e7)
        np.testing.assert_array_equal(traces.fetch_samples(segment), one.data[first : first + segment.n])
        left += segment.n
    assert 4000 > left > 4000 - 1300


def test_a_first_header_that_is_damaged_does_not_hide_the_file(tmp_path):
    """The records after it show that it is miniSEED."""
    one, buffer = trace(4000), io.BytesIO()
    one.write(buffer, format="MSEED", encoding="STEIM2", reclen=512)
    (tmp_path / "x").write_bytes(b"x" + buffer.getvalue()[1:])
    assert traces.sniff(tmp_path / "x")
    found, losses = scan_samples(tmp_path / "x")
    assert "512 bytes hold no record" in losses[0]
    np.testing.assert_array_equal(found[0], one.data[-len(found[0]) :])


@pytest.mark.parametrize("format_name", ["GSE2", "SLIST", "TSPAIR", "SH_ASC", "SAC"])
def test_second_60_is_the_first_of_the_next_minute(tmp_path, format_name):
    """As in a leap second, or after rounding; texts tell of it."""
    one = trace(100, start=START + 59, dtype=np.int32 if format_name not in ("SH_ASC", "SAC") else np.float32)
    one.write(str(tmp_path / "x"), format=format_name)
    content = bytearray((tmp_path / "x").read_bytes())
    at = content.find(b"00:00:59") + 6 if format_name != "SAC" else 296
    content[at : at + 2] = b"60" if format_name != "SAC" else b"\x3c\0"
    (tmp_path / "x").write_bytes(content)
    found = traces.scan(tmp_path / "x")
    assert found.segments[0].start_ns == (START + 60).ns
    assert found.losses == ()
    assert len(found.notes) == (format_name != "SAC")
