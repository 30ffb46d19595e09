"""Recordings come out of files as ObsPy holds them, block by block, with one clear line where they cannot."""

import gzip
import io
import os
import pickle
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import Stream, Trace, UTCDateTime

import geoae.readers as readers
from geoae.errors import DamagedFileError, InputError, UnknownFormatError, UnknownNameError
from geoae.labels.timeaxis import TimeIndex
from geoae.readers.records import mseed, mseed_headers, traces, whole
from geoae.readers.records.arrange import arrange_records

SHIPPED = sorted(
    path
    for path in Path(obspy.__file__).parent.glob("**/tests/data/**/*")
    if path.is_file() and path.stat().st_size < 500_000
)
MINISEED = [path for path in SHIPPED if mseed_headers.is_miniseed(path.read_bytes()[:48])]
START = UTCDateTime(2020, 1, 1)


def trace(n=5000, channel="HHZ", start=START, rate=100.0, seed=0, dtype=np.int32):
    samples = np.cumsum(np.random.default_rng(seed).integers(-50, 51, n)).astype(dtype)
    header = {"network": "XX", "station": "AB", "location": "00", "channel": channel}
    return Trace(samples, {**header, "starttime": start, "sampling_rate": rate})


def interleaved(path, n_channels=3, reclen=512, n=20_000, gap_every=0):
    """Write channels whose records alternate in the file, as data loggers do."""
    buffers = []
    stream = Stream()
    for k in range(n_channels):
        whole = trace(n, "HH" + "ENZ12"[k], seed=k)
        cuts = range(0, n, gap_every or n)
        pieces = Stream([whole.slice(START + a / 100, START + (a + (gap_every or n) - 8) / 100) for a in cuts])
        stream += pieces
        buffer = io.BytesIO()
        pieces.write(buffer, format="MSEED", reclen=reclen, encoding="STEIM2")
        buffers.append([buffer.getvalue()[i : i + reclen] for i in range(0, buffer.tell(), reclen)])
    longest = max(len(records) for records in buffers)
    path.write_bytes(b"".join(records[i] for i in range(longest) for records in buffers if i < len(records)))
    return stream


@pytest.mark.parametrize("path", MINISEED, ids=lambda path: path.name)
def test_index_finds_what_obspy_finds(path):
    """Ids, starts, rates, lengths and samples of each miniSEED file that comes with ObsPy, or no index at all."""
    found = mseed.index_segments(path)
    if found is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = obspy.read(str(path), format="MSEED")
        samples = [traces.fetch_samples(segment) for segment in found[0]]
    assert len(stream) == len(found[0])
    for segment, values, expected in zip(found[0], samples, stream, strict=True):
        stats = expected.stats
        assert segment.id == expected.id
        assert abs(segment.start_ns - stats.starttime.ns) <= 1000
        assert segment.rate_hz == stats.sampling_rate
        if not segment.text:
            np.testing.assert_array_equal(values, expected.data)
            assert values.dtype == segment.locator.dtype
        header = traces.read_header(segment)
        assert header.mseed == stats.mseed
        assert traces.read_raw_records(segment) is not None


def test_index_covers_most_files():
    """The index is the rule, and ObsPy's own reading the exception."""
    assert sum(mseed.index_segments(path) is not None for path in MINISEED) > 0.9 * len(MINISEED)


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


@settings(max_examples=40)
@given(data=st.data())
def test_blocks_of_interleaved_records(tmp_path_factory, data):
    """Any part of any segment of a multiplexed file with gaps is what ObsPy holds there."""
    path = tmp_path_factory.getbasetemp() / "interleaved.mseed"
    if not path.exists():
        interleaved(path, gap_every=1000)
    segments = traces.scan(path).segments
    expected = obspy.read(str(path))
    k = data.draw(st.integers(0, len(segments) - 1))
    start = data.draw(st.integers(0, segments[k].n))
    stop = data.draw(st.integers(start, segments[k].n))
    np.testing.assert_array_equal(traces.fetch_samples(segments[k], start, stop), expected[k].data[start:stop])


def test_record_blocks(tmp_path):
    """A block of a record holds each component's samples at their time and NaN in the gaps."""
    stream = interleaved(tmp_path / "x", gap_every=1000)
    (record,) = arrange_records(traces.scan(tmp_path / "x").segments)
    assert record.ids == ("XX.AB.00.HHE", "XX.AB.00.HHN", "XX.AB.00.HHZ")
    whole = np.full((3, record.n), np.nan)
    for one in stream:
        first = round((one.stats.starttime - START) * 100)
        whole[record.ids.index(one.id), first : first + one.stats.npts] = one.data
    np.testing.assert_array_equal(traces.read_block(record, 0, record.n), whole)
    np.testing.assert_array_equal(traces.read_block(record, 990, 7003), whole[:, 990:7003])
    assert traces.read_block(record, 0, 1).dtype == np.float64


