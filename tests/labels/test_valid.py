"""The valid range of CF, packed or not, and its limits after a change of units."""

import numpy as np
import pytest
import xarray as xr

from geoae.labels.valid import ValidRange, convert_valid_range, find_valid_range, unpack_valid_range


def array(attrs, **encoding):
    x = xr.DataArray(np.zeros(3), dims="x", attrs=attrs)
    x.encoding = encoding
    return x


@pytest.mark.parametrize(
    ("attrs", "limits"),
    [
        ({"valid_min": 0.0}, (0, np.inf)),
        ({"valid_max": np.float32(40)}, (-np.inf, 40)),
        ({"valid_range": [0, 40]}, (0, 40)),
        ({"valid_range": np.array([0.0, 40.0]), "valid_min": 5}, (5, 40)),
        ({"valid_min": np.array([1])}, (1, np.inf)),
        ({}, None),
        ({"valid_min": "zero"}, None),
        ({"valid_range": [40, 0]}, None),
        ({"valid_range": [1, 2, 3]}, None),
        ({"valid_max": np.nan}, None),
    ],
)
def test_limits_are_found_in_attributes(attrs, limits):
    """What is no number, or no range, is none."""
    found = find_valid_range(array(attrs))
    assert (found and (found.low, found.high)) == limits


def test_packed_limits_are_unpacked():
    """Integers are in the units of packed samples, floats in those of unpacked ones; signs and order may change."""
    packing = {"scale_factor": 0.5, "add_offset": 10.0, "dtype": "i2"}
    attrs = {"valid_min": np.int16(-20), "valid_range": np.array([-20, 60], "i2"), "units": "K"}
    found = unpack_valid_range(attrs, packing)
    assert (found["valid_min"], found["valid_range"].tolist(), found["units"]) == (0.0, [0.0, 40.0], "K")
    assert unpack_valid_range(found, packing).keys() == found.keys()
    for given in (found, attrs):
        assert find_valid_range(array(given, **packing)) == ValidRange(0, 40, 0.25)
    falling = unpack_valid_range({"valid_min": 2}, {**packing, "scale_factor": -1.0})
    assert falling == {"valid_max": 8.0}
    unsigned = {"dtype": np.dtype("i1"), "_Unsigned": "true"}
    assert unpack_valid_range({"valid_range": np.array([0, -2], "i1")}, unsigned)["valid_range"].tolist() == [0, 254]
    assert unpack_valid_range({"valid_max": 5}, {"dtype": "i2"}) == {"valid_max": 5}
    assert unpack_valid_range({"valid_max": 5}, {"dtype": str, "scale_factor": 2.0}) == {"valid_max": 5}


def test_limits_change_with_the_units():
    """From kelvin to degrees Celsius; a negative factor swaps them."""
    assert convert_valid_range({"valid_min": 273.15, "a": "b"}, 1.0, -273.15) == {"valid_min": 0.0, "a": "b"}
    found = convert_valid_range({"valid_min": 1, "valid_range": [0, 10]}, -2.0, 0.0)
    assert (found["valid_max"], found["valid_range"].tolist()) == (-2.0, [-20.0, 0.0])
    assert "valid_min" not in found


def test_samples_outside_become_missing():
    """Limits are inside, also after rounding to the type of the samples; NaN stays NaN."""
    x = np.array([-1, 0.1, 0.3, np.nan, np.inf, 0.30001], "f4")
    valid = find_valid_range(xr.DataArray(x, attrs={"valid_min": 0.1, "valid_max": 0.3}))
    assert valid.is_outside(x).tolist() == [True, False, False, False, True, True]
    found = valid.drop_outside(x)
    assert found.dtype == x.dtype
    assert np.isfinite(found).tolist() == [False, True, True, False, False, False]
    assert [str(ValidRange(*ends)) for ends in ((0, 1), (0, np.inf), (-np.inf, 1))] == [
        "0 to 1",
        "from 0 on",
        "up to 1",
    ]
    whole = np.array([1, 2, 99], "i2")
    assert ValidRange(0, 50).drop_outside(whole).dtype == np.float32
    assert ValidRange(0, 100).drop_outside(whole) is whole
