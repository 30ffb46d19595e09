"""Find which dimensions of a field are horizontal, which are batches, and whether the field is periodic in longitude.

The rules are those of the CF conventions. They use names, attributes and coordinates; no samples are read.
"""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # comes with xarray; its stubs do not
import xarray as xr

from geoae.errors import InputError
from geoae.labels.axes import RANK_OF_NAME, find_axis_by_name, find_axis_evidence, find_geographic_axis, is_longitude
from geoae.labels.rings import count_repeats, is_steady, unwrap_degrees


@dataclass(frozen=True)
class GridLayout:
    """Roles of the dimensions of one field."""

    horizontal: tuple[str, ...]
    """Dimensions that a window covers: south-north, then west-east, or as the caller named them."""
    batch: tuple[str, ...]
    """All other dimensions, in the order of the array. Each combination of their positions is a separate field."""
    periodic: tuple[bool, ...]
    """For each horizontal dimension, whether its last point is a neighbour of its first, or repeats it."""
    units: str | None
    time: str | None = None
    level: str | None = None
    member: str | None = None
    curvilinear: bool = False
    """Whether latitude and longitude are two-dimensional. The horizontal dimensions then number the grid points."""
    repeats: tuple[int, ...] = (0, 0)
    """For each horizontal dimension, points at its end that repeat its first ones, as longitudes 0 and 360."""


def list_gridded(
    fields: Mapping[str, xr.DataArray], find_layout: Callable[[xr.DataArray], GridLayout] | None = None
) -> list[str]:
    """Names of the variables whose horizontal dimensions `find_layout` finds; None: `grid_layout`.

    Raises
    ------
    InputError
        There is none; the error is that of the variable with most dimensions, and of these the largest.
    """
    names, faults = [], {}
    for name, field in fields.items():
        try:
            (find_layout or grid_layout)(field)
        except InputError as error:
            faults[name] = error
        else:
            names.append(name)
    if not names:
        raise faults[max(faults, key=lambda name: (fields[name].ndim, fields[name].size))]
    return names


def grid_layout(field: xr.DataArray, dims: Sequence[str] | None = None) -> GridLayout:
    """Find the role of each dimension of a field, and check its coordinates.

    Evidence is used in this order: `axis` attribute, standard name, units and type of the coordinates; two-dimensional
    latitude and longitude; names of dimensions. The order of dimensions and the direction of coordinates do not matter.

    Parameters
    ----------
    field
        Dimensions of any names, in any order.
    dims
        Names of the horizontal dimensions. None: the rules find them.

    Raises
    ------
    InputError
        No rule finds the horizontal dimensions, `dims` has a name that is not a dimension, or a horizontal coordinate
        or the time does not rise or fall steadily.
    """
    names = [str(dim) for dim in field.dims]
    kinds = {dim: _rank_and_axis(field, dim) for dim in names}
    horizontal = _find_horizontal(field, kinds) if dims is None else _check_dims(field, dims)
    rest = {dim: kind for dim, kind in kinds.items() if dim not in horizontal}
    time = _best_dim(rest, "T")
    for name, coord in field.coords.items():
        if coord.dims in [(dim,) for dim in horizontal] and (
            name in horizontal or find_geographic_axis(coord.variable)
        ):
            _check_steady(field, str(name))
    if time is not None and time in field.coords:
        _check_steady(field, time)
    repeats = [count_repeats(field, dim, horizontal) for dim in horizontal]
    return GridLayout(
        horizontal,
        tuple(dim for dim in names if dim not in horizontal),
        tuple(n is not None for n in repeats),
        str(field.attrs["units"]) if field.attrs.get("units") is not None else None,
        time,
        _best_dim(rest, "Z"),
        _best_dim(rest, "E"),
        _spanned_dims(field, "X", kinds) == set(horizontal),
        tuple(n or 0 for n in repeats),
    )


def list_fields(data: xr.Dataset) -> list[str]:
    """Names of the variables that may be fields: real numbers with dimensions that describe no other variable.

    Bounds, grid mappings, cell areas and the like describe other variables.
    """
    auxiliary: set[str] = set()
    for variable in data.variables.values():
        for key in ("bounds", "climatology", "grid_mapping", "cell_measures", "ancillary_variables", "formula_terms"):
            for metadata in (variable.attrs, variable.encoding):
                auxiliary |= set(re.findall(r"[^\s:]+", str(metadata.get(key) or "")))
    return [
        str(name)
        for name, variable in data.data_vars.items()
        if variable.ndim
        and variable.dtype.kind in "iuf"
        and name not in auxiliary
        and "flag_values" not in variable.attrs
    ]


