"""Append to a store: the dimension to append along, and the first new time."""

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
    """The roles of a field's dimensions: horizontal, time, batch. An empty `dims` finds them by CF metadata."""
    return grid_layout(x, dims or None)


def find_append_dim(fields: Sequence[xr.DataArray], options: FieldOptions) -> str | None:
    """The dimension to append along; None if nothing is appended.

    Raises
    ------
    InputError
        A field has no time dimension, or not that of the first field.
    """
    if not options.append:
        return None
    times = [find_layout(x, options.dims).time for x in fields]
    if None in times or len(set(times)) > 1:
        other = next((x for x, time in zip(fields, times, strict=True) if time is None), fields[0])
        raise InputError(
            f"{other.name} has no time dimension, or not the same as the first variable; --append adds later times."
        )
    return times[0]


def find_first_new_time(target: Path, fields: Sequence[xr.DataArray], time: str) -> int:
    """Index of the first time that a finished store does not hold; 0 if there is no store.

    Raises
    ------
    StoreError
        The store cannot be read, or lacks times that lie before its last time.
    """
    if not target.exists():
        return 0
    try:
        old = xr.open_zarr(target, chunks=None, decode_timedelta=False)[time].values
        new = fields[0][time].values
        descending = old.size > 1 and old[-1] < old[0]
        not_new = np.asarray(new >= old[-1] if descending else new <= old[-1])
    except Exception as error:  # damaged stores raise many kinds of errors in zarr and xarray
        raise StoreError(f"{target} cannot be extended along {time}: {one_line(error)}.") from error
    first = int(np.count_nonzero(not_new))
    if not not_new[:first].all() or not np.isin(new[:first], old).all():
        missing = next((t for t in new[not_new] if t not in old), new[0])
        raise StoreError(
            f"{target} ends at {time} {old[-1]} and does not hold the earlier {missing}. Append later times only, or "
            "write the store again with --overwrite."
        )
    return first


def note_nothing_new(
    target: Path, x: xr.DataArray, time: str | None, first: int, made_with: Mapping[str, Any]
) -> list[str]:
    """A note if a store already holds all times of `x`; else no note.

    Raises
    ------
    StoreError
        The store holds them, but was written with other settings.
    """
    if time is None or first < x.sizes[time]:
        return []
    check_settings(target, made_with)
    return [f"{target.name} already holds all of these times; nothing was appended"]
