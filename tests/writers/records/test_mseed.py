"""Tests of geoae.writers.records.mseed: segments in blocks that alternate come back as whole traces."""

import io
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import Stream, Trace, UTCDateTime

from geoae.errors import InputError
from geoae.writers.records import mseed
from geoae.writers.records.traces import TraceWriter
from tests.support.segments import START_NS, header_of, put, samples, segment


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("scratch")


@given(
    lengths=st.lists(st.integers(1, 3000), min_size=3, max_size=3),
    block=st.integers(1, 1500),
    dtype=st.sampled_from([np.int16, np.int32, np.float32, np.float64, ">f4", np.int64]),
)
@settings(max_examples=40)
def test_any_division_into_blocks_reads_back_as_one_trace_a_segment(scratch, lengths, block, dtype):
    """Alternating channels in blocks of any size come back as whole traces, bit for bit."""
    pieces = [segment(n, i, channel) for i, (n, channel) in enumerate(zip(lengths, ("HHZ", "HHN", "HHE"), strict=True))]
    data = [samples(n, dtype, seed=i) for i, n in enumerate(lengths)]
    with TraceWriter(scratch / "turns.mseed", overwrite=True) as writer:
        for start in range(0, max(lengths), block):
            for piece, x in zip(pieces[::-1], data[::-1], strict=True):
                if start < len(x):
                    writer.put(piece, start, x[start : start + block], header_of(piece))
    stream = obspy.read(scratch / "turns.mseed")
    assert [trace.id for trace in stream] == [piece.id for piece in pieces]
    for trace, x in zip(stream, data, strict=True):
        np.testing.assert_array_equal(trace.data, x)
        assert trace.stats.starttime.ns == START_NS
        assert trace.stats.sampling_rate == 100


def test_gaps_and_overlaps_come_back_in_their_order(tmp_path):
    """Overlapping segments of one id whose blocks alternate come back with their own samples."""
    second = 1_000_000_000
    starts_s = [0, 20, 15, 60]  # the third lies inside the second's time
    pieces = [segment(2000, i, start_ns=START_NS + s * second) for i, s in enumerate(starts_s)]
    data = [samples(2000, seed=i) for i in range(4)]
    pieces[1] = segment(1700, 1, start_ns=START_NS + 22 * second)
    data[1] = data[1][:1700]
    with TraceWriter(tmp_path / "o.mseed") as writer:
        for start in range(0, 2000, 300):
            for piece, x in zip(pieces, data, strict=True):
                if start < piece.n:
                    writer.put(piece, start, x[start : start + 300], header_of(piece))
    stream = obspy.read(tmp_path / "o.mseed")
    assert [trace.stats.starttime.ns for trace in stream] == [piece.start_ns for piece in pieces]
    for trace, x in zip(stream, data, strict=True):
        np.testing.assert_array_equal(trace.data, x)


def test_abutting_segments_join_as_obspy_joins_them(tmp_path):
    """Segments that continue each other come back in order, for any order of writing."""
    x = samples(3000)
    pieces = [segment(1000, i, start_ns=START_NS + i * 10_000_000_000) for i in range(3)]
    with TraceWriter(tmp_path / "a.mseed") as writer:
        for i in (2, 0, 1):
            put(writer, pieces[i], x[1000 * i : 1000 * (i + 1)], block=130)
    stream = obspy.read(tmp_path / "a.mseed")
    np.testing.assert_array_equal(np.concatenate([trace.data for trace in stream]), x)
    assert stream[0].stats.starttime.ns == START_NS


def test_many_short_segments_come_back(tmp_path):
    """Hundreds of segments on three channels, written by time, are read channel by channel with their gaps."""
    n, step_ns = 300, 5_000_000_000
    channels = ("HHE", "HHN", "HHZ")
    with TraceWriter(tmp_path / "g.mseed") as writer:
        for i in range(n):
            for row, channel in enumerate(channels):
                piece = segment(7 + i, row * n + i, channel, START_NS + i * step_ns)
                put(writer, piece, np.full(7 + i, i, np.float32))
    stream = obspy.read(tmp_path / "g.mseed")
    assert [(trace.stats.channel, trace.data[0], trace.stats.npts) for trace in stream] == [
        (channel, i, 7 + i) for channel in channels for i in range(n)
    ]


def test_sources_keep_their_order(tmp_path):
    """Segments of a second source follow those of the first, although their order starts at 0 again."""
    with TraceWriter(tmp_path / "s.mseed") as writer:
        for source, channel in ((Path("b"), "HHZ"), (Path("a"), "HHE")):
            put(writer, segment(500, 0, channel, source=source), samples(500))
    assert [trace.stats.channel for trace in obspy.read(tmp_path / "s.mseed")] == ["HHZ", "HHE"]


