"""Layout of the windows of an array, and the attributes of codes that are needed to decode the array."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from geoae import kinds
from geoae.arrays.windows import WindowGrid
from geoae.codes.contract import CodeContract
from geoae.errors import InputError
from geoae.labels.cf import describe_sizes, display_name, grid_layout, has_same_units
from geoae.labels.timeaxis import rate_hz, sample_offset_ns, start_ns, time_coordinates
from geoae.labels.valid import ValidRange, find_valid_range, unpack_valid_range
from geoae.model import Model, require_contract
from geoae.stores import schema
from geoae.stores.codes import refuse_codes
from geoae.stores.plain import make_json

DEFAULT_MODELS = dict(enumerate(kinds.find_kind(CodeContract.kind).defaults, start=1))
"""Number of dimensions of a window -> shipped model for such windows."""
_CHUNK = 1 << 24  # samples behind one block of codes, at most: 64 MB of float32


@dataclass(frozen=True)
class Coding:
    """Layout of the windows of one array, and the length of their codes, without samples."""

    dims: tuple[str, ...]
    """All dimensions of the array, in its order."""
    shape: tuple[int, ...]
    core: tuple[str, ...]
    """Dimensions along which the array is cut into windows, in the order of the model's window."""
    window: tuple[int, ...]
    latent: int
    prefix: str = ""
    """Prefix of the names of stored variables."""
    valid: ValidRange | None = None
    """Samples outside are missing, and decoded samples lie inside; None: all are valid."""

    @property
    def batch(self) -> tuple[str, ...]:
        """Dimensions that are not core dimensions; each of their positions is encoded by itself."""
        return tuple(d for d in self.dims if d not in self.core)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples along the core dimensions."""
        return tuple(self.shape[self.dims.index(d)] for d in self.core)

    @property
    def grid(self) -> WindowGrid:
        """Window grid of the core dimensions; windows do not overlap, except the last."""
        return WindowGrid(self.lengths, self.window, self.window)

    @property
    def coordinate_names(self) -> tuple[str, ...]:
        """Names of the coordinates that locate the first sample of each window."""
        if len(self.core) == 2:
            return "y0", "x0"
        return ("t0",) if self.core == ("time",) else ("x0",)

    @property
    def code_sizes(self) -> dict[str, int]:
        """Dimensions of the codes with their sizes, without the last dimension, latent."""
        own = schema.WINDOW_DIMS[len(self.core)]
        lead = {d: n for d, n in zip(self.dims, self.shape, strict=True) if d not in self.core}
        return lead | {self.prefix + d: len(self.grid.starts(k)) for k, d in enumerate(own)}

    @property
    def missing_bytes(self) -> int:
        """Bytes that mark the missing samples of a window."""
        return -(-math.prod(self.window) // 8)

    @property
    def blocks(self) -> dict[str, int]:
        """Number of windows in one block of a store along each dimension, limited in stored numbers and in samples."""
        limit = max(min((1 << 20) // self.latent, _CHUNK // math.prod(self.window)), 1)
        block: dict[str, int] = {}
        for dim, n in reversed(self.code_sizes.items()):
            block[dim] = min(n, limit)
            limit = max(limit // n, 1)
        return {dim: block[dim] for dim in self.code_sizes}


def plan_coding(
    x: xr.DataArray, model: Model, dims: Sequence[str] | None = None, latent: int | None = None, prefix: str = ""
) -> Coding:
    """Lay out the windows of an array.

    Parameters
    ----------
    x
        A field or a record; its samples are not read.
    model
        A model with codes.
    dims
        Names of the core dimensions, along which windows are cut. None: the horizontal dimensions, or time.
    latent
        Length of the codes; None: the full length of the model.

    Raises
    ------
    InputError
        The model has no codes or only shorter ones; or the array has no such dimensions, no samples, no real numbers,
        holds codes, or has a name that codes need for themselves.
    """
    c = require_contract(model, CodeContract)
    if x.dtype.kind not in "iuf":
        raise InputError(f"{display_name(x)} holds {x.dtype}; codes are made of real numbers.")
    if not x.size:
        raise InputError(f"{display_name(x)} has no samples ({describe_sizes(x)}), so there is nothing to encode.")
    if latent is not None and not 0 < latent <= c.latent:
        raise InputError(f"latent is {latent}; model {model.name!r} makes codes of 1 to {c.latent} numbers.")
    refuse_codes(x)
    core = _core_dims(x, model, dims)
    _check_names(x, len(core), prefix)
    return Coding(tuple(map(str, x.dims)), x.shape, core, c.window, latent or c.latent, prefix, find_valid_range(x))


def choose_default_model(x: xr.DataArray, dims: Sequence[str] | None = None) -> str:
    """Choose the shipped model for an array: the one for records, or the one for fields."""
    if dims:
        return DEFAULT_MODELS.get(len(dims), DEFAULT_MODELS[2])
    return (
        DEFAULT_MODELS[1]
        if "sampling_rate_hz" in x.attrs or x.ndim == 1 or x.dims[-2:] == ("channel", "time")
        else DEFAULT_MODELS[2]
    )


def check_units(x: xr.DataArray, model: Model, force: bool = False) -> None:
    """Raise InputError if the units of the array differ from those of the training data, unless `force`."""
    trained, found = require_contract(model, CodeContract).units, x.attrs.get("units")
    if not force and trained and found is not None and not has_same_units(trained, str(found)):
        raise InputError(
            f"{display_name(x)} has units {found}; model {model.name!r} was trained on {trained}. Take another "
            "model, or ask for --force."
        )


def make_code_coordinates(x: xr.DataArray, coding: Coding) -> dict[str, Any]:
    """Make the coordinates of codes: first samples of windows, and those of the array except a lazy time axis."""
    found: dict[str, Any] = {str(k): v.variable for k, v in x.coords.items() if not (k == "time" and _has_lazy_time(x))}
    names = tuple(coding.code_sizes)[len(coding.batch) :]
    for k, (dim, place, name) in enumerate(zip(coding.core, coding.coordinate_names, names, strict=True)):
        starts = coding.grid.starts(k)
        units: dict[str, Any] = {}
        value: Any = starts
        if dim == "time" and _has_lazy_time(x):
            value = np.datetime64(start_ns(x), "ns") + sample_offset_ns(starts, rate_hz(x)).astype("timedelta64[ns]")
        elif dim in x.coords and x.coords[dim].dims == (dim,):
            value, units = x.coords[dim].values[starts], {k: v for k, v in x.coords[dim].attrs.items() if k == "units"}
        found[coding.prefix + place] = (name, value, {"long_name": f"{dim} of the window's first sample", **units})
        found[coding.prefix + place + schema.INDEX_SUFFIX] = (
            name, starts.astype(np.int64), {"long_name": f"number of the window's first sample along {dim}"}
        )  # fmt: skip
    return found


def make_code_attributes(x: xr.DataArray, coding: Coding, model: Model) -> dict[str, Any]:
    """Make the attributes of codes: what decoding needs to know about the array and the model."""
    dtype = x.dtype.newbyteorder("=") if x.dtype.kind == "f" else np.result_type(x.dtype, np.float32)
    attrs = unpack_valid_range(x.attrs, x.encoding)
    found: dict[str, Any] = {
        "long_name": "latent code of the window", "units": "1",
        schema.CODED_VARIABLE: "" if x.name is None else str(x.name),
        schema.MODEL_NAME: model.name, schema.MODEL_DIGEST: model.digest, schema.WINDOW: list(coding.window),
        schema.CODED_DIMS: list(coding.dims), schema.WINDOWED_DIMS: list(coding.core),
        schema.WINDOWED_LENGTHS: list(coding.lengths),
        schema.CODED_DTYPE: str(np.dtype(dtype)),
        schema.CODED_ATTRS: json.dumps({str(k): v for k, v in attrs.items()}, default=make_json),
    }  # fmt: skip
    if _has_lazy_time(x):
        found |= {schema.CODED_START: str(np.datetime64(start_ns(x), "ns")), schema.CODED_RATE_HZ: rate_hz(x)}
    return found


def read_coding(codes: xr.Dataset) -> Coding:
    """Read the layout of the windows from the attributes of codes.

    Raises
    ------
    InputError
        `codes` has no codes made by geoae, or some windows are missing.
    """
    if not isinstance(codes, xr.Dataset) or {schema.CODE, schema.OFFSET, schema.GAIN} - set(codes.data_vars):
        raise InputError("These are no codes: code, offset and gain are needed, as geoae.encode gives them.")
    attrs = codes[schema.CODE].attrs
    try:
        dims, core = (tuple(np.atleast_1d(attrs[key]).tolist()) for key in (schema.CODED_DIMS, schema.WINDOWED_DIMS))
        lengths = dict(zip(core, np.atleast_1d(attrs[schema.WINDOWED_LENGTHS]).tolist(), strict=True))
        window = tuple(int(w) for w in np.atleast_1d(attrs[schema.WINDOW]))
    except KeyError as error:
        raise InputError(f"These codes do not say what they are of: the attribute {error} of code is gone.") from error
    present = [str(d) for d in codes[schema.CODE].dims]
    own = [d for d in present if d in {schema.LATENT, *schema.WINDOW_DIMS[1], *schema.WINDOW_DIMS[2]}]
    # batch dimensions may have been dropped, as by isel(time=0), or added
    more = [d for d in present if d not in own and d not in dims]
    kept = (*more, *(d for d in dims if d in core or d in present))
    shape = tuple(lengths[d] if d in core else codes.sizes[d] for d in kept)
    own_attrs = xr.DataArray(np.empty(0, attrs[schema.CODED_DTYPE]), attrs=json.loads(attrs[schema.CODED_ATTRS]))
    coding = Coding(kept, shape, core, window, codes.sizes.get(schema.LATENT, 1), valid=find_valid_range(own_attrs))
    for name, n in coding.code_sizes.items():
        if codes.sizes.get(name) != n:
            raise InputError(f"Decoding takes all {n} windows along {name}; there are {codes.sizes.get(name, 'none')}.")
    return coding


def check_codes_model(codes: xr.Dataset, model: Model) -> None:
    """Raise InputError unless `model` made the codes."""
    attrs, c = codes[schema.CODE].attrs, require_contract(model, CodeContract)
    if (attrs.get(schema.MODEL_DIGEST), attrs.get(schema.MODEL_NAME)) != (model.digest, model.name):
        raise InputError(
            f"The codes were made by model {attrs.get(schema.MODEL_NAME)} {attrs.get(schema.MODEL_DIGEST)}, and "
            f"cannot be decoded by {c.name} {model.digest}. Give the model that made them (its folder) with --model."
        )


def make_decoded_template(codes: xr.Dataset, coding: Coding) -> xr.DataArray:
    """Make the array that codes decode to, filled with NaN and without memory for samples."""
    attrs = codes[schema.CODE].attrs
    own = {v for place in coding.coordinate_names for v in (place, place + schema.INDEX_SUFFIX)}
    coords = {k: v.variable for k, v in codes.coords.items() if k not in own and set(v.dims) <= set(coding.dims)}
    empty = np.broadcast_to(np.dtype(attrs[schema.CODED_DTYPE]).type(np.nan), coding.shape)
    of = attrs.get(schema.CODED_VARIABLE)
    out = xr.DataArray(empty, coords, coding.dims, of or None, json.loads(attrs[schema.CODED_ATTRS]))
    if schema.CODED_START in attrs:
        start = int(np.datetime64(attrs[schema.CODED_START], "ns").astype(np.int64))
        axis = time_coordinates(start, float(attrs[schema.CODED_RATE_HZ]), coding.shape[coding.dims.index("time")])
        out = out.assign_coords(axis)
    return out


def _check_names(x: xr.DataArray, ndim: int, prefix: str) -> None:
    """Raise InputError for dimensions and coordinates whose names codes need for themselves."""
    needed = schema.list_code_names(ndim)
    needed |= {prefix + name for name in needed}
    for what, names in (("dimension", x.dims), ("coordinate", x.coords)):
        if taken := next((str(name) for name in names if str(name) in needed), None):
            raise InputError(
                f"{display_name(x)} has a {what} {taken}, a name that codes need for themselves. Rename it in the "
                f"input: x.rename({taken}='other')."
            )


def _core_dims(x: xr.DataArray, model: Model, dims: Sequence[str] | None) -> tuple[str, ...]:
    ndim = len(require_contract(model, CodeContract).window)
    if dims is not None and len(dims) != ndim:
        raise InputError(
            f"Model {model.name!r} has windows along {ndim} dimension{'s' * (ndim > 1)}; "
            f"{', '.join(dims) or 'none'} {'is' if len(dims) == 1 else 'are'} {len(dims)}. "
            f"The shipped model for {len(dims)} is {DEFAULT_MODELS.get(len(dims), 'none')}."
        )  # fmt: skip
    if ndim == 2:
        core = grid_layout(x, dims).horizontal
    elif dims is not None:
        if dims[0] not in x.dims:
            raise InputError(f"{display_name(x)} has no dimension {dims[0]}; it has {describe_sizes(x) or 'none'}.")
        core = tuple(dims)
    elif "time" in x.dims:
        core = ("time",)
    elif x.ndim == 1:
        core = (str(x.dims[0]),)
    else:
        raise InputError(
            f"{display_name(x)} has no dimension time ({describe_sizes(x)}). Name the one to encode along: --dims NAME."
        )
    return core


def _has_lazy_time(x: xr.DataArray) -> bool:
    """Whether the time axis is stored as start and rate only."""
    from xarray.indexes import CoordinateTransformIndex

    return "time" in x.dims and isinstance(x.xindexes.get("time"), CoordinateTransformIndex)
