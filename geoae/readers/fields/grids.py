"""Gridded fields in netCDF, zarr, GRIB and whatever else xarray opens, as lazy arrays in chunks of a few MB."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import geoae.readers.fields.opening as stores
from geoae.errors import DamagedFileError, GeoAEError, InputError, UnknownNameError
from geoae.labels.adapter import Adapter, change_lazily
from geoae.labels.cf import GridLayout, describe_sizes, grid_layout, list_fields, promote_coordinates
from geoae.readers.fields.joining import join_fields
from geoae.readers.protocols import Kind, Place

kind: Kind = "fields"
"""Of what it reads; see `geoae.readers.protocols`."""
MAX_CHUNK_SAMPLES = 1 << 22
"""Samples of a chunk at most, unless the store itself has larger ones: 16 MB of float32."""
SUFFIXES = {".nc", ".nc3", ".nc4", ".cdf", ".zarr", ".grib", ".grib2", ".grb", ".grb2"}
"""Of names that no recording has."""


def sniff(path: str | Path) -> bool:
    """Tell whether a file or folder is netCDF, zarr or GRIB, by its first bytes or names. Never raises."""
    try:
        format_ = stores.detect_format(Path(path))
        return _has_dimensions(Path(path)) if format_ == "hdf5" else format_ is not None
    except Exception:  # whatever a foreign file does to a parser, it is no grid
        return False


def can_open(path: str | Path) -> bool:
    """Tell whether a name, or some backend that is installed for xarray, claims a file or folder. Never raises."""
    from xarray.backends.plugins import guess_engine

    if Path(path).suffix.lower() in SUFFIXES:
        return True
    try:
        return bool(guess_engine(str(path)))
    except Exception:  # it raises where none does, and backends of others may raise anything
        return False


def read(
    path: Place | Sequence[Place],
    var: str | Sequence[str] | None = None,
    dims: str | Sequence[str] | None = None,
    *,
    along: str | None = None,
    group: str | None = None,
    engine: str | None = None,
    options: Mapping[str, Any] | None = None,
    adapter: Adapter | None = None,
) -> list[xr.DataArray]:
    """Read fields; samples are read when they are used.

    Coordinates, attributes and encoding are those of the file. Samples are as xarray decodes them: packed integers
    unpacked, fill values NaN. Chunks are whole chunks of the store.

    Parameters
    ----------
    path
        File, folder or URL, or several that are joined in the order of their times.
    var
        Names of variables; left out: all that have two horizontal dimensions.
    dims
        Names of the horizontal dimensions, where they are not found from names and metadata: ("y", "x") or "y,x".
    along
        Dimension to join several files along, such as "member"; made where there is none. The time if left out.
    group
        Of a store that has several.
    engine, options
        Of `xarray.open_dataset`; found from the content if left out.
    adapter
        Changes of names, units and missing values, as a catalog states them.

    Returns
    -------
    list of DataArray
        One for each variable, in the order of the file.

    Raises
    ------
    UnknownNameError
        There is no such variable.
    InputError
        The horizontal dimensions are not clear, coordinates are out of order, files do not fit each other, or a
        library is missing.
    DamagedFileError
        A file cannot be decoded; samples are only looked at, and this raised, when they are used.
    """
    places = [path] if isinstance(path, str | Path) else list(path)
    adapter = adapter or Adapter()
    chosen = tuple(dims.replace(" ", "").split(",")) if isinstance(dims, str) else dims
    opened: list[dict[str, xr.DataArray]] = []
    try:
        for place in places:
            opened.append(contents(place, group, engine, options, adapter))
        names = _choose(opened[0], places[0], [var] if isinstance(var, str) else var, chosen)
        settings = repr((group, engine, options, adapter))
        return [_field(name, places, opened, chosen, along, adapter, settings) for name in names]
    except GeoAEError:
        close_files(opened)
        raise


def contents(
    place: Place,
    group: str | None = None,
    engine: str | None = None,
    options: Mapping[str, Any] | None = None,
    adapter: Adapter | None = None,
) -> dict[str, xr.DataArray]:
    """All variables of a store that may be fields, lazily, as they are in it but for their names.

    Raises
    ------
    GeoAEError
        As for `read`; InputError where there is no such variable.
    """
    found: dict[str, xr.DataArray] = {}
    others: list[str] = []
    for data in stores.open_store(place, group, engine, options):
        rename = {old: new for old, new in (adapter.rename if adapter else {}).items() if old in data.variables}
        data, closes = promote_coordinates(data.rename(rename)), data.close
        for coord in data.coords.values():
            if coord.ndim < 2:
                coord.load()
        for name in list_fields(data):
            label = name
            if name in found:  # parts of a GRIB file: t on pressure levels and t near the ground
                label = f"{name}_{data[name].attrs.get('GRIB_typeOfLevel', '')}"
                label = label if label not in found else f"{label}_{len(found)}"
            found[label] = data[name].rename(label)
            found[label].set_close(closes)
        others += map(str, data.variables)
        if not found:
            closes()
    if not found:
        inner = stores.list_groups(place) if group is None else []
        hint = f"only {', '.join(others)}. Real numbers along dimensions were expected" if others else "nothing at all"
        hint = f"but the groups {', '.join(inner)}: choose one with group='{inner[0]}'" if inner else hint
        raise InputError(f"{place} holds no field, {hint}.")
    return found


def close_files(opened: Sequence[Mapping[str, xr.DataArray]]) -> None:
    """Let go of the files that `contents` opened; what they hold can no longer be read."""
    for found in opened:
        for field in found.values():
            field.close()


def grow_chunks(
    sizes: Mapping[str, int], stored: Mapping[str, int], horizontal: Sequence[str], limit: int = MAX_CHUNK_SAMPLES
) -> dict[str, int]:
    """Samples of a chunk along each dimension: whole stored chunks, as many as fit in `limit`, horizontal ones first.

    Examples
    --------
    >>> grow_chunks({"time": 100, "y": 64, "x": 128}, {"time": 1, "y": 64, "x": 64}, ("y", "x"), limit=2**15)
    {'time': 4, 'y': 64, 'x': 128}
    """
    chunk = {dim: max(1, min(stored.get(dim, 1), n)) for dim, n in sizes.items()}
    rest = [dim for dim in reversed(chunk) if dim not in horizontal]
    for dims in ([dim for dim in horizontal if dim in chunk], *([dim] for dim in rest)):
        grown = True
        while grown:
            grown = False
            for dim in sorted(dims, key=chunk.__getitem__):  # near squares: little to read beyond a window's edge
                size = min(2 * chunk[dim], sizes[dim])
                if size > chunk[dim] and math.prod(chunk.values()) // chunk[dim] * size <= limit:
                    chunk[dim], grown = size, True
                    break
    return chunk


def _choose(
    found: Mapping[str, xr.DataArray], place: Place, var: Sequence[str] | None, dims: Sequence[str] | None
) -> list[str]:
    if var is not None:
        if unknown := [name for name in var if name not in found]:
            raise UnknownNameError(f"{place} has no variable {', '.join(unknown)}; there are {', '.join(found)}.")
        return list(dict.fromkeys(var))
    names, faults = [], {}
    for name, field in found.items():
        try:
            _layout(field, dims, place)
        except InputError as error:
            faults[name] = error
        else:
            names.append(name)
    if not names:
        raise faults[max(faults, key=lambda name: (found[name].ndim, found[name].size))]
    return names


def _layout(field: xr.DataArray, dims: Sequence[str] | None, place: Place) -> GridLayout:
    try:
        return grid_layout(field, dims)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _field(
    name: str,
    places: Sequence[Place],
    opened: Sequence[Mapping[str, xr.DataArray]],
    dims: Sequence[str] | None,
    along: str | None,
    adapter: Adapter,
    settings: str,
) -> xr.DataArray:
    layout = _layout(opened[0][name], dims, places[0])
    parts = []
    for place, found in zip(places, opened, strict=True):
        if name not in found:
            raise InputError(f"{place} does not fit {places[0]}: it has no variable {name}. Leave it out.")
        if not found[name].size:
            raise InputError(f"{place}: {name} has no samples ({describe_sizes(found[name])}).")
        parts.append((place, _chunked(adapter(_guarded(found[name], place)), layout.horizontal, place, settings)))
    joined = join_fields(parts, along or layout.time)
    if len(parts) > 1:
        grid_layout(joined, dims)
    return joined


def _guarded(field: xr.DataArray, place: Place) -> xr.DataArray:
    """The same field, whose samples are in the byte order of this machine, and damage to them an error of ours."""
    dtype = field.dtype.newbyteorder("=")
    samples = change_lazily(field.variable, dtype, partial(_read, label=f"{place}: {field.name}", dtype=dtype))
    guarded = field.copy(deep=False, data=samples)
    guarded.encoding["source"] = str(place)
    return guarded


def _read(read: Callable[[], NDArray[Any]], label: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        return read().astype(dtype, copy=False)
    except (GeoAEError, MemoryError):
        raise
    except Exception as error:  # what a damaged chunk does to a codec has many kinds
        raise DamagedFileError(
            f"{label} cannot be read: {stores.shorten_error(error)}. Copy the file again."
        ) from error


def _chunked(field: xr.DataArray, horizontal: Sequence[str], place: Place, settings: str) -> xr.DataArray:
    """The field in chunks of dask, named after all that their samples depend on."""
    from dask.base import tokenize

    stat = Path(place).stat() if not stores.is_url(place) else None
    token = tokenize(str(place), stat and (stat.st_mtime_ns, stat.st_size), field.name, settings, field.shape)
    stored = field.encoding.get("preferred_chunks") or {}
    largest = {str(d): max(n) if isinstance(n, tuple) else int(n) for d, n in stored.items()}
    chunks = grow_chunks({str(d): n for d, n in field.sizes.items()}, largest, horizontal)
    samples = field.variable.chunk(chunks, name=f"{field.name}-{token}").data
    wide = {
        n: c.variable.chunk(name=f"{n}-{token}") for n, c in field.coords.items() if c.ndim > 1 and c.chunks is None
    }
    return field.copy(deep=False, data=samples).assign_coords(wide)


def _has_dimensions(path: Path) -> bool:
    """Whether an HDF5 file has the dimension scales of netCDF-4; a damaged one counts, so that its damage is told."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            marks: list[bool] = ["_NCProperties" in file.attrs]
            for item in file.values():
                inside = item.values() if isinstance(item, h5py.Group) else [item]
                marks += ["DIMENSION_LIST" in one.attrs or "CLASS" in one.attrs for one in inside]
            return any(marks)
    except OSError:
        return True
