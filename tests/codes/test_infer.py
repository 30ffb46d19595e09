"""Codes do not depend on how the array is divided into blocks, and decode with the stored error."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.codes.coding import choose_default_model, plan_coding, read_coding
from geoae.codes.infer import decode_codes, decode_region, encode_array, encode_region
from geoae.errors import InputError
from geoae.labels.timeaxis import time_coordinates
from geoae.records.infer import build_identity_denoiser
from tests.support.coding import tiny_coder

MODEL, LINE = tiny_coder(), tiny_coder(ndim=1)


def field(shape=(5, 21, 30), seed=0, dtype="f4", **gaps) -> xr.DataArray:
    """A smooth field (time, lat, lon) with a large mean."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).cumsum(-1).cumsum(-2) + 280
    coords = {
        "time": np.arange("2000-01", np.datetime64("2000-01") + shape[0]).astype("datetime64[ns]"),
        "lat": ("lat", np.linspace(-50, 50, shape[1]), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(shape[2]) * 3.0, {"units": "degrees_east"}),
    }
    return xr.DataArray(x.astype(dtype), coords, ("time", "lat", "lon"), "t2m", {"units": "K", "cells": [1, 2]})


def record(n=1000, channels=3) -> xr.DataArray:
    x = np.random.default_rng(1).normal(size=(channels, n)).cumsum(-1).astype("f4")
    out = xr.DataArray(x, {"channel": list("ENZ")[:channels]}, ("channel", "time"), "trace", {"sampling_rate_hz": 50.0})
    return out.assign_coords(time_coordinates(1_000_000_007, 50.0, n))


