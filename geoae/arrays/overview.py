"""An overview of a large slice: means of blocks of points. It shows noise that is too wide for windows of the net.

Blocks are counted from the first point of the whole array, so every division of it gives the same overview.
"""

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array


def count_blocks(n: int, by: int) -> int:
    """Number of blocks along an axis of n points."""
    return -(-n // by)


def find_block_span(region: slice, n: int, by: int, closed: bool) -> slice:
    """Blocks that the points of a region are interpolated from; all blocks if the axis is periodic (`closed`)."""
    if closed:
        return slice(0, count_blocks(n, by))
    return slice(max((region.start - by) // by - 1, 0), min((region.stop + by) // by + 2, count_blocks(n, by)))


def average_blocks(x: Array, by: int) -> NDArray[np.float64]:
    """Means of blocks of points (..., y, x) without NaN; the last block along an axis may be smaller.

    Examples
    --------
    >>> average_blocks(np.arange(6.0).reshape(2, 3), 2)
    array([[2. , 3.5]])
    """
    ny, nx = (count_blocks(n, by) for n in x.shape[-2:])
    total, count = np.zeros((*x.shape[:-2], ny, nx)), np.zeros((*x.shape[:-2], ny, nx))
    for i in range(by):  # in a fixed order, so that sums are the same in any part of an array
        for j in range(by):
            part = x[..., i::by, j::by]
            here = (..., slice(part.shape[-2]), slice(part.shape[-1]))
            valid = np.isfinite(part)
            np.add(total[here], part, out=total[here], where=valid)
            count[here] += valid
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def interpolate_blocks(
    x: Array, axis: int, first: int, n: int, region: slice, by: int, closed: bool
) -> NDArray[np.float64]:
    """Interpolate values of blocks along an axis to its points.

    By cubic convolution (Keys, 1981, doi:10.1109/TASSP.1981.1163711), which uses four blocks. Beyond the ends of an
    axis the last block is repeated, unless the axis is periodic (`closed`) and blocks divide it evenly.

    Parameters
    ----------
    x
        Values of block `first` and of those after it along `axis`, at least of `find_block_span`.
    n
        Points of the whole axis.
    region
        Points to interpolate; they may lie beyond the ends of a periodic axis.
    """
    points = np.arange(region.start, region.stop)
    at = ((points % n if closed else points) - (by - 1) / 2) / by
    base = np.floor(at).astype(int)
    t, out = at - base, 0.0
    shape = [-1 if k == axis % x.ndim else 1 for k in range(x.ndim)]
    for k, weight in enumerate(
        (
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        )
    ):
        block = base + k - 1
        block = block % (n // by) if closed and n % by == 0 else np.clip(block, 0, count_blocks(n, by) - 1)
        out = out + weight.reshape(shape) * np.take(x, block - first, axis)
    return np.asarray(out)
