"""How a store of cleaned fields is laid out: its chunks, what it says of itself, and what of the input is new to it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.blocks import choose_chunks
from geoae.cf import GridLayout, grid_layout
from geoae.errors import InputError, StoreError, one_line
from geoae.fields.contract import FieldContract
from geoae.fields.frame import out_dtype
from geoae.infer import processing
from geoae.jobs.code_plan import Coder
from geoae.jobs.options import FieldOptions
from geoae.model import Model, contract_of
from geoae.readers.cleaned import KIND
from geoae.writers.layout import check_settings
from geoae.writers.plan import Chunking, StorePlan, plan_field

FIELD = "field"
"""Kind of a store of cleaned fields."""


def layout(x: xr.DataArray, dims: Sequence[str]) -> GridLayout:
    """What the dimensions of a field are."""
    return grid_layout(x, dims or None)


def time_axis(x: xr.DataArray, dims: Sequence[str]) -> int | None:
    """Axis of the time; None if there is none."""
    time = layout(x, dims).time
    return None if time is None else [str(d) for d in x.dims].index(time)


def template(x: xr.DataArray, model: Model, dry: float) -> xr.DataArray:
    """The cleaned field, without its samples."""
    dtype = out_dtype(x.dtype)
    nothing = np.broadcast_to(dtype.type(0), x.shape)  # takes no memory
    return x.copy(deep=False, data=nothing).assign_attrs(processing=processing(model, dry))


def store_plan(
    fields: Sequence[xr.DataArray],
    beside: xr.Dataset,
    asked: FieldOptions,
    first: int,
    model: Model,
    dry: float,
    coder: Coder | None = None,
) -> StorePlan:
    """Plan of a store for fields, and their codes if there is a `coder`, from their time number `first` on.

    Raises
    ------
    InputError
        They do not share a grid, or chunks are asked for along dimensions that there are not.
    """
    time = append_along(fields, asked)
    known = {str(d) for x in fields for d in x.dims}
    if unknown := sorted(set(asked.chunks) - known):
        raise InputError(f"There is no dimension {', '.join(unknown)} to chunk; there are {', '.join(sorted(known))}.")
    plans, codes = [], []
    for i, x in enumerate(fields):
        cleaned = template(x, model, dry)
        small = beside if i == 0 else None
        if first and time is not None:
            cleaned = cleaned.isel({time: slice(first, None)})
            small = small.isel({time: slice(first, None)}) if small is not None and time in small.dims else small
        for coord in cleaned.coords.values():  # bounds that are not there, such as those of the times of several files
            if coord.attrs.get("bounds") not in (None, *beside.variables):
                del coord.attrs["bounds"]
        found = layout(x, asked.dims)
        chunks = _chunks(cleaned, found, time) | {d: n for d, n in asked.chunks.items() if d in cleaned.dims}
        chunking = Chunking(chunks, asked.shard, time)
        plans.append(plan_field(cleaned, found.horizontal, beside=small, chunking=chunking))
        if coder is not None:
            codes.append(coder.plan(cleaned, found.horizontal, code_prefix(x, fields), time))
    try:
        return reduce(add, plans + codes)
    except InputError as error:
        names = ", ".join(str(x.name) for x in fields)
        raise InputError(f"{error} Choose some of {names} with --var, each grid into a store of its own.") from error


def code_prefix(x: xr.DataArray, fields: Sequence[xr.DataArray]) -> str:
    """Before the names of the codes of one of several fields in a store."""
    return f"{x.name}_" if len(fields) > 1 else ""


def append_along(fields: Sequence[xr.DataArray], asked: FieldOptions) -> str | None:
    """The dimension that is appended along; None if nothing is to be appended.

    Raises
    ------
    InputError
        A field has no time.
    """
    if not asked.append:
        return None
    times = [layout(x, asked.dims).time for x in fields]
    if None in times or len(set(times)) > 1:
        lacking = next((x for x, time in zip(fields, times, strict=True) if time is None), fields[0])
        raise InputError(
            f"{lacking.name} has no time, or another than the first; --append adds what comes later in time."
        )
    return times[0]


def first_new_time(target: Path, fields: Sequence[xr.DataArray], time: str) -> int:
    """Position of the first time that a finished store does not hold yet; 0 if there is no store.

    Raises
    ------
    StoreError
        The store cannot be read, or times are missing in it that lie before its end.
    """
    if not target.exists():
        return 0
    try:
        old = xr.open_zarr(target, chunks=None, decode_timedelta=False)[time].values
        new = fields[0][time].values
        falling = old.size > 1 and old[-1] < old[0]
        behind = np.asarray(new >= old[-1] if falling else new <= old[-1])
    except Exception as error:  # what a damaged store does to zarr and xarray has many kinds
        raise StoreError(f"{target} cannot be appended to along {time}: {one_line(error)}.") from error
    first = int(np.count_nonzero(behind))
    if not behind[:first].all() or not np.isin(new[:first], old).all():
        missing = next((t for t in new[behind] if t not in old), new[0])
        raise StoreError(
            f"{target} ends at {time} {old[-1]} and does not hold {missing}, which lies before. Append only what comes "
            "after, or make the store anew with --overwrite."
        )
    return first


def note_nothing_new(
    target: Path, x: xr.DataArray, time: str | None, first: int, made_with: Mapping[str, Any]
) -> list[str]:
    """Note that a store holds all times of `x` already; empty where it does not.

    Raises
    ------
    StoreError
        It holds them, made with other settings.
    """
    if time is None or first < x.sizes[time]:
        return []
    check_settings(target, made_with)
    return [f"{target.name} holds all of these times already; nothing was appended"]


def settings(
    model: Model, fields: Sequence[xr.DataArray], asked: FieldOptions, dry: float, coder: Coder | None = None
) -> dict[str, Any]:
    """What decides the samples: named in the store, and in the message when a run is resumed with others."""
    c, found = contract_of(model, FieldContract), layout(fields[0], asked.dims)
    return {
        KIND: FIELD, "model": model.name, "digest": model.digest, "window": c.window, "stride": c.stride,
        "overlap": [w - s for w, s in zip(c.window, c.stride, strict=True)], "near": c.near, "far": c.far,
        "scaler": asdict(model.scaler), "dry": dry, "dims": found.horizontal,
        "periodic": [d for d, closes in zip(found.horizontal, found.periodic, strict=True) if closes] or "none",
        "units": {str(x.name): str(x.attrs.get("units", "")) for x in fields}, **(coder.settings() if coder else {}),
    }  # fmt: skip


def _chunks(x: xr.DataArray, found: GridLayout, grows: str | None) -> dict[str, int]:
    """Chunks that are long in time rather than in level or member: neighbours in time are read with each."""
    rest = [d for d in found.batch if d != found.time]
    order = [*rest, *([found.time] if found.time else []), *found.horizontal]
    core = range(len(order) - len(found.horizontal), len(order))
    shape = [x.sizes[d] for d in order]
    return dict(zip(order, choose_chunks(shape, core, order.index(grows) if grows else None), strict=True))
