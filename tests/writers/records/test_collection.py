"""Tests of geoae.writers.records.collection: formats that ObsPy writes at once."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import Stream

from geoae.errors import InputError, OutputExistsError
from geoae.labels.segments import Segment
from geoae.writers.records.traces import TraceWriter, supported_formats
from tests.support.segments import START_NS, header_of, listing, put, samples, segment


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("format_name", supported_formats())
def test_every_format_reads_back(tmp_path, format_name, dtype):
    """Three channels of any dtype come back with their number of samples and values, rounded where it must be."""
    start_ns = 1_583_020_799_000_000_000  # GCF begins on whole seconds
    pieces = [segment(1000, i, channel, start_ns) for i, channel in enumerate(("HHE", "HHN", "HHZ"))]
    if format_name == "GCF":  # stations of three letters get a fourth one
        pieces = [replace(piece, id=piece.id.replace("ABC", "ABCD")) for piece in pieces]
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
        if dtype == np.float32 and format_name in ("AH", "Q", "SAC", "SEGY", "SU"):
            np.testing.assert_array_equal(trace.data, samples(1000, dtype, seed=i))
        assert trace.stats.starttime.ns == start_ns
        assert trace.stats.sampling_rate == pytest.approx(100)


def test_parts_of_a_segment_that_touch_are_one_trace(tmp_path):
    """A drifting clock divides a segment; formats with one start time for a trace get one trace, and gaps stay."""
    first = segment(1000)
    second = replace(first, start_ns=first.start_ns + 10_004_000_000, n=500)  # less than half a sample late
    third = replace(first, start_ns=first.start_ns + 20 * 10**9, n=200)
    pieces = [(first, samples(1000)), (second, samples(500, seed=1)), (third, samples(200, seed=2))]
    with TraceWriter(tmp_path / "x.slist", "SLIST") as writer:
        for piece, data in pieces:
            put(writer, piece, data)
    stream = obspy.read(tmp_path / "x.slist")
    assert [len(one.data) for one in stream] == [1500, 200]
    np.testing.assert_allclose(stream[0].data, np.concatenate([samples(1000), samples(500, seed=1)]), rtol=1e-5)


def test_formats_of_integers_refuse_nan(tmp_path):
    """NaN cannot be rounded; the message proposes an encoding."""
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
def test_headers_about_samples_are_updated(tmp_path, name, format_name):
    """Uncompressed GSE2 becomes compressed, and the start of an AH trace moves; other headers are kept."""
    (path,) = Path(obspy.__file__).parent.glob(f"io/*/tests/data/**/{name}")
    trace = obspy.read(path)[0]
    start_ns = trace.stats.starttime.ns + 2_250_000_000
    piece = Segment(trace.id, start_ns, trace.stats.sampling_rate, 200, 0, None, None)
    with TraceWriter(tmp_path / "x", format_name) as writer:
        writer.put(piece, 0, trace.data[:200], trace.stats)
    (back,) = obspy.read(tmp_path / "x")
    np.testing.assert_array_equal(back.data, trace.data[:200])
    assert abs(back.stats.starttime.ns - start_ns) < 5000  # AH has float32 seconds
    if format_name == "GSE2":
        assert back.stats.gse2.lat == trace.stats.gse2.lat
    else:
        assert back.stats.ah.station == trace.stats.ah.station
        assert len(back.stats.ah.station.poles) > 0


SECOND = 1_583_020_799_000_000_000


@pytest.mark.parametrize(
    ("format_name", "changes", "reason"),
    [
        ("SU", {"n": 32768}, "at most 32767 samples"),
        ("SU", {"rate_hz": 20.0}, "at most 32767 samples"),
        ("SU", {"rate_hz": 60.0}, "rate comes back as 59.9988"),
        ("SU", {"start_ns": SECOND + 123_000_000}, "start comes back 0.123 s too early"),
        ("SEGY", {"rate_hz": 20.0}, "as many microseconds"),
        ("SEGY", {"rate_hz": 512.0}, "rate comes back as 512.032"),
        ("SEGY", {"start_ns": SECOND + 123_000_000}, "start comes back 0.123 s too early"),
        ("SAC", {"id": "XX.ABCDEFGHI.00.HHZ"}, "id comes back as XX.ABCDEFGH.00.HHZ"),
        ("SAC", {"rate_hz": 512.0}, "rate comes back as 512.032"),
        ("SACXY", {"id": "NETWORK12.ABC..HHZ"}, "id comes back as NETWORK1"),
        ("GSE2", {"id": "XX.ABCDEF.00.HHZ"}, "cannot be read back"),
        ("GSE2", {"id": "XX.ABC.00.HHZZ"}, "cannot be read back"),
        ("GSE2", {"id": "XX.ABC.00.hhz"}, "id comes back as XX.ABC..HHZ"),
        ("SLIST", {"id": "XX.ABC.00.H Z"}, "cannot be read back"),
        ("SLIST", {"id": "XX.A_C.00.HHZ"}, "id comes back as XX.A.C.00"),
        ("TSPAIR", {"id": "XX.A C.00.HHZ"}, "cannot be read back"),
        ("AH", {"id": "XX.ABCDEFG.00.HHZ"}, "id comes back as .ABCDEF..HHZ"),
        ("Q", {"id": "XX.ABC.00.HHZZ"}, "id comes back as .ABC..HHZ"),
        ("SH_ASC", {"id": "XX.ABC.00.H Z"}, "cannot be read back"),
        ("GCF", {}, "id comes back as .ABCX..HHZ"),
    ],
)  # fmt: skip
def test_what_does_not_come_back_is_refused(tmp_path, format_name, changes, reason):
    """Alone it is an error; beside another trace it is left out and named, and the other one is written."""
    good = replace(segment(500, 1, "HHE", SECOND), id="XX.ABCD.00.HHE")
    bad = replace(segment(500, 0, "HHZ", SECOND), **changes)
    with pytest.raises(InputError, match=reason), TraceWriter(tmp_path / "alone", format_name) as writer:
        put(writer, bad, samples(bad.n))
    assert listing(tmp_path) == []
    with TraceWriter(tmp_path / "both", format_name) as writer:
        for piece in (good, bad):
            put(writer, piece, samples(piece.n))
    assert list(writer.refused) == [bad]
    assert reason in writer.refused[bad]
    found = [trace for path in writer.written if path.suffix != ".QBN" for trace in obspy.read(path)]
    assert [trace.stats.npts for trace in found] == [500]
    np.testing.assert_allclose(found[0].data, samples(500), rtol=1e-6, atol=0.5)


@pytest.mark.parametrize(
    ("format_name", "rate_hz", "found_hz"),
    [("SEGY", 250.00002, 250), ("SU", 250.00002, 250), ("SAC", 1000.00006, 1000)],
)
def test_rates_are_kept_to_single_precision(tmp_path, format_name, rate_hz, found_hz):
    """The interval is rounded to microseconds, not cut."""
    with TraceWriter(tmp_path / "x", format_name) as writer:
        put(writer, segment(500, start_ns=SECOND, rate_hz=rate_hz), samples(500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ObsPy rounds the interval of SAC to microseconds
        assert obspy.read(tmp_path / "x")[0].stats.sampling_rate == pytest.approx(found_hz, rel=1e-12)


def test_what_a_format_has_no_place_for_is_a_note(tmp_path):
    """Codes, and microseconds of the start, which are rounded; two ids that become one are refused."""
    start_ns = START_NS + 300_000  # 0.123756 s
    pieces = [segment(500, 0, start_ns=start_ns), replace(segment(500, 1), id="XX.ABC.10.HHZ")]
    with TraceWriter(tmp_path / "x", "GSE2") as writer:
        put(writer, pieces[0], samples(500))
    place, start = writer.notes
    assert place == "GSE2 has no place for location codes: XX.ABC.00.HHZ comes back as XX.ABC..HHZ. MSEED keeps them."
    assert "to the millisecond" in start
    assert obspy.read(tmp_path / "x")[0].stats.starttime.ns == pytest.approx(start_ns, abs=500_000)
    with TraceWriter(tmp_path / "y", "GSE2") as writer:
        for piece in pieces:
            put(writer, piece, samples(500))
    assert list(writer.refused) == [pieces[1]]


def test_copies_are_not_changed(tmp_path):
    """float32 holds 2**24 but not 2**30 + 7; text has too few digits for a small signal on an offset."""
    large, small = np.full(500, 2**30 + 7, np.int32), np.full(500, 2**24, np.int32)
    pieces = [segment(500, 0, "HHE"), segment(500, 1, "HHZ")]
    with TraceWriter(tmp_path / "x", "AH") as writer:
        for piece, data in zip(pieces, (large, small), strict=True):
            writer.put_copy(piece, data, header_of(piece))
    assert list(writer.refused) == [pieces[0]]
    np.testing.assert_array_equal(obspy.read(tmp_path / "x")[0].data, small)
    with TraceWriter(tmp_path / "y", "SLIST") as writer:
        for piece, data in zip(pieces, (large, small), strict=True):
            writer.put_copy(piece, data, header_of(piece))
    np.testing.assert_array_equal(obspy.read(tmp_path / "y")[0].data, large)
    offset = 1e7 + samples(500, np.float64) / 1000
    with pytest.raises(InputError, match="error of"), TraceWriter(tmp_path / "z", "SACXY") as writer:
        put(writer, pieces[0], offset)


OFFSET = 2.0**30 + 2.0**25  # the spacing of float32 is 128: rounding errors of 37 (rms)


@pytest.mark.parametrize(
    ("rms", "as_copy", "held"), [(3000, False, False), (4500, False, True), (1e7, True, False), (1e8, True, True)]
)
def test_errors_of_samples_have_limits(tmp_path, rms, as_copy, held):
    """1 % of the standard deviation, and a millionth for copies, also if one part of a trace is a copy."""
    data = OFFSET + rms * samples(3000, np.float64) / 1000
    first = segment(1000)
    second = replace(first, start_ns=first.start_ns + 10_000_000_000, n=2000)
    writer = TraceWriter(tmp_path / "x.sac", "SAC")
    put(writer, first, data[:1000])
    if as_copy:
        writer.put_copy(second, data[1000:], header_of(second))
    else:
        put(writer, second, data[1000:])
    if held:
        writer.close()
        np.testing.assert_array_equal(obspy.read(tmp_path / "x.sac")[0].data, data.astype(np.float32))
    else:
        with pytest.raises(InputError, match="with an error of 37"):
            writer.close()


def test_miniseed_keeps_double_precision_where_it_is_needed(tmp_path):
    """In place of another format, samples that float32 blurs by more than 1 % are float64."""
    with TraceWriter(tmp_path / "x.sac", "SAC", otherwise="x.mseed") as writer:
        for i, rms in enumerate((3000, 4500)):
            put(writer, segment(1000, i, f"HH{i}"), OFFSET + rms * samples(1000, np.float64) / 1000)
        put(writer, segment(2, 2, "HH2"), np.array([0.0, 1e39]))
    assert [trace.data.dtype for trace in obspy.read(tmp_path / "x.mseed")] == [np.float64, np.float32, np.float64]


def test_miniseed_takes_the_place_of_a_format_that_refuses_a_trace(tmp_path):
    """The note tells the reason of the first one."""
    with TraceWriter(tmp_path / "x.su", "SU", otherwise="x.mseed") as writer:
        put(writer, segment(500, rate_hz=60.0), samples(500))
    assert writer.written == (tmp_path / "x.mseed",)
    assert "rate comes back as 59.9988" in writer.notes[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_miniseed_takes_the_place_of_a_format(tmp_path, dtype):
    """Under the other name, with a note; copies keep their type, and float32 is enough for the rest."""
    pieces = [segment(500, 0, "HHE"), segment(500, 1, "HHZ")]
    with TraceWriter(tmp_path / "x.sac", "SAC", otherwise="x.mseed") as writer:
        put(writer, pieces[0], samples(500))
        writer.put_copy(pieces[1], samples(500, dtype), header_of(pieces[1]))
    assert writer.written == (tmp_path / "x.mseed",)
    assert writer.format == "MSEED"
    (note,) = writer.notes
    assert note == "x.sac: SAC cannot hold it (it holds one trace a file, and there are 2), so x.mseed is MSEED."
    assert [trace.data.dtype for trace in obspy.read(tmp_path / "x.mseed")] == [np.float32, dtype]


def test_errors_of_obspy_become_input_errors(tmp_path):
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
