"""The valid range of CF: samples outside valid_min, valid_max or valid_range are missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

VALID_NAMES = ("valid_min", "valid_max", "valid_range")


@dataclass(frozen=True)
class ValidRange:
    """Limits of samples that are not missing."""

    low: float
    high: float
    slack: float = 0.0
    """Samples outside by less than this are inside, because of their rounding."""

    def __str__(self) -> str:
        if not np.isfinite(self.low):
            return f"up to {self.high:g}"
        return f"{self.low:g} to {self.high:g}" if np.isfinite(self.high) else f"from {self.low:g} on"

    def is_outside(self, x: NDArray[Any]) -> NDArray[np.bool_]:
        """Mask of the samples that are missing although they are numbers. NaN is not among them."""
        return np.asarray((x < self.low - self.slack) | (x > self.high + self.slack))

    def drop_outside(self, x: NDArray[Any]) -> NDArray[Any]:
        """The samples with NaN for those outside; integers become floats only if there are any."""
        outside = self.is_outside(x)
        return np.where(outside, np.nan, x).astype(np.result_type(x.dtype, np.float16)) if outside.any() else x


def find_valid_range(x: xr.DataArray) -> ValidRange | None:
    """The valid range of an array in the units of its samples; None if it has none."""
    attrs = unpack_valid_range(x.attrs, x.encoding)
    limits = _numbers(attrs.get("valid_range"))
    low, high = limits if limits.size == 2 else (-np.inf, np.inf)
    smallest, largest = _numbers(attrs.get("valid_min")), _numbers(attrs.get("valid_max"))
    low = max(low, *smallest) if smallest.size == 1 else low
    high = min(high, *largest) if largest.size == 1 else high
    if not low <= high or (low, high) == (-np.inf, np.inf):
        return None
    slack = 0.0
    if x.dtype.kind == "f":
        ends = [abs(end) for end in (low, high) if np.isfinite(end)]
        slack = 4 * float(np.finfo(x.dtype).eps) * max(ends)
    if (scale := _scale(x.encoding)) is not None:
        slack = max(slack, abs(scale[0]) / 2)
    return ValidRange(float(low), float(high), float(slack))


def unpack_valid_range(attrs: Mapping[Any, Any], encoding: Mapping[Any, Any]) -> dict[Any, Any]:
    """Attributes with the valid range in the units of unpacked samples.

    As CF has it, limits of the type of packed samples are packed as these, and others are not.
    """
    scale, found = _scale(encoding), dict(attrs)
    if scale is None:
        return found
    packed = {name: np.asarray(attrs[name]) for name in VALID_NAMES if name in attrs}
    packed = {name: limits for name, limits in packed.items() if limits.dtype.kind in "iu"}
    if str(encoding.get("_Unsigned", "")).lower() == "true":
        above = 1 << 8 * _packed_dtype(encoding).itemsize
        packed = {name: np.where(x < 0, x.astype(np.int64) + above, x) for name, x in packed.items()}
    return {k: v for k, v in found.items() if k not in packed} | convert_valid_range(packed, *scale)


def convert_valid_range(attrs: Mapping[Any, Any], factor: float, offset: float) -> dict[Any, Any]:
    """Attributes with the valid range of samples that were multiplied by a factor, to which an offset was added."""
    found = dict(attrs)
    for name in VALID_NAMES:
        if (limits := _numbers(attrs.get(name))).size:
            moved = np.sort(limits * factor + offset)
            found[name] = moved if moved.size > 1 else float(moved[0])
    if factor < 0:
        low, high = found.pop("valid_min", None), found.pop("valid_max", None)
        found |= {k: v for k, v in (("valid_min", high), ("valid_max", low)) if v is not None}
    return found


def _scale(encoding: Mapping[Any, Any]) -> tuple[float, float] | None:
    """Factor and offset of samples that were packed as integers; None if they were not packed."""
    packed = _packed_dtype(encoding)
    is_packed = {"scale_factor", "add_offset"} & encoding.keys() or "_Unsigned" in encoding
    if packed.kind not in "iu" or not is_packed:
        return None
    return float(encoding.get("scale_factor", 1.0)), float(encoding.get("add_offset", 0.0))


def _packed_dtype(encoding: Mapping[Any, Any]) -> np.dtype[Any]:
    try:
        return np.dtype(encoding.get("dtype", float))
    except TypeError:  # it is the type of text, in a way of xarray's own
        return np.dtype(float)


def _numbers(value: Any) -> NDArray[np.float64]:
    """The finite numbers of an attribute; empty if it is no number or list of numbers."""
    try:
        found = np.asarray(value, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        return np.empty(0)
    return found if np.isfinite(found).all() else np.empty(0)
