"""Promises of the trace writer: ObsPy reads back what was put, and an output is whole or not there."""

import errno
import io
import os
import stat
import subprocess
import sys
import textwrap
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import Stream, Trace, UTCDateTime
from obspy.core import Stats

from geoae.errors import InputError, OutputError, OutputExistsError
from geoae.labels.segments import Segment
from geoae.writers.records import mseed as records
from geoae.writers.records.encodings import RecordHeader, pack_records, rate_fields
from geoae.writers.records.traces import TraceWriter, supported_formats

START_NS = 1_583_020_799_123_456_000  # 2020-02-29T23:59:59.123456Z
SOURCE = Path("source.mseed")


def segment(n, order=0, channel="HHZ", start_ns=START_NS, rate_hz=100.0, source=SOURCE, text=False):
    return Segment(f"XX.ABC.00.{channel}", start_ns, rate_hz, n, order, source, None, text)


def header_of(piece, **more):
    network, station, location, channel = piece.id.split(".")
    ids = {"network": network, "station": station, "location": location, "channel": channel}
    times = {"starttime": UTCDateTime(ns=piece.start_ns), "sampling_rate": piece.rate_hz}
    return Stats({**ids, **times, **more})


def samples(n, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).normal(size=n) * 1000).astype(dtype)


def put(writer, piece, data, block=None, **more):
    """Put a whole segment, in blocks."""
    for start in range(0, len(data), block or max(len(data), 1)):
        writer.put(piece, start, data[start : start + (block or len(data))], header_of(piece, **more))


def listing(folder):
    """All names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


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
    """Channels that take turns, in blocks of any size, come back without seams and bit for bit."""
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


@given(rate_hz=st.one_of(st.floats(1e-4, 1e5), st.sampled_from([99.9999, 0.1, 50_000.0, 65_537.0, 1e-4, 18.2])))
@settings(max_examples=150)
def test_any_rate_survives_to_single_precision_and_never_splits_a_trace(scratch, rate_hz):
    """The rate comes back to float32 rounding, or better, and many records of it join to one trace."""
    piece, data = segment(6000, rate_hz=rate_hz), samples(6000)
    with TraceWriter(scratch / "rate.mseed", overwrite=True) as writer:
        put(writer, piece, data, block=2500)
    (trace,) = obspy.read(scratch / "rate.mseed")
    assert trace.stats.sampling_rate == pytest.approx(rate_hz, rel=2.0**-24)
    np.testing.assert_array_equal(trace.data, data)


@pytest.mark.parametrize(
    "rate_hz", [1.0, 62.5, 1 / 3, 0.1, 18.2, 31.25, 32_767.0, 50_000.0, 1e-5, 1e6, 2 / 7, 65_537.0]
)
def test_rates_that_the_header_can_hold_are_exact(scratch, rate_hz):
    """Whole numbers, their ratios and their inverses come back without any rounding."""
    with TraceWriter(scratch / "exact.mseed", overwrite=True) as writer:
        put(writer, segment(10, rate_hz=rate_hz), samples(10))
    assert obspy.read(scratch / "exact.mseed")[0].stats.sampling_rate == rate_hz


@pytest.mark.parametrize("encoding", [None, "STEIM2"])
@given(start_us=st.integers(-2_000_000_000_000_000, 4_000_000_000_000_000))
@settings(max_examples=60)
def test_starts_survive_to_the_microsecond(scratch, encoding, start_us):
    """Any microsecond between 1906 and 2096 comes back."""
    piece = segment(5, start_ns=1000 * start_us)
    with TraceWriter(scratch / "start.mseed", overwrite=True, encoding=encoding) as writer:
        put(writer, piece, samples(5, np.int32))
    assert obspy.read(scratch / "start.mseed")[0].stats.starttime.ns == 1000 * start_us


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int16])
def test_records_are_those_of_obspy(dtype):
    """Bytes are those of ObsPy's own writer, but for blockette 1000, which comes first here and second there."""
    x = samples(5000, dtype)
    encoding = {"f4": "FLOAT32", "f8": "FLOAT64", "i4": "INT32", "i2": "INT16"}[x.dtype.str[1:]]
    head = RecordHeader("XX", "ABC", "", "HHZ", "R", 62.5, START_NS, encoding, 4096)
    ids = {"network": "XX", "station": "ABC", "channel": "HHZ"}
    more = {"dataquality": "R", "blkt1001": {"timing_quality": 0}}
    header = {**ids, "sampling_rate": 62.5, "starttime": UTCDateTime(ns=START_NS), "mseed": more}
    buffer = io.BytesIO()
    Stream([Trace(x, header)]).write(buffer, format="MSEED", encoding=head.encoding)
    theirs = np.frombuffer(buffer.getvalue(), np.uint8).reshape(-1, 4096).copy()
    theirs[:, 48:64] = np.concatenate([theirs[:, 56:64], theirs[:, 48:56]], axis=1)
    theirs[:, 50:52], theirs[:, 58:60] = [0, 56], [0, 0]
    np.testing.assert_array_equal(pack_records(head, 0, x, sequence=1), theirs)