@pytest.mark.parametrize(("dtype", "block"), [("f4", "f4"), ("i4", "f8"), ("f8", "f8")])
def test_block_types(tmp_path, dtype, block):
    """No sample loses a digit on its way into a block, and float32 stays small."""
    trace(100, dtype=dtype).write(str(tmp_path / "x"), format="MSEED")
    (array,) = traces.read(tmp_path / "x")
    assert array.dtype == array.values.dtype == np.dtype(block)


def test_selection_by_id_and_time(tmp_path):
    """Ids with wildcards and times, both ends included, cut what is read to the sample."""
    interleaved(tmp_path / "x")
    found = traces.scan(tmp_path / "x", ["*.HHZ", "XX.AB.00.HHE"], START + 10.005, "2020-01-01T00:00:30")
    assert sorted({segment.id for segment in found.segments}) == ["XX.AB.00.HHE", "XX.AB.00.HHZ"]
    expected = {one.id: one.data[1001:3001] for one in obspy.read(str(tmp_path / "x"))}
    for segment in found.segments:
        assert segment.start_ns == START.ns + 10_010_000_000
        np.testing.assert_array_equal(traces.fetch_samples(segment), expected[segment.id])
        np.testing.assert_array_equal(traces.fetch_samples(segment, 5, 900), expected[segment.id][5:900])
        header = traces.read_header(segment)
        assert (header.starttime.ns, header.npts) == (segment.start_ns, segment.n)
    nothing = traces.scan(tmp_path / "x", "YY.*")
    assert nothing.segments == ()
    assert "XX.AB.00.HHE" in nothing.notes[0]
    with pytest.raises(InputError, match="start_time='soon'"):
        traces.scan(tmp_path / "x", start_time="soon")


def test_other_formats_are_cut_as_well(tmp_path):
    """A selection of time trims a SAC file, and its header copies say so."""
    written = trace(1000, dtype=np.float32)
    written.write(str(tmp_path / "x.sac"), format="SAC")
    (segment,) = traces.scan(tmp_path / "x.sac", start_time=START + 2).segments
    np.testing.assert_array_equal(traces.fetch_samples(segment, 0, 10), written.data[200:210])
    header = traces.read_header(segment)
    assert (header.starttime, header.npts) == (START + 2, 800)
    assert "sac" in header
    assert traces.read_raw_records(segment) is None


def test_text_channels(tmp_path):
    """Log records are text segments: no samples, no record, but their bytes verbatim."""
    log = Trace(np.frombuffer(b"clock locked\r\n", "S1"), {"station": "AB", "channel": "LOG", "sampling_rate": 1.0})
    buffers = [io.BytesIO(), io.BytesIO()]
    log.write(buffers[0], format="MSEED", encoding="ASCII", reclen=512)
    trace(100).write(buffers[1], format="MSEED", reclen=512)
    (tmp_path / "x").write_bytes(b"".join(buffer.getvalue() for buffer in buffers))
    text, samples = traces.scan(tmp_path / "x").segments
    assert (text.text, text.n, samples.text) == (True, 0, False)
    assert traces.read_raw_records(text) == buffers[0].getvalue()
    assert traces.fetch_samples(text).size == 0
    assert len(traces.read(tmp_path / "x")) == 1


def test_streams_in_memory():
    """A masked trace is one segment with NaN where it is masked; the header is a copy."""
    one, two = trace(10), trace(10, "HHN", dtype=np.float32)
    one.data = np.ma.masked_inside(np.arange(10), 3, 5)
    found = traces.scan_stream(Stream([one, two]))
    np.testing.assert_array_equal(traces.fetch_samples(found.segments[0]), [0, 1, 2, *[np.nan] * 3, 6, 7, 8, 9])
    np.testing.assert_array_equal(traces.fetch_samples(found.segments[1], 2, 4), two.data[2:4])
    traces.read_header(found.segments[1]).station = "ELSE"
    assert two.stats.station == "AB"
    assert traces.scan_stream(one).segments[0].source is None
    (record,) = arrange_records(found.segments)
    assert np.isnan(traces.read_block(record, 3, 6)[1]).all()
    with pytest.raises(InputError, match="complex"):
        traces.scan_stream(Trace(np.zeros(3, complex)))


