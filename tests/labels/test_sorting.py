"""Records and fields are told apart by dimensions and attributes."""

import numpy as np
import pytest
import xarray as xr

from geoae.labels.sorting import is_field, is_record, separate_rows

RATE = {"sampling_rate_hz": 100.0}


def make(*dims, **attrs):
    return xr.DataArray(np.zeros([3] * len(dims)), dims=dims, attrs=attrs)


@pytest.mark.parametrize(
    ("x", "dims", "expected"),
    [
        (make("time"), (), True),
        (make("channel", "time"), (), True),
        (make("record", "channel", "time"), (), True),
        (make("distance", "time"), (), True),
        (make("a", "b", "time", **RATE), (), True),
        (make("time", "lat", "lon"), (), False),
        (make("a", "b", "time"), (), False),
        (make("y", "x"), (), False),
        (make("distance", "time"), ("time",), True),
        (make("distance", "time"), ("distance", "time"), False),
        (make("channel", "time"), ("channel", "time"), True),
        (make("a", "b", "time"), ("a", "b"), False),
    ],
)
def test_records_and_fields(x, dims, expected):
    """Names that a caller gives come first."""
    assert is_record(x, dims) is expected


def test_fields_have_two_horizontal_dimensions():
    assert is_field(make("lat", "lon"))
    assert not is_field(make("distance", "time"))
    assert is_field(make("a", "b"), ("a", "b"))


def test_rows_are_separate_unless_they_are_channels():
    """Dimensions with one row do not count."""
    assert separate_rows(make("distance", "time")) == ("distance",)
    assert separate_rows(make("fibre", "time", "distance")) == ("fibre", "distance")
    assert separate_rows(make("record", "channel", "time")) == ()
    assert separate_rows(make("distance", "time").isel(distance=[0])) == ()
