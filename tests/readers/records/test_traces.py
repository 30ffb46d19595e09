"""Tests of geoae.readers.records.traces: samples are those of ObsPy; faulty files are errors of one line."""

import io
import os

import numpy as np
import pytest
import xarray as xr
from obspy import Stream, Trace

import geoae.readers as readers
from geoae.errors import DamagedFileError, InputError, UnknownFormatError
from geoae.labels.timeaxis import TimeIndex
from geoae.readers.records import traces
from geoae.readers.records.arrange import arrange_records
from tests.support.recordings import MINISEED, START, interleaved, trace


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


def test_sniffing_ignores_the_ending(tmp_path):
    """Content decides: a recording called .txt is one, a table called .mseed is none."""
    trace(100).write(str(tmp_path / "x.txt"), format="MSEED")
    (tmp_path / "x.mseed").write_text("time,value\n0,1\n")
    assert traces.sniff(tmp_path / "x.txt")
    assert not traces.sniff(tmp_path / "x.mseed")
    assert not traces.sniff(tmp_path)
    assert not traces.sniff(tmp_path / "nothing")


def test_calibration_is_told(tmp_path):
    """A calibration factor of one record is an attribute; samples are as stored."""
    one = trace(100)
    one.stats.calib = 2.5
    one.write(str(tmp_path / "x"), format="GSE2")
    array = readers.read(tmp_path / "x")
    assert array.attrs["calib"] == pytest.approx(2.5)
    np.testing.assert_array_equal(array.values[0], one.data)