def test_lazy_arrays(tmp_path):
    """Arrays are labelled, lazy in samples and times, and give any selection a dense array gives."""
    interleaved(tmp_path / "x", gap_every=1000)
    (array,) = traces.read(tmp_path / "x")
    assert array.dims == ("channel", "time")
    assert array.channel.values.tolist() == ["HHE", "HHN", "HHZ"]
    assert array.id.values[2] == "XX.AB.00.HHZ"
    assert isinstance(array.xindexes["time"], TimeIndex)
    assert {key: array.attrs[key] for key in ("network", "station", "location", "sampling_rate_hz", "source")} == {
        "network": "XX", "station": "AB", "location": "00", "sampling_rate_hz": 100.0, "source": "x"
    }  # fmt: skip
    assert array.name == "trace"
    assert "units" not in array.attrs
    assert not array.variable._in_memory
    dense = array.copy(data=array.values)
    for part in ({"time": slice(5, 2500, 7)}, {"time": [3, 4000, 17]}, {"channel": 1}, {"channel": [2, 0], "time": 9}):
        xr.testing.assert_equal(array.isel(part), dense.isel(part))
    assert array.isel(time=slice(0, 0)).values.shape == (3, 0)
    np.testing.assert_array_equal(array[::-1, ::-3].values, dense.values[::-1, ::-3])
    xr.testing.assert_equal(array.sel(channel="HHZ", time="2020-01-01T00:00:07").drop_vars("time"),
                            dense.sel(channel="HHZ", time="2020-01-01T00:00:07").drop_vars("time"))  # fmt: skip


def test_files_that_belong_together(tmp_path):
    """Components in files of their own, and hours in files of their own, make one record."""
    names = []
    for k, channel in enumerate("NZE"):
        whole = trace(6000, "HH" + channel, seed=k)
        for hour in range(3):
            name = tmp_path / f"{channel}{hour}.sac"
            whole.slice(START + 20 * hour, START + 20 * hour + 19.99).write(str(name), format="SAC")
            names.append(name)
    array = readers.read(names)
    assert array.channel.values.tolist() == ["HHE", "HHN", "HHZ"]
    assert array.sizes["time"] == 6000
    np.testing.assert_array_equal(array.sel(channel="HHZ").values, trace(6000, seed=1).data)


def test_truncated_and_damaged_files(tmp_path):
    """What is whole is read and what is lost is said; a record that cannot be decoded is named."""
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
    assert "Not a SEED record" in found.losses[0]
    (tmp_path / "data").write_bytes(content[:1088] + b"\xff" * 448 + content[1536:])
    (segment,) = traces.scan(tmp_path / "data").segments
    with pytest.raises(DamagedFileError, match="data: records cannot be decoded"):
        traces.fetch_samples(segment)
    np.testing.assert_array_equal(traces.fetch_samples(segment, 0, 300), whole.data[:300])
    (segment,) = traces.scan(tmp_path / "x").segments
    (tmp_path / "x").write_bytes(content[:1024])
    with pytest.raises(DamagedFileError, match="shorter"):
        traces.fetch_samples(segment)


def test_integrity_failures_are_warned_of(tmp_path):
    """Samples that decode but contradict the record's own check value are given with a warning."""
    trace(300).write(str(tmp_path / "x"), format="MSEED", encoding="STEIM2", reclen=512)
    content = bytearray((tmp_path / "x").read_bytes())
    content[72:76] = b"\0\0\0\1"  # last sample of the record
    (tmp_path / "x").write_bytes(content)
    (segment,) = traces.scan(tmp_path / "x").segments
    with pytest.warns(UserWarning, match=r"^x: .*integrity.*may be wrong"):
        assert traces.fetch_samples(segment).size == 300


