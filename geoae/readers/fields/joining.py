"""Join several files of one field along time or another dimension, after checking that they fit each other."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # comes with xarray; its stubs do not
import xarray as xr

from geoae.errors import InputError
from geoae.labels.cf import find_time_coordinate
from geoae.readers.protocols import Place

Part = tuple[Place, xr.DataArray]
_PACKING = ("scale_factor", "add_offset", "dtype", "_FillValue", "missing_value")


def join_fields(parts: Sequence[Part], along: str | None) -> xr.DataArray:
    """Join the parts of one field from several files, in the order of their coordinate.

    Parameters
    ----------
    parts
        Place and field of each file.
    along
        Dimension or scalar coordinate to join along. If there is neither, a dimension of this name is made that numbers
        the files. None: the scalar time of fields without a time dimension.

    Raises
    ------
    InputError
        A file does not fit the first one, or two overlap.
    """
    if len(parts) == 1:
        return parts[0][1]
    first_place, first = parts[0]
    along = along or find_time_coordinate(first)
    if along is None:
        raise InputError(
            f"{first_place}: {first.name} has no time, so {len(parts)} files cannot be joined along it. "
            "Give them one by one; in Python, geoae.read(FILES, along='member') joins them along a new dimension."
        )
    for place, part in parts[1:]:
        if difference := _describe_difference(first, part, along):
            raise InputError(
                f"{place} does not fit {first_place}: {first.name} has {difference}. Leave it out, or read it alone."
            )
    extended = [(place, _with_dimension(part, along, first.dims, k)) for k, (place, part) in enumerate(parts)]
    if along in extended[0][1].coords:
        extended = _sort_parts(extended, along)
    joined = xr.concat(
        [part for _, part in extended], dim=along, coords="minimal", compat="override", join="override",
        combine_attrs="override",
    )  # fmt: skip
    joined.encoding = _common_encoding([part for _, part in parts])
    joined.encoding["source"] = tuple(str(place) for place, _ in extended)
    return joined


def _describe_difference(first: xr.DataArray, part: xr.DataArray, along: str) -> str | None:
    """Describe why the fields of two files cannot be joined; None if they can."""
    if set(part.dims) != set(first.dims):
        return f"the dimensions ({', '.join(map(str, part.dims))}) there, ({', '.join(map(str, first.dims))}) here"
    if str(part.attrs.get("units")) != str(first.attrs.get("units")):
        return f"units {part.attrs.get('units')} there, {first.attrs.get('units')} here"
    for dim in first.dims:
        if dim != along and part.sizes[dim] != first.sizes[dim]:
            return f"{dim} of {part.sizes[dim]} there, of {first.sizes[dim]} here"
    for name, here in first.coords.items():
        if name not in part.coords:
            if here.ndim:
                return f"no coordinate {name} there"
            continue
        there = part.coords[name]
        if along in (name, *here.dims):
            if here.dtype.kind != there.dtype.kind or _calendar(here) != _calendar(there):
                return f"a {name} of another kind or calendar there"
        elif here.ndim and there.dims != here.dims and set(there.dims) != set(here.dims):
            return f"{name} on other dimensions there"
        elif here.ndim and not _same(here, there.transpose(*here.dims)):
            return f"other values of {name} there"
    return None


def _same(here: xr.DataArray, there: xr.DataArray) -> bool:
    if here.ndim > 1:  # comparing the edges and the middle is enough to distinguish grids
        ends = {dim: sorted({0, n // 2, n - 1}) for dim, n in here.sizes.items()}
        here, there = here.isel(ends), there.isel(ends)
    a, b = here.values, there.values
    if a.dtype.kind not in "iuf" or b.dtype.kind not in "iuf":
        return bool((a == b).all())
    # coordinates of one grid may be rounded differently, by far less than a step
    step = float(np.abs(np.diff(a.ravel())).min()) if a.size > 1 else float(np.abs(a).max())
    tolerance = max(1e-3 * step, 1e-6 * float(np.nanmax(np.abs(a), initial=0.0)))
    return bool(np.allclose(a.astype(float), b.astype(float), rtol=0.0, atol=tolerance, equal_nan=True))


def _calendar(coord: xr.DataArray) -> str:
    return str(getattr(coord.values.flat[0], "calendar", "")) if coord.size and coord.dtype.kind == "O" else ""


def _with_dimension(part: xr.DataArray, along: str, dims: tuple[Any, ...], number: int) -> xr.DataArray:
    if along in part.dims:
        return part.transpose(*dims)
    numbered = part if along in part.coords else part.assign_coords({along: number})
    return numbered.expand_dims(along).transpose(along, *dims)


def _sort_parts(parts: list[Part], along: str) -> list[Part]:
    """Sort parts along the coordinate, in the direction that it has in the files."""
    spans = []
    for place, part in parts:
        index = pd.Index(part[along].values)
        spans.append((index.min(), index.max(), place, part))
    spans.sort(key=lambda span: span[0])
    for (_, end, before, _), (start, _, after, _) in pairwise(spans):
        if start <= end:
            raise InputError(
                f"{before} and {after} overlap in {along}: one reaches to {end}, the other starts at {start}. "
                "Leave one out. Give members of an ensemble one by one; in Python, "
                "geoae.read(FILES, along='member') joins them."
            )
    values = next((part[along].values for _, _, _, part in spans if part.sizes[along] > 1), None)
    is_falling = values is not None and values[1] < values[0]
    return [(place, part) for _, _, place, part in (reversed(spans) if is_falling else spans)]


def _common_encoding(parts: Sequence[xr.DataArray]) -> dict[str, Any]:
    """Encoding that all parts share; the packing is kept only if it is the same for all."""
    first = dict(parts[0].encoding)
    different = {
        key for part in parts[1:] for key in {*first, *part.encoding} if not _is_equal(first, part.encoding, key)
    }
    if different & set(_PACKING):
        different |= set(_PACKING)
    return {key: value for key, value in first.items() if key not in different}


def _is_equal(a: dict[Any, Any], b: dict[Any, Any], key: str) -> bool:
    if (key in a) != (key in b):
        return False
    x, y = a[key], b[key]
    both_nan = all(isinstance(value, float | np.floating) and np.isnan(value) for value in (x, y))
    return both_nan or bool(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y)
