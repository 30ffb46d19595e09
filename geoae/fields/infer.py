"""Denoise labelled fields, in memory or lazily with dask."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from geoae.arrays.types import Array
from geoae.errors import InputError
from geoae.fields.contract import FieldContract
from geoae.fields.frame import FieldFrame, denoise_region, iterate_regions, output_dtype, read_spans
from geoae.fields.lazy import denoise_lazily
from geoae.labels.cf import GridLayout, describe_sizes, display_name, grid_layout, has_same_units
from geoae.labels.valid import find_valid_range, unpack_valid_range
from geoae.model import Model, require_contract
from geoae.model.denoising import BATCH, describe_processing
from geoae.stores.codes import refuse_codes

MIN_GRID_POINTS = 8
"""Smallest number of points along each horizontal dimension."""
# the packing of the samples (scale, type) is dropped: denoised samples may lie between its steps or beyond its range
_KEPT_ENCODING = ("grid_mapping", "coordinates")


def denoise_field(
    x: xr.DataArray,
    model: Model,
    *,
    dims: Sequence[str] | None = None,
    dry: float = 0.0,
    batch: int = BATCH,
    force: bool = False,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Denoise a labelled field; returns signal and removed noise with the dims, coords, attributes and name of `x`.

    A dask array stays lazy and keeps its chunks. Each chunk is one task, which also reads the samples that it needs of
    neighbouring chunks.

    Parameters
    ----------
    x
        Two horizontal dimensions and any others, in any order; missing samples are NaN, or outside its valid range.
    model
        A denoiser of fields.
    dims
        Names of the horizontal dimensions, if they do not follow from metadata.
    dry
        Fraction of the noise that is kept.
    batch
        Windows per call of the net.
    force
        Also use a model that was trained on other units or dimensions.

    Raises
    ------
    InputError
        See `build_frame`.
    """
    frame = build_frame(x, model, dims, force)
    parts = _in_memory(x, frame, model, dry, batch) if x.chunks is None else denoise_lazily(x, frame, model, dry, batch)
    attrs = {**unpack_valid_range(x.attrs, x.encoding), "processing": describe_processing(model, dry)}
    signal, removed = (x.copy(deep=False, data=part) for part in parts)
    for part in (signal, removed):
        part.attrs, part.encoding = dict(attrs), {k: v for k, v in x.encoding.items() if k in _KEPT_ENCODING}
    return signal, removed


def _in_memory(x: xr.DataArray, frame: FieldFrame, model: Model, dry: float, batch: int) -> tuple[Array, Array]:
    samples = np.asarray(x.values)
    signal, removed = (np.empty(x.shape, output_dtype(x.dtype)) for _ in range(2))
    _check_valid(samples, x, frame)
    for region in iterate_regions(frame):
        _, signal[region], removed[region] = denoise_region(
            read_spans(samples, frame.spans(region), frame), frame, region, model, dry, batch
        )
    return signal, removed


def build_frame(x: xr.DataArray, model: Model, dims: Sequence[str] | None = None, force: bool = False) -> FieldFrame:
    """Build the layout of the windows of a model in a field.

    Raises
    ------
    InputError
        The array is not a field, holds codes or is too small; or the model is not for fields, or was trained on other
        units or dimensions and `force` is not set.
    """
    c = require_contract(model, FieldContract)
    refuse_codes(x)
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
    repeats = (layout.repeats[0], layout.repeats[1])
    ring = dict(zip((y, west_east), repeats, strict=True))
    shape = tuple(n - ring.get(axis, 0) for axis, n in enumerate(x.shape))
    periodic = (layout.periodic[0], layout.periodic[1])
    return FieldFrame(shape, (y, west_east), time, periodic, c, repeats, find_valid_range(x))


def _check_valid(samples: Array, x: xr.DataArray, frame: FieldFrame) -> None:
    """Raise InputError if no sample lies in the valid range, as after a change of units that kept the attributes."""
    if frame.valid is None:
        return
    finite = np.isfinite(samples)
    if finite.any() and frame.valid.is_outside(samples).all(where=finite):
        raise InputError(
            f"All samples of {display_name(x)} lie outside its valid range, {frame.valid}, so they are missing. "
            "Correct its attributes valid_min, valid_max or valid_range, or remove them."
        )


def _check_size(x: xr.DataArray, layout: GridLayout) -> None:
    if small := [d for d in layout.horizontal if x.sizes[d] < MIN_GRID_POINTS]:
        found = " and ".join(f"{d} {x.sizes[d]}" for d in small)
        raise InputError(
            f"{display_name(x)} has {found}, too few to tell noise from signal: a field has at least {MIN_GRID_POINTS} "
            f"samples along each horizontal dimension ({', '.join(layout.horizontal)}). Choose others with --dims."
        )
    if not x.size:
        raise InputError(f"{display_name(x)} has no samples ({describe_sizes(x)}), so there is nothing to denoise.")


def _check_training(x: xr.DataArray, layout: GridLayout, model: Model) -> None:
    c, units = require_contract(model, FieldContract), str(layout.units or "no units")
    for what, trained, found, same in (
        ("units", c.units, units, has_same_units(c.units, units)),
        ("dimensions", ", ".join(c.dims), ", ".join(layout.horizontal), c.dims == layout.horizontal),
    ):
        if trained and not same:
            raise InputError(
                f"{display_name(x)} has {what} {found}; model {model.name!r} was trained on {trained}. "
                "Choose another model, or use --force."
            )
