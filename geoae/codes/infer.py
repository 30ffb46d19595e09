"""Encode arrays as latent codes and decode them: for arrays in memory, dask arrays, and blocks of a store.

Windows lie side by side from the first sample on, and the last window ends with the array. If the last two windows
overlap, the shared samples are decoded from the earlier one. All other dimensions are batch dimensions.
"""

import math
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
from geoae.errors import SamplesError
from geoae.model import Model, require_role
from geoae.model.portable import PortableModel
from geoae.stores import schema

BATCH = 512
"""Windows in one call of the net. Fixed, because the last digits of a result may depend on it."""
STATISTIC_DTYPES = {name: schema.STATISTICS[name].dtype for name in schema.CODE_STATISTICS}
"""Names and dtypes of the statistics of a window, in the order in which they follow its code in packed arrays."""

_DECODED = (schema.CODE, schema.OFFSET, schema.GAIN, schema.MISSING)


def encode_array(
    x: xr.DataArray,
    model: Model,
    dims: Sequence[str] | None = None,
    latent: int | None = None,
    force: bool = False,
) -> xr.Dataset:
    """Encode the windows of an array; lazily if its samples are a dask array.

    Parameters
    ----------
    x
        Field or record in any units; a missing sample (NaN) counts as the mean of its window.
    model, dims, latent
        As in `coding`.
    force
        Accept a model that was trained on other units.

    Returns
    -------
    Dataset
        ``code`` (batch dims..., windows..., latent) float32; for each window ``offset`` and ``gain`` removed by scaling
        (gain 0: a constant window), ``recon_error`` (root-mean-square error over valid samples, in the units of `x`)
        and ``n_valid``, the number of valid samples. ``missing`` marks the missing samples, one bit each. Codes of
        windows without valid samples are NaN. Window dimensions are ``window``, or ``window_y`` and ``window_x``;
        ``t0``, or ``y0`` and ``x0``, hold the coordinate of the first sample, ``t0_index``, ... its number. Coordinates
        of `x` are kept for `decode_codes`.

    Raises
    ------
    InputError
        As `plan_coding` and `check_units`.
    SamplesError
        There are infinite samples; for lazy arrays when they are computed.
    """
    check_units(x, model, force)
    coding = plan_coding(x, model, dims, latent)
    order = (*coding.batch, *coding.core)
    data = x.transpose(*order).data if x.chunks is not None else x.transpose(*order).values
    if data.dtype.kind != "f":
        data = data.astype(np.result_type(data.dtype, np.float32))
    tiled = _tile(data, coding)
    n_batch, n_core = len(coding.batch), len(coding.core)
    counts = tuple(coding.code_sizes.values())
    if x.chunks is None:
        packed = _encode_tiled(tiled, coding, model)
    else:
        import dask.array as da

        limits = tuple(coding.blocks.values())
        lead = tuple(_split_chunks(tiled.chunks[k], limits[k]) for k in range(n_batch))
        core = tuple(
            _split_evenly(n, m * w)
            for n, m, w in zip(tiled.shape[n_batch:], limits[n_batch:], coding.window, strict=True)
        )
        tiled = tiled.rechunk((*lead, *core))
        chunks = (*lead, *(tuple(c // w for c in sizes_) for sizes_, w in zip(core, coding.window, strict=True)))
        packed = da.map_blocks(  # type: ignore[no-untyped-call]
            _encode_part, tiled, coding, _delay_model(model), dtype=np.float64,
            chunks=(*chunks, (_count_columns(coding),)), new_axis=n_batch + n_core,
            meta=np.empty((0,) * (n_batch + n_core + 1)),
        )  # fmt: skip
    assert packed.shape[:-1] == counts
    dims_ = tuple(coding.code_sizes)
    last = {schema.CODE: (schema.LATENT,), schema.MISSING: (schema.MISSING_BYTE,)}
    variables = {name: ((*dims_, *last.get(name, ())), x) for name, x in _split_columns(packed, coding).items()}
    out = xr.Dataset(variables, make_code_coordinates(x, coding))
    units = x.attrs.get("units")
    for name in (schema.OFFSET, schema.GAIN, schema.RECON_ERROR):
        out[name].attrs |= {"units": units} if units is not None else {}
    out[schema.CODE].attrs |= make_code_attributes(x, coding, model)
    return out


def decode_codes(codes: xr.Dataset, model: Model) -> xr.DataArray:
    """Decode codes to the array, in its units; lazily if the codes are dask arrays.

    Dimensions, coordinates, attributes and dtype are those of the encoded array, but integers become floats. Missing
    samples are NaN. Codes that an earlier release made do not record where samples are missing: there they get values,
    except in windows without valid samples.

    Parameters
    ----------
    codes
        From `encode_array` or `geoae.open_codes`, with all windows; a selection along batch dimensions, or the first
        numbers along latent, can be decoded, too.
    model
        The model that made the codes.

    Raises
    ------
    InputError
        `codes` has no codes, codes of another model, or not all windows.
    """
    coding, attrs = read_coding(codes), codes[schema.CODE].attrs
    check_codes_model(codes, model)
    order = tuple(coding.code_sizes)
    packed = [codes[schema.CODE].transpose(*order, schema.LATENT).data]
    packed += [codes[name].transpose(*order).data[..., None] for name in (schema.OFFSET, schema.GAIN)]
    if schema.MISSING in codes:
        packed.append(codes[schema.MISSING].transpose(*order, schema.MISSING_BYTE).data)
    n_batch, lazy = len(coding.batch), codes[schema.CODE].chunks is not None
    if lazy:
        import dask.array as da

        module: Any = da  # dask has no type hints
        joined = module.concatenate([module.asarray(p).astype(np.float64) for p in packed], axis=-1)
        joined = joined.rechunk({joined.ndim - 1: -1})
        tiles = tuple(
            tuple(c * w for c in chunk) for chunk, w in zip(joined.chunks[n_batch:-1], coding.window, strict=True)
        )
        tiled = da.map_blocks(  # type: ignore[no-untyped-call]
            _decode_part, joined, coding, _delay_model(model), attrs[schema.CODED_DTYPE],
            dtype=attrs[schema.CODED_DTYPE],
            chunks=(*joined.chunks[:n_batch], *tiles), drop_axis=joined.ndim - 1,
            meta=np.empty((0,) * (joined.ndim - 1), attrs[schema.CODED_DTYPE]),
        )  # fmt: skip
    else:
        joined = np.concatenate([np.asarray(p, dtype=np.float64) for p in packed], axis=-1)
        tiled = _decode_tiled(joined, coding, model, attrs[schema.CODED_DTYPE])
    for axis, (n, w) in enumerate(zip(coding.lengths, coding.window, strict=True), start=n_batch):
        tiled = _untile(tiled, axis, n, w, lazy)
    out = xr.DataArray(tiled, dims=(*coding.batch, *coding.core)).transpose(*coding.dims)
    return make_decoded_template(codes, coding).copy(data=out.data)


def encode_region(
    read: Callable[[Region], AnyArray], coding: Coding, model: Model, region: Region
) -> dict[str, AnyArray]:
    """Encode one block of a store of codes: returns the name of each variable and its values.

    Parameters
    ----------
    read
        Function from a region of the whole array, in the order of its dimensions, to samples; called once.
    coding, model
        Layout of the whole array, and the model.
    region
        Region of the codes: a slice with start and stop for each of ``coding.code_sizes``.
    """
    n_batch = len(coding.batch)
    chosen = [coding.grid.starts(k)[r] for k, r in enumerate(region[n_batch:])]
    spans = [slice(int(s[0]), min(int(s[-1]) + w, n))
             for s, w, n in zip(chosen, coding.window, coding.lengths, strict=True)]  # fmt: skip
    wanted = dict(zip((*coding.batch, *coding.core), (*region[:n_batch], *spans), strict=True))
    block = read(tuple(wanted[d] for d in coding.dims))
    block = block.transpose([coding.dims.index(d) for d in (*coding.batch, *coding.core)])
    if block.dtype.kind != "f":
        block = block.astype(np.result_type(block.dtype, np.float32))
    for axis, (starts, span, w) in enumerate(zip(chosen, spans, coding.window, strict=True), start=n_batch):
        block = _pad(block, axis, w)
        # samples that the last two windows share are taken twice
        block = block.take((starts[:, None] - span.start + np.arange(w)).ravel(), axis)
    packed = _encode_tiled(block, coding, model)
    return {coding.prefix + name: x for name, x in _split_columns(packed, coding).items()}


def decode_region(codes: xr.Dataset, coding: Coding, model: Model, region: Region) -> AnyArray:
    """Decode a region of the array; axes in the order of its dimensions."""
    wanted = dict(zip(coding.dims, region, strict=True))
    names = tuple(coding.code_sizes)
    inside, selection = [], {d: wanted[d] for d in coding.batch}
    for k, (dim, n, w) in enumerate(zip(coding.core, coding.lengths, coding.window, strict=True)):
        starts, samples = coding.grid.starts(k), np.arange(n)[wanted[dim]]
        holder = np.minimum(samples // w, len(starts) - 1)
        inside.append((holder - holder[0]) * w + samples - starts[holder])
        selection[names[len(coding.batch) + k]] = slice(int(holder[0]), int(holder[-1]) + 1)
    part = codes[[name for name in _DECODED if name in codes]].isel(selection)
    packed = [_compute(part[schema.CODE].transpose(*names, schema.LATENT).variable.data)]
    scaling = (part[name].transpose(*names) for name in (schema.OFFSET, schema.GAIN))
    packed += [_compute(x.variable.data)[..., None] for x in scaling]
    if schema.MISSING in part:
        packed.append(_compute(part[schema.MISSING].transpose(*names, schema.MISSING_BYTE).variable.data))
    joined = np.concatenate([np.asarray(values, dtype=np.float64) for values in packed], axis=-1)
    block = _decode_tiled(joined, coding, model, codes[schema.CODE].attrs[schema.CODED_DTYPE])
    for axis, index in enumerate(inside, start=len(coding.batch)):
        block = block.take(index, axis)
    return block.transpose([(*coding.batch, *coding.core).index(d) for d in coding.dims])


def _delay_model(model: Model) -> Any:
    """The model as one task that all blocks share, so that a graph holds it once."""
    from dask.base import tokenize
    from dask.delayed import delayed

    sent = PortableModel(model)
    return delayed(sent, name=f"model-{tokenize(sent)}", traverse=False)


def _encode_part(tiled: AnyArray, coding: Coding, sent: PortableModel) -> AnyArray:
    return _encode_tiled(tiled, coding, sent.model)


def _decode_part(packed: AnyArray, coding: Coding, sent: PortableModel, dtype: str) -> AnyArray:
    return _decode_tiled(packed, coding, sent.model, dtype)


def _count_columns(coding: Coding) -> int:
    """Numbers that `_encode_tiled` returns for a window."""
    return coding.latent + len(STATISTIC_DTYPES) + coding.missing_bytes


def _split_columns(packed: Any, coding: Coding) -> dict[str, Any]:
    """The variables of codes by name, from what `_encode_tiled` returns; for numpy and dask arrays."""
    n = coding.latent
    found = {schema.CODE: packed[..., :n].astype(np.float32)}
    for k, (name, dtype) in enumerate(STATISTIC_DTYPES.items(), start=n):
        found[name] = packed[..., k].astype(dtype)
    return {**found, schema.MISSING: packed[..., n + len(STATISTIC_DTYPES) :].astype(np.uint8)}


def _encode_tiled(tiled: AnyArray, coding: Coding, model: Model) -> AnyArray:
    """Windows side by side (batch..., samples...) -> (batch..., windows..., code, statistics, missing), float64."""
    tiled = tiled if coding.valid is None else coding.valid.drop_outside(tiled)
    if np.isinf(tiled).any():
        raise SamplesError("There are infinite samples, which cannot be encoded. Make them NaN: x.where(abs(x) < inf).")
    n_core = len(coding.window)
    lead = tiled.shape[: tiled.ndim - n_core]
    counts = tuple(n // w for n, w in zip(tiled.shape[-n_core:], coding.window, strict=True))
    split = tiled.reshape(*lead, *(m for pair in zip(counts, coding.window, strict=True) for m in pair))
    order = [
        *range(len(lead)),
        *(len(lead) + 2 * k for k in range(n_core)),
        *(len(lead) + 2 * k + 1 for k in range(n_core)),
    ]
    windows = split.transpose(order).reshape(-1, 1, *coding.window)
    out = np.empty((len(windows), _count_columns(coding)))
    for start in range(0, len(windows), BATCH):
        part, rows = windows[start : start + BATCH], slice(start, start + BATCH)
        out[rows, : -coding.missing_bytes] = _encode_windows(part, coding.latent, model)
        out[rows, -coding.missing_bytes :] = np.packbits(np.isnan(part).reshape(len(part), -1), axis=1)
    return out.reshape(*lead, *counts, -1)


def _encode_windows(windows: AnyArray, latent: int, model: Model) -> AnyArray:
    """Windows (n, 1, *window) -> codes followed by statistics (n, latent + statistics), float64."""
    valid = np.isfinite(windows)
    axes = tuple(range(1, windows.ndim))
    n = valid.sum(axes)
    out = np.full((len(windows), latent + len(STATISTIC_DTYPES)), np.nan)
    out[:, -1] = n
    if not (has_samples := n > 0).any():
        return out
    code, stats = require_role(model, Coder).encode(windows[has_samples])
    code, gain = code[:, :latent], stats.gain.reshape(-1)
    filled = np.where(valid[has_samples], windows[has_samples], stats.offset)
    gain = np.where(np.abs(filled - stats.offset).max(axes) > 1e-13 * np.abs(stats.offset).max(axes), gain, 0.0)
    stats = Stats(stats.offset, stats.slope, gain.reshape(stats.gain.shape))
    error = np.where(valid[has_samples], require_role(model, Coder).decode(code, stats) - filled, 0.0)
    out[has_samples, :latent] = code
    out[has_samples, latent] = stats.offset.reshape(-1)
    out[has_samples, latent + 1] = gain
    largest = np.maximum(np.abs(error).max(axes, keepdims=True), 1e-300)  # squares stay inside float64 in any units
    out[has_samples, latent + 2] = np.sqrt(np.square(error / largest).sum(axes) / n[has_samples]) * largest.reshape(-1)
    return out


def _decode_tiled(packed: AnyArray, coding: Coding, model: Model, dtype: str) -> AnyArray:
    """(batch..., windows..., code, offset, gain[, missing]) -> windows side by side (batch..., samples...)."""
    window, n_core, latent = coding.window, len(coding.window), coding.latent
    lead, counts = packed.shape[: packed.ndim - 1 - n_core], packed.shape[packed.ndim - 1 - n_core : -1]
    flat = packed.reshape(-1, packed.shape[-1])
    out = np.full((len(flat), *window), np.nan, dtype)
    complete = np.flatnonzero(np.isfinite(flat).all(1))
    limit = float(np.finfo(np.dtype(dtype)).max)
    low, high = (-limit, limit) if coding.valid is None else (coding.valid.low, coding.valid.high)
    for start in range(0, len(complete), BATCH):
        part = complete[start : start + BATCH]
        offset, gain = (flat[part, k].reshape(-1, 1, *[1] * n_core) for k in (latent, latent + 1))
        x = require_role(model, Coder).decode(flat[part, :latent], Stats(offset, np.zeros_like(offset), gain))[:, 0]
        out[part] = np.clip(x, max(low, -limit), min(high, limit))
    if flat.shape[-1] > latent + 2:
        bits = np.unpackbits(flat[:, latent + 2 :].astype(np.uint8), axis=1, count=math.prod(window))
        out[bits.reshape(out.shape).astype(bool)] = np.nan
    split = out.reshape(*lead, *counts, *window)
    order = [*range(len(lead)), *(len(lead) + k + j * n_core for k in range(n_core) for j in (0, 1))]
    return split.transpose(order).reshape(*lead, *(c * w for c, w in zip(counts, window, strict=True)))


def _tile(data: Any, coding: Coding) -> Any:
    """Samples (batch..., core...) -> windows side by side, padded with NaN; for numpy and dask arrays."""
    for axis, (n, w) in enumerate(zip(coding.lengths, coding.window, strict=True), start=len(coding.batch)):
        data = _pad(data, axis, w)
        if n > w and n % w:
            lead = (slice(None),) * axis
            parts = [data[(*lead, slice(0, n // w * w))], data[(*lead, slice(n - w, n))]]
            data = _module(data).concatenate(parts, axis)
    return data


def _pad(data: Any, axis: int, window: int) -> Any:
    """Pad an array that is shorter than a window with NaN at its end."""
    missing = window - data.shape[axis]
    if missing <= 0:
        return data
    widths = [(0, missing if k == axis else 0) for k in range(data.ndim)]
    return _module(data).pad(data, widths, mode="constant", constant_values=np.nan)


def _untile(tiled: Any, axis: int, n: int, window: int, lazy: bool) -> Any:
    """Undo `_tile` along one axis: `n` samples, each from the first window that has it."""
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


def _compute(data: Any) -> Any:
    # in this thread: a task that waits for other tasks of its scheduler may wait for ever
    return data if isinstance(data, np.ndarray) else data.compute(scheduler="synchronous")


def _split_chunks(chunks: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Sizes of dask chunks after dividing those that are larger than `most`."""
    return tuple(part for chunk in chunks for part in _split_evenly(chunk, most))


def _split_evenly(n: int, size: int) -> tuple[int, ...]:
    return (*[size] * (n // size), *([n % size] if n % size else []))
