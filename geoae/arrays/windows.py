"""Cut arrays into overlapping windows and add them back together.

Everything here is numpy: no files, no torch, no labels. Positions count from sample 0 of the whole array.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array

Region = tuple[slice, ...]
Read = Callable[[Region], Array]
Apply = Callable[[Array], Array]


def find_window_starts(length: int, window: int, stride: int) -> NDArray[np.intp]:
    """First sample of each window; the last one sits flush with the end, so nothing is dropped.

    Examples
    --------
    >>> find_window_starts(10, 4, 3), find_window_starts(11, 4, 3), find_window_starts(3, 4, 3)
    (array([0, 3, 6]), array([0, 3, 6, 7]), array([0]))
    """
    tail = max(length - window, 0)
    starts = np.arange(0, tail + 1, stride, dtype=np.intp)
    return starts if starts[-1] == tail else np.append(starts, tail)


@dataclass(frozen=True)
class WindowGrid:
    """Positions of windows in a whole array, along its last `len(shape)` axes. The array may be shorter than one."""

    shape: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.shape) == len(self.window) == len(self.stride):
            raise ValueError(f"shape {self.shape}, window {self.window} and stride {self.stride} need one length")
        if any(not 0 < s <= w for s, w in zip(self.stride, self.window, strict=True)):
            raise ValueError(f"stride {self.stride} must lie in 1..window {self.window}, or samples lie in no window")
        if any(n < 1 for n in self.shape):
            raise ValueError(f"shape {self.shape} holds no sample")

    def starts(self, axis: int) -> NDArray[np.intp]:
        """First sample of each window along one axis."""
        return find_window_starts(self.shape[axis], self.window[axis], self.stride[axis])

    def taper(self, axis: int) -> NDArray[np.float64]:
        """Weights of a window's samples along one axis: a plateau with cosine flanks as long as the overlap.

        Never zero, because samples at the ends of the array lie in one window only.
        """
        window, overlap = self.window[axis], self.window[axis] - self.stride[axis]
        edge = np.minimum(np.arange(window), np.arange(window)[::-1])
        rise = np.clip((edge + 0.5) / max(overlap, 1), 0, 1)
        return np.maximum(np.sin(0.5 * np.pi * rise) ** 2, 1e-6)

    def touching(self, axis: int, region: slice) -> NDArray[np.intp]:
        """Starts of all windows that share a sample with `region`."""
        starts = self.starts(axis)
        return starts[(starts < region.stop) & (starts + self.window[axis] > region.start)]


def join_region(read: Read, apply: Apply, grid: WindowGrid, region: Region, batch: int = 16) -> Array:
    """Apply a function to every window that touches a region, and join the results by overlap-add.

    The result for a sample is the weighted mean over all windows that hold it, always added in the same order. So it
    does not depend on how the array is divided into regions.

    Parameters
    ----------
    read
        Region of the whole array -> block (..., *region); called once, with all samples that the windows need.
    apply
        Batch of windows (batch, ..., *window) -> batch of windows. Samples beyond a short array are NaN.
    grid
        Positions of the windows.
    region
        One slice with start and stop for each axis of the grid.
    batch
        Maximum number of windows in one call of `apply`.

    Returns
    -------
    Array
        Shape (..., *region), float64.
    """
    starts = [grid.touching(axis, r) for axis, r in enumerate(region)]
    # all windows touching the region, not only those inside: its edges need their neighbours
    origin = [int(s[0]) for s in starts]
    ends = [min(int(s[-1]) + w, n) for s, w, n in zip(starts, grid.window, grid.shape, strict=True)]
    block = _pad_to_window(read(tuple(slice(a, b) for a, b in zip(origin, ends, strict=True))), grid, origin, ends)
    tapers = [grid.taper(axis) for axis in range(len(region))]
    weight = np.zeros(tuple(r.stop - r.start for r in region))
    total = np.zeros(0)
    for corners in _batches(product(*starts), batch):
        windows = np.stack([block[_last(_window(c, origin, grid))] for c in corners])
        for corner, result in zip(corners, apply(windows), strict=True):
            if not total.size:  # the leading axes are known once there is a result
                total = np.zeros((*result.shape[: result.ndim - len(region)], *weight.shape))
            in_window, in_region = _overlap(corner, grid.window, region)
            w = _outer([t[i] for t, i in zip(tapers, in_window, strict=True)])
            total[_last(in_region)] += w * result[_last(in_window)]
            weight[in_region] += w
    return np.divide(total, weight, out=total)


def _pad_to_window(block: Array, grid: WindowGrid, origin: list[int], ends: list[int]) -> Array:
    missing = [max(w - (b - a), 0) for w, a, b in zip(grid.window, origin, ends, strict=True)]
    if not any(missing):
        return block
    lead = [(0, 0)] * (block.ndim - len(missing))
    return np.pad(
        block.astype(np.result_type(block, np.float32)), lead + [(0, m) for m in missing], constant_values=np.nan
    )


def _last(region: Region) -> tuple[Any, ...]:
    """Index of a region along the last axes of an array."""
    return (..., *region)


def _window(corner: tuple[int, ...], origin: list[int], grid: WindowGrid) -> Region:
    return tuple(slice(c - o, c - o + w) for c, o, w in zip(corner, origin, grid.window, strict=True))


def _overlap(corner: tuple[int, ...], window: tuple[int, ...], region: Region) -> tuple[Region, Region]:
    """The shared samples of a window and a region: as slices of the window, and of the region."""
    in_window, in_region = [], []
    for c, w, r in zip(corner, window, region, strict=True):
        a, b = max(c, r.start), min(c + w, r.stop)
        in_window.append(slice(a - c, b - c))
        in_region.append(slice(a - r.start, b - r.start))
    return tuple(in_window), tuple(in_region)


def _outer(tapers: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Outer product of the tapers of all axes."""
    out = tapers[0]
    for t in tapers[1:]:
        out = out[..., None] * t
    return out


def _batches(items: Iterator[tuple[int, ...]], size: int) -> Iterator[list[tuple[int, ...]]]:
    batch: list[tuple[int, ...]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
