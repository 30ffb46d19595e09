"""Tell records of sensors from gridded fields, by dimensions and attributes."""

from collections.abc import Sequence

import xarray as xr

from geoae.errors import InputError
from geoae.labels.cf import grid_layout


def is_record(x: xr.DataArray, dims: Sequence[str] = ()) -> bool:
    """Whether an array holds samples of sensors along time, rather than a field.

    `dims` are the dimensions that a caller names: "time", alone or with "channel", asks for records, and all others for
    fields.
    """
    if dims:
        return "time" in dims and set(dims) <= {"channel", "time"}
    if "time" not in x.dims:
        return False
    return has_channels(x) or (not is_field(x) and x.ndim < 3)


def has_channels(x: xr.DataArray) -> bool:
    """Whether the dimensions or attributes of an array mark it as one or more records."""
    return "time" in x.dims and ("channel" in x.dims or "sampling_rate_hz" in x.attrs)


def is_field(x: xr.DataArray, dims: Sequence[str] | None = None) -> bool:
    """Whether the horizontal dimensions of an array are known."""
    try:
        grid_layout(x, dims)
    except InputError:
        return False
    return True


def separate_rows(x: xr.DataArray) -> tuple[str, ...]:
    """Dimensions along which an array without channels holds records that have nothing to do with each other."""
    return () if "channel" in x.dims else tuple(str(d) for d in x.dims if d != "time" and x.sizes[d] > 1)
