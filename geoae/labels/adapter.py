"""Apply the changes that a data catalog states for variables: names, missing values and units, all lazily.

The rules are those of hydroMT's data adapters: rename first, then mask missing values, then x * unit_mult + unit_add.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.labels.lazy_indexing import lazy_array
from geoae.labels.valid import convert_valid_range, unpack_valid_range

Read = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Adapter:
    """Changes to the variables of one data set; the default changes nothing."""

    rename: Mapping[str, str] = field(default_factory=dict)
    """Name in the file -> new name. All other settings use the new names."""
    unit_mult: Mapping[str, float] = field(default_factory=dict)
    unit_add: Mapping[str, float] = field(default_factory=dict)
    """Added to the samples; for "time", a shift of the coordinate in seconds."""
    nodata: float | Mapping[str, float] | None = None
    """Value of missing samples, in the units of the file. Ignored where the file has a fill value of its own."""
    attrs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Attributes of each variable, such as its units after the conversion."""
    unit: str | None = None
    """Units of all variables without units in `attrs`."""

    @property
    def changes_samples(self) -> bool:
        """Whether samples, missing ones among them, or times become others; names and attributes do not count."""
        return bool(self.unit_mult or self.unit_add) or self.nodata is not None

    def __call__(self, x: xr.DataArray) -> xr.DataArray:
        """Convert the variable `x` lazily. Its encoding is changed so that it packs into the integers of the file."""
        name = str(x.name)
        mult, add = float(self.unit_mult.get(name, 1.0)), float(self.unit_add.get(name, 0.0))
        nodata = self.nodata.get(name) if isinstance(self.nodata, Mapping) else self.nodata
        # xarray writes NaN as the fill value by default; only another value overrides `nodata`
        if any(np.isfinite(x.encoding.get(key, np.nan)).any() for key in ("_FillValue", "missing_value")):
            nodata = None
        attrs, encoding = unpack_valid_range(x.attrs, x.encoding), dict(x.encoding)
        converts = (mult, add) != (1.0, 0.0)
        if converts or nodata is not None:
            dtype = np.result_type(x.dtype, np.float32)
            change = partial(_convert, dtype=dtype, mult=mult, add=add, nodata=nodata)
            encoding = _convert_encoding(encoding, x.dtype, mult, add, nodata)
            x = x.copy(deep=False, data=change_lazily(x.variable, dtype, change))
        if converts:
            attrs.pop("units", None)  # the units of the file no longer hold
            attrs = convert_valid_range(attrs, mult, add)
        if self.unit is not None:
            attrs["units"] = self.unit
        seconds = float(self.unit_add.get("time", 0.0))
        if seconds and "time" in x.coords:
            x = x.assign_coords(time=_shift_time(x["time"], seconds))
        x = x.copy(deep=False)
        x.attrs, x.encoding = attrs | dict(self.attrs.get(name, {})), encoding
        return x


def change_lazily(variable: xr.Variable, dtype: np.dtype[Any], change: Callable[[Read], NDArray[Any]]) -> Any:
    """Return a lazy array for xarray that applies a function to each part of a variable when that part is read.

    Parameters
    ----------
    variable
        Lazy or in memory.
    dtype
        Type of the changed samples.
    change
        Takes a function that reads one part, and returns that part changed. It must be picklable.
    """
    if variable.chunks is not None:
        return variable.data.map_blocks(partial(_change_block, change), dtype=dtype)
    return lazy_array(variable.shape, dtype, _ChangedVariable(variable, change).read, slices_only=False)


@dataclass(frozen=True)
class _ChangedVariable:
    """A variable and the function that changes its samples part by part."""

    variable: xr.Variable
    change: Callable[[Read], NDArray[Any]]

    def read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        return self.change(lambda: np.asarray(self.variable[key].values))


def _change_block(change: Callable[[Read], NDArray[Any]], block: NDArray[Any]) -> NDArray[Any]:
    return change(lambda: block)


def _convert(read: Read, dtype: np.dtype[Any], mult: float, add: float, nodata: float | None) -> NDArray[Any]:
    block = read()
    x = block.astype(dtype)
    if nodata is not None:
        # -9999.9 in float32 differs from -9999.9 in float64
        x[np.isclose(block, nodata, rtol=1e-6, atol=0.0)] = np.nan
    if mult != 1:
        x *= dtype.type(mult)
    if add != 0:
        x += dtype.type(add)
    return x


def _convert_encoding(
    encoding: dict[str, Any], dtype: np.dtype[Any], mult: float, add: float, nodata: float | None
) -> dict[str, Any]:
    """Encoding that packs converted samples into the integers of the file: the scale and offset are converted too."""
    packed = np.dtype(encoding.get("dtype", dtype))
    if packed.kind not in "iu":
        return encoding
    scale, offset = (float(encoding.get(key, default)) for key, default in (("scale_factor", 1.0), ("add_offset", 0.0)))
    converted = {**encoding, "dtype": packed, "scale_factor": scale * mult, "add_offset": offset * mult + add}
    if nodata is None:
        return converted
    fill, limits = round((nodata - offset) / scale), np.iinfo(packed)
    return {**converted, "_FillValue": packed.type(fill)} if limits.min <= fill <= limits.max else converted


def _shift_time(time: xr.DataArray, seconds: float) -> xr.DataArray:
    if time.dtype.kind not in "MO":  # plain numbers have no known unit of time
        return time
    shift: Any = np.timedelta64(round(seconds * 1e9), "ns") if time.dtype.kind == "M" else timedelta(seconds=seconds)
    return time + shift