def test_channels_of_large_files_are_whole_traces(tmp_path, monkeypatch):
    """In files larger than ObsPy reads at once, channels are written one after the other."""
    monkeypatch.setattr(mseed, "_READ_AT_ONCE", 40_960)
    monkeypatch.setattr("obspy.io.mseed.core.LIBMSEED_MAX", 40_960 + 4096)
    pieces = [segment(40_000, i, channel) for i, channel in enumerate(("HHE", "HHN"))]
    x = samples(40_000)
    with TraceWriter(tmp_path / "l.mseed") as writer:
        for start in range(0, 40_000, 5000):
            for piece in pieces:
                writer.put(piece, start, x[start : start + 5000], header_of(piece))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In large file mode")
        stream = obspy.read(tmp_path / "l.mseed")
    assert [trace.stats.npts for trace in stream] == [40_000, 40_000]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_quality_record_length_and_numbers(tmp_path, order):
    """The quality letter is kept, short segments have short records, and sequence numbers are consecutive."""
    pieces = [segment(3000, order[0], "HHE"), segment(150, order[1], "HHN")]
    with TraceWriter(tmp_path / "q.mseed") as writer:
        for piece, quality in zip(pieces, "MQ", strict=True):
            put(writer, piece, samples(piece.n), mseed={"dataquality": quality})
    stream = obspy.read(tmp_path / "q.mseed")
    stream.sort()
    assert [trace.stats.mseed.dataquality for trace in stream] == ["M", "Q"]
    assert [trace.stats.mseed.record_length for trace in stream] == [4096, 512]
    content = (tmp_path / "q.mseed").read_bytes()
    lengths = [4096, 4096, 4096, 512, 512] if order[0] == 0 else [512, 512, 4096, 4096, 4096]
    starts = [sum(lengths[:i]) for i in range(5)]
    assert sum(lengths) == len(content)
    assert [content[start : start + 7] for start in starts] == [
        f"{i + 1:06}{'M' if length == 4096 else 'Q'}".encode() for i, length in enumerate(lengths)
    ]


def test_records_can_be_copied(tmp_path):
    """Text and data records are in the output unchanged, in the order of segments."""
    text = Trace(np.frombuffer(b"clock locked" * 20, "S1"), {"network": "XX", "station": "ABC", "channel": "LOG"})
    text.stats.starttime = UTCDateTime(ns=START_NS)
    buffer = io.BytesIO()
    Stream([text]).write(buffer, format="MSEED", reclen=512)
    log = segment(0, 1, "LOG", rate_hz=0.0, text=True)
    with TraceWriter(tmp_path / "t.mseed") as writer:
        put(writer, segment(2000, 2), samples(2000))
        writer.put_raw(log, buffer.getvalue())
        put(writer, segment(2000, 0, "HHE"), samples(2000))
    assert buffer.getvalue() in (tmp_path / "t.mseed").read_bytes()
    assert [trace.stats.channel for trace in obspy.read(tmp_path / "t.mseed")] == ["HHE", "LOG", "HHZ"]
    with pytest.raises(InputError, match="only be copied to MSEED"), TraceWriter(tmp_path / "t.sac", "SAC") as writer:
        writer.put_raw(log, buffer.getvalue())
    with pytest.raises(InputError, match="miniSEED data record"), TraceWriter(tmp_path / "u.mseed") as writer:
        writer.put_raw(log, b"no records")


def test_copied_records_replace_written_samples(tmp_path):
    """They replace a half-written segment completely."""
    piece, x = segment(9000), samples(9000, seed=3)
    buffer = io.BytesIO()
    Stream([Trace(x, {**header_of(piece), "npts": 9000})]).write(buffer, format="MSEED")
    with TraceWriter(tmp_path / "p.mseed") as writer:
        writer.put(piece, 0, samples(4000), header_of(piece))
        writer.put_raw(piece, buffer.getvalue())
    assert (tmp_path / "p.mseed").read_bytes() == buffer.getvalue()


def test_long_segments_are_not_held_in_memory(tmp_path):
    """Writing a hundred blocks needs the memory of a few."""
    piece, block = segment(10_000_000), samples(100_000)
    tracemalloc.start()
    with TraceWriter(tmp_path / "m.mseed") as writer:
        for start in range(0, piece.n, len(block)):
            writer.put(piece, start, block, header_of(piece))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * block.nbytes + 2**21
    assert (tmp_path / "m.mseed").stat().st_size > piece.n * 4