def test_gaps_and_overlaps_come_back_in_their_order(tmp_path):
    """Overlapping segments of one id that take turns stay apart, each with its own samples."""
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
    """Segments that continue each other hold all samples in order, whatever order they came in."""
    x = samples(3000)
    pieces = [segment(1000, i, start_ns=START_NS + i * 10_000_000_000) for i in range(3)]
    with TraceWriter(tmp_path / "a.mseed") as writer:
        for i in (2, 0, 1):
            put(writer, pieces[i], x[1000 * i : 1000 * (i + 1)], block=130)
    stream = obspy.read(tmp_path / "a.mseed")
    np.testing.assert_array_equal(np.concatenate([trace.data for trace in stream]), x)
    assert stream[0].stats.starttime.ns == START_NS


def test_many_short_segments_come_back(tmp_path):
    """Hundreds of segments on three channels, put by time, are read channel by channel with their gaps."""
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
    """Segments of a second source follow those of the first, though both count from 0."""
    with TraceWriter(tmp_path / "s.mseed") as writer:
        for source, channel in ((Path("b"), "HHZ"), (Path("a"), "HHE")):
            put(writer, segment(500, 0, channel, source=source), samples(500))
    assert [trace.stats.channel for trace in obspy.read(tmp_path / "s.mseed")] == ["HHZ", "HHE"]


def test_files_too_large_for_one_go_have_no_seams(tmp_path, monkeypatch):
    """Beyond the size that ObsPy reads at once, channels are laid one after the other."""
    monkeypatch.setattr(records, "_READ_AT_ONCE", 40_960)
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
    """The quality letter is kept, short segments take short records, and sequence numbers run through the file."""
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


@pytest.mark.parametrize("encoding", ["INT32", "STEIM1", "STEIM2"])
def test_integer_encodings_round_on_purpose(tmp_path, encoding):
    """Float samples come back as the nearest integers, in one trace whatever the blocks."""
    x = samples(200_000) * 10
    with TraceWriter(tmp_path / "i.mseed", encoding=encoding) as writer:
        put(writer, segment(200_000, rate_hz=99.9999), x, block=30_000)
    (trace,) = obspy.read(tmp_path / "i.mseed")
    assert trace.stats.mseed.encoding == encoding
    assert trace.data.dtype == np.int32
    np.testing.assert_array_equal(trace.data, np.rint(x))


@pytest.mark.parametrize(("low", "high"), [(-(2**31), 2**31 - 1), (0, 2**31 - 1)])
def test_steim1_holds_every_step_between_integers(tmp_path, low, high):
    """Steps from one end of the 32-bit range to the other come back."""
    x = np.array([low, high] * 300, np.int32)
    with TraceWriter(tmp_path / "i.mseed", encoding="STEIM1") as writer:
        put(writer, segment(600), x)
    np.testing.assert_array_equal(obspy.read(tmp_path / "i.mseed")[0].data, x)


