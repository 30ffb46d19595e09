"""Arrays to latent codes and back: the one core of arrays in memory, of dask, and of blocks of a store.

Windows lie side by side from the first sample on, and the last one is flush with the end; where it overlaps the one
before it, the earlier window decodes. Every other dimension is a batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from geoae.arrays.scaling import Stats
from geoae.arrays.types import AnyArray
from geoae.arrays.windows import Region
from geoae.codes.coding import (
    Coding,
    check_codes_model,
    check_units,
    make_code_attributes,
    make_code_coordinates,
    make_decoded_template,
    plan_coding,
    read_coding,
)
from geoae.codes.model import Coder
from geoae.errors import InputError
from geoae.model import Model, require_role
from geoae.stores import schema

BATCH = 512
"""Windows in one call of the net. Fixed, because their number may change the last digits."""
STATISTIC_DTYPES = {name: schema.STATISTICS[name].dtype for name in schema.CODE_STATISTICS}
"""Dtypes of the statistics of each window, in the order in which they are packed after its code."""


def encode_array(
    x: xr.DataArray,
    model: Model,
    dims: Sequence[str] | None = None,
    latent: int | None = None,
    force: bool = False,
) -> xr.Dataset:
    """Codes of the windows of an array; lazily where its samples are a dask array.

    Parameters
    ----------
    x
        Field or record of any units and scale; NaN is missing and counts as the mean of its window.
    model, dims, latent
        As in `coding`.
    force
        Take a model that was trained on other units.

    Returns
    -------
    Dataset
        ``code`` (batch dims..., windows..., latent) float32; of each window ``offset`` and ``gain`` that scaling took
        (gain 0: it is constant), ``recon_error`` (root-mean-square over what is not missing, in the units of `x`) and
        ``n_valid``; NaN codes where a window has no sample. Windows are along ``window``, or ``window_y`` and
        ``window_x``; ``t0`` or ``y0``, ``x0`` tell the coordinate of their first sample, ``t0_index``, ... its number.
        Coordinates of `x` are kept for `decode_codes`.

    Raises
    ------
    InputError
        As `coding` and `check_units`; or infinite samples, for lazy arrays once they are computed.
    """
    check_units(x, model, force)
    where = plan_coding(x, model, dims, latent)
    order = (*where.batch, *where.core)
    data = x.transpose(*order).data if x.chunks is not None else x.transpose(*order).values
    if data.dtype.kind != "f":
        data = data.astype(np.result_type(data.dtype, np.float32))
    tiled = _tiled(data, where)
    n_batch, n_core = len(where.batch), len(where.core)
    counts = tuple(where.windows.values())
    if x.chunks is None:
        packed = _encode_tiled(tiled, where, model)
    else:
        import dask.array as da

        room = tuple(where.blocks.values())
        lead = tuple(_no_larger(tiled.chunks[k], room[k]) for k in range(n_batch))
        core = tuple(
            _evenly(n, m * w) for n, m, w in zip(tiled.shape[n_batch:], room[n_batch:], where.window, strict=True)
        )
        tiled = tiled.rechunk((*lead, *core))
        chunks = (*lead, *(tuple(c // w for c in sizes_) for sizes_, w in zip(core, where.window, strict=True)))
        packed = da.map_blocks(  # type: ignore[no-untyped-call]
            _encode_tiled, tiled, where, model, dtype=np.float64,
            chunks=(*chunks, (where.latent + len(STATISTIC_DTYPES),)), new_axis=n_batch + n_core,
            meta=np.empty((0,) * (n_batch + n_core + 1)),
        )  # fmt: skip
    assert packed.shape[:-1] == counts
    dims_ = tuple(where.windows)
    variables: dict[str, Any] = {schema.CODE: ((*dims_, schema.LATENT), packed[..., : where.latent].astype(np.float32))}
    for k, (name, dtype) in enumerate(STATISTIC_DTYPES.items(), start=where.latent):
        variables[name] = (dims_, packed[..., k].astype(dtype))
    out = xr.Dataset(variables, make_code_coordinates(x, where))
    units = x.attrs.get("units")
    for name in (schema.OFFSET, schema.GAIN, schema.RECON_ERROR):
        out[name].attrs |= {"units": units} if units is not None else {}
    out[schema.CODE].attrs |= make_code_attributes(x, where, model)
    return out


def decode_codes(codes: xr.Dataset, model: Model) -> xr.DataArray:
    """The array that codes stand for, in its units; lazily where the codes are dask arrays.

    Dimensions, coordinates, attributes and dtype are those of the array that was encoded (integers come back as
    floats). Missing samples get values, because codes hold how many there are and not where. Only windows without any
    sample are NaN. Mask the result with the array itself if you have it.

    Parameters
    ----------
    codes
        From `encode_array`, or `geoae.open_codes`; all their windows, any selection of batch dimensions, or the first
        numbers of the codes.
    model
        The one that made them.

    Raises
    ------
    InputError
        Not codes, those of another model, or not all windows.
    """
    where, attrs = read_coding(codes), codes[schema.CODE].attrs
    check_codes_model(codes, model)
    order = tuple(where.windows)
    packed = [codes[schema.CODE].transpose(*order, schema.LATENT).data]
    packed += [codes[name].transpose(*order).data[..., None] for name in (schema.OFFSET, schema.GAIN)]
    n_batch, lazy = len(where.batch), codes[schema.CODE].chunks is not None
    if lazy:
        import dask.array as da

        module: Any = da  # dask has no type hints
        joined = module.concatenate([module.asarray(p).astype(np.float64) for p in packed], axis=-1)
        joined = joined.rechunk({joined.ndim - 1: -1})
        tiles = tuple(
            tuple(c * w for c in chunk) for chunk, w in zip(joined.chunks[n_batch:-1], where.window, strict=True)
        )
        tiled = da.map_blocks(  # type: ignore[no-untyped-call]
            _decode_tiled, joined, where.window, model, attrs[schema.CODED_DTYPE], dtype=attrs[schema.CODED_DTYPE],
            chunks=(*joined.chunks[:n_batch], *tiles), drop_axis=joined.ndim - 1,
            meta=np.empty((0,) * (joined.ndim - 1), attrs[schema.CODED_DTYPE]),
        )  # fmt: skip
    else:
        joined = np.concatenate([np.asarray(p, dtype=np.float64) for p in packed], axis=-1)
        tiled = _decode_tiled(joined, where.window, model, attrs[schema.CODED_DTYPE])
    for axis, (n, w) in enumerate(zip(where.lengths, where.window, strict=True), start=n_batch):
        tiled = _untiled(tiled, axis, n, w, lazy)
    out = xr.DataArray(tiled, dims=(*where.batch, *where.core)).transpose(*where.dims)
    return make_decoded_template(codes, where).copy(data=out.data)


def encode_region(
    read: Callable[[Region], AnyArray], where: Coding, model: Model, region: Region
) -> dict[str, AnyArray]:
    """Values of one block of a store of codes, by the names of its variables.

    Parameters
    ----------
    read
        Region of the whole array, in the order of its dimensions -> samples; called once.
    where, model
        Of the whole array.
    region
        Of the codes: a slice with start and stop for each of ``where.windows``.
    """
    n_batch = len(where.batch)
    chosen = [where.grid.starts(k)[r] for k, r in enumerate(region[n_batch:])]
    spans = [slice(int(s[0]), min(int(s[-1]) + w, n))
             for s, w, n in zip(chosen, where.window, where.lengths, strict=True)]  # fmt: skip
    wanted = dict(zip((*where.batch, *where.core), (*region[:n_batch], *spans), strict=True))
    block = read(tuple(wanted[d] for d in where.dims))
    block = block.transpose([where.dims.index(d) for d in (*where.batch, *where.core)])
    if block.dtype.kind != "f":
        block = block.astype(np.result_type(block.dtype, np.float32))
    for axis, (starts, span, w) in enumerate(zip(chosen, spans, where.window, strict=True), start=n_batch):
        block = _padded(block, axis, w)
        # where the last window overlaps the one before it, samples are taken twice
        block = block.take((starts[:, None] - span.start + np.arange(w)).ravel(), axis)
    packed = _encode_tiled(block, where, model)
    found = {where.prefix + schema.CODE: packed[..., : where.latent].astype(np.float32)}
    for k, (name, dtype) in enumerate(STATISTIC_DTYPES.items(), start=where.latent):
        found[where.prefix + name] = packed[..., k].astype(dtype)
    return found


def decode_region(codes: xr.Dataset, where: Coding, model: Model, region: Region) -> AnyArray:
    """Samples of a region of the array that codes stand for, in the order of its dimensions."""
    wanted = dict(zip(where.dims, region, strict=True))
    names = tuple(where.windows)
    inside, selection = [], {d: wanted[d] for d in where.batch}
    for k, (dim, n, w) in enumerate(zip(where.core, where.lengths, where.window, strict=True)):
        starts, samples = where.grid.starts(k), np.arange(n)[wanted[dim]]
        holder = np.minimum(samples // w, len(starts) - 1)
        inside.append((holder - holder[0]) * w + samples - starts[holder])
        selection[names[len(where.batch) + k]] = slice(int(holder[0]), int(holder[-1]) + 1)
    part = codes[[schema.CODE, schema.OFFSET, schema.GAIN]].isel(selection)
    packed = [_computed(part[schema.CODE].transpose(*names, schema.LATENT).variable.data)]
    scaling = (part[name].transpose(*names) for name in (schema.OFFSET, schema.GAIN))
    packed += [_computed(x.variable.data)[..., None] for x in scaling]
    joined = np.concatenate([np.asarray(values, dtype=np.float64) for values in packed], axis=-1)
    block = _decode_tiled(joined, where.window, model, codes[schema.CODE].attrs[schema.CODED_DTYPE])
    for axis, index in enumerate(inside, start=len(where.batch)):
        block = block.take(index, axis)
    return block.transpose([(*where.batch, *where.core).index(d) for d in where.dims])


def _encode_tiled(tiled: AnyArray, where: Coding, model: Model) -> AnyArray:
    """Windows side by side (batch..., samples...) -> (batch..., windows..., code and statistics), float64."""
    if np.isinf(tiled).any():
        raise InputError(
            "There are infinite samples, which no code can stand for. Make them NaN: x.where(abs(x) < inf)."
        )
    n_core = len(where.window)
    lead = tiled.shape[: tiled.ndim - n_core]
    counts = tuple(n // w for n, w in zip(tiled.shape[-n_core:], where.window, strict=True))
    split = tiled.reshape(*lead, *(m for pair in zip(counts, where.window, strict=True) for m in pair))
    order = [
        *range(len(lead)),
        *(len(lead) + 2 * k for k in range(n_core)),
        *(len(lead) + 2 * k + 1 for k in range(n_core)),
    ]
    windows = split.transpose(order).reshape(-1, 1, *where.window)
    out = np.full((len(windows), where.latent + len(STATISTIC_DTYPES)), np.nan)
    for start in range(0, len(windows), BATCH):
        part = windows[start : start + BATCH]
        out[start : start + BATCH] = _packed(part, where.latent, model)
    return out.reshape(*lead, *counts, -1)


def _packed(windows: AnyArray, latent: int, model: Model) -> AnyArray:
    valid = np.isfinite(windows)
    axes = tuple(range(1, windows.ndim))
    n = valid.sum(axes)
    out = np.full((len(windows), latent + len(STATISTIC_DTYPES)), np.nan)
    out[:, -1] = n
    if not (some := n > 0).any():
        return out
    code, stats = require_role(model, Coder).encode(windows[some])
    code, gain = code[:, :latent], stats.gain.reshape(-1)
    filled = np.where(valid[some], windows[some], stats.offset)
    gain = np.where(np.abs(filled - stats.offset).max(axes) > 1e-13 * np.abs(stats.offset).max(axes), gain, 0.0)
    stats = Stats(stats.offset, stats.slope, gain.reshape(stats.gain.shape))
    left = np.where(valid[some], require_role(model, Coder).decode(code, stats) - filled, 0.0)
    out[some, :latent] = code
    out[some, latent] = stats.offset.reshape(-1)
    out[some, latent + 1] = gain
    largest = np.maximum(np.abs(left).max(axes, keepdims=True), 1e-300)  # squares stay inside float64 in any units
    out[some, latent + 2] = np.sqrt(np.square(left / largest).sum(axes) / n[some]) * largest.reshape(-1)
    return out


def _decode_tiled(packed: AnyArray, window: tuple[int, ...], model: Model, dtype: str) -> AnyArray:
    """(batch..., windows..., code, offset, gain) -> windows side by side (batch..., samples...)."""
    n_core = len(window)
    lead, counts = packed.shape[: packed.ndim - 1 - n_core], packed.shape[packed.ndim - 1 - n_core : -1]
    flat = packed.reshape(-1, packed.shape[-1])
    out = np.full((len(flat), *window), np.nan, dtype)
    some = np.flatnonzero(np.isfinite(flat).all(1))
    limit = float(np.finfo(np.dtype(dtype)).max)
    for start in range(0, len(some), BATCH):
        part = some[start : start + BATCH]
        offset, gain = (flat[part, k].reshape(-1, 1, *[1] * n_core) for k in (-2, -1))
        x = require_role(model, Coder).decode(flat[part, :-2], Stats(offset, np.zeros_like(offset), gain))[:, 0]
        out[part] = np.clip(x, -limit, limit)
    split = out.reshape(*lead, *counts, *window)
    order = [*range(len(lead)), *(len(lead) + k + j * n_core for k in range(n_core) for j in (0, 1))]
    return split.transpose(order).reshape(*lead, *(c * w for c, w in zip(counts, window, strict=True)))


def _tiled(data: Any, where: Coding) -> Any:
    """Samples (batch..., core...) -> windows side by side; for numpy and dask arrays."""
    for axis, (n, w) in enumerate(zip(where.lengths, where.window, strict=True), start=len(where.batch)):
        data = _padded(data, axis, w)
        if n > w and n % w:
            lead = (slice(None),) * axis
            parts = [data[(*lead, slice(0, n // w * w))], data[(*lead, slice(n - w, n))]]
            data = _module(data).concatenate(parts, axis)
    return data


def _padded(data: Any, axis: int, window: int) -> Any:
    """An array that is shorter than a window, padded with NaN at its end."""
    missing = window - data.shape[axis]
    if missing <= 0:
        return data
    widths = [(0, missing if k == axis else 0) for k in range(data.ndim)]
    return _module(data).pad(data, widths, mode="constant", constant_values=np.nan)


def _untiled(tiled: Any, axis: int, n: int, window: int, lazy: bool) -> Any:
    lead = (slice(None),) * axis
    if n <= window or not n % window:
        return tiled[(*lead, slice(0, n))]
    whole, total = n // window * window, tiled.shape[axis]
    parts = [tiled[(*lead, slice(0, whole))], tiled[(*lead, slice(total - (n - whole), total))]]
    return (_module(tiled) if lazy else np).concatenate(parts, axis)


def _module(data: Any) -> Any:
    if isinstance(data, np.ndarray):
        return np
    import dask.array as da

    return da


def _computed(data: Any) -> Any:
    # in this thread: a task that waits for other tasks of its scheduler may wait for ever
    return data if isinstance(data, np.ndarray) else data.compute(scheduler="synchronous")


def _no_larger(chunks: tuple[int, ...], most: int) -> tuple[int, ...]:
    return tuple(part for chunk in chunks for part in _evenly(chunk, most))


def _evenly(n: int, size: int) -> tuple[int, ...]:
    return (*[size] * (n // size), *([n % size] if n % size else []))
