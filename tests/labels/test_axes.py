"""Tests of geoae.labels.axes: metadata first, then type and names."""

import numpy as np
import pytest
import xarray as xr

from geoae.labels.axes import (
    RANK_OF_NAME,
    find_axis_by_name,
    find_axis_evidence,
    find_geographic_axis,
    is_longitude,
)


def coord(values=(0.0, 1.0), **attrs) -> xr.Variable:
    return xr.Variable("d", np.asarray(values), attrs)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (coord(axis="y", standard_name="longitude"), (0, "Y")),
        (coord(cartesian_axis="Z"), (0, "Z")),
        (coord(standard_name="longitude", units="hPa"), (1, "X")),
        (coord(standard_name="projection_y_coordinate"), (1, "Y")),
        (coord(units="degrees_east"), (2, "X")),
        (coord(units="hPa"), (2, "Z")),
        (coord(units="days since 2000-01-01"), (2, "T")),
        (coord(np.array(["2020-01-01", "2020-01-02"], "M8[ns]")), (3, "T")),
        (coord(positive="down"), (4, "Z")),
        (coord(), (RANK_OF_NAME + 1, "")),
    ],
)
def test_evidence_is_ranked(variable, expected):
    """The axis attribute is stronger than the standard name, and that is stronger than units, type and direction."""
    assert find_axis_evidence("d", variable) == expected


def test_a_name_is_the_weakest_evidence():
    """It decides only where metadata are missing."""
    assert find_axis_evidence("lat", coord()) == (RANK_OF_NAME, "Y")
    assert find_axis_evidence("lat", coord(axis="X")) == (0, "X")


@pytest.mark.parametrize(
    ("names", "axis"),
    [
        (("lon", "Longitude", "x", "rlon", "west_east", "lon_0", "ni"), "X"),
        (("lat", "latitude", "Y", "nlat", "south_north", "row", "lat12"), "Y"),
        (("plev", "level", "depth", "isobaricInhPa"), "Z"),
        (("time", "valid_time", "month"), "T"),
        (("member", "number", "realization"), "E"),
        (("station", "band", "", "longing"), ""),
    ],
)
def test_names_that_models_use(names, axis):
    """Upper and lower case and a trailing number do not matter."""
    assert {find_axis_by_name(name)[1] for name in names} == {axis}


def test_geographic_coordinates_may_have_any_shape():
    """Standard name or units decide; a standard name of something else excludes the units."""
    plane = xr.Variable(("a", "b"), np.zeros((2, 3)), {"units": "degrees_north"})
    assert find_geographic_axis(plane) == "Y"
    assert find_geographic_axis(coord(standard_name="longitude")) == "X"
    assert find_geographic_axis(coord(standard_name="grid_longitude", units="degrees_east")) == ""
    assert find_geographic_axis(coord(units="m")) == ""


@pytest.mark.parametrize(
    ("name", "variable", "expected"),
    [
        ("a", coord(units="degrees_east"), True),
        ("a", coord(standard_name="grid_longitude", units="degrees"), True),
        ("a", coord(standard_name="longitude", units="radians"), False),
        ("lon", coord(), True),
        ("lon", coord(units="m"), False),
        ("x", coord(units="degrees"), False),
    ],
)
def test_degrees_of_longitude(name, variable, expected):
    """By units, standard name, or a name with plain degrees; radians and metres are excluded."""
    assert is_longitude(variable, name) == expected
