"""Tests of geoae.labels.lazy_indexing."""

import numpy as np
import pytest
import xarray as xr

from geoae.labels.lazy_indexing import is_in_memory, lazy_array


@pytest.mark.parametrize("slices_only", [True, False])
def test_a_lazy_array_reads_only_the_selected_part(slices_only):
    """Slices of slices stay lazy, and lead to one read."""
    asked = []

    def read(key):
        asked.append(key)
        return np.arange(1000)[key]

    whole = xr.DataArray(xr.Variable("x", lazy_array((1000,), np.dtype("i8"), read, slices_only=slices_only)))
    x = whole[100:900][10:20:3]
    assert asked == []
    assert not is_in_memory(x)
    np.testing.assert_array_equal(x.values, [110, 113, 116, 119])
    assert asked == [(slice(110, 120, 3),)]


def test_an_array_of_numpy_is_in_memory():
    """So is a loaded array; a dask array is not."""
    x = xr.DataArray(np.arange(4.0))
    assert is_in_memory(x)
    assert not is_in_memory(x.chunk())
    assert is_in_memory(x.chunk().load())