def test_refused_files(tmp_path):
    """Each kind of file that is no recording gets one line with its name and its own kind of error."""
    trace(1000, dtype=np.float32).write(str(tmp_path / "whole.sac"), format="SAC")
    (tmp_path / "empty.mseed").write_bytes(b"")
    (tmp_path / "text.mseed").write_text("this is no recording\n" * 50)
    (tmp_path / "random").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "cut.sac").write_bytes((tmp_path / "whole.sac").read_bytes()[:2000])
    (tmp_path / "short.mseed").write_bytes(MINISEED[0].read_bytes()[:100])
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b" + b"1" * 100)
    cases = {
        "empty.mseed": UnknownFormatError,
        "text.mseed": UnknownFormatError,
        "random": UnknownFormatError,
        "cut.sac": DamagedFileError,
        "short.mseed": DamagedFileError,
        "bad.gz": DamagedFileError,
        "missing": FileNotFoundError,
        "": (InputError, UnknownFormatError),
    }
    for name, kind in cases.items():
        for function in (traces.scan, readers.read):
            with pytest.raises(kind) as caught:
                function(tmp_path / name)
            assert (name or tmp_path.name) in str(caught.value)
            assert "\n" not in str(caught.value)
        traces.sniff(tmp_path / name)
    with pytest.raises(InputError):
        traces.scan(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    """A file without permission is refused as such."""
    (tmp_path / "x").write_bytes(b"1")
    (tmp_path / "x").chmod(0)
    with pytest.raises(PermissionError, match="permissions"):
        traces.scan(tmp_path / "x")


def test_pickles_are_never_opened(tmp_path, capsys):
    """A pickled Stream is refused without running what is in it."""

    class Trap:
        def __reduce__(self):
            return print, ("obspy.core.stream ran",)

    (tmp_path / "x").write_bytes(pickle.dumps(Trap()))
    assert not traces.sniff(tmp_path / "x")
    with pytest.raises(UnknownFormatError, match="pickles"):
        traces.scan(tmp_path / "x")
    assert capsys.readouterr().out == ""


def test_archives(tmp_path):
    """Recordings packed by gzip, zip or tar are read; what else is in there is noted."""
    trace(1000).write(str(tmp_path / "a.mseed"), format="MSEED")
    (tmp_path / "notes.txt").write_text("read me")
    (tmp_path / "a.gz").write_bytes(gzip.compress((tmp_path / "a.mseed").read_bytes()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.mseed", "a.mseed")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "a.mseed", "../../day/a.mseed")  # stays inside the folder it is unpacked to
        archive.add(tmp_path / "notes.txt", "notes.txt")
    for name in ("a.gz", "a.zip", "a.tgz"):
        assert whole.is_recording(tmp_path / name)  # as sniff does, but what goes wrong is seen
        found = traces.scan(tmp_path / name)
        np.testing.assert_array_equal(traces.fetch_samples(found.segments[0]), trace(1000).data)
        assert len(found.notes) == (name == "a.tgz")


def test_sniffing_ignores_the_ending(tmp_path):
    """Content decides: a recording called .txt is one, a table called .mseed is none."""
    trace(100).write(str(tmp_path / "x.txt"), format="MSEED")
    (tmp_path / "x.mseed").write_text("time,value\n0,1\n")
    assert traces.sniff(tmp_path / "x.txt")
    assert not traces.sniff(tmp_path / "x.mseed")
    assert not traces.sniff(tmp_path)
    assert not traces.sniff(tmp_path / "nothing")


def test_trees_of_several_records(tmp_path):
    """Several records make a tree named by sensor, with times where a sensor has more than one."""
    stream = Stream([trace(100), trace(100, "BHZ", rate=20.0), trace(100, start=START + 86400)])
    stream.write(str(tmp_path / "x"), format="MSEED")
    tree = readers.read(tmp_path / "x")
    assert list(tree.children) == ["XX.AB.00.HH_20200101T000000", "XX.AB.00.HH_20200102T000000", "XX.AB.00.BH"]
    np.testing.assert_array_equal(tree["XX.AB.00.BH"]["trace"].values[0], trace(100).data)
    assert isinstance(tree["XX.AB.00.BH"]["trace"].xindexes["time"], TimeIndex)
    assert isinstance(readers.read(tmp_path / "x", ids="*BHZ"), xr.DataArray)
    with pytest.warns(UserWarning, match="no trace matches"), pytest.raises(InputError, match="no samples"):
        readers.read(tmp_path / "x", ids="YY*")


def test_sections_make_numbered_trees(tmp_path):
    """Traces of one id and time, as in a seismic section, are numbered."""
    section = Stream([Trace(np.arange(50, dtype=np.float32) + k, {"sampling_rate": 100.0}) for k in range(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        section.write(str(tmp_path / "x"), format="SEGY")
    tree = readers.read(tmp_path / "x")
    assert len(tree.children) == 3
    assert sorted(float(child["trace"][0, 0]) for child in tree.children.values()) == [0, 1, 2]


def test_readers_by_name(tmp_path):
    """A reader may be named; a name that there is not is answered with those there are."""
    trace(100).write(str(tmp_path / "x"), format="MSEED")
    assert len(readers.read_records(tmp_path / "x", reader="traces")) == 1
    assert {"traces", "seisbench"} <= set(readers.reader_names())
    with pytest.raises(UnknownNameError, match="seisbench, traces"):
        readers.read(tmp_path / "x", reader="tracers")
    with pytest.raises(LookupError):
        readers.read(tmp_path / "x", reader="tracers")


def test_calibration_is_told(tmp_path):
    """A calibration factor of one record is an attribute; samples are as stored."""
    one = trace(100)
    one.stats.calib = 2.5
    one.write(str(tmp_path / "x"), format="GSE2")
    array = readers.read(tmp_path / "x")
    assert array.attrs["calib"] == pytest.approx(2.5)
    np.testing.assert_array_equal(array.values[0], one.data)