@settings(max_examples=15)
@given(
    ny=st.integers(3, 30), nx=st.integers(3, 30), cuts=st.tuples(*[st.integers(1, 30)] * 3), swap=st.booleans()
)  # fmt: skip
def test_any_chunking_gives_the_codes_of_memory(ny, nx, cuts, swap):
    """Lazy arrays give lazy codes with the values of arrays in memory, for any order of dimensions and any gaps."""
    x = field((3, ny, nx))
    x[1, 0, 0] = np.nan
    x[0, ny // 2 :, : nx // 2] = np.nan
    x = x.transpose("lon", "time", "lat") if swap else x
    expected, lazy = (
        encode_array(x, MODEL),
        encode_array(x.chunk(dict(zip(("time", "lat", "lon"), cuts, strict=True))), MODEL),
    )
    assert isinstance(lazy["code"].data, da.Array)
    xr.testing.assert_allclose(lazy.compute(), expected, rtol=1e-5, atol=1e-5)
    assert lazy["code"].attrs == expected["code"].attrs
    back = decode_codes(lazy, MODEL)
    assert isinstance(back.data, da.Array)
    xr.testing.assert_allclose(back.compute(), decode_codes(expected, MODEL), rtol=1e-5)
    xr.testing.assert_equal(back.isnull().compute(), x.isnull())


@pytest.mark.parametrize("units", [1e-9, 1.0, 1e12])
def test_the_stored_error_is_that_of_decoding(units):
    """Over the valid samples of each window, in the units of the data."""
    x = field() * units
    x[1, 2, 3] = np.nan
    codes = encode_array(x, MODEL)
    back = decode_codes(codes, MODEL)
    for at, (y, z) in {(0, 0): (0, 0), (1, 2): (8, 16)}.items():
        left = (back - x)[:, y : y + 8, z : z + 8]
        np.testing.assert_allclose(codes["recon_error"][:, *at], np.sqrt((left**2).mean(("lat", "lon"))), rtol=1e-4)
    assert codes["n_valid"][1, 0, 0] == 63
    assert codes["recon_error"].attrs["units"] == "K" if units == 1 else True


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2"])
def test_units_coordinates_and_dtype_come_back(dtype):
    """Coordinates, attributes, name and dtype come back; integers come back as floats."""
    x = field(dtype=dtype).assign_coords(height=2.0, area=("lat", np.arange(21.0)))
    x.attrs["units"] = "K"
    back = decode_codes(encode_array(x, MODEL), MODEL)
    assert back.dtype == ("f4" if dtype == "i2" else dtype)
    xr.testing.assert_equal(back.drop_attrs() * 0, (x.drop_attrs() * 0).astype(back.dtype))
    assert back.attrs["units"] == "K"
    assert back.name == "t2m"
    assert float(abs(back - x).max()) < 200


def test_windows_have_coordinates():
    """Number and coordinate of the first sample; the last window is flush with the end."""
    codes = encode_array(field(), MODEL)
    assert codes["y0_index"].values.tolist() == [0, 8, 13]
    assert codes["x0_index"].values.tolist() == [0, 8, 16, 22]
    assert codes["x0"].values.tolist() == [0, 24, 48, 66]
    assert codes["code"].dims == ("time", "window_y", "window_x", "latent")


def test_records_keep_their_time_axis():
    """Windows lie along time, which is exact to the nanosecond; channels are a batch dimension."""
    x = record()
    codes = encode_array(x, LINE)
    assert codes["code"].sizes == {"channel": 3, "window": 125, "latent": 8}
    assert codes["t0"].values[1] - codes["t0"].values[0] == np.timedelta64(160, "ms")
    back = decode_codes(codes, LINE)
    np.testing.assert_array_equal(back["time"].values, x["time"].values)
    assert back.attrs["sampling_rate_hz"] == 50.0
    np.testing.assert_allclose(
        codes["recon_error"], np.sqrt(((back - x) ** 2).values.reshape(3, 125, 8).mean(-1)), rtol=1e-4
    )


def test_a_beginning_of_a_code_is_a_code():
    """`latent` keeps the first numbers; selecting them later gives the same."""
    x = field()
    short, whole = encode_array(x, MODEL, latent=4), encode_array(x, MODEL)
    np.testing.assert_array_equal(short["code"], whole["code"][..., :4])
    xr.testing.assert_equal(decode_codes(short, MODEL), decode_codes(whole.isel(latent=slice(4)), MODEL))
    assert float(short["recon_error"].mean()) > float(whole["recon_error"].mean())
    np.testing.assert_array_equal(decode_codes(whole.isel(time=2), MODEL), decode_codes(whole, MODEL)[2])


def test_missing_and_constant_windows():
    """Windows without samples decode to NaN, constant windows to the constant, also in small units."""
    x = field(dtype="f8") * 1e-9
    x[0, :8, :8] = np.nan
    x[1, :8, :8] = 3e-9
    codes = encode_array(x, MODEL)
    assert codes["n_valid"][0, 0, 0] == 0
    assert np.isnan(codes["code"][0, 0, 0]).all()
    assert codes["recon_error"][1, 0, 0] == 0
    back = decode_codes(codes, MODEL)
    xr.testing.assert_equal(back.isnull(), x.isnull())
    np.testing.assert_allclose(back[1, :8, :8], 3e-9, rtol=1e-12)


@pytest.mark.parametrize("n", [5, 500, 1003])
def test_gaps_of_records_stay_gaps(n):
    """Also those at the end of a last window that overlaps, and in records that are shorter than a window."""
    x = record(n)
    x[0, 3:5] = x[1, n // 2 : n // 2 + 100] = x[2, -2:] = np.nan
    xr.testing.assert_equal(decode_codes(encode_array(x, LINE), LINE).isnull(), x.isnull())


def test_codes_of_an_earlier_release_decode():
    """They do not record where samples are missing: there they get values, except in windows without samples."""
    x = field()
    x[0, :8, :8] = x[1, 0, 0] = np.nan
    back = decode_codes(encode_array(x, MODEL).drop_vars("missing"), MODEL)
    assert np.isnan(back[0, :8, :8]).all()
    assert int(back.isnull().sum()) == 64
    other = x.fillna(x.mean())
    np.testing.assert_array_equal(decode_codes(encode_array(other, MODEL), MODEL)[2:], back[2:])


@pytest.mark.parametrize("name", ["array", "code", "", None, "my field/1"])
def test_any_name_comes_back_in_memory(name):
    """The name of the array is no name of a file there."""
    assert decode_codes(encode_array(field().rename(name), MODEL), MODEL).name == (name or None)


@settings(max_examples=25)
@given(data=st.data())
def test_a_block_is_a_part_of_the_whole(data):
    """Blocks of codes, and blocks of decoded samples, equal those of the whole array."""
    x = field((3, data.draw(st.integers(3, 25)), data.draw(st.integers(3, 25)))).transpose("lat", "time", "lon")
    x[2:, :, 1:] = np.nan
    coding, codes = plan_coding(x, MODEL), encode_array(x, MODEL)

    def region(sizes):
        cuts = [sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in sizes]
        return tuple(slice(a, b) for a, b in cuts)

    part = region(coding.code_sizes.values())
    for name, values in encode_region(lambda r: x.values[r], coding, MODEL, part).items():
        np.testing.assert_allclose(values, codes[name].values[part], rtol=1e-5, atol=1e-5)
    part = region(x.shape)
    found = decode_region(codes, read_coding(codes), MODEL, part)
    np.testing.assert_allclose(found, decode_codes(codes, MODEL).values[part], rtol=1e-5)


def test_arrays_that_cannot_be_encoded_are_refused():
    """Models without codes, wrong dimensions, infinite samples, booleans, codes that are too long, empty arrays."""
    x = field()
    with pytest.raises(InputError, match="is not a model with codes"):
        encode_array(x, build_identity_denoiser())
    with pytest.raises(InputError, match=r"windows along 2 dimensions; time is 1.*seismic-codes"):
        encode_array(x, MODEL, dims=("time",))
    with pytest.raises(InputError, match="no dimension depth"):
        encode_array(x, LINE, dims=("depth",))
    with pytest.raises(InputError, match="infinite samples"):
        encode_array(x.where(x.lat < 40, np.inf), MODEL)
    with pytest.raises(InputError, match="real numbers"):
        encode_array(x > 280, MODEL)
    with pytest.raises(InputError, match="codes of 1 to 8 numbers"):
        encode_array(x, MODEL, latent=9)
    with pytest.raises(InputError, match="no samples"):
        encode_array(x[:0], MODEL)
    with pytest.raises(InputError, match="code holds latent codes of t2m; samples were expected"):
        encode_array(encode_array(x, MODEL)["code"], MODEL)


@pytest.mark.parametrize("name", ["latent", "window_y", "window_x", "missing_byte", "code", "gain", "y0"])
def test_names_that_codes_need_are_refused(name):
    """As dimensions and as coordinates; names that only codes along one dimension need are taken."""
    with pytest.raises(InputError, match=rf"^t2m has a dimension {name}, .* x.rename\({name}='other'\)\.$"):
        encode_array(field().drop_vars("time").rename(time=name), MODEL)
    with pytest.raises(InputError, match=f"t2m has a coordinate {name}"):
        encode_array(field().assign_coords({name: 1.0}), MODEL)
    x = field().drop_vars("time").rename(time="window")
    assert decode_codes(encode_array(x, MODEL), MODEL).dims == x.dims


def test_codes_that_cannot_be_decoded_are_refused():
    """Codes of another model, codes of some windows, and data sets without codes."""
    codes = encode_array(field(), MODEL)
    other = tiny_coder(seed=1)
    with pytest.raises(InputError, match=f"{MODEL.digest}.*{other.digest}"):
        decode_codes(codes, other)
    with pytest.raises(InputError, match="all 4 windows along window_x; there are 2"):
        decode_codes(codes.isel(window_x=slice(2)), MODEL)
    with pytest.raises(InputError, match="no codes"):
        decode_codes(codes.drop_vars("gain"), MODEL)


def test_the_default_model_fits_the_array():
    """Records have a default model, and fields have another."""
    assert choose_default_model(record()) == "seismic-codes"
    assert choose_default_model(field()) == "grid-codes"
    assert choose_default_model(field(), ("time",)) == "seismic-codes"
