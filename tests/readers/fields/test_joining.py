"""Tests of geoae.readers.fields.joining."""

import numpy as np
import pytest

import geoae
from geoae.errors import InputError
from geoae.labels.cf import grid_layout
from tests.support.grid_files import made, write


@pytest.mark.parametrize("order", [("1", "2", "3"), ("3", "1", "2")])
@pytest.mark.parametrize("falling", [False, True])
def test_files_are_joined_in_the_order_of_their_times(tmp_path, order, falling):
    """The order of names does not matter; falling times stay falling."""
    whole = made(6)
    for k, name in enumerate(order):
        part = whole.isel(time=slice(2 * k, 2 * k + 2))
        write(tmp_path / f"{name}.nc", part.isel(time=slice(None, None, -1)) if falling else part)
    expected = whole["t2m"].isel(time=slice(None, None, -1)) if falling else whole["t2m"]
    for files in (str(tmp_path / "*.nc"), sorted(tmp_path.glob("*.nc"))):
        x = geoae.read(files)
        np.testing.assert_array_equal(x.values, expected.values)
        np.testing.assert_array_equal(x["time"].values, expected["time"].values)
        assert (x.dims, x.attrs, x.chunks[0]) == (expected.dims, expected.attrs, (2, 2, 2))
    assert x.encoding["source"] == tuple(str(tmp_path / f"{n}.nc") for n in (reversed(order) if falling else order))


def test_single_fields_are_joined_along_their_time(tmp_path):
    """Files without a time dimension, as one satellite pass each."""
    for k in (2, 0, 1):
        write(tmp_path / f"{k}.nc", made().isel(time=k))
    x = geoae.read(str(tmp_path / "?.nc"))
    assert x.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(x.values, made()["t2m"].values)
    for k in range(2):
        write(tmp_path / f"timeless{k}.nc", made().isel(time=k, drop=True))
    with pytest.raises(InputError, match=r"timeless0\.nc: t2m has no time.*along='member'"):
        geoae.read(str(tmp_path / "timeless?.nc"))


def test_members_are_joined_along_a_dimension_of_their_own(tmp_path):
    """In the given order; without `along`, equal times are refused."""
    for k in range(2):
        write(tmp_path / f"{k}.nc", made().assign(t2m=made()["t2m"] + k))
    with pytest.raises(InputError, match=r"0\.nc and .*1\.nc overlap in time.*along='member'"):
        geoae.read(str(tmp_path / "?.nc"))
    x = geoae.read([tmp_path / "1.nc", tmp_path / "0.nc"], along="member")
    assert x.dims == ("member", "time", "lat", "lon")
    np.testing.assert_array_equal(x.isel(member=1).values, made()["t2m"].values)
    assert grid_layout(x).member == "member"


UNLIKE = {
    "units": (lambda d: d.assign(t2m=d["t2m"].assign_attrs(units="degC")), "units degC there, K here"),
    "size": (lambda d: d.isel(lat=slice(5)), "lat of 5 there, of 8 here"),
    "values": (lambda d: d.assign_coords(lat=d["lat"] + 0.5), "other values of lat"),
    "dimensions": (lambda d: d.isel(time=0), r"the dimensions \(lat, lon\) there, \(time, lat, lon\) here"),
    "names": (lambda d: d.rename(lat="y"), r"the dimensions \(time, y, lon\) there"),
    "variable": (lambda d: d.rename(t2m="tas"), "it has no variable t2m"),
    "calendar": (lambda d: d.convert_calendar("noleap"), "a time of another kind or calendar"),
    "coordinate": (lambda d: d.drop_vars("lon"), "no coordinate lon there"),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_files_that_do_not_fit_are_named(tmp_path, what):
    """The error has the file and the difference."""
    change, said = UNLIKE[what]
    write(tmp_path / "1.nc", made(2))
    write(tmp_path / "2.nc", made(2, 2))
    write(tmp_path / "3.nc", change(made(2, 4)))
    with pytest.raises(InputError, match=rf"3\.nc does not fit .*1\.nc: .*{said}"):
        geoae.read(str(tmp_path / "?.nc"))


def test_coordinates_that_only_round_differently_fit(tmp_path):
    """Coordinates in single and in double precision are equal."""
    write(tmp_path / "1.nc", made(2))
    write(tmp_path / "2.nc", made(2, 2).assign_coords(lat=made()["lat"].astype("f4") + np.float32(1e-5)))
    assert geoae.read(str(tmp_path / "?.nc")).shape == (4, 8, 16)


def test_files_with_packings_of_their_own(tmp_path):
    """Each file is decoded with its own packing; different packings are dropped."""
    for k, scale in enumerate((0.01, 0.02)):
        data = made(2, 2 * k).fillna(280.0)
        packing = {"dtype": "i2", "scale_factor": scale, "add_offset": 280.0, "_FillValue": -32768}
        data.to_netcdf(tmp_path / f"{k}.nc", engine="h5netcdf", encoding={"t2m": packing})
    x = geoae.read(str(tmp_path / "?.nc"))
    expected = np.concatenate([made(2, 2 * k).fillna(280.0)["t2m"].values for k in (0, 1)])
    assert np.abs(x.values - expected).max() < 0.011
    assert not {"scale_factor", "add_offset", "dtype", "_FillValue"} & x.encoding.keys()
    same = geoae.read(tmp_path / "0.nc").encoding
    assert (same["scale_factor"], same["add_offset"], same["dtype"]) == (0.01, 280.0, np.dtype("i2"))
