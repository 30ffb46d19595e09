"""Coordinates and attributes in forms that zarr and netCDF hold, and that xarray reads without a warning."""

import hashlib
import json
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.errors import InputError, one_line


def simplify_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as text, numbers and lists of them, which both JSON and netCDF hold."""
    return {str(name): simplify_value(value) for name, value in attrs.items()}


def simplify_value(value: Any) -> Any:
    """One attribute or setting as text, a number or a list of one kind.

    Examples
    --------
    >>> [simplify_value(x) for x in (np.float32(0.5), (64, 64), None, {"kind": "rms"}, [[1], []])]
    [0.5, [64, 64], 'none', '{"kind": "rms"}', '[[1], []]']
    """
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "mM":
        value = value.astype(str)  # in nanoseconds they would become plain numbers
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return str(value).lower()  # netCDF has no such values
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)  # netCDF has no such numbers
    if isinstance(value, int | float | str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        if any(isinstance(item, list | tuple | dict | np.ndarray) for item in value):
            return json.dumps(value, default=make_json)  # netCDF has no lists of lists
        items = [simplify_value(item) for item in value]
        return items if len({isinstance(item, str) for item in items}) < 2 else json.dumps(items)
    return json.dumps(value, sort_keys=True, default=make_json) if isinstance(value, dict) else str(value)


def make_json(value: Any) -> Any:
    """What JSON does not know, as plain numbers, lists and text."""
    is_plain = isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "mMcS"
    return value.tolist() if is_plain else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def simplify_variable(name: str, variable: xr.Variable) -> xr.Variable:
    """A coordinate as it is written: text as objects, times in units that hold them exactly, packing undone.

    Raises
    ------
    InputError
        It holds objects that are not numbers, times or text.
    """
    values = np.asarray(variable.values)
    if values.dtype.kind in "SUT" or (
        values.dtype.kind == "O" and all(isinstance(v, str | bytes) for v in values.flat)
    ):
        # zarr has no standard for text of fixed width, and warns about it
        values = _as_text(values)
        return xr.Variable(variable.dims, values, simplify_attrs(variable.attrs))
    attrs = {k: v for k, v in simplify_attrs(variable.attrs).items() if k not in ("_FillValue", "missing_value")}
    encoding = {k: v for k, v in variable.encoding.items() if k in ("units", "calendar")}
    if values.dtype.kind == "f":
        encoding = {"_FillValue": None}
    plain = xr.Variable(variable.dims, values, attrs, encoding)
    cftime = values.dtype.kind == "O" and all(hasattr(value, "calendar") for value in values.flat)
    if values.dtype.kind not in "iufbcmM" and not cftime:
        raise InputError(f"The coordinate {name} holds {values.dtype}; numbers, times or text were expected.")
    if values.dtype.kind in "mM" or cftime:
        plain.encoding = _choose_time_encoding(name, plain)
    return plain


def digest_coordinates(coords: xr.Dataset) -> str:
    """16 hex digits that change with any value, name or dimension of coordinates."""
    digest = hashlib.sha256()
    for name in sorted(map(str, coords.variables)):
        values = np.asarray(coords[name].variable.values)
        digest.update(f"{name}{coords[name].dims}{values.shape}{values.dtype.kind}".encode())
        digest.update(
            repr(values.tolist()).encode() if values.dtype.kind == "O" else np.ascontiguousarray(values).tobytes()
        )
    return digest.hexdigest()[:16]


def _as_text(values: NDArray[Any]) -> NDArray[Any]:
    text = np.empty(values.shape, object)
    for index, value in np.ndenumerate(values):
        text[index] = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text


def _choose_time_encoding(name: str, times: xr.Variable) -> dict[str, Any]:
    """Encoding of times: the units of their file if these are exact, otherwise the units that xarray chooses."""
    for encoding in (times.encoding, {k: v for k, v in times.encoding.items() if k == "calendar"}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                xr.conventions.encode_cf_variable(
                    xr.Variable(times.dims, times.values, times.attrs, encoding), name=name
                )
            return dict(encoding)
        except Exception as error:  # inexact times raise errors of many kinds
            reason = error
    raise InputError(f"The coordinate {name} cannot be written: {one_line(reason)}.") from reason
