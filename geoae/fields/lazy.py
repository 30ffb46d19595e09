"""Denoise a field that is a dask array, with one task for each chunk of the output."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.arrays.windows import Region
from geoae.errors import InputError
from geoae.fields.frame import FieldFrame, denoise_region, output_dtype
from geoae.labels.cf import display_name
from geoae.model import Model
from geoae.model.portable import PortableModel


@dataclass(frozen=True)
class _Chunks:
    """Data that the tasks of all chunks share: the chunks of the whole array, the model and its options."""

    frame: FieldFrame
    chunks: tuple[tuple[int, ...], ...]
    model: PortableModel
    dry: float
    batch: int

    @cached_property
    def edges(self) -> list[NDArray[np.intp]]:
        """First samples of the chunks along each axis, and the end."""
        return [np.concatenate([[0], np.cumsum(along)]) for along in self.chunks]

    def region(self, axis: int, number: int) -> slice:
        """Slice of a chunk along one axis."""
        return slice(*(int(edge) for edge in self.edges[axis][number : number + 2]))

    def __reduce__(self) -> Any:
        return _Chunks, (self.frame, self.chunks, self.model, self.dry, self.batch)

    @cached_property
    def _needed(self) -> dict[tuple[int, int], list[int]]:
        return {}

    def needed(self, axis: int, number: int) -> list[int]:
        """Numbers of the chunks along one axis that a chunk needs."""
        if (axis, number) not in self._needed:
            self._needed[axis, number] = [chunk for chunk, _ in self.parts(axis, number)]
        return self._needed[axis, number]

    def parts(self, axis: int, number: int) -> list[tuple[int, slice]]:
        """Numbers of the chunks along one axis that a chunk needs, and the slice that it needs of each, in order."""
        edges, found = self.edges[axis], []
        for piece in self.frame.split(axis, self.frame.span(axis, self.region(axis, number))):
            first, last = np.searchsorted(edges, [piece.start, piece.stop - 1], side="right") - 1
            for chunk in range(int(first), int(last) + 1):
                a, b = (int(edge) for edge in edges[chunk : chunk + 2])
                found.append((chunk, slice(max(piece.start, a) - a, min(piece.stop, b) - a)))
        return found


def denoise_lazily(x: xr.DataArray, frame: FieldFrame, model: Model, dry: float, batch: int) -> tuple[Any, Any]:
    """Return lazy signal and removed noise, in the chunks of `x`."""
    from dask.base import tokenize

    from geoae.arrays.dask_tasks import BlockFunction, map_blocks

    source, chunks = x.data, x.data.chunks
    if any(np.isnan(n) for along in chunks for n in along):
        raise InputError(f"{display_name(x)} has chunks of unknown sizes. Compute them: x.data.compute_chunk_sizes().")
    plan = _Chunks(frame, chunks, PortableModel(model), dry, batch)
    token = tokenize(source.name, repr(frame), plan.model, dry, batch)
    work = BlockFunction("denoise", _denoise_chunk, plan, plan.needed)
    signal, removed = map_blocks(source, work, ("signal", "removed"), token, output_dtype(x.dtype))
    return signal, removed


def _denoise_chunk(plan: _Chunks, index: tuple[int, ...], blocks: list[Array]) -> tuple[Array, Array]:
    """Denoise one chunk, from all chunks that it needs; returns signal and removed noise."""
    region: Region = tuple(plan.region(axis, i) for axis, i in enumerate(index))
    parts = [plan.parts(axis, i) for axis, i in enumerate(index)]
    cut: Any = np.empty([len(p) for p in parts], object)
    for place, block in zip(np.ndindex(cut.shape), blocks, strict=True):
        cut[place] = block[tuple(parts[axis][k][1] for axis, k in enumerate(place))]
    for axis in reversed(range(cut.ndim)):
        joined = np.empty(cut.shape[:-1], object)
        for place in np.ndindex(joined.shape):
            row = list(cut[place])
            joined[place] = row[0] if len(row) == 1 else np.concatenate(row, axis)
        cut = joined
    return denoise_region(cut[()], plan.frame, region, plan.model.model, plan.dry, plan.batch)[1:]