def promote_coordinates(data: xr.Dataset) -> xr.Dataset:
    """Turn latitudes and longitudes that a file stores as plain variables into coordinates."""
    found = {
        axis: [name for name in data.data_vars if find_geographic_axis(data[name].variable) == axis] for axis in "XY"
    }
    if not found["X"] or not found["Y"]:  # a latitude alone may be the data themselves
        return data
    return data.set_coords([*found["X"], *found["Y"]])


def find_time_coordinate(field: xr.DataArray) -> str | None:
    """Name of the scalar time coordinate of a field without a time dimension; None if it has none."""
    names = (
        str(n) for n, c in field.coords.items() if c.ndim == 0 and find_axis_evidence(str(n), c.variable)[1] == "T"
    )
    # of the several times of a forecast, the one it is valid at
    return min(names, key=lambda name: (name != "valid_time", name != "time", name), default=None)


def has_same_units(first: str, second: str) -> bool:
    """Whether units are the same apart from their spelling: m s**-1, m.s-1.

    Examples
    --------
    >>> has_same_units("m s**-1", "m.s-1"), has_same_units("K", "degC")
    (True, False)
    """
    plain = (re.sub(r"[\s*^.]", "", units) for units in (first, second))
    return len(set(plain)) == 1


def describe_sizes(field: xr.DataArray | xr.Dataset) -> str:
    """Dimensions and their sizes as text for messages."""
    return ", ".join(f"{dim} {n}" for dim, n in field.sizes.items())


def _rank_and_axis(field: xr.DataArray, dim: str) -> tuple[int, str]:
    """Rank of the best evidence for a dimension (0 is best) and its axis; the axis is "" if there is no evidence."""
    direct = find_axis_evidence(dim, field.coords[dim].variable) if dim in field.coords else find_axis_by_name(dim)
    along_it = {
        find_axis_evidence(str(name), coord.variable)
        for name, coord in field.coords.items()
        if coord.dims == (dim,) and name != dim
    }
    axes = {axis for _, axis in along_it if axis}
    # latitude and longitude along one dimension are a track or a list of points, not a grid
    if {"X", "Y"} <= axes and direct[1] in ("", "X", "Y"):
        return RANK_OF_NAME + 1, ""
    if direct[1] and (direct[0] < RANK_OF_NAME or not axes & {"X", "Y"}):
        return direct
    return min((evidence for evidence in along_it if evidence[1] in ("X", "Y")), default=direct)


def _best_dim(kinds: Mapping[str, tuple[int, str]], axis: str) -> str | None:
    """The dimension with the best evidence for an axis; the first by name if several are equal."""
    return min((dim for dim, kind in kinds.items() if kind[1] == axis), key=lambda d: (kinds[d], d), default=None)


def _find_horizontal(field: xr.DataArray, kinds: Mapping[str, tuple[int, str]]) -> tuple[str, ...]:
    candidates = {axis: [dim for dim in kinds if kinds[dim][1] == axis] for axis in "YX"}
    best = {
        axis: [d for d in dims if kinds[d][0] == min(kinds[e][0] for e in dims)] for axis, dims in candidates.items()
    }
    is_certain = all(len(dims) == 1 and kinds[dims[0]][0] < RANK_OF_NAME for dims in best.values())
    spanned = _spanned_dims(field, "X", kinds) & _spanned_dims(field, "Y", kinds)
    if not is_certain and len(spanned) == 2:
        first, second = sorted(spanned, key=list(field.dims).index)
        is_transposed = "X" in kinds[first][1] or "Y" in kinds[second][1]
        return (second, first) if is_transposed else (first, second)
    if all(len(dims) == 1 for dims in best.values()):
        return best["Y"][0], best["X"][0]
    name = display_name(field)
    for axis, word in (("Y", "south-north"), ("X", "west-east")):
        if len(best[axis]) > 1:
            raise InputError(f"{name}: both {_join_names(best[axis])} look like the {word} dimension. {_remedy(field)}")
    if _is_list_of_points(field, kinds):
        raise InputError(
            f"{name} is no grid: its latitudes and longitudes lie along one dimension ({describe_sizes(field)}). "
            "Interpolate it to a grid first."
        )
    known = f"only {best['Y' if best['Y'] else 'X'][0]} was found" if best["Y"] or best["X"] else "no rule finds them"
    raise InputError(
        f"{name}: it is not clear which dimensions are horizontal, {known} ({describe_sizes(field)}). {_remedy(field)}"
    )


