"""Appending to a store: which times are new, and along which dimension."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import InputError, StoreError, one_line
from geoae.jobs.options import FieldOptions
from geoae.labels.cf import GridLayout, grid_layout
from geoae.stores.lay_out import check_settings


def find_layout(x: xr.DataArray, dims: Sequence[str]) -> GridLayout:
    """What the dimensions of a field are."""
    return grid_layout(x, dims or None)


def find_append_dim(fields: Sequence[xr.DataArray], asked: FieldOptions) -> str | None:
    """The dimension that is appended along; None if nothing is to be appended.

    Raises
    ------
    InputError
        A field has no time.
    """
    if not asked.append:
        return None
    times = [find_layout(x, asked.dims).time for x in fields]
    if None in times or len(set(times)) > 1:
        lacking = next((x for x, time in zip(fields, times, strict=True) if time is None), fields[0])
        raise InputError(
            f"{lacking.name} has no time, or another than the first; --append adds what comes later in time."
        )
    return times[0]


def find_first_new_time(target: Path, fields: Sequence[xr.DataArray], time: str) -> int:
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
