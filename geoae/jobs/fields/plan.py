"""Plan of a store of denoised fields: its layout, its chunks, and the settings that decide its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import InputError
from geoae.fields.contract import FieldContract
from geoae.fields.frame import output_dtype
from geoae.jobs.append import find_append_dim, find_layout
from geoae.jobs.codes.plan import TruncatedCoder
from geoae.jobs.options import FieldOptions
from geoae.labels.cf import GridLayout
from geoae.model import Model, require_contract
from geoae.model.denoising import describe_processing
from geoae.stores.blocks import choose_chunks
from geoae.stores.plan import Chunking, StorePlan, plan_field
from geoae.stores.references import find_dangling, list_external
from geoae.stores.schema import FIELD, KIND


def find_time_axis(x: xr.DataArray, dims: Sequence[str]) -> int | None:
    """Index of the time dimension; None if there is none."""
    time = find_layout(x, dims).time
    return None if time is None else [str(d) for d in x.dims].index(time)


def make_field_template(x: xr.DataArray, model: Model, dry: float) -> xr.DataArray:
    """The denoised field without samples: coordinates, attributes, dtype."""
    dtype = output_dtype(x.dtype)
    nothing = np.broadcast_to(dtype.type(0), x.shape)  # takes no memory
    return x.copy(deep=False, data=nothing).assign_attrs(processing=describe_processing(model, dry))


def plan_field_store(
    fields: Sequence[xr.DataArray],
    companions: xr.Dataset,
    options: FieldOptions,
    first: int,
    model: Model,
    dry: float,
    coder: TruncatedCoder | None = None,
) -> StorePlan:
    """Plan a store for fields from the time index `first` on, with their codes if there is a `coder`.

    Raises
    ------
    InputError
        The fields do not share a grid, or `chunks` names unknown dimensions.
    """
    time = find_append_dim(fields, options)
    known = {str(d) for x in fields for d in x.dims}
    if unknown := sorted(set(options.chunks) - known):
        raise InputError(f"There is no dimension {', '.join(unknown)} to chunk; there are {', '.join(sorted(known))}.")
    plans, codes = [], []
    for i, x in enumerate(fields):
        cleaned = make_field_template(x, model, dry)
        small = companions if i == 0 else None
        if first and time is not None:
            cleaned = cleaned.isel({time: slice(first, None)})
            small = small.isel({time: slice(first, None)}) if small is not None and time in small.dims else small
        found = find_layout(x, options.dims)
        chunks = _choose_chunk_sizes(cleaned, found, time) | {
            d: n for d, n in options.chunks.items() if d in cleaned.dims
        }
        chunking = Chunking(chunks, options.shard, time)
        plans.append(plan_field(cleaned, found.horizontal, auxiliary=small, chunking=chunking))
        if coder is not None:
            codes.append(coder.plan(cleaned, found.horizontal, choose_code_prefix(x, fields), time))
    try:
        return reduce(add, plans + codes)
    except InputError as error:
        names = ", ".join(str(x.name) for x in fields)
        raise InputError(f"{error} Choose some of {names} with --var, each grid into a store of its own.") from error


def note_left_out(fields: Sequence[xr.DataArray], companions: xr.Dataset, attrs: Mapping[str, Any]) -> list[str]:
    """Notes on variables of the input that belong to the fields, and that the output does not hold.

    Parameters
    ----------
    fields
        The fields of the output.
    companions
        Bounds and grid mappings that the output holds.
    attrs
        Attributes of the input's data set.
    """
    held = {*map(str, companions.variables), *(str(x.name) for x in fields), *list_external(attrs)}
    owners: dict[str, list[str]] = {}
    for x in fields:
        own = held | set(map(str, x.coords))
        for variable in (x, *x.coords.values()):
            for key, names in find_dangling({**variable.encoding, **variable.attrs}, own).items():
                for name in names:
                    owners.setdefault(f"{name} ({key}", []).append(str(variable.name))
    return [
        f"{what} of {', '.join(dict.fromkeys(names))}) is left out, so that the output does not name it"
        for what, names in owners.items()
    ]


def choose_code_prefix(x: xr.DataArray, fields: Sequence[xr.DataArray]) -> str:
    """Prefix of the names of the codes of a field; empty for a single field in a store."""
    return f"{x.name}_" if len(fields) > 1 else ""


def list_field_settings(
    model: Model, fields: Sequence[xr.DataArray], options: FieldOptions, dry: float, coder: TruncatedCoder | None = None
) -> dict[str, Any]:
    """Settings that decide the samples. The store holds them, and a run is resumed only with equal ones."""
    c, found = require_contract(model, FieldContract), find_layout(fields[0], options.dims)
    return {
        KIND: FIELD, "model": model.name, "digest": model.digest, "window": c.window, "stride": c.stride,
        "overlap": [w - s for w, s in zip(c.window, c.stride, strict=True)], "near": c.near, "far": c.far,
        "scaler": asdict(model.scaler), "dry": dry, "dims": found.horizontal,
        "periodic": [d for d, closes in zip(found.horizontal, found.periodic, strict=True) if closes] or "none",
        "units": {str(x.name): str(x.attrs.get("units", "")) for x in fields}, **(coder.settings() if coder else {}),
    }  # fmt: skip


def _choose_chunk_sizes(x: xr.DataArray, found: GridLayout, grows: str | None) -> dict[str, int]:
    """Chunk sizes. Chunks are long in time rather than in level or member: each slice is read with its neighbours."""
    rest = [d for d in found.batch if d != found.time]
    order = [*rest, *([found.time] if found.time else []), *found.horizontal]
    core = range(len(order) - len(found.horizontal), len(order))
    shape = [x.sizes[d] for d in order]
    return dict(zip(order, choose_chunks(shape, core, order.index(grows) if grows else None), strict=True))
