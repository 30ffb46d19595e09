"""What a catalog changes about variables on their way in: names, missing values, units; nothing is read for it.

The rules are those of hydroMT's data adapters: renamed first, then missing values, then x * unit_mult + unit_add.
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

Read = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Adapter:
    """Changes to the variables of one data set; the default changes nothing."""

    rename: Mapping[str, str] = field(default_factory=dict)
    """Name in the file -> name from here on; all else counts on the new names."""
    unit_mult: Mapping[str, float] = field(default_factory=dict)
    unit_add: Mapping[str, float] = field(default_factory=dict)
    """For "time" a shift in seconds."""
    nodata: float | Mapping[str, float] | None = None
    """Value of missing samples, in the units of the file, where the file itself does not say."""
    attrs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Attributes of variables, such as their units after the conversion."""
    unit: str | None = None
    """Units of all variables that `attrs` has none for."""

    def __call__(self, x: xr.DataArray) -> xr.DataArray:
        """The variable `x`, converted lazily; the encoding still packs it as the file did."""
        name = str(x.name)
        mult, add = float(self.unit_mult.get(name, 1.0)), float(self.unit_add.get(name, 0.0))
        nodata = self.nodata.get(name) if isinstance(self.nodata, Mapping) else self.nodata
        # xarray itself writes NaN, which says nothing of other values
        if any(np.isfinite(x.encoding.get(key, np.nan)).any() for key in ("_FillValue", "missing_value")):
            nodata = None
        attrs, encoding = dict(x.attrs), dict(x.encoding)
        converts = (mult, add) != (1.0, 0.0)
        if converts or nodata is not None:
            dtype = np.result_type(x.dtype, np.float32)
            change = partial(_convert, dtype=dtype, mult=mult, add=add, nodata=nodata)
            encoding = _packing(encoding, x.dtype, mult, add, nodata)
            x = x.copy(deep=False, data=change_lazily(x.variable, dtype, change))
        if converts:
            attrs.pop("units", None)  # what the file says is no longer true
        if self.unit is not None:
            attrs["units"] = self.unit
        seconds = float(self.unit_add.get("time", 0.0))
        if seconds and "time" in x.coords:
            x = x.assign_coords(time=_shifted(x["time"], seconds))
        x = x.copy(deep=False)
        x.attrs, x.encoding = attrs | dict(self.attrs.get(name, {})), encoding
        return x


def change_lazily(variable: xr.Variable, dtype: np.dtype[Any], change: Callable[[Read], NDArray[Any]]) -> Any:
    """An array for xarray whose samples are those of a variable, changed part by part once they are asked for.

    Parameters
    ----------
    variable
        On any array that xarray reads lazily.
    dtype
        Of the changed samples.
    change
        Is given a function that reads a part, and returns that part changed; it has to be picklable.
    """
    if variable.chunks is not None:
        return variable.data.map_blocks(partial(_change_block, change), dtype=dtype)
    return lazy_array(variable.shape, dtype, _Changed(variable, change).read, slices_only=False)


@dataclass(frozen=True)
class _Changed:
    """Samples of a variable, changed part by part."""

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
        # a decimal number is not the same in every precision
        x[np.isclose(block, nodata, rtol=1e-6, atol=0.0)] = np.nan
    if mult != 1:
        x *= dtype.type(mult)
    if add != 0:
        x += dtype.type(add)
    return x


def _packing(
    encoding: dict[str, Any], dtype: np.dtype[Any], mult: float, add: float, nodata: float | None
) -> dict[str, Any]:
    """The encoding that gives converted samples the numbers that the file has for them."""
    packed = np.dtype(encoding.get("dtype", dtype))
    if packed.kind not in "iu":
        return encoding
    scale, offset = (float(encoding.get(key, one)) for key, one in (("scale_factor", 1.0), ("add_offset", 0.0)))
    found = {**encoding, "dtype": packed, "scale_factor": scale * mult, "add_offset": offset * mult + add}
    if nodata is None:
        return found
    fill, limits = round((nodata - offset) / scale), np.iinfo(packed)
    return {**found, "_FillValue": packed.type(fill)} if limits.min <= fill <= limits.max else found


def _shifted(time: xr.DataArray, seconds: float) -> xr.DataArray:
    if time.dtype.kind not in "MO":  # plain numbers say no unit to shift in
        return time
    shift: Any = np.timedelta64(round(seconds * 1e9), "ns") if time.dtype.kind == "M" else timedelta(seconds=seconds)
    return time + shift
