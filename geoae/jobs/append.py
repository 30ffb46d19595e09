"""Append to a store: the dimension to append along, and the first new time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.arrays.neighbours import find_time_neighbours
from geoae.errors import InputError, StoreError, one_line
from geoae.jobs.options import FieldOptions
from geoae.jobs.source import ArraySource, digest_places, digest_source
from geoae.labels.cf import GridLayout, grid_layout
from geoae.stores.lay_out import check_settings
from geoae.stores.provenance import read_attributes
from geoae.stores.schema import FILE_HASHES, SOURCE_HASH


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
    target: Path, x: xr.DataArray, time: str | None, first: int, made_with: Mapping[str, Any], source: ArraySource
) -> list[str]:
    """A note if a store already holds all times of `x`; else no note.

    Raises
    ------
    StoreError
        The store holds them, but was written with other settings, or from other files.
    """
    if time is None or first < x.sizes[time]:
        return []
    check_settings(target, made_with)
    attrs = read_attributes(target)
    known = {line for key in (FILE_HASHES, SOURCE_HASH) for line in str(attrs.get(key, "")).splitlines()}
    if digest_source(source) in known or known.issuperset(digests := digest_places(source)):
        return [f"{target.name} already holds all of these times; nothing was appended"]
    other = next(Path(p).name for p, digest in zip(source.places, digests, strict=True) if digest not in known)
    line = f"{target.name} already holds all of these times, from other input than {other}; nothing was appended"
    if not digests[0].startswith("sha256:"):  # only names, sizes and dates were compared
        return [f"{line}. Whether its samples differ is not known"]
    raise StoreError(f"{line}, and its samples were not used. If they are to replace the old ones, use --overwrite.")


def note_append(target: Path, x: xr.DataArray, time: str | None, first: int, reach: int) -> list[str]:
    """Notes on times that a store holds already, and on neighbours in time that samples lack.

    Call it before the store is extended.

    Parameters
    ----------
    target
        The store; it may not exist yet.
    x
        The input.
    time
        Its dimension to append along; None: nothing is appended.
    first
        Index of its first new time.
    reach
        Number of neighbours before and after each time that its samples depend on.
    """
    if time is None or not target.exists():
        return []
    n_old, n_new = count_stored_times(target, time), x.sizes[time] - first
    notes = []
    if first:
        notes.append(f"{first} of {x.sizes[time]} times are in {target.name} already and stay as they are")
    old, new = _count_lacking(n_old, n_new, n_old - first, reach)
    if old or new:
        parts = [f"the last {old} of its times lack later ones"] if old else []
        parts += [f"the first {new} new times lack earlier ones, which are not in the input"] if new else []
        notes.append(
            f"{target.name}: samples depend on up to {reach} neighbours in time, before and after. "
            f"{' and '.join(parts)[0].upper()}{' and '.join(parts)[1:]}, so they differ from those of one run over all "
            "files. Such a run with --overwrite makes them alike."
        )
    return notes


def count_stored_times(target: Path, time: str) -> int:
    """Number of times in a finished store; raises StoreError if it cannot be read."""
    try:
        with xr.open_zarr(target, chunks=None, decode_times=False) as data:
            return int(data.sizes[time])
    except Exception as error:  # damaged stores raise many kinds of errors in zarr and xarray
        raise StoreError(f"{target} cannot be extended along {time}: {one_line(error)}.") from error


def _count_lacking(n_old: int, n_new: int, n_absent: int, reach: int) -> tuple[int, int]:
    """Numbers of old and of new times whose neighbours are not those of one run over all times.

    The input begins after `n_absent` of the `n_old` times in the store.
    """
    if not reach:
        return 0, 0
    n = n_old + n_new
    last = range(max(n_old - 2 * reach - 1, 0), n_old)
    old = sum(find_time_neighbours(t, n_old, reach) != find_time_neighbours(t, n, reach) for t in last)
    new = sum(
        tuple(k + n_absent for k in find_time_neighbours(t - n_absent, n - n_absent, reach))
        != find_time_neighbours(t, n, reach)
        for t in range(n_old, n)
    )
    return old, new
