"""Numbers that a caller gives."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from geoae.arrays.numbers import read_floats, read_reals, require_seed
from geoae.errors import InputError

VALUES = np.array([1.0, np.nan, 3.0])


@pytest.mark.parametrize(
    "given",
    [
        [1, np.nan, 3],
        VALUES.astype(">f4"),
        np.ma.array([1, 999, 3], mask=[False, True, False]),
        np.ma.array([1.0, 999.0, 3.0], mask=[False, True, False]),
        [np.ma.array(1), np.ma.array(999, mask=True), np.ma.array(3)],
        xr.DataArray(VALUES, dims="x", attrs={"units": "s"}),
        pd.Series(VALUES),
        np.array([1, np.nan, 3], dtype=object),
        torch.tensor(VALUES, requires_grad=True),
    ],
    ids=lambda x: type(x).__name__,
)
def test_missing_values_are_nan(given):
    """In lists, masked arrays, labelled arrays and tables; the caller's array is not changed."""
    found = read_floats(given, "The data are")
    assert found.dtype == np.float64
    assert not np.ma.isMaskedArray(found)
    np.testing.assert_array_equal(found, VALUES)
    found[:] = 0
    np.testing.assert_array_equal(read_floats(given, "The data are"), VALUES)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (VALUES * 1j, r"The data are complex.*stack\(\[x\.real, x\.imag\]\)"),
        ([1 + 2j], "The data are complex"),
        (None, "a NoneType that is no array"),
        (["1", "2"], "a list that is no array"),
        ([1, "a", None], "a list that is no array"),
        (np.array(["2020"], "M8[s]"), "a ndarray that is no array of numbers"),
    ],
)
def test_what_is_no_real_number_is_refused(given, says):
    with pytest.raises(InputError, match=says):
        read_reals(given, "The data are")


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, [1]])
def test_a_seed_is_a_whole_number(seed):
    """Others are refused, with the value."""
    assert require_seed(np.int64(7)) == 7
    with pytest.raises(InputError, match=r"^seed is .*; give a whole number of at least 0\.$"):
        require_seed(seed)
