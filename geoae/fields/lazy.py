"""Denoise a field that is a dask array, with one task for each chunk of the output."""

from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.arrays.dask_tasks import BlockFunction, map_blocks
from geoae.arrays.types import Array
from geoae.arrays.windows import Region
from geoae.errors import InputError, ModelFileError
from geoae.fields.frame import FieldFrame, denoise_region, output_dtype, split_span
from geoae.labels.cf import display_name
from geoae.model import Model, load_model, weights_file


@dataclass(frozen=True)
class _Chunks:
    """Data that the tasks of all chunks share: the chunks of the whole array, the model and its options."""

    frame: FieldFrame
    chunks: tuple[tuple[int, ...], ...]
    model: "_PicklableModel"
    dry: float
    batch: int

    @cached_property
    def edges(self) -> list[NDArray[np.intp]]:
        """First samples of the chunks along each axis, and the end."""
        return [np.concatenate([[0], np.cumsum(along)]) for along in self.chunks]

    def region(self, axis: int, number: int) -> slice:
        """Slice of a chunk along one axis."""
        return slice(*(int(edge) for edge in self.edges[axis][number : number + 2]))

    def parts(self, axis: int, number: int) -> list[tuple[int, slice]]:
        """Numbers of the chunks along one axis that a chunk needs, and the slice that it needs of each, in order."""
        edges, found = self.edges[axis], []
        for piece in split_span(self.frame.span(axis, self.region(axis, number)), self.frame.shape[axis]):
            first, last = np.searchsorted(edges, [piece.start, piece.stop - 1], side="right") - 1
            for chunk in range(int(first), int(last) + 1):
                a, b = (int(edge) for edge in edges[chunk : chunk + 2])
                found.append((chunk, slice(max(piece.start, a) - a, min(piece.stop, b) - a)))
        return found


class _PicklableModel:
    """A model that is pickled as the path of its folder; each process loads it once. Without a folder, as a whole."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __reduce__(self) -> Any:
        m = self.model
        if m.folder is None:
            return _PicklableModel, (replace(m, pool=None, threads=1),)
        return _load_once, (str(m.folder.resolve()), m.digest, m.device, m.precision)


@lru_cache(maxsize=4)
def _load_once(folder: str, digest: str, device: str, precision: str) -> _PicklableModel:
    model = load_model(Path(folder))
    if model.digest != digest:
        raise ModelFileError(f"{folder} holds model {model.digest}; {digest} was expected. Copy it there too.")
    return _PicklableModel(model.to(device, precision))


def denoise_lazily(x: xr.DataArray, frame: FieldFrame, model: Model, dry: float, batch: int) -> tuple[Any, Any]:
    """Return lazy signal and removed noise, in the chunks of `x`."""
    from dask.base import tokenize

    source, chunks = x.data, x.data.chunks
    if any(np.isnan(n) for along in chunks for n in along):
        raise InputError(f"{display_name(x)} has chunks of unknown sizes. Compute them: x.data.compute_chunk_sizes().")
    plan = _Chunks(frame, chunks, _PicklableModel(model), dry, batch)
    token = tokenize(
        source.name, repr(frame), weights_file.pack_weights(model.net)[1], model.device, model.precision, dry, batch
    )

    @cache
    def needed(axis: int, number: int) -> list[int]:
        return [k for k, _ in plan.parts(axis, number)]

    work = BlockFunction("denoise", _denoise_chunk, plan, needed)
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