def _check_dims(field: xr.DataArray, dims: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(str(dim) for dim in dims)
    if wrong := [dim for dim in chosen if dim not in field.dims]:
        raise InputError(
            f"{display_name(field)} has no dimension {', '.join(wrong)}; it has {describe_sizes(field) or 'none'}."
        )
    if not chosen or len(set(chosen)) < len(chosen):
        raise InputError(
            f"Name each horizontal dimension of {display_name(field)} once; there are {describe_sizes(field)}."
        )
    return chosen


def _spanned_dims(field: xr.DataArray, axis: str, kinds: Mapping[str, tuple[int, str]]) -> set[str]:
    """The two dimensions of a two-dimensional latitude (Y) or longitude (X); empty if the field has none."""
    for name, coord in field.coords.items():
        # the coordinates of a moving grid have a time dimension too
        spanned = {str(d) for d in coord.dims if kinds.get(str(d), (0, ""))[1] not in ("T", "E", "Z")}
        word = "lon" if axis == "X" else "lat"
        named = re.search(f"(^|_|nav|geo|[xtuvrg]){word}", str(name), re.IGNORECASE) and coord.dtype.kind == "f"
        if len(spanned) == 2 and (
            find_geographic_axis(coord.variable) == axis or (named and not coord.attrs.get("standard_name"))
        ):
            return spanned
    return set()


def _is_list_of_points(field: xr.DataArray, kinds: Mapping[str, tuple[int, str]]) -> bool:
    along: dict[Hashable, set[str]] = {}
    for name, coord in field.coords.items():
        if coord.ndim == 1:
            along.setdefault(coord.dims[0], set()).add(find_axis_evidence(str(name), coord.variable)[1])
    return any({"X", "Y"} <= axes for dim, axes in along.items() if str(dim) in kinds)


def display_name(field: xr.DataArray) -> str:
    """Name of an array in messages."""
    return str(field.name) if field.name is not None else "The array"


def _join_names(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _remedy(field: xr.DataArray) -> str:
    if field.ndim < 2:
        return "A field has at least two dimensions."
    y, x = field.dims[-2:]
    return f"Name them: --dims {y},{x} (in Python dims=('{y}', '{x}'))."


def _check_steady(field: xr.DataArray, name: str) -> None:
    """Raise InputError unless a one-dimensional coordinate rises or falls steadily."""
    coord, dim = field.coords[name], field.coords[name].dims[0]
    values = coord.values
    if values.size < 2:
        return
    dates = values.dtype.kind == "O" and hasattr(values[0], "timetuple")
    if values.dtype.kind not in "iufMm" and not dates:
        return
    label = f"{display_name(field)}: coordinate {name}"
    missing = np.flatnonzero(coord.isnull().values)
    if missing.size:
        raise InputError(f"{label} has no value at position {missing[0]}. Give it one, or leave it out with isel.")
    if is_steady(values) or (is_longitude(coord.variable, name) and is_steady(unwrap_degrees(values))):
        return
    index = pd.Index(values)
    if (twice := np.flatnonzero(index.duplicated())).size:
        again = twice[0]
        first = int(np.flatnonzero(index == index[again])[0])
        raise InputError(
            f"{label} has {_format_value(values[again])} twice, at positions {first} and {again}. "
            f"Keep one: drop_duplicates('{dim}')."
        )
    rising = np.asarray(values[1:] > values[:-1])
    at = int(np.flatnonzero(rising != (np.count_nonzero(rising) * 2 >= rising.size))[0])
    raise InputError(
        f"{label} does not rise or fall steadily: {_format_value(values[at])} at position {at} is followed by "
        f"{_format_value(values[at + 1])}. Sort it: sortby('{name}')."
    )


def _format_value(value: object) -> str:
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[s]")).removesuffix("T00:00:00")
    return f"{value:g}" if isinstance(value, np.floating | np.integer) else str(value)
