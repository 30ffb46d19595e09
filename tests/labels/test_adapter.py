"""Tests of geoae.labels.adapter: conversions are lazy, and converted samples pack into the integers of the file."""

import pickle

import cftime
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.labels.adapter import Adapter, change_lazily
from geoae.labels.lazy_indexing import lazy_array

RAW = np.array([[250, 260, -999], [270, 280, 290]], "i2")


def field(data=RAW, name="t2m", **encoding) -> xr.DataArray:
    x = xr.DataArray(data, dims=("y", "x"), name=name, attrs={"units": "K", "long_name": "temperature"})
    x.encoding = encoding
    return x


def on_disk(x: xr.DataArray) -> xr.DataArray:
    """As a file gives it: an array that is read when it is used."""
    return x.copy(data=lazy_array(x.shape, x.dtype, x.values.__getitem__, slices_only=True))


@pytest.mark.parametrize("store", [lambda x: x, on_disk, lambda x: x.chunk(x=2)], ids=["memory", "file", "dask"])
def test_values_are_times_mult_plus_add(store):
    """x * unit_mult + unit_add, NaN instead of nodata, and the new units."""
    adapter = Adapter(unit_mult={"t2m": 0.5}, unit_add={"t2m": -10.0}, nodata=-999, attrs={"t2m": {"units": "degC"}})
    out = adapter(store(field()))
    np.testing.assert_array_equal(out.values, np.where(RAW == -999, np.nan, RAW * 0.5 - 10).astype("f4"))
    assert out.dtype == np.float32
    assert out.attrs == {"units": "degC", "long_name": "temperature"}


def test_nothing_is_read_until_it_is_used():
    """Then only the selected part is read."""
    parts = []

    def change(read):
        parts.append(read())
        return parts[-1] * 2

    x = field().copy(data=change_lazily(on_disk(field()).variable, np.dtype("i2"), change))
    part = x.isel(y=0, x=slice(0, 2))
    assert parts == []
    np.testing.assert_array_equal(part.values, RAW[0, :2] * 2)
    assert [p.shape for p in parts] == [(2,)]


def test_other_variables_are_unchanged():
    """Settings apply by name, after renaming."""
    adapter = Adapter(unit_mult={"other": 2.0}, attrs={"other": {"units": "m"}})
    xr.testing.assert_identical(adapter(field()), field())
    assert Adapter()(field(scale_factor=2.0)).encoding == {"scale_factor": 2.0}


def test_old_units_are_dropped():
    """After a conversion, units come from `attrs` or `unit`; the old ones are dropped."""
    assert "units" not in Adapter(unit_add={"t2m": 1.0})(field()).attrs
    assert Adapter(unit_add={"t2m": 1.0}, unit="degC")(field()).attrs["units"] == "degC"
    assert Adapter(nodata=-999)(field()).attrs["units"] == "K"


def test_nodata_is_ignored_if_the_file_has_a_fill_value():
    """It may be set for each variable."""
    assert np.isnan(Adapter(nodata={"t2m": -999.0})(field())).sum() == 1
    assert not np.isnan(Adapter(nodata={"other": -999.0})(field())).any()
    assert not np.isnan(Adapter(nodata=-999.0)(field(_FillValue=-1))).any()
    in_single = field(np.full((2, 3), -9999.9, "f4"))
    assert np.isnan(Adapter(nodata=-9999.9)(in_single)).all()


@settings(max_examples=60)
@given(
    scale=st.sampled_from([None, 0.01, -2.0]), offset=st.sampled_from([None, 0.0, 273.15]),
    mult=st.sampled_from([1.0, 0.1, -1000.0]), add=st.sampled_from([0.0, -273.15, 1e4]), nodata=st.booleans(),
)  # fmt: skip
def test_converted_samples_pack_into_the_numbers_of_the_file(scale, offset, mult, add, nodata):
    """Decoding, converting and encoding returns the same integers, for any packing and units."""
    packing = {k: v for k, v in (("scale_factor", scale), ("add_offset", offset)) if v is not None}
    if not nodata:
        packing["_FillValue"] = np.int16(-12345)
    value = float(RAW[0, 2]) * packing.get("scale_factor", 1.0) + packing.get("add_offset", 0.0)
    adapter = Adapter(unit_mult={"t2m": mult}, unit_add={"t2m": add}, nodata=value if nodata else None)
    decoded = xr.decode_cf(xr.Dataset({"t2m": (("y", "x"), RAW, packing)}))["t2m"].astype("f8")
    decoded.encoding = {"dtype": np.dtype("i2"), **packing}
    out = adapter(decoded)
    encoded = xr.conventions.encode_cf_variable(out.variable)
    np.testing.assert_array_equal(encoded.values, RAW)
    again = xr.decode_cf(xr.Dataset({"t2m": encoded}))["t2m"]
    np.testing.assert_allclose(again, out, rtol=1e-6, atol=1e-6 * float(np.nanmax(abs(out))))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.array(["2020-01-01", "2020-01-02"], "M8[ns]"), np.array(["2020-01-01T01", "2020-01-02T01"], "M8[ns]")),
        ([cftime.DatetimeNoLeap(2000, 1, 1), cftime.DatetimeNoLeap(2000, 1, 2)],
         [cftime.DatetimeNoLeap(2000, 1, 1, 1), cftime.DatetimeNoLeap(2000, 1, 2, 1)]),
        ([1, 2], [1, 2]),
    ],
)  # fmt: skip
def test_time_is_shifted_in_seconds(before, after):
    """unit_add of "time", for calendars of models as well; plain numbers have no seconds."""
    out = Adapter(unit_add={"time": 3600.0})(field().assign_coords(time=("y", before)))
    assert list(out["time"].values) == list(after)


def test_a_converted_array_can_go_to_another_process():
    """Workers read their own part."""
    out = Adapter(unit_mult={"t2m": 2.0})(on_disk(field()))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(out)).values, RAW * 2)
