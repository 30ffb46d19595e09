"""Coordinates and attributes are stored in forms that every reader understands."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from geoae.errors import InputError
from geoae.stores.plain import digest_coordinates, simplify_value, simplify_variable
from geoae.stores.plan import plan_field
from geoae.stores.write import begin_store, write_region
from tests.support import store_worker as worker
from tests.support.store_worker import open_store, write_store


def test_coordinates_of_all_kinds_are_stored(tmp_path):
    """Text, times of any calendar, two-dimensional and scalar coordinates, gaps; packed values are unpacked."""
    noleap = xr.date_range("1890-07-02", periods=4, freq="YS", calendar="noleap", use_cftime=True)
    lat = np.array([[10.0, 20.0, np.nan], [11.0, 21.0, 31.0]])
    x = xr.DataArray(
        np.zeros((4, 2, 3), np.float16),
        {
            "time": ("time", noleap, {"bounds": "time_bnds"}),
            "lat": (("y", "x"), lat, {"units": "degrees_north", "valid": np.float32(3), "raw": b"abc"}),
            "station": ("y", np.array(["A", "BCD"]), {"long_name": "name"}),
            "lead": ("time", np.array([0, 6, 12, 18], "timedelta64[h]").astype("timedelta64[ns]")),
            "height": 2.0,
            "flag": ("x", [True, False, True]),
            "when": ("y", np.array(["2000-01-01T00:00:00.000000001", "NaT"], "datetime64[ns]")),
        },
        ("time", "y", "x"),
        "tas",
        {"actual_range": np.array([1.0, 2.0]), "flags": np.array([1, 2], np.int8)},
    )
    x.encoding = {"grid_mapping": "crs", "scale_factor": 0.1, "dtype": "int16", "_FillValue": -1, "chunks": (1, 1, 1)}
    x["height"].encoding = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -9}
    bounds = xr.Dataset(
        {"crs": ((), 0, {"grid_mapping_name": "latitude_longitude"}), "time_bnds": (("time", "n"), [[0, 1]] * 4)}
    )
    run = begin_store(tmp_path / "out.zarr", plan_field(x, ["y", "x"], auxiliary=bounds), {})
    write_region(run.folder, 0, {"tas": x.values})
    with xr.open_zarr(run.finish(), decode_timedelta=True) as data:
        for name, coord in x.coords.items():
            np.testing.assert_array_equal(data[name].values.astype(coord.dtype), coord.values)
        assert data.tas.dtype == np.float16
        assert data.tas.attrs == {"flags": [1, 2], "grid_mapping": "crs"}
        assert data.lat.attrs == {"units": "degrees_north", "valid": 3.0, "raw": "abc"}
        assert "_FillValue" not in json.loads((tmp_path / "out.zarr" / "lat" / "zarr.json").read_text())["attributes"]
        assert data.crs.attrs["grid_mapping_name"] == "latitude_longitude"


def test_times_keep_their_units_if_these_are_exact(tmp_path):
    """Half hours are not rounded to the hours of the input file."""
    x = worker.field(0, 3)
    for step, units in ((60, "hours since 1900-01-01"), (30, "minutes since 2000-01-01 00:00:00")):
        times = np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(step, "m")
        y = x.assign_coords(time=times)
        y["time"].encoding = {"units": "hours since 1900-01-01", "calendar": "standard", "dtype": "int32"}
        data = open_store(write_store(tmp_path / f"{step}.zarr", y))
        np.testing.assert_array_equal(data.time, times)
        assert data.time.encoding["units"] == units


def test_attributes_are_numbers_text_and_lists_of_one_kind():
    """Numbers, text, and lists of one kind."""
    assert simplify_value(np.array([1, 2], np.int16)) == [1, 2]
    assert simplify_value([1.0, float("nan")]) == '[1.0, "nan"]'
    assert simplify_value(Path("a")) == "a"
    assert simplify_value([]) == []


def test_coordinates_that_cannot_be_stored_are_named():
    """The error names the coordinate and its dtype."""
    values = np.array([object(), object()])
    with pytest.raises(InputError, match=r"^The coordinate label holds object; numbers, times or text"):
        simplify_variable("label", xr.Variable("x", values))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.assign_coords(y=c.y + 1e-12),
        lambda c: c.rename(y="z"),
        lambda c: c.assign_coords(name=("y", ["a", "c"])),
        lambda c: c.drop_vars("name"),
    ],
)
def test_the_digest_changes_with_values_names_and_dims(change):
    """Attributes and the order of coordinates do not change it."""
    coords = xr.Dataset(coords={"y": [1.0, 2.0], "name": ("y", np.array(["a", "b"], object))})
    same = xr.Dataset(coords={"name": coords.name, "y": ("y", [1.0, 2.0], {"units": "m"})})
    assert digest_coordinates(same) == digest_coordinates(coords)
    assert digest_coordinates(change(coords)) != digest_coordinates(coords)
