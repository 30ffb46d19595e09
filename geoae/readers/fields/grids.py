"""Read gridded fields in netCDF, zarr, GRIB and other formats of xarray, as lazy arrays in chunks of a few MB."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import geoae.readers.fields.opening as opening
from geoae.errors import DamagedFileError, GeoAEError, InputError, UnknownNameError
from geoae.labels.adapter import Adapter, change_lazily
from geoae.labels.cf import GridLayout, describe_sizes, grid_layout, list_fields, list_gridded, promote_coordinates
from geoae.labels.valid import unpack_valid_range
from geoae.readers.fields.joining import join_fields
from geoae.readers.protocols import Kind, Place

kind: Kind = "fields"
"""Kind of data; see `geoae.readers.protocols`."""
MAX_CHUNK_SAMPLES = 1 << 22
"""Largest number of samples in a chunk, unless the chunks of the store are larger: 16 MB of float32."""
SUFFIXES = {".nc", ".nc3", ".nc4", ".cdf", ".zarr", ".grib", ".grib2", ".grb", ".grb2", ".tif", ".tiff"}
"""File suffixes that no recording has."""


def sniff(path: str | Path) -> bool:
    """Whether a file or folder is netCDF, zarr or GRIB, by its first bytes or names. Never raises."""
    try:
        format_ = opening.detect_format(Path(path))
        if format_ == "tiff":  # a reader of another package may know better; see `can_open`
            return False
        return _has_dimensions(Path(path)) if format_ == "hdf5" else format_ is not None
    except Exception:  # a file that breaks the parser is no grid
        return False


def can_open(path: str | Path) -> bool:
    """Whether a file has the suffix of a grid, or an installed backend of xarray accepts it. Never raises."""
    from xarray.backends.plugins import guess_engine

    if Path(path).suffix.lower() in SUFFIXES:
        return True
    try:
        return opening.detect_format(Path(path)) == "tiff" or bool(guess_engine(str(path)))
    except Exception:  # it raises if no backend accepts the file, and backends may raise anything
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
        File, folder or URL; several are joined in the order of their times.
    var
        Names of variables. None: all variables with two horizontal dimensions.
    dims
        Names of the horizontal dimensions, ("y", "x") or "y,x". None: found from names and metadata.
    along
        Dimension to join several files along, such as "member"; it is made if it does not exist. None: time.
    group
        Name of a group in the store.
    engine, options
        Arguments of `xarray.open_dataset`. None: chosen by the format.
    adapter
        Changes of names, units and missing values from a data catalog.

    Returns
    -------
    list of DataArray
        One array for each variable, in the order of the file.

    Raises
    ------
    UnknownNameError
        There is no such variable.
    InputError
        The horizontal dimensions are not clear, coordinates are out of order, files do not fit each other, or a
        library is missing.
    DamagedFileError
        A file cannot be decoded. For damaged samples the error comes when they are used.
    """
    places = [path] if isinstance(path, str | Path) else list(path)
    adapter = adapter or Adapter()
    chosen = tuple(dims.replace(" ", "").split(",")) if isinstance(dims, str) else dims
    opened: list[dict[str, xr.DataArray]] = []
    try:
        for place in places:
            opened.append(contents(place, group, engine, options, adapter))
        names = _choose_names(opened[0], places[0], [var] if isinstance(var, str) else var, chosen)
        settings = repr((group, engine, options, adapter))
        return [_open_field(name, places, opened, chosen, along, adapter, settings) for name in names]
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
    """All variables of a store that may be fields, lazily; the adapter only changes their names here.

    Raises
    ------
    GeoAEError
        As for `read`; InputError if there is no variable.
    """
    found: dict[str, xr.DataArray] = {}
    other_names: list[str] = []
    for data in opening.open_store(place, group, engine, options):
        rename = {old: new for old, new in (adapter.rename if adapter else {}).items() if old in data.variables}
        data, close_file = promote_coordinates(data.rename(rename)), data.close
        for coord in data.coords.values():
            if coord.ndim < 2:
                coord.load()
        for name in list_fields(data):
            label = name
            if name in found:  # parts of a GRIB file: t on pressure levels and t near the ground
                label = f"{name}_{data[name].attrs.get('GRIB_typeOfLevel', '')}"
                label = label if label not in found else f"{label}_{len(found)}"
            found[label] = data[name].rename(label)
            found[label].set_close(close_file)
        other_names += map(str, data.variables)
        if not found:
            close_file()
    if not found:
        inner = opening.list_groups(place) if group is None else []
        hint = (
            f"only {', '.join(other_names)}. Real numbers along dimensions were expected"
            if other_names
            else "nothing at all"
        )
        if inner:
            shown = ", ".join([*inner[:12], *(["..."] if len(inner) > 12 else [])])
            hint = f"but the groups {shown}: choose one with --group {inner[0]} (in Python group='{inner[0]}')"
        raise InputError(f"{place} holds no field, {hint}.")
    return found


