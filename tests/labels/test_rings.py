"""Rings of longitudes, and points at their end that repeat the first ones."""

import numpy as np
import pytest
import xarray as xr

from geoae.labels.rings import count_repeats, is_steady, unwrap_degrees


def line(degrees):
    attrs = {"units": "degrees_east"}
    return xr.DataArray(np.zeros((8, len(degrees))), dims=("y", "x"), coords={"lon": ("x", degrees, attrs)})


@pytest.mark.parametrize(("n", "expected"), [(34, None), (36, 0), (37, 1), (38, 2), (39, None), (72, None)])
def test_points_after_the_circle_are_counted(n, expected):
    """In both directions; with longitudes that run on, and with those that begin again."""
    for degrees in (np.arange(n) * 10.0, -10.0 * np.arange(n), (np.arange(n) * 10.0 + 175) % 360 - 180):
        assert count_repeats(line(degrees), "x", ("y", "x")) == expected
    assert count_repeats(line(np.arange(n) * 10.0), "y", ("y", "x")) is None


def test_points_near_the_first_one_repeat_nothing():
    """A last point one third of a step after the first one is a place of its own."""
    degrees = np.append(np.arange(36) * 10.0, 363.3)
    assert count_repeats(line(degrees), "x", ("y", "x")) is None


def test_jumps_are_no_steps():
    """From 180 to -180 and from 360 to 0."""
    np.testing.assert_array_equal(unwrap_degrees(np.array([170.0, 180.0, -170.0])), [170.0, 180.0, 190.0])
    assert is_steady(unwrap_degrees(np.array([350.0, 0.0, 10.0])))
    assert not is_steady(np.array([1.0, 1.0]))