@pytest.mark.parametrize("step", [2**29 - 1, -(2**29)])
def test_steim2_holds_steps_of_30_bits_and_says_when_there_are_larger(tmp_path, step):
    """The largest step comes back; one more is an error that proposes FLOAT32."""
    x = np.array([0, step, 0] if step > 0 else [-step, 0], np.int32)[:2]
    with TraceWriter(tmp_path / "i.mseed", encoding="STEIM2") as writer:
        put(writer, segment(2), x)
    np.testing.assert_array_equal(obspy.read(tmp_path / "i.mseed")[0].data, x)
    with pytest.raises(InputError, match=r"30 bits.*FLOAT32"), TraceWriter(tmp_path / "j", encoding="STEIM2") as writer:
        put(writer, segment(2), x + np.sign(x) * (x != 0).astype(np.int32))


@pytest.mark.parametrize(
    ("value", "encoding", "dtype"),
    [
        (np.nan, "INT32", "f4"),
        (np.inf, "STEIM2", "f8"),
        (3e9, "STEIM1", "f4"),
        (2**31, "INT32", "f4"),
        (40_000, "INT16", "i4"),
    ],
)
def test_what_an_integer_encoding_cannot_hold_is_an_error(tmp_path, value, encoding, dtype):
    """NaN, infinite and too large samples are refused with a way out, and nothing is written."""
    with pytest.raises(InputError, match="FLOAT32"), TraceWriter(tmp_path / "n.mseed", encoding=encoding) as writer:
        put(writer, segment(3), np.array([0, value, 0], dtype))
    assert listing(tmp_path) == []


def test_values_beyond_float32_are_an_error_when_float32_was_asked_for(tmp_path):
    """1e300 is not turned into infinity; infinity itself passes."""
    with pytest.raises(InputError, match="FLOAT64"), TraceWriter(tmp_path / "n.mseed", encoding="FLOAT32") as writer:
        put(writer, segment(2), np.array([0.0, 1e300]))
    with TraceWriter(tmp_path / "n.mseed", encoding="FLOAT32") as writer:
        put(writer, segment(3), np.array([0.0, np.inf, np.nan]))
    np.testing.assert_array_equal(obspy.read(tmp_path / "n.mseed")[0].data, [0, np.inf, np.nan])


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (np.array([1, -(2**31)], np.int64), "INT32"),
        (np.array([1, 2**31], np.int64), "FLOAT64"),
        (np.array([0, 2**32 - 1], np.uint32), "FLOAT64"),
        (np.array([0, 255], np.uint8), "INT16"),
        (np.array([0, 0.5], np.float16), "FLOAT32"),
    ],
)
def test_other_dtypes_take_an_encoding_that_holds_them(tmp_path, data, encoding):
    """Also when the value that decides comes in the second block."""
    with TraceWriter(tmp_path / "d.mseed") as writer:
        put(writer, segment(2), data, block=1)
    (trace,) = obspy.read(tmp_path / "d.mseed")
    assert trace.stats.mseed.encoding == encoding
    np.testing.assert_array_equal(trace.data, data)


def test_complex_samples_are_refused(tmp_path):
    """Neither miniSEED nor another format takes them."""
    for format_name in ("MSEED", "SLIST"):
        with pytest.raises(InputError, match="complex"), TraceWriter(tmp_path / "c", format_name) as writer:
            put(writer, segment(2), np.ones(2, complex))


def test_ids_without_room_are_an_error(tmp_path):
    """A station code of six letters is not cut short."""
    piece = Segment("XX.ABCDEF..HHZ", START_NS, 100.0, 2, 0, None, None)
    with pytest.raises(InputError, match=r"station.*ABCDEF"), TraceWriter(tmp_path / "i.mseed") as writer:
        put(writer, piece, samples(2))


def test_ready_made_records_are_passed_on_verbatim(tmp_path):
    """Bytes of text and data records stand in the output as they were, at their place."""
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


@pytest.mark.parametrize("format_name", ["MSEED", "SLIST"])
def test_a_segment_can_be_begun_anew(tmp_path, format_name):
    """After an error inside a segment its start may be put again; what came before is gone."""
    first, second = segment(9000, 0, "HHE"), segment(9000, 1)
    with TraceWriter(tmp_path / "r", format_name) as writer:
        put(writer, first, samples(9000, seed=1))
        writer.put(second, 0, samples(4000), header_of(second))
        with pytest.raises(InputError, match="expected samples"):
            writer.put(second, 4001, samples(100), header_of(second))
        put(writer, second, samples(9000, seed=2), block=2000)
    stream = obspy.read(tmp_path / "r")
    for trace, seed in zip(stream, (1, 2), strict=True):
        np.testing.assert_allclose(trace.data, samples(9000, seed=seed), rtol=1e-7)


