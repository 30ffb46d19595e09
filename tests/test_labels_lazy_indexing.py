"""What geoae needs of xarray's lazy arrays."""

import numpy as np
import xarray as xr
from xarray.backends import BackendArray

from geoae.labels.lazy_indexing import ExplicitIndexer, IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter


class Counting(BackendArray):
    """Whole numbers, and which of them were read."""

    def __init__(self, n: int):
        self.shape, self.dtype, self.read = (n,), np.dtype("i8"), []

    def __getitem__(self, key: ExplicitIndexer):
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._get)

    def _get(self, key):
        self.read.append(key)
        return np.arange(self.shape[0])[key]


def test_a_lazy_array_reads_what_is_asked_for_and_nothing_before():
    """Slices of slices stay lazy, and one read follows from them."""
    source = Counting(1000)
    x = xr.DataArray(xr.Variable("x", LazilyIndexedArray(source)))[100:900][10:20:3]
    assert source.read == []
    np.testing.assert_array_equal(x.values, [110, 113, 116, 119])
    assert source.read == [(slice(110, 120, 3),)]
