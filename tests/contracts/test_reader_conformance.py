"""Every built-in reader passes the conformance tests that geoae ships."""

from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr
from obspy import Stream, Trace, UTCDateTime

from geoae import readers
from geoae.jobs.options import InferenceOptions
from geoae.readers.fields import grids
from geoae.readers.records import seisbench, traces
from geoae.stores import records as stored_records
from geoae.testing.readers import check_fields_reader, check_reader, check_records_reader
from tests.conftest import tiny_model, write_seisbench
from tests.support import fields
from tests.support.denoising import denoise_files

ROOT = Path(obspy.__file__).parent / "io"


RECORDINGS = [
    "mseed/tests/data/gaps.mseed",
    "mseed/tests/data/two_channels.mseed",
    "gse2/tests/data/y2000.gse",
    "sac/tests/data/test.sac",
    "segy/tests/data/1.sgy_first_trace",
    "ascii/tests/data/slist.ascii.bz2",
]


START = UTCDateTime(2024, 1, 1)


def recording(path: Path) -> tuple[Path, xr.DataArray]:
    """Two components in miniSEED, one of them with a gap, and what they are as a record."""
    x = np.random.default_rng(0).normal(size=(2, 4000)).cumsum(-1).astype("f4")
    x[1, 1500:1900] = np.nan
    parts = [("HHE", 0, 0, 4000), ("HHZ", 1, 0, 1500), ("HHZ", 1, 1900, 4000)]
    made = [
        Trace(x[row, a:b].copy(), {"network": "XX", "station": "AB", "channel": code, "sampling_rate": 50.0,
                                   "starttime": START + a / 50})
        for code, row, a, b in parts
    ]  # fmt: skip
    Stream(made).write(str(path), format="MSEED")
    times = np.datetime64(START.ns, "ns") + np.arange(4000) * np.timedelta64(20, "ms")
    return path, xr.DataArray(x, {"id": ("channel", ["XX.AB..HHE", "XX.AB..HHZ"]), "time": times}, ("channel", "time"))


def test_the_trace_reader_on_known_traces(tmp_path):
    """Ids, times, samples and the gap are those of the traces."""
    path, expected = recording(tmp_path / "a.mseed")
    check_records_reader(traces, path, [expected])
    check_records_reader("traces", path, [expected])
    with pytest.raises(AssertionError, match="holds other samples"):
        check_records_reader(traces, path, [expected.fillna(0.0)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RECORDINGS)
def test_the_trace_reader_on_many_formats(name):
    """Indexed, whole and packed files."""
    check_records_reader(traces, ROOT / name)


def test_the_reader_of_denoised_records(tmp_path):
    """A store of denoised records is read like a recording."""
    path, _ = recording(tmp_path / "a.mseed")
    denoise_files([path], tmp_path / "a.zarr", InferenceOptions(tiny_model(), threads=1))
    check_records_reader(stored_records, tmp_path / "a.zarr")


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_the_reader_of_grids(name, tmp_path):
    """Two variables with gaps, in a file and in a store."""
    x = fields.field(4, 12, 16)
    data = x.to_dataset().assign(v=2 * x)
    if name.endswith(".zarr"):
        data.to_zarr(tmp_path / name, consolidated=False)
    else:
        data.to_netcdf(tmp_path / name, engine="h5netcdf")
    check_fields_reader(grids, tmp_path / name, {"t2m": x.values, "v": 2 * x.values})
    with pytest.raises(AssertionError, match=r"v of .* holds other samples"):
        check_fields_reader("grids", tmp_path / name, {"t2m": x.values, "v": x.values})


def test_the_reader_of_data_sets(tmp_path):
    """A folder in the SeisBench format gives (record, channel, time)."""
    rows = [{"trace_sampling_rate_hz": 100.0, "station_code": "A"}] * 3
    waves = [np.random.default_rng(i).normal(size=(3, 50 + i)) for i in range(3)]
    check_reader(seisbench, write_seisbench(tmp_path / "set", rows, waves))


def test_every_built_in_reader_is_checked_here():
    """A new reader needs a test above."""
    assert set(readers.READERS) == {"seisbench", "cleaned", "grids", "traces"}
