"""Denoise labelled fields: in memory, or lazily, with one task of dask for each chunk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae import weights_file
from geoae.arrays.dask_tasks import BlockFunction, map_blocks
from geoae.arrays.types import Array
from geoae.arrays.windows import Region
from geoae.cf import GridLayout, display_name, grid_layout, same_units, sizes
from geoae.contracts import FieldContract
from geoae.errors import InputError, ModelFileError
from geoae.field_windows import Frame, out_dtype, pieces, region_signal, regions, take
from geoae.infer import BATCH, processing
from geoae.model import Model, contract_of, load

SMALLEST = 8
"""Points along each horizontal dimension that a grid has at least."""
# what the samples are packed into: cleaned ones are not whole multiples of a step, and may lie beyond its range
_KEPT_ENCODING = ("grid_mapping", "coordinates")


def denoise(
    x: xr.DataArray,
    model: Model,
    *,
    dims: Sequence[str] | None = None,
    dry: float = 0.0,
    batch: int = BATCH,
    force: bool = False,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Denoise a labelled field; returns signal and removed noise with the dims, coords, attributes and name of `x`.

    A dask array stays lazy, in its chunks. Each chunk is one task, which also reads what it needs of its neighbours.

    Parameters
    ----------
    x
        Two horizontal dimensions and any others, in any order; missing samples are NaN.
    model
        A denoiser of fields.
    dims
        Names of the horizontal dimensions, where metadata does not tell.
    dry
        Fraction of the noise that is kept.
    batch
        Windows a call of the net.
    force
        Take a model that was trained on other units or dimensions.

    Raises
    ------
    InputError
        See `frame`.
    """
    where = frame(x, model, dims, force)
    parts = _in_memory(x, where, model, dry, batch) if x.chunks is None else _lazy(x, where, model, dry, batch)
    attrs = {**x.attrs, "processing": processing(model, dry)}
    signal, removed = (x.copy(deep=False, data=part) for part in parts)
    for one in (signal, removed):
        one.attrs, one.encoding = dict(attrs), {k: v for k, v in x.encoding.items() if k in _KEPT_ENCODING}
    return signal, removed


def _in_memory(x: xr.DataArray, where: Frame, model: Model, dry: float, batch: int) -> tuple[Array, Array]:
    samples = np.asarray(x.values)
    signal, removed = (np.empty(x.shape, out_dtype(x.dtype)) for _ in range(2))
    for region in regions(where):
        _, signal[region], removed[region] = region_signal(
            take(samples, where.spans(region)), where, region, model, dry, batch
        )
    return signal, removed


def frame(x: xr.DataArray, model: Model, dims: Sequence[str] | None = None, force: bool = False) -> Frame:
    """Where the windows of a model lie in a field.

    Raises
    ------
    InputError
        The array is no field or is too small; the model is not for fields, or was trained on other units or
        dimensions and `force` is not set.
    """
    c = contract_of(model, FieldContract)
    if x.dtype.kind not in "fiu":
        raise InputError(
            f"{display_name(x)} holds {x.dtype}; a field of real numbers was expected: x.astype('float32')."
        )
    layout = grid_layout(x, dims)
    if len(layout.horizontal) != 2:
        raise InputError(
            f"{display_name(x)}: {len(layout.horizontal)} horizontal dimensions were named "
            f"({', '.join(layout.horizontal)}); model {model.name!r} works along two, such as --dims y,x."
        )
    _check_size(x, layout)
    if not force:
        _check_training(x, layout, model)
    names = [str(d) for d in x.dims]
    time = names.index(layout.time) if layout.time is not None and c.far else None
    y, west_east = (names.index(d) for d in layout.horizontal)
    return Frame(x.shape, (y, west_east), time, (layout.periodic[0], layout.periodic[1]), c)