def test_a_segment_can_be_passed_on_after_all(tmp_path):
    """Records put in place of a half-written segment are all that remains of it."""
    piece, x = segment(9000), samples(9000, seed=3)
    buffer = io.BytesIO()
    Stream([Trace(x, {**header_of(piece), "npts": 9000})]).write(buffer, format="MSEED")
    with TraceWriter(tmp_path / "p.mseed") as writer:
        writer.put(piece, 0, samples(4000), header_of(piece))
        writer.put_raw(piece, buffer.getvalue())
    assert (tmp_path / "p.mseed").read_bytes() == buffer.getvalue()


def test_segments_without_samples_are_skipped_and_named(tmp_path):
    """They cannot be held; the others are written."""
    empty = segment(0, 1)
    with TraceWriter(tmp_path / "e.mseed") as writer:
        put(writer, segment(5), samples(5))
        writer.put(empty, 0, samples(0), header_of(empty))
    assert writer.skipped == (empty,)
    assert len(obspy.read(tmp_path / "e.mseed")) == 1


def test_unfinished_or_missing_segments_are_errors_and_nothing_is_written(tmp_path):
    """A file never looks whole when samples are missing."""
    with pytest.raises(InputError, match="only 7 of 9"), TraceWriter(tmp_path / "u.mseed") as writer:
        put(writer, segment(9), samples(7))
    with pytest.raises(InputError, match="no samples"), TraceWriter(tmp_path / "u.mseed"):
        pass
    assert listing(tmp_path) == []


def test_long_segments_never_sit_in_memory(tmp_path):
    """Writing a hundred blocks takes the memory of a few."""
    piece, block = segment(10_000_000), samples(100_000)
    tracemalloc.start()
    with TraceWriter(tmp_path / "m.mseed") as writer:
        for start in range(0, piece.n, len(block)):
            writer.put(piece, start, block, header_of(piece))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * block.nbytes + 2**21
    assert (tmp_path / "m.mseed").stat().st_size > piece.n * 4


