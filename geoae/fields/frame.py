"""Denoise any region of a field, on plain arrays: windows over its two horizontal axes, neighbours in time.

The result depends only on the place of a region in the whole array, so arrays in memory, dask arrays and stores get the
same samples. `geoae.fields.infer` does the same for labelled arrays.
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
from geoae.labels.valid import ValidRange
from geoae.model import Denoiser, Model, require_role
from geoae.model.denoising import BATCH, denoise_block
from geoae.stores.blocks import choose_chunks

MIN_OVERVIEW_BLOCKS = 8
"""Smallest number of blocks along a side of an overview."""


@dataclass(frozen=True)
class FieldFrame:
    """Layout of the windows of a whole field, and the samples that a region of it needs.

    Regions are slices along all axes of the array. Spans are the slices to be read for them. Along a periodic axis
    spans may begin below 0 and end after the last sample; their indices count modulo the length of the axis.
    """

    shape: tuple[int, ...]
    """Shape of the whole array, its axes in any order; without points that repeat the first ones of a periodic axis."""
    horizontal: tuple[int, int]
    """The two axes of the windows."""
    time: int | None
    """Axis of time; None without neighbours in time."""
    periodic: tuple[bool, bool]
    """For each horizontal axis, True if its last sample is next to its first, as longitudes around the globe."""
    contract: FieldContract
    repeats: tuple[int, int] = (0, 0)
    """For each horizontal axis, points of the array after `shape` that repeat the first ones, as longitudes 0 and 360.
    Regions may include them."""
    valid: ValidRange | None = None
    """Samples outside count as missing; None: all samples are valid."""

    @property
    def full_shape(self) -> tuple[int, ...]:
        """Shape of the whole array, with repeated points."""
        extra = dict(zip(self.horizontal, self.repeats, strict=True))
        return tuple(n + extra.get(axis, 0) for axis, n in enumerate(self.shape))

    def split(self, axis: int, span: slice) -> list[slice]:
        """Split a span along one axis into slices of the array, in order."""
        return split_span(span, self.shape[axis], self.full_shape[axis] - self.shape[axis])

    @property
    def zoom(self) -> int:
        """Factor by which small grids are interpolated for the net."""
        return neighbours.choose_zoom(min(self.shape[a] for a in self.horizontal), self.contract.enough)

    @property
    def overview(self) -> int:
        """Points along a side of a block of the overview; 0 if slices have neighbours in time or are too small."""
        c, small = self.contract, min(self.shape[a] for a in self.horizontal)
        is_single = self.time is None or self.shape[self.time] == 1
        return (
            c.overview if is_single and c.overview and small // c.overview >= max(c.enough, MIN_OVERVIEW_BLOCKS) else 0
        )

    @property
    def overview_frame(self) -> "FieldFrame":
        """Layout of the windows of the overview."""
        by, shape = self.overview, list(self.shape)
        for axis in self.horizontal:
            shape[axis] = overview.count_blocks(self.shape[axis], by)
        even = tuple(p and self.shape[a] % by == 0 for a, p in zip(self.horizontal, self.periodic, strict=True))
        return FieldFrame(
            tuple(shape), self.horizontal, self.time, (even[0], even[1]), replace(self.contract, overview=0)
        )

    @property
    def grid(self) -> WindowGrid:
        """Windows along the horizontal axes; periodic axes are extended by one window at either end."""
        c, k = self.contract, self.zoom
        sizes = tuple(self.shape[a] for a in self.horizontal)
        window = tuple(_window(n, w // k, s // k, c.multiple // k, ring)
                       for n, w, s, ring in zip(sizes, c.window, c.stride, self.periodic, strict=True))  # fmt: skip
        shape = tuple(n + 2 * w * ring for n, w, ring in zip(sizes, window, self.periodic, strict=True))
        stride = tuple(min(s // k, w) for s, w in zip(c.stride, window, strict=True))
        return _Rings(shape, window, stride, self.periodic)

    def span(self, axis: int, region: slice) -> slice:
        """Span of samples that a region needs along one axis."""
        near = self.window_span(axis, region)
        if axis not in self.horizontal or not self.overview:
            return near
        wide = self.overview_span(axis, region)
        return slice(min(near.start, wide.start), max(near.stop, wide.stop))

    def overview_blocks(self, axis: int, region: slice) -> slice:
        """Span of blocks of the overview that are interpolated to a region, along one axis."""
        if axis not in self.horizontal:
            return region
        ring = self.periodic[self.horizontal.index(axis)]
        return overview.find_block_span(self.window_span(axis, region), self.shape[axis], self.overview, ring)

    def overview_span(self, axis: int, region: slice) -> slice:
        """Span of samples averaged to `overview_blocks` along one axis, with the halo of the overview's windows."""
        if axis not in self.horizontal:
            return self.window_span(axis, region)
        blocks, by, n = self.overview_frame, self.overview, self.shape[axis]
        wide = blocks.span(axis, self.overview_blocks(axis, region))
        # the last block may be smaller
        ring = blocks.periodic[self.horizontal.index(axis)]
        return slice(wide.start * by, wide.stop * by if ring else min(wide.stop * by, n))

    def window_span(self, axis: int, region: slice) -> slice:
        """Span of all windows that touch a region along one axis; along time, span of its neighbours."""
        if axis == self.time:
            return neighbours.find_halo(region.start, region.stop, self.shape[axis], self.contract.far)
        if axis not in self.horizontal:
            return region
        grid, k = self.grid, self.horizontal.index(axis)
        margin = grid.window[k] * self.periodic[k]
        starts = grid.touching(k, slice(region.start + margin, region.stop + margin))
        return slice(int(starts[0]) - margin, min(int(starts[-1]) + grid.window[k], grid.shape[k]) - margin)

    def spans(self, region: Region) -> Region:
        """Spans of samples that a region needs along all axes."""
        return tuple(self.span(axis, r) for axis, r in enumerate(region))


