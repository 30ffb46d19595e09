"""Tests of geoae.labels.timeaxis: the lazy time axis is exact and behaves like a dense one."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from geoae.errors import InputError
from geoae.labels.timeaxis import TimeIndex, first_position, rate_hz, sample_offset_ns, start_ns, time_coordinates

START = 1_283_299_200_000_000_000  # 2010-09-01
RATES = st.sampled_from([100.0, 99.9999, 1 / 3, 3.0, 75.19, 3072.0, 1e-5, 50_000.0]) | st.floats(1e-3, 1e5)


def series(rate=100.0, n=1000, start=START):
    return xr.DataArray(np.arange(float(n)), dims="time", coords=time_coordinates(start, rate, n))


def dense(x):
    return xr.DataArray(x.values, dims="time", coords={"time": x.time.values})


@given(RATES, st.integers(0, 10**10))
def test_sample_times_are_exact(rate, i):
    """Sample i lies at start + i / rate, rounded once, however long the record (while ns fit 64 bits)."""
    exact = Fraction(i) * 10**9 / Fraction(rate)
    if exact < 2**62:
        assert abs(int(sample_offset_ns(i, rate)) - exact) <= Fraction(1, 2)


@given(RATES, st.integers(0, 10**10))
def test_position_of_a_sample_time_is_the_sample(rate, i):
    """The first sample at the time of sample i is i, and one ns later it is the next."""
    i = min(i, int(2**62 * rate / 1e9))
    ns = int(sample_offset_ns(i, rate))
    assert first_position(ns, rate) == i
    assert first_position(ns + 1, rate) == i + 1


@given(st.integers(0, 999), st.integers(0, 1000), st.integers(1, 7), RATES)
def test_slices_stay_lazy_and_exact(begin, end, step, rate):
    """Slicing, with a step too, gives the times that slicing a dense axis gives, without making it dense."""
    x = series(rate)
    part = x[begin:end:step]
    assert isinstance(part.xindexes["time"], TimeIndex)
    np.testing.assert_array_equal(part.time.values, x.time.values[begin:end:step])
    assert rate_hz(part) == pytest.approx(rate / step)


@given(st.integers(-3 * 10**9, 13 * 10**9), st.integers(-3 * 10**9, 13 * 10**9))
def test_label_slices_are_those_of_pandas(first, last):
    """A slice of times takes the same samples as on a dense axis, both ends included."""
    x = series()
    times = slice(*(np.datetime64(START + ns, "ns") for ns in (first, last)))
    np.testing.assert_array_equal(x.sel(time=times).values, dense(x).sel(time=times).values)


@pytest.mark.parametrize("label", ["2010-09-01", "2010-09", "2010-09-01T00:00:04", "2010-09-01T00:00:04.5"])
def test_text_labels_are_those_of_pandas(label):
    """The end of a slice written as text means all of the day, minute or second it names."""
    x = series()
    for times in (slice(None, label), slice(label, None)):
        assert x.sel(time=times).sizes == dense(x).sel(time=times).sizes


def test_single_times():
    """One or many times are found exactly, or by method="nearest"; without it a time between samples is an error."""
    x = series()
    assert float(x.sel(time="2010-09-01T00:00:00.054", method="nearest")) == 5
    assert float(x.sel(time=x.time.values[7])) == 7
    many = np.array([START + 40_000_000, START + 10**15]).astype("datetime64[ns]")
    assert x.sel(time=many, method="nearest").values.tolist() == [4, 999]
    with pytest.raises(KeyError, match="nearest"):
        x.sel(time="2010-09-01T00:00:00.054")
    with pytest.raises(KeyError):
        x.sel(time="2011-01-01", method="nearest", tolerance="1s")


def test_positions_make_plain_axes():
    """Arrays of positions and backward slices give the right times; a scalar gives one time."""
    x = series()
    np.testing.assert_array_equal(x[[3, 900]].time.values, x.time.values[[3, 900]])
    np.testing.assert_array_equal(x[::-1].time.values, x.time.values[::-1])
    assert x[5].time.values == x.time.values[5]
    assert x.isel(time=x > 990).sizes["time"] == 9


def test_arithmetic_aligns():
    """Equal axes stay lazy; shifted ones meet where they overlap; others are refused with a reason."""
    x = series()
    assert isinstance((x + x).xindexes["time"], TimeIndex)
    both = x[:10] + x[5:20]
    np.testing.assert_array_equal(both.values, 2 * np.arange(5.0, 10))
    left, right = xr.align(x[:10], x[5:20], join="outer")
    assert left.sizes["time"] == 20
    assert np.isnan(left.values[10:]).all()
    assert np.isnan(right.values[:5]).all()
    with pytest.raises(InputError, match="Resample"):
        x + series(start=START + 4_000_000)


def test_other_uses():
    """Copies, pickles, renaming, joining end to end and resampling work."""
    x = series()
    for other in (x.copy(), x.copy(deep=True), pickle.loads(pickle.dumps(x))):
        xr.testing.assert_identical(other, x)
    assert isinstance(xr.concat([x[:10], x[10:50]], "time").xindexes["time"], TimeIndex)
    np.testing.assert_array_equal(xr.concat([x[:9], x[20:50]], "time").time.values[9:], x.time.values[20:50])
    assert x.rename(time="t")[5:].t.values[0] == x.time.values[5]
    assert x.resample(time="1s").mean().sizes["time"] == 10
    assert "2010-09-01" in repr(x)
    assert len(x.to_series()) == 1000


def test_netcdf_round_trip(tmp_path):
    """A file holds the dense times."""
    x = series(rate=20.0).rename("trace")
    x.to_netcdf(tmp_path / "x.nc")
    with xr.open_dataarray(tmp_path / "x.nc") as back:
        np.testing.assert_array_equal(back.time.values, x.time.values)


def test_memory_is_not_used():
    """A hundred days at 1 kHz are sliced without a dense axis."""
    lazy = xr.Coordinates(time_coordinates(START, 1000.0, 8_640_000_000))
    index = lazy.xindexes["time"]
    part = index.isel({"time": slice(8_000_000_000, None)})
    assert part.transform.start_ns == START + 8_000_000 * 10**9


@given(RATES, st.integers(2, 500))
def test_rate_and_start(rate, n):
    """Start and rate come back from lazy and from dense axes of ns or of seconds."""
    x = series(rate, n)
    assert (start_ns(x), rate_hz(x)) == (START, rate)
    assert start_ns(dense(x)) == START
    assert rate_hz(dense(x)) == pytest.approx(rate, rel=2e-9 * rate + 1e-9)
    seconds = xr.DataArray(np.zeros(n), dims="time", coords={"time": 10 + np.arange(n) / rate})
    assert start_ns(seconds) == 10 * 10**9
    assert rate_hz(seconds) == pytest.approx(rate, rel=1e-9 * rate + 1e-9)


def test_unknown_rates():
    """An uneven axis, a missing axis or no time dimension is an error; the attribute sampling_rate_hz helps."""
    with pytest.raises(InputError, match="not even"):
        rate_hz(xr.DataArray(np.zeros(3), dims="time", coords={"time": [0.0, 1.0, 1.5]}))
    with pytest.raises(InputError, match="rate is unknown"):
        rate_hz(xr.DataArray(np.zeros(3), dims="time"))
    with pytest.raises(InputError, match="time"):
        rate_hz(xr.DataArray(np.zeros(3), dims="x"))
    assert rate_hz(xr.DataArray(np.zeros(3), dims="time", attrs={"sampling_rate_hz": 20})) == 20