@dataclass(frozen=True)
class _Chunks:
    """What the tasks of all chunks share: the chunks of the whole array, the model and its options."""

    where: Frame
    chunks: tuple[tuple[int, ...], ...]
    model: "_PicklableModel"
    dry: float
    batch: int

    @cached_property
    def edges(self) -> list[NDArray[np.intp]]:
        """Where chunks begin and end along each axis."""
        return [np.concatenate([[0], np.cumsum(along)]) for along in self.chunks]

    def region(self, axis: int, number: int) -> slice:
        """Samples of a chunk along one axis."""
        return slice(*(int(edge) for edge in self.edges[axis][number : number + 2]))

    def parts(self, axis: int, number: int) -> list[tuple[int, slice]]:
        """Chunks along one axis that a chunk needs, and which part of each, in their order."""
        edges, found = self.edges[axis], []
        for piece in pieces(self.where.span(axis, self.region(axis, number)), self.where.shape[axis]):
            first, last = np.searchsorted(edges, [piece.start, piece.stop - 1], side="right") - 1
            for chunk in range(int(first), int(last) + 1):
                a, b = (int(edge) for edge in edges[chunk : chunk + 2])
                found.append((chunk, slice(max(piece.start, a) - a, min(piece.stop, b) - a)))
        return found


class _PicklableModel:
    """A model that is pickled as its folder, from which each process loads it once; without a folder, as it is."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __reduce__(self) -> Any:
        m = self.model
        if m.folder is None:
            return _PicklableModel, (replace(m, pool=None, threads=1),)
        return _load_once, (str(m.folder.resolve()), m.digest, m.device, m.precision)


@lru_cache(maxsize=4)
def _load_once(folder: str, digest: str, device: str, precision: str) -> _PicklableModel:
    model = load(Path(folder))
    if model.digest != digest:
        raise ModelFileError(f"{folder} holds model {model.digest}; {digest} was expected. Copy it there too.")
    return _PicklableModel(model.to(device, precision))


def _lazy(x: xr.DataArray, where: Frame, model: Model, dry: float, batch: int) -> tuple[Any, Any]:
    """Signal and removed noise, in the chunks of `x`."""
    from dask.base import tokenize

    source, chunks = x.data, x.data.chunks
    if any(np.isnan(n) for along in chunks for n in along):
        raise InputError(f"{display_name(x)} has chunks of unknown sizes. Find them out: x.data.compute_chunk_sizes().")
    plan = _Chunks(where, chunks, _PicklableModel(model), dry, batch)
    token = tokenize(
        source.name, repr(where), weights_file.content(model.net)[1], model.device, model.precision, dry, batch
    )

    @cache
    def needed(axis: int, number: int) -> list[int]:
        return [k for k, _ in plan.parts(axis, number)]

    work = BlockFunction("denoise", _chunk, plan, needed)
    signal, removed = map_blocks(source, work, ("signal", "removed"), token, out_dtype(x.dtype))
    return signal, removed


def _chunk(plan: _Chunks, index: tuple[int, ...], blocks: list[Array]) -> tuple[Array, Array]:
    """Signal and removed noise of one chunk, from all chunks that it needs."""
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
    return region_signal(cut[()], plan.where, region, plan.model.model, plan.dry, plan.batch)[1:]


def _check_size(x: xr.DataArray, layout: GridLayout) -> None:
    if small := [d for d in layout.horizontal if x.sizes[d] < SMALLEST]:
        found = " and ".join(f"{d} {x.sizes[d]}" for d in small)
        raise InputError(
            f"{display_name(x)} has {found}, too few to tell noise from signal: a field has at least {SMALLEST} "
            f"samples along each horizontal dimension ({', '.join(layout.horizontal)}). Others are chosen with --dims."
        )
    if not x.size:
        raise InputError(f"{display_name(x)} has no samples ({sizes(x)}), so there is nothing to denoise.")


def _check_training(x: xr.DataArray, layout: GridLayout, model: Model) -> None:
    c, units = contract_of(model, FieldContract), str(layout.units or "no units")
    for what, trained, found, same in (
        ("units", c.units, units, same_units(c.units, units)),
        ("dimensions", ", ".join(c.dims), ", ".join(layout.horizontal), c.dims == layout.horizontal),
    ):
        if trained and not same:
            raise InputError(
                f"{display_name(x)} has {what} {found}; model {model.name!r} was trained on {trained}. "
                "Take another model, or ask for --force."
            )