@pytest.mark.parametrize("format_name", ["MSEED", "SAC"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_behind(tmp_path, error, format_name):
    """Neither a new output nor a hidden file appears, and an existing output is as it was."""
    path = tmp_path / "x.out"

    def stop_in_the_middle(overwrite):
        with TraceWriter(path, format_name, overwrite=overwrite) as writer:
            writer.put(segment(5000), 0, samples(3000), header_of(segment(5000)))
            raise error

    def stop(overwrite):
        with pytest.raises(error):
            stop_in_the_middle(overwrite)

    stop(overwrite=False)
    assert listing(tmp_path) == []
    path.write_text("before")
    stop(overwrite=True)
    assert listing(tmp_path) == ["x.out"]
    assert path.read_text() == "before"


def test_an_existing_output_stays_until_the_new_one_is_whole(tmp_path):
    """Overwriting replaces the file in one step, through a link as well, and closing twice does no harm."""
    path, link = tmp_path / "x.mseed", tmp_path / "link.mseed"
    path.write_text("before")
    link.symlink_to(path)
    with pytest.raises(OutputExistsError, match=r"x\.mseed is there already"):
        TraceWriter(path)
    writer = TraceWriter(link, overwrite=True)
    put(writer, segment(5), samples(5))
    assert path.read_text() == "before"
    writer.close()
    writer.close()
    writer.abort()
    assert writer.written == (path.resolve(),)
    assert link.is_symlink()
    assert obspy.read(path)[0].stats.npts == 5
    assert listing(tmp_path) == ["link.mseed", "x.mseed"]
    with pytest.raises(InputError, match="closed"):
        put(writer, segment(5), samples(5))


def test_an_output_that_appears_meanwhile_is_not_lost(tmp_path):
    """What another program wrote under that name stays."""
    writer = TraceWriter(tmp_path / "x.mseed")
    put(writer, segment(5), samples(5))
    (tmp_path / "x.mseed").write_text("other")
    with pytest.raises(OutputExistsError):
        writer.close()
    assert listing(tmp_path) == ["x.mseed"]
    assert (tmp_path / "x.mseed").read_text() == "other"


@pytest.mark.parametrize("format_name", ["MSEED", "SAC"])
def test_permissions_are_those_of_any_new_file(tmp_path, format_name):
    """The bits follow from the umask, not from a temporary file."""
    before = os.umask(0o027)
    try:
        with TraceWriter(tmp_path / "x", format_name) as writer:
            put(writer, segment(5), samples(5))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_outputs_that_cannot_be_are_refused_at_once(tmp_path, monkeypatch):
    """A missing folder, a folder in place of a file, and a folder without permission, each before any work."""
    with pytest.raises(OutputError, match="make it first"):
        TraceWriter(tmp_path / "no" / "x.mseed")
    with pytest.raises(OutputError, match="not a file"):
        TraceWriter(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="not a file"):
        TraceWriter(Path("/dev/null"), overwrite=True)

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)  # root may write anywhere, so permission bits are no test
    with pytest.raises(OutputError, match="Permission denied"):
        TraceWriter(tmp_path / "x.mseed")


FULL_DISK = """
    import resource, sys, numpy as np
    from pathlib import Path
    from obspy import UTCDateTime
    from obspy.core import Stats
    from geoae.errors import OutputError
    from geoae.readers.records.arrange import Segment
    from geoae.writers.records.traces import TraceWriter

    path, format_name = Path(sys.argv[1]), sys.argv[2]
    piece = Segment("XX.ABC..HHZ", 0, 100.0, 2_000_000, 0, None, None)
    ids = {"network": "XX", "station": "ABC", "channel": "HHZ", "sampling_rate": 100.0, "starttime": UTCDateTime(0)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
    try:
        with TraceWriter(path, format_name, overwrite=True) as writer:
            for start in range(0, piece.n, 100_000):
                writer.put(piece, start, np.ones(100_000, np.float32), Stats(ids))
    except OutputError as error:
        print(error)
"""


@pytest.mark.parametrize("format_name", ["MSEED", "SAC"])
def test_a_file_that_cannot_grow_is_removed(tmp_path, format_name):
    """A limit on file size, met halfway, gives one clear error and leaves the old output alone."""
    path = tmp_path / "x.out"
    path.write_text("before")
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(path), format_name]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert "x.out cannot be written: File too large" in run.stdout
    assert run.stderr == ""
    assert listing(tmp_path) == ["x.out"]
    assert path.read_text() == "before"


