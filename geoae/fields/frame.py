"""Denoise any region of a whole field: windows over two of its axes, neighbours in time beside each slice.

Everything follows from where a region lies in the whole array, so memory, dask and stores give one answer. Plain
arrays; labels are in `geoae.fields.infer`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays import neighbours, overview
from geoae.arrays.types import Array
from geoae.arrays.windows import Region, WindowGrid, join_region
from geoae.fields.contract import FieldContract
from geoae.model import Denoiser, Model, require_role
from geoae.model.denoising import BATCH, denoise_block
from geoae.stores.blocks import choose_chunks

MIN_OVERVIEW_BLOCKS = 8
"""Blocks along a side that an overview has at least."""


@dataclass(frozen=True)
class FieldFrame:
    """Layout of the windows of a whole field, and the samples that a region of it needs.

    Regions are slices along all axes of the array. Spans are what is read: along an axis that closes around the globe
    they may begin below 0 and end beyond the last sample, and are meant modulo its length.
    """

    shape: tuple[int, ...]
    """Of the whole array, its axes in any order."""
    horizontal: tuple[int, int]
    """Axes that windows cover."""
    time: int | None
    """Axis along which slices are neighbours."""
    periodic: tuple[bool, bool]
    """For each horizontal axis whether its last sample is next to its first."""
    contract: FieldContract

    @property
    def zoom(self) -> int:
        """How many times finer than the grid the net's windows are."""
        return neighbours.zoom(min(self.shape[a] for a in self.horizontal), self.contract.enough)

    @property
    def overview(self) -> int:
        """Points along a side of a block of the overview; 0 where slices have neighbours in time or are too small."""
        c, small = self.contract, min(self.shape[a] for a in self.horizontal)
        alone = self.time is None or self.shape[self.time] == 1
        return c.overview if alone and c.overview and small // c.overview >= max(c.enough, MIN_OVERVIEW_BLOCKS) else 0

    @property
    def blocks(self) -> "FieldFrame":
        """Where the windows of the overview lie."""
        by, shape = self.overview, list(self.shape)
        for axis in self.horizontal:
            shape[axis] = overview.length(self.shape[axis], by)
        even = tuple(p and self.shape[a] % by == 0 for a, p in zip(self.horizontal, self.periodic, strict=True))
        return FieldFrame(
            tuple(shape), self.horizontal, self.time, (even[0], even[1]), replace(self.contract, overview=0)
        )

    @property
    def grid(self) -> WindowGrid:
        """Windows along the horizontal axes; those that close are longer by a window at either end."""
        c, k = self.contract, self.zoom
        sizes = tuple(self.shape[a] for a in self.horizontal)
        window = tuple(_window(n, w // k, s // k, c.multiple // k, ring)
                       for n, w, s, ring in zip(sizes, c.window, c.stride, self.periodic, strict=True))  # fmt: skip
        shape = tuple(n + 2 * w * ring for n, w, ring in zip(sizes, window, self.periodic, strict=True))
        stride = tuple(min(s // k, w) for s, w in zip(c.stride, window, strict=True))
        return _Rings(shape, window, stride, self.periodic)

    def span(self, axis: int, region: slice) -> slice:
        """Samples that a region needs along one axis."""
        near = self.window_span(axis, region)
        if axis not in self.horizontal or not self.overview:
            return near
        wide = self.overview_span(axis, region)
        return slice(min(near.start, wide.start), max(near.stop, wide.stop))

    def overview_blocks(self, axis: int, region: slice) -> slice:
        """Blocks of the overview that are interpolated to a region, along one axis."""
        if axis not in self.horizontal:
            return region
        ring = self.periodic[self.horizontal.index(axis)]
        return overview.span(self.window_span(axis, region), self.shape[axis], self.overview, ring)

    def overview_span(self, axis: int, region: slice) -> slice:
        """Samples that are averaged to `overview_blocks` along one axis, with the halo of the overview's windows."""
        if axis not in self.horizontal:
            return self.window_span(axis, region)
        blocks, by, n = self.blocks, self.overview, self.shape[axis]
        wide = blocks.span(axis, self.overview_blocks(axis, region))
        # the last block may be smaller
        ring = blocks.periodic[self.horizontal.index(axis)]
        return slice(wide.start * by, wide.stop * by if ring else min(wide.stop * by, n))

    def window_span(self, axis: int, region: slice) -> slice:
        """Samples of all windows that touch a region along one axis; along time, of its neighbours."""
        if axis == self.time:
            return neighbours.halo(region.start, region.stop, self.shape[axis], self.contract.far)
        if axis not in self.horizontal:
            return region
        grid, k = self.grid, self.horizontal.index(axis)
        margin = grid.window[k] * self.periodic[k]
        starts = grid.touching(k, slice(region.start + margin, region.stop + margin))
        return slice(int(starts[0]) - margin, min(int(starts[-1]) + grid.window[k], grid.shape[k]) - margin)

    def spans(self, region: Region) -> Region:
        """Samples that a region needs along every axis."""
        return tuple(self.span(axis, r) for axis, r in enumerate(region))


@dataclass(frozen=True)
class _Rings(WindowGrid):
    """Windows along axes of which some are periodic. Along these they are spaced evenly, so that there is no seam."""

    closed: tuple[bool, bool]

    def starts(self, axis: int) -> NDArray[np.intp]:
        if not self.closed[axis]:
            return super().starts(axis)
        window = self.window[axis]
        n = self.shape[axis] - 2 * window
        count = -(-n // self.stride[axis])
        starts = np.arange(-(-(n + window + 1) * count // n)) * n // count  # repeats after n samples
        return starts[starts <= n + window].astype(np.intp)


def _window(n: int, window: int, stride: int, multiple: int, ring: bool) -> int:
    """Samples of a window on an axis of n: no more than are there, in whole multiples; a ring overlaps itself."""
    wanted = n + (window - stride) * ring
    return window if window <= wanted else -(-wanted // multiple) * multiple


def predict_region_noise(block: Array, where: FieldFrame, region: Region, model: Model, batch: int = BATCH) -> Array:
    """Noise that the model finds in a region of a field.

    Parameters
    ----------
    block
        Samples of ``where.spans(region)``, NaN where missing; those that are not finite count as missing.
    where
        Of the whole field.
    region
        A slice with start and stop for each axis.
    model
        A denoiser of fields.
    batch
        Windows a call of the net.

    Returns
    -------
    Array
        Shape of the region, float64, finite; zero in windows in which nothing varies.
    """
    overview_noise = _overview_noise(block, where, region, model, batch) if where.overview else None
    inner = _inside([where.window_span(axis, r) for axis, r in enumerate(region)], where.spans(region))
    lead = [a for a in range(len(where.shape)) if a != where.time and a not in where.horizontal]
    order = (*lead, *([] if where.time is None else [where.time]), *where.horizontal)
    ordered = block[inner].transpose(order)
    overview_noise = None if overview_noise is None else overview_noise.transpose(order)
    noise = np.empty([region[a].stop - region[a].start for a in order])
    if where.time is None:
        ordered, noise_view, first = ordered[..., None, :, :], noise[..., None, :, :], 0
        overview_noise = None if overview_noise is None else overview_noise[..., None, :, :]
        series = {}
    else:
        origin = where.span(where.time, region[where.time]).start
        noise_view, first = noise, region[where.time].start - origin
        series = {"origin": origin, "n": where.shape[where.time]}
    grid, margins = where.grid, [w * ring for w, ring in zip(where.grid.window, where.periodic, strict=True)]
    part = tuple(slice(region[a].start + m, region[a].stop + m)
                 for a, m in zip(where.horizontal, margins, strict=True))  # fmt: skip
    # small grids: windows of several slices fill a batch
    together = max(batch // math.prod(len(grid.touching(axis, r)) for axis, r in enumerate(part)), 1)
    for index in np.ndindex(noise_view.shape[:-3]):
        for start in range(0, noise_view.shape[-3], together):
            stop = min(start + together, noise_view.shape[-3])
            planes: Array = np.stack([
                neighbours.channels(ordered[index], first + t, where.contract.near, where.contract.far, **series)
                for t in range(start, stop)
            ])  # fmt: skip
            if overview_noise is not None:
                planes = neighbours.with_overview(planes, overview_noise[index][start:stop])
            size = max(batch // (stop - start), 1)
            answer = join_region(lambda _, planes=planes: planes, _Windows(model, where.zoom), grid, part, size)  # type: ignore[misc]
            noise_view[index][start:stop] = answer[:, 0]
    return noise.transpose(np.argsort(order))


def _overview_noise(block: Array, where: FieldFrame, region: Region, model: Model, batch: int) -> Array:
    """Noise of the overview, interpolated to the samples of the windows that touch a region."""
    spans, by = where.spans(region), where.overview
    wide = block[_inside([where.overview_span(axis, r) for axis, r in enumerate(region)], spans)]
    means = np.moveaxis(overview.means(np.moveaxis(wide, where.horizontal, (-2, -1)), by), (-2, -1), where.horizontal)
    blocks_needed = tuple(where.overview_blocks(axis, r) for axis, r in enumerate(region))
    found: Array = predict_region_noise(means, where.blocks, blocks_needed, model, batch)
    for axis, ring in zip(where.horizontal, where.periodic, strict=True):
        points = where.window_span(axis, region[axis])
        found = overview.between(found, axis, blocks_needed[axis].start, where.shape[axis], points, by, ring)
    return found


def _inside(part: Sequence[slice], whole: Sequence[slice]) -> Region:
    """Where a part, in samples of the array, lies in a block that holds `whole`."""
    return tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, whole, strict=True))


class _Windows:
    """Noise of windows (batch, slice, 8, y, x). Windows of several slices go through the net in one call."""

    def __init__(self, model: Model, zoom: int) -> None:
        self.model, self.zoom = require_role(model, Denoiser), zoom

    def __call__(self, windows: Array) -> Array:
        flat = windows.reshape(-1, *windows.shape[-3:])
        np.nan_to_num(flat[:, neighbours.VALUES :], copy=False)  # beyond a small grid nothing is known
        own = flat[:, 0]
        finite = np.isfinite(own)
        high = own.max((-2, -1), initial=-np.inf, where=finite)
        varied = high > own.min((-2, -1), initial=np.inf, where=finite)
        noise = np.zeros((len(flat), 1, *flat.shape[-2:]))
        if varied.any():
            noise[varied] = self._noise(flat if varied.all() else flat[varied])
        return noise.reshape(*windows.shape[:2], 1, *flat.shape[-2:])

    def _noise(self, windows: Array) -> Array:
        if self.zoom == 1:
            return self.model.noise(windows)[:, :1]
        return self.model.noise(neighbours.enlarged(windows, self.zoom))[:, :1, :: self.zoom, :: self.zoom]


def denoise_region(
    block: Array, where: FieldFrame, region: Region, model: Model, dry: float = 0.0, batch: int = BATCH
) -> tuple[Array, Array, Array]:
    """Samples of a region, its signal, and what was removed, from the samples that it needs.

    Signal and removed have the type `output_dtype`; they add up to the samples, within its rounding. Samples that are
    not finite are returned unchanged. Parameters as in `predict_region_noise`; `dry` is the fraction of the noise that
    is kept.
    """
    noise = predict_region_noise(block, where, region, model, batch)
    spans = where.spans(region)
    x, dtype = np.asarray(block[_inside(region, spans)], dtype=np.float64), output_dtype(block.dtype)
    limit = float(np.finfo(dtype).max)
    if dtype.itemsize < 4:  # half precision ends at 65504, and recordings come near it
        with np.errstate(invalid="ignore"):
            noise = np.clip(noise, x - limit, x + limit, where=np.isfinite(x), out=noise)
    return x, *denoise_block(x, noise, dry, dtype)


def output_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What cleaned samples are of: floats as they came, float32 where they were whole numbers."""
    return dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float32)


def iterate_regions(where: FieldFrame) -> Iterator[Region]:
    """The whole field in parts of about a million samples."""
    sizes = choose_chunks(where.shape, where.horizontal)
    cuts = [[slice(a, min(a + m, n)) for a in range(0, n, m)] for n, m in zip(where.shape, sizes, strict=True)]
    yield from product(*cuts)


def split_span(span: slice, n: int) -> list[slice]:
    """Parts of an axis of n samples that a span, meant modulo n, consists of, in its order.

    Examples
    --------
    >>> pieces(slice(2, 5), 8), pieces(slice(-2, 5), 8)
    ([slice(2, 5, None)], [slice(6, 8, None), slice(0, 5, None)])
    """
    found, at = [], span.start
    while at < span.stop:
        stop = min(span.stop, at - at % n + n)
        found.append(slice(at % n, at % n + stop - at))
        at = stop
    return found


def read_spans(samples: Array, spans: Region) -> Array:
    """Samples of spans, of an array in memory."""
    for axis, span in enumerate(spans):
        parts = [samples[(slice(None),) * axis + (one,)] for one in split_span(span, samples.shape[axis])]
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
    return samples
