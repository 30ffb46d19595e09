"""Measured data: what is accepted."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert.misfit.data import read_data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (np.full(4, np.nan), "None of the 4 data is a number"),
        ([1.0, np.inf, -np.inf], "2 of the data are infinite; give NaN for missing data"),
        ("abc", "a str that is no array"),
        ([[1.0], [1.0, 2.0]], "a list that is no array"),
    ],
)
def test_invalid_data_are_refused(data, says):
    with pytest.raises(InputError, match=says):
        read_data(data)


def test_missing_data_and_shapes_are_kept():
    np.testing.assert_array_equal(read_data([[1, np.nan], [3, 4]]), [[1.0, np.nan], [3.0, 4.0]])
    assert read_data(2).shape == (1,)