@pytest.mark.parametrize("n", [5, 100_000])
def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch, n):
    """No space, found while writing or only when the last bytes leave the buffer, leaves nothing behind."""

    def no_space(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = TraceWriter(tmp_path / "x.mseed")
    monkeypatch.setattr(writer._sink, "_flush", no_space)
    with pytest.raises(OutputError, match="No space left on device"), writer:
        put(writer, segment(n), samples(n))
    assert listing(tmp_path) == []
    assert writer.written == ()


def test_formats_are_those_of_obspy_without_two(tmp_path):
    """Unknown names list the choices; WAV and pickles are refused with the reason."""
    assert {"MSEED", "SAC", "GSE2", "SEGY", "SLIST"} <= set(supported_formats())
    with pytest.raises(InputError, match=r"MSED.*GSE2.*MSEED.*SAC"):
        TraceWriter(tmp_path / "x", "MSED")
    with pytest.raises(InputError, match="neither ids nor times"):
        TraceWriter(tmp_path / "x", "wav")
    with pytest.raises(InputError, match="run code"):
        TraceWriter(tmp_path / "x", "PICKLE")
    for format_name, encoding in (("SAC", "FLOAT32"), ("MSEED", "STEIM3")):
        with pytest.raises(InputError, match=f"No encoding {encoding} for {format_name}"):
            TraceWriter(tmp_path / "x", format_name, encoding=encoding)
    assert listing(tmp_path) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("format_name", supported_formats())
def test_every_format_reads_back(tmp_path, format_name, dtype):
    """Three channels of any dtype come back with their number of samples and values, rounded where it must be."""
    start_ns = 1_583_020_799_000_000_000  # GCF begins on whole seconds
    pieces = [segment(1000, i, channel, start_ns) for i, channel in enumerate(("HHE", "HHN", "HHZ"))]
    with TraceWriter(tmp_path / "f.dat", format_name) as writer:
        for i, piece in enumerate(pieces):
            put(writer, piece, samples(1000, dtype, seed=i), block=300)
    assert list(writer.written) == sorted(tmp_path.iterdir())
    stream = Stream()
    for path in writer.written:
        if path.suffix != ".QBN":  # read with its .QHD
            stream += obspy.read(path)
    assert len(stream) == 3
    for i, trace in enumerate(stream):
        rounding = 0.5 if format_name in ("GCF", "GSE2") else 1e-3
        np.testing.assert_allclose(trace.data, samples(1000, dtype, seed=i), rtol=1e-6, atol=rounding)
        assert trace.stats.starttime.ns == start_ns
        assert trace.stats.sampling_rate == pytest.approx(100)


def test_formats_of_integers_refuse_what_has_none(tmp_path):
    """NaN cannot be rounded, and the message says what to choose."""
    with pytest.raises(InputError, match=r"GSE2.*NaN"), TraceWriter(tmp_path / "x.gse2", "GSE2") as writer:
        put(writer, segment(2), np.array([1, np.nan], np.float32))


def test_gse2_is_not_written_where_its_compression_overflows(tmp_path):
    """Large white noise would be cut off; it is an error, and noise of 17 bits comes back."""
    x = np.random.default_rng(0).integers(-(2**16), 2**16, 5000, np.int32)
    with TraceWriter(tmp_path / "x.gse2", "GSE2") as writer:
        put(writer, segment(5000), x)
    np.testing.assert_array_equal(obspy.read(tmp_path / "x.gse2")[0].data, x)
    with pytest.raises(InputError, match="too large"), TraceWriter(tmp_path / "y.gse2", "GSE2") as writer:
        put(writer, segment(5000), x * 256)


@pytest.mark.parametrize(("name", "format_name"), [("boa___00_07a.gse", "GSE2"), ("ah1.f", "AH")])
def test_what_the_input_said_of_its_samples_does_not_outlive_them(tmp_path, name, format_name):
    """Uncompressed GSE2 becomes compressed, and an AH start moves: headers of the input give way, the others stay."""
    (path,) = Path(obspy.__file__).parent.glob(f"io/*/tests/data/**/{name}")
    trace = obspy.read(path)[0]
    start_ns = trace.stats.starttime.ns + 2_250_000_000
    piece = Segment(trace.id, start_ns, trace.stats.sampling_rate, 200, 0, None, None)
    with TraceWriter(tmp_path / "x", format_name) as writer:
        writer.put(piece, 0, trace.data[:200], trace.stats)
    (back,) = obspy.read(tmp_path / "x")
    np.testing.assert_array_equal(back.data, trace.data[:200])
    assert abs(back.stats.starttime.ns - start_ns) < 5000  # AH has float32 seconds
    kept = {"GSE2": lambda stats: stats.gse2.lat, "AH": lambda stats: stats.ah.station.latitude}[format_name]
    assert kept(back.stats) == kept(trace.stats)


def test_what_obspy_refuses_is_our_error(tmp_path):
    """GCF cannot begin between seconds: ObsPy's reason is kept, and nothing is written."""
    writer = TraceWriter(tmp_path / "x.gcf", "GCF")
    put(writer, segment(10), samples(10))
    with pytest.raises(InputError, match=r"GCF cannot hold this.*fractional start"):
        writer.close()
    assert listing(tmp_path) == []


def sac_header():
    """Header of ObsPy's shipped SAC recording, with picks."""
    trace = obspy.read("/path/to/test.sac")[0]
    trace.stats.sac.update({"a": 12.5, "ka": "P", "t0": 30.25, "kt0": "S", "user0": 7.0})
    return trace


def test_sac_headers_are_kept_and_consistent(tmp_path):
    """One trace goes to the path itself, with picks, reference time, b, e and npts as they belong together."""
    trace = sac_header()
    n, start_ns = trace.stats.npts, trace.stats.starttime.ns
    piece = Segment(trace.id, start_ns, trace.stats.sampling_rate, n, 0, None, None)
    before = trace.stats.copy()
    with TraceWriter(tmp_path / "x.sac", "SAC") as writer:
        writer.put(piece, 0, samples(n), trace.stats)
    assert trace.stats == before
    assert writer.written == (tmp_path / "x.sac",)
    (back,) = obspy.read(tmp_path / "x.sac")
    np.testing.assert_array_equal(back.data, samples(n))
    changing = {"depmin", "depmax", "depmen"}
    for name in set(trace.stats.sac) - changing:
        assert back.stats.sac[name] == trace.stats.sac[name], name
    assert (back.id, back.stats.starttime, back.stats.npts) == (trace.id, trace.stats.starttime, n)


def test_sac_picks_stay_in_place_when_the_start_moves(tmp_path):
    """A piece cut from a recording keeps its reference time and picks, and begins later by b."""
    trace = sac_header()
    piece = Segment(trace.id, trace.stats.starttime.ns + 2_000_000_000, trace.stats.sampling_rate, 50, 0, None, None)
    with TraceWriter(tmp_path / "x.sac", "SAC") as writer:
        writer.put(piece, 0, samples(50), trace.stats)
    (back,) = obspy.read(tmp_path / "x.sac")
    assert back.stats.starttime == trace.stats.starttime + 2
    assert back.stats.sac.b == pytest.approx(trace.stats.sac.b + 2)
    assert back.stats.sac.e == pytest.approx(trace.stats.sac.b + 2 + 49 * trace.stats.delta)
    assert (back.stats.sac.npts, back.stats.sac.a, back.stats.sac.nzsec) == (50, 12.5, trace.stats.sac.nzsec)


def test_several_traces_for_sac_become_named_files(tmp_path):
    """Ids name the files, start times those that would clash, and all of them appear or none."""
    pieces = [segment(10, 0, "HHE"), segment(20, 1), segment(30, 2, start_ns=START_NS + 10**9), segment(40, 3)]
    names = [
        "x.XX.ABC.00.HHE.sac",
        "x.XX.ABC.00.HHZ.20200229T235959.123456Z.3.sac",
        "x.XX.ABC.00.HHZ.20200229T235959.123456Z.sac",
        "x.XX.ABC.00.HHZ.20200301T000000.123456Z.sac",
    ]

    def write():
        with TraceWriter(tmp_path / "x.sac", "SAC") as writer:
            for piece in pieces:
                put(writer, piece, samples(piece.n))
        return writer.written

    (tmp_path / names[2]).write_text("before")
    with pytest.raises(OutputExistsError, match="there already"):
        write()
    assert listing(tmp_path) == [names[2]]
    (tmp_path / names[2]).unlink()
    assert [path.name for path in write()] == listing(tmp_path) == names
    assert [obspy.read(tmp_path / name)[0].stats.npts for name in names] == [10, 40, 20, 30]


def test_when_the_last_of_several_files_fails_the_others_go_too(tmp_path, monkeypatch):
    """Renaming stops halfway: no file of the set remains."""
    real, calls = Path.replace, []

    def replace(self, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    writer = TraceWriter(tmp_path / "x.sac", "SAC")
    for i, channel in enumerate(("HHE", "HHN", "HHZ")):
        put(writer, segment(10, i, channel), samples(10))
    with pytest.raises(OutputError, match="Input/output error"):
        writer.close()
    assert len(calls) == 3
    assert listing(tmp_path) == []


def test_rate_fields_follow_the_seed_manual():
    """Positive numbers multiply, negative ones divide; float32 stands beside them where they come less close."""
    assert rate_fields(100.0) == (100, 1, None)
    assert rate_fields(62.5) == (125, -2, None)
    assert rate_fields(1 / 3) == (-3, 1, None)
    assert rate_fields(1e-5)[0] * rate_fields(1e-5)[1] == 100_000
    assert rate_fields(99.9999)[2] == np.float32(99.9999)
