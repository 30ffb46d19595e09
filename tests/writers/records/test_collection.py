"""Tests of geoae.writers.records.collection: formats that ObsPy writes at once."""

from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import Stream

from geoae.errors import InputError, OutputExistsError
from geoae.labels.segments import Segment
from geoae.writers.records.traces import TraceWriter, supported_formats
from tests.support.segments import START_NS, listing, put, samples, segment


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
    kept = {"GSE2": lambda stats: stats.gse2.lat, "AH": lambda stats: stats.ah.station.latitude}[format_name]
    assert kept(back.stats) == kept(trace.stats)


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