def close_files(opened: Sequence[Mapping[str, xr.DataArray]]) -> None:
    """Close the files that `contents` opened; their samples can no longer be read."""
    for found in opened:
        for field in found.values():
            field.close()


def grow_chunks(
    sizes: Mapping[str, int], stored: Mapping[str, int], horizontal: Sequence[str], limit: int = MAX_CHUNK_SAMPLES
) -> dict[str, int]:
    """Chunk size of each dimension: whole stored chunks, as many as fit in `limit` samples, horizontal ones first.

    Examples
    --------
    >>> grow_chunks({"time": 100, "y": 64, "x": 128}, {"time": 1, "y": 64, "x": 64}, ("y", "x"), limit=2**15)
    {'time': 4, 'y': 64, 'x': 128}
    """
    chunk = {dim: max(1, min(stored.get(dim, 1), n)) for dim, n in sizes.items()}
    rest = [dim for dim in reversed(chunk) if dim not in horizontal]
    for dims in ([dim for dim in horizontal if dim in chunk], *([dim] for dim in rest)):
        has_grown = True
        while has_grown:
            has_grown = False
            for dim in sorted(dims, key=chunk.__getitem__):  # nearly square chunks overlap few windows
                size = min(2 * chunk[dim], sizes[dim])
                if size > chunk[dim] and math.prod(chunk.values()) // chunk[dim] * size <= limit:
                    chunk[dim], has_grown = size, True
                    break
    return chunk


def _choose_names(
    found: Mapping[str, xr.DataArray], place: Place, var: Sequence[str] | None, dims: Sequence[str] | None
) -> list[str]:
    if var is not None:
        if unknown := [name for name in var if name not in found]:
            raise UnknownNameError(f"{place} has no variable {', '.join(unknown)}; there are {', '.join(found)}.")
        return list(dict.fromkeys(var))
    return list_gridded(found, lambda field: _find_layout(field, dims, place))


def _find_layout(field: xr.DataArray, dims: Sequence[str] | None, place: Place) -> GridLayout:
    try:
        return grid_layout(field, dims)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _open_field(
    name: str,
    places: Sequence[Place],
    opened: Sequence[Mapping[str, xr.DataArray]],
    dims: Sequence[str] | None,
    along: str | None,
    adapter: Adapter,
    settings: str,
) -> xr.DataArray:
    layout = _find_layout(opened[0][name], dims, places[0])
    parts = []
    for place, found in zip(places, opened, strict=True):
        if name not in found:
            raise InputError(f"{place} does not fit {places[0]}: it has no variable {name}. Leave it out.")
        if not found[name].size:
            raise InputError(f"{place}: {name} has no samples ({describe_sizes(found[name])}).")
        parts.append(
            (place, _chunk_field(adapter(_guard_samples(found[name], place)), layout.horizontal, place, settings))
        )
    joined = join_fields(parts, along or layout.time)
    if len(parts) > 1:
        grid_layout(joined, dims)
    return joined


def _guard_samples(field: xr.DataArray, place: Place) -> xr.DataArray:
    """Return a field with samples in the byte order of this machine, where damaged samples raise DamagedFileError."""
    dtype = field.dtype.newbyteorder("=")
    samples = change_lazily(field.variable, dtype, partial(_read_part, label=f"{place}: {field.name}", dtype=dtype))
    guarded = field.copy(deep=False, data=samples)
    guarded.encoding["source"] = str(place)
    guarded.attrs = unpack_valid_range(field.attrs, field.encoding)
    return guarded


def _read_part(read: Callable[[], NDArray[Any]], label: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        return read().astype(dtype, copy=False)
    except (GeoAEError, MemoryError):
        raise
    except Exception as error:  # codecs raise many types for a damaged chunk
        raise DamagedFileError(
            f"{label} cannot be read: {opening.shorten_error(error)}. Copy the file again."
        ) from error


def _chunk_field(field: xr.DataArray, horizontal: Sequence[str], place: Place, settings: str) -> xr.DataArray:
    """Return a field in chunks of dask. Their name depends on everything that the samples depend on."""
    from dask.base import tokenize

    stat = Path(place).stat() if not opening.is_url(place) else None
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
    """Whether an HDF5 file has the dimension scales of netCDF-4; True if it is damaged, so that `read` explains it."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            marks: list[bool] = ["_NCProperties" in file.attrs]
            for item in file.values():
                members = item.values() if isinstance(item, h5py.Group) else [item]
                marks += ["DIMENSION_LIST" in member.attrs or "CLASS" in member.attrs for member in members]
            return any(marks)
    except OSError:
        return True
