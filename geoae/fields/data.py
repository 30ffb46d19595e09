"""Load training fields: the variables of the files in a folder, as slices (time, y, x) in memory."""

import fnmatch
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from geoae.errors import InputError
from geoae.labels.cf import grid_layout
from geoae.readers import find_reader, read_records

SOURCE = "source"
"""Attribute of slices: the path of their file, relative to the folder."""


def load_slices(data: Path, patterns: Sequence[str] = ("*.nc",), exclude: Sequence[str] = ()) -> list[xr.DataArray]:
    """Load all fields of the files that match the patterns, with axes (time, south-north, west-east).

    Parameters
    ----------
    data
        Folder that the patterns are relative to.
    patterns
        Names, paths or patterns with wildcards, of files or stores: ``["TREFHT.B06.57*.nc", "sst.nc"]``. Or
        ``FILE:VARIABLE`` for one variable.
    exclude
        Patterns of files that are left out, by name or path.

    Returns
    -------
    list of DataArray
        One for each variable and each combination of its other dimensions (levels, members). Dims are (time, y, x)
        with the names in the file; a field without time gets one time. float32 or float64, NaN where samples are
        missing. ``attrs["source"]`` is the path of the file.

    Raises
    ------
    InputError
        A pattern matches no file, all files are excluded, or a file has no field.
    DamagedFileError
        A file cannot be decoded.
    """
    chosen = find_files(data, patterns, exclude)
    return [field for path, names in chosen.items() for field in _read_slices(data, path, names)]


def find_files(data: Path, patterns: Sequence[str], exclude: Sequence[str] = ()) -> dict[Path, list[str] | None]:
    """Find the files that match, sorted by path, and the variables chosen in each; None means all variables.

    Raises
    ------
    InputError
        A pattern matches no file, or all that match are excluded.
    """
    if not data.is_dir():
        raise InputError(f"There is no folder {data} with fields to train on.")
    found: dict[Path, list[str] | None] = {}
    for pattern in patterns:
        name, _, variable = pattern.partition(":")
        matches = sorted(data.glob(name))
        if not matches:
            raise InputError(f"{data} holds nothing that matches {name!r}.")
        for path in (p for p in matches if not _is_excluded(p, data, exclude)):
            before = found.get(path, [])
            found[path] = [*before, variable] if variable and before is not None else None
    if not found:
        raise InputError(f"All that matches {', '.join(patterns)} in {data} is excluded by {', '.join(exclude)}.")
    return dict(sorted(found.items()))


def _is_excluded(path: Path, data: Path, exclude: Sequence[str]) -> bool:
    names = (path.name, str(path.relative_to(data)))
    return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in exclude)


def _read_slices(data: Path, path: Path, variables: list[str] | None) -> Iterator[xr.DataArray]:
    for field in read_records(path, find_reader(path, otherwise="grids"), var=variables):
        layout = grid_layout(field)
        others = [dim for dim in layout.batch if dim != layout.time]
        x = field if layout.time else field.expand_dims("time")
        x = x.transpose(*others, layout.time or "time", *layout.horizontal)
        x = x.astype(np.result_type(x.dtype, np.float32)).load()
        for index in product(*(range(x.sizes[dim]) for dim in others)):
            part = x.isel(dict(zip(others, index, strict=True)))
            yield part.assign_attrs({SOURCE: str(path.relative_to(data))})
