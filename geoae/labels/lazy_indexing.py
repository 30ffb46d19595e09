"""Arrays whose samples are read when they are used. The only module that uses xarray's private indexing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing
from xarray.core.indexing import IndexSelResult as IndexSelResult


def lazy_array(
    shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[tuple[Any, ...]], np.ndarray], *, slices_only: bool
) -> Any:
    """Return an array for `xarray.Variable` whose samples are read when they are used.

    Parameters
    ----------
    shape, dtype
        Shape and type of the whole array.
    read
        Takes one index for each axis, and returns the samples. An index is an int, a slice or an array of positions;
        arrays are combined as an outer product. It must be picklable if the array is sent to other processes.
    slices_only
        Call `read` with ints and slices only; xarray selects positions from the samples that it returns.
    """
    return indexing.LazilyIndexedArray(_OnDemand(shape, dtype, read, slices_only))


def is_in_memory(x: xr.DataArray) -> bool:
    """Whether the samples of an array are in memory: neither in chunks of dask nor still in a file."""
    return bool(x.variable._in_memory)


class _OnDemand(BackendArray):  # type: ignore[misc,unused-ignore]
    """Backend array that calls a function when xarray indexes it."""

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        read: Callable[[tuple[Any, ...]], np.ndarray],
        slices_only: bool,
    ):
        self.shape, self.dtype, self.read, self.slices_only = shape, dtype, read, slices_only

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.BASIC if self.slices_only else indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self.read)
