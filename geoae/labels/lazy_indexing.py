"""The one module that uses xarray's private indexing: arrays whose samples are read when they are used."""

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
        Of the whole array.
    read
        Is given one index an axis, and returns the samples. Each index is an int or a slice, or an array of positions,
        which are combined as an outer product. It has to be picklable where the array is sent to other processes.
    slices_only
        Give `read` ints and slices only; xarray selects from what these return.
    """
    return indexing.LazilyIndexedArray(_OnDemand(shape, dtype, read, slices_only))


def is_in_memory(x: xr.DataArray) -> bool:
    """Whether the samples of an array lie in memory, and are neither in chunks of dask nor to be read from a file."""
    return bool(x.variable._in_memory)


class _OnDemand(BackendArray):  # type: ignore[misc,unused-ignore]
    """What xarray asks for samples."""

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
