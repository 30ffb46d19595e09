"""Training fields: files that match are read, excluded files are not, and every field has axes (time, y, x)."""

from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr

from geoae.errors import DamagedFileError, InputError, UnknownNameError
from geoae.fields.data import SOURCE, load_slices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two members of u and v on two levels with west-east first, and a mask of integers without a time."""
    rng = np.random.default_rng(0)
    coords = {
        "lon": ("lon", np.arange(12.0), {"units": "degrees_east"}),
        "lat": ("lat", np.arange(9.0), {"units": "degrees_north"}),
        "time": ("time", np.arange("2000-01", "2000-05", dtype="datetime64[M]").astype("datetime64[ns]")),
        "plev": ("plev", [500.0, 850.0], {"units": "hPa", "positive": "down"}),
    }
    for member in (1, 2):
        x = rng.normal(size=(12, 2, 4, 9)).astype("f4")
        dims = ("lon", "plev", "time", "lat")
        data = xr.Dataset({"u": (dims, x), "v": (dims, x + 100)}, coords)
        data.to_netcdf(tmp_path / f"wind.{member}.nc")
    one = {k: coords[k] for k in ("lon", "lat")}
    (tmp_path / "deep").mkdir()
    xr.Dataset({"m": (("lat", "lon"), np.arange(108).reshape(9, 12))}, one).to_netcdf(tmp_path / "deep/mask.nc")
    return tmp_path


def test_every_variable_level_and_file_is_found(folder):
    """Two files of two variables on two levels make eight fields (time, lat, lon) with unchanged samples."""
    found = load_slices(folder, ["wind.*.nc"])
    assert [x.name for x in found] == ["u", "u", "v", "v"] * 2
    assert {x.dims for x in found} == {("time", "lat", "lon")}
    assert [x.attrs[SOURCE] for x in found] == ["wind.1.nc"] * 4 + ["wind.2.nc"] * 4
    with xr.open_dataset(folder / "wind.2.nc") as data:
        expected = data["v"].sel(plev=850.0).transpose("time", "lat", "lon")
        xr.testing.assert_equal(found[-1], expected)
    assert found[-1].dtype == np.float32


def test_a_field_without_time_is_one_slice(folder):
    """It gets a time axis of one; integers become floats."""
    (x,) = load_slices(folder, ["deep/*.nc"])
    assert x.shape == (1, 9, 12)
    assert x.dtype.kind == "f"
    np.testing.assert_array_equal(x[0], np.arange(108).reshape(9, 12))


def test_excluded_files_are_not_loaded(folder):
    """Excludes match names and paths; a variable is chosen after a colon."""
    assert {x.attrs[SOURCE] for x in load_slices(folder, ["wind*", "deep/*"], exclude=["*.2.nc", "deep/*"])} == {
        "wind.1.nc"
    }
    assert [x.name for x in load_slices(folder, ["wind.1.nc:v"])] == ["v", "v"]
    assert len(load_slices(folder, ["wind.1.nc:v", "wind.1.nc:u"])) == 4
    assert len(load_slices(folder, ["wind.1.nc", "wind.1.nc:u"])) == 4


def test_missing_files_are_refused(folder):
    """The message names the pattern, the folder or the choices."""
    with pytest.raises(InputError, match=r"nothing that matches 'wint\*'"):
        load_slices(folder, ["wind*", "wint*"])
    with pytest.raises(InputError, match=r"wind\*.*is excluded by wind\.\*"):
        load_slices(folder, ["wind*"], exclude=["wind.*"])
    with pytest.raises(InputError, match="no folder"):
        load_slices(folder / "no", ["*"])
    with pytest.raises(UnknownNameError, match=r"u, v"):
        load_slices(folder, ["wind.1.nc:w"])


def test_files_without_fields_are_refused(folder):
    """A recording has no variables; text under any name is neither netCDF nor zarr."""
    trace = obspy.Trace(np.arange(100, dtype="i4"), {"channel": "HHZ", "sampling_rate": 10.0})
    trace.write(str(folder / "a.mseed"), format="MSEED")
    with pytest.raises(InputError, match=r"reader 'traces' .* does not know var"):
        load_slices(folder, ["a.mseed"])
    (folder / "a.txt").write_text("no field")
    with pytest.raises(DamagedFileError, match=r"a\.txt is neither netCDF nor zarr"):
        load_slices(folder, ["a.txt"])