@dataclass(frozen=True)
class _Rings(WindowGrid):
    """Windows along axes of which some are periodic. On periodic axes they are evenly spaced, so there is no seam."""

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
    """Length of windows on an axis of `n` samples; on short axes, the axis length padded to a whole multiple."""
    available = n + (window - stride) * ring  # on a ring, the last window overlaps the first
    return window if window <= available else -(-available // multiple) * multiple


def predict_region_noise(block: Array, frame: FieldFrame, region: Region, model: Model, batch: int = BATCH) -> Array:
    """Predict the noise in a region of a field.

    Parameters
    ----------
    block
        Samples of ``frame.spans(region)``. Samples that are not finite count as missing.
    frame
        Layout of the windows of the whole field.
    region
        A slice with start and stop for each axis.
    model
        A denoiser of fields.
    batch
        Windows per call of the net.

    Returns
    -------
    Array
        Shape of the region, float64, finite; zero in constant windows.
    """
    block = block if frame.valid is None else frame.valid.drop_outside(block)
    overview_noise = _overview_noise(block, frame, region, model, batch) if frame.overview else None
    inner = _inside([frame.window_span(axis, r) for axis, r in enumerate(region)], frame.spans(region))
    lead = [a for a in range(len(frame.shape)) if a != frame.time and a not in frame.horizontal]
    order = (*lead, *([] if frame.time is None else [frame.time]), *frame.horizontal)
    ordered = block[inner].transpose(order)
    overview_noise = None if overview_noise is None else overview_noise.transpose(order)
    noise = np.empty([region[a].stop - region[a].start for a in order])
    if frame.time is None:
        ordered, noise_view, first = ordered[..., None, :, :], noise[..., None, :, :], 0
        overview_noise = None if overview_noise is None else overview_noise[..., None, :, :]
        series = {}
    else:
        origin = frame.span(frame.time, region[frame.time]).start
        noise_view, first = noise, region[frame.time].start - origin
        series = {"origin": origin, "n": frame.shape[frame.time]}
    grid, margins = frame.grid, [w * ring for w, ring in zip(frame.grid.window, frame.periodic, strict=True)]
    part = tuple(slice(region[a].start + m, region[a].stop + m)
                 for a, m in zip(frame.horizontal, margins, strict=True))  # fmt: skip
    # on small grids, windows of several slices fill a batch
    together = max(batch // math.prod(len(grid.touching(axis, r)) for axis, r in enumerate(part)), 1)
    for index in np.ndindex(noise_view.shape[:-3]):
        for start in range(0, noise_view.shape[-3], together):
            stop = min(start + together, noise_view.shape[-3])
            planes: Array = np.stack([
                neighbours.make_channels(ordered[index], first + t, frame.contract.near, frame.contract.far, **series)
                for t in range(start, stop)
            ])  # fmt: skip
            if overview_noise is not None:
                planes = neighbours.add_overview(planes, overview_noise[index][start:stop])
            size = max(batch // (stop - start), 1)
            answer = join_region(lambda _, planes=planes: planes, _Windows(model, frame.zoom), grid, part, size)  # type: ignore[misc]
            noise_view[index][start:stop] = answer[:, 0]
    return noise.transpose(np.argsort(order))


def _overview_noise(block: Array, frame: FieldFrame, region: Region, model: Model, batch: int) -> Array:
    """Predict the noise of the overview, interpolated to the samples of the windows that touch a region."""
    spans, by = frame.spans(region), frame.overview
    wide = block[_inside([frame.overview_span(axis, r) for axis, r in enumerate(region)], spans)]
    means = np.moveaxis(
        overview.average_blocks(np.moveaxis(wide, frame.horizontal, (-2, -1)), by), (-2, -1), frame.horizontal
    )
    blocks_needed = tuple(frame.overview_blocks(axis, r) for axis, r in enumerate(region))
    found: Array = predict_region_noise(means, frame.overview_frame, blocks_needed, model, batch)
    for axis, ring in zip(frame.horizontal, frame.periodic, strict=True):
        points = frame.window_span(axis, region[axis])
        found = overview.interpolate_blocks(found, axis, blocks_needed[axis].start, frame.shape[axis], points, by, ring)
    return found


def _inside(part: Sequence[slice], whole: Sequence[slice]) -> Region:
    """Slices of `part` in a block that holds the samples `whole`; both count from the start of the array."""
    return tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, whole, strict=True))


class _Windows:
    """Predicts noise (batch, slice, 1, y, x) of windows (batch, slice, 8, y, x), all slices in one call of the net."""

    def __init__(self, model: Model, zoom: int) -> None:
        self.model, self.zoom = require_role(model, Denoiser), zoom

    def __call__(self, windows: Array) -> Array:
        flat = windows.reshape(-1, *windows.shape[-3:])
        np.nan_to_num(flat[:, neighbours.N_VALUES :], copy=False)  # padding of small grids
        values = flat[:, 0]
        finite = np.isfinite(values)
        high = values.max((-2, -1), initial=-np.inf, where=finite)
        varied = high > values.min((-2, -1), initial=np.inf, where=finite)
        noise = np.zeros((len(flat), 1, *flat.shape[-2:]))
        if varied.any():
            noise[varied] = self._noise(flat if varied.all() else flat[varied])
        return noise.reshape(*windows.shape[:2], 1, *flat.shape[-2:])

    def _noise(self, windows: Array) -> Array:
        if self.zoom == 1:
            return self.model.noise(windows)[:, :1]
        return self.model.noise(neighbours.enlarge_channels(windows, self.zoom))[:, :1, :: self.zoom, :: self.zoom]


def denoise_region(
    block: Array, frame: FieldFrame, region: Region, model: Model, dry: float = 0.0, batch: int = BATCH
) -> tuple[Array, Array, Array]:
    """Denoise a region: returns its samples, its signal, and the removed noise.

    Signal and removed have the type `output_dtype`; they add up to the samples, within its rounding. Samples that are
    not finite or not valid are returned unchanged, and valid samples stay valid. Parameters as in
    `predict_region_noise`; `dry` is the fraction of the noise that is kept.
    """
    noise = predict_region_noise(block, frame, region, model, batch)
    spans = frame.spans(region)
    x, dtype = np.asarray(block[_inside(region, spans)], dtype=np.float64), output_dtype(block.dtype)
    limit = float(np.finfo(dtype).max)
    if dtype.itemsize < 4:  # half precision ends at 65504, which data may come near
        with np.errstate(invalid="ignore"):
            noise = np.clip(noise, x - limit, x + limit, where=np.isfinite(x), out=noise)
    if frame.valid is not None:
        low, high = frame.valid.low, frame.valid.high
        np.clip(noise, np.minimum(x - high, 0), np.maximum(x - low, 0), where=np.isfinite(x), out=noise)
        noise[frame.valid.is_outside(x)] = 0.0
    return x, *denoise_block(x, noise, dry, dtype)


def output_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Data type of signals: that of the samples if these are floats, float32 for integers."""
    return dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float32)


def iterate_regions(frame: FieldFrame) -> Iterator[Region]:
    """Iterate over the whole field in regions of about a million samples."""
    shape = frame.full_shape
    sizes = choose_chunks(shape, frame.horizontal)
    cuts = [[slice(a, min(a + m, n)) for a in range(0, n, m)] for n, m in zip(shape, sizes, strict=True)]
    yield from product(*cuts)


def split_span(span: slice, n: int, repeats: int = 0) -> list[slice]:
    """Split a span that counts modulo `n` into slices of an axis of `n` samples, in order.

    If the axis has `repeats` more samples, which repeat its first ones, these are taken at positions `n` and after.

    Examples
    --------
    >>> split_span(slice(2, 5), 8), split_span(slice(-2, 5), 8)
    ([slice(2, 5, None)], [slice(6, 8, None), slice(0, 5, None)])
    >>> split_span(slice(6, 12), 8, repeats=1)
    [slice(6, 9, None), slice(1, 4, None)]
    """
    found, at = [], span.start
    while at < span.stop:
        first = at if 0 <= at < n + repeats else at % n
        stop = min(span.stop, at - first + (n + repeats if first == at else n))
        found.append(slice(first, first + stop - at))
        at = stop
    return found


def read_spans(samples: Array, spans: Region, frame: FieldFrame) -> Array:
    """Read the samples of spans from an array in memory."""
    for axis, span in enumerate(spans):
        parts = [samples[(slice(None),) * axis + (part,)] for part in frame.split(axis, span)]
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
    return samples
