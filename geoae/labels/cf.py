"""Which dimensions of a field are horizontal, which are batches, and whether it closes around the globe.

Everything here looks at names, attributes and coordinates, by the CF conventions; no sample is read.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # comes with xarray; its stubs do not
import xarray as xr

from geoae.errors import InputError
from geoae.labels.axes import RANK_OF_NAME, find_axis_by_name, find_axis_evidence, find_geographic_axis, is_longitude


@dataclass(frozen=True)
class GridLayout:
    """What the dimensions of one field are."""

    horizontal: tuple[str, ...]
    """Dimensions that a window covers: south-north, then west-east, or as the caller named them."""
    batch: tuple[str, ...]
    """All others, in the order of the array: each of their combinations is a field of its own."""
    periodic: tuple[bool, ...]
    """For each horizontal dimension whether its last point is next to its first."""
    units: str | None
    time: str | None = None
    level: str | None = None
    member: str | None = None
    curvilinear: bool = False
    """Whether latitude and longitude are two-dimensional; the horizontal dimensions then count grid points."""


def grid_layout(field: xr.DataArray, dims: Sequence[str] | None = None) -> GridLayout:
    """Find what the dimensions of a field are, and check its coordinates.

    Evidence counts in this order: `axis` attribute, standard name, units and type of the coordinates; two-dimensional
    latitude and longitude; names of dimensions. The order of dimensions and the direction of coordinates do not.

    Parameters
    ----------
    field
        Dimensions of any names, in any order.
    dims
        Names of the horizontal dimensions, where the rules do not find them or something else is wanted.

    Raises
    ------
    InputError
        No rule finds the horizontal dimensions, or `dims` names others than there are; or a horizontal coordinate or
        the time does not rise or fall steadily.
    """
    names = [str(dim) for dim in field.dims]
    kinds = {dim: _kind(field, dim) for dim in names}
    horizontal = _found(field, kinds) if dims is None else _named(field, dims)
    rest = {dim: kind for dim, kind in kinds.items() if dim not in horizontal}
    time = _best(rest, "T")
    for name, coord in field.coords.items():
        if coord.dims in [(dim,) for dim in horizontal] and (
            name in horizontal or find_geographic_axis(coord.variable)
        ):
            _check(field, str(name))
    if time is not None and time in field.coords:
        _check(field, time)
    return GridLayout(
        horizontal,
        tuple(dim for dim in names if dim not in horizontal),
        tuple(_closes(field, dim, horizontal) for dim in horizontal),
        str(field.attrs["units"]) if field.attrs.get("units") is not None else None,
        time,
        _best(rest, "Z"),
        _best(rest, "E"),
        _spanned(field, "X", kinds) == set(horizontal),
    )


def list_fields(data: xr.Dataset) -> list[str]:
    """Names of the variables that may be fields: real numbers on dimensions, in the service of no other variable."""
    servants: set[str] = set()
    for variable in data.variables.values():
        for key in ("bounds", "climatology", "grid_mapping", "cell_measures", "ancillary_variables", "formula_terms"):
            for where in (variable.attrs, variable.encoding):
                servants |= set(re.findall(r"[^\s:]+", str(where.get(key) or "")))
    return [
        str(name)
        for name, variable in data.data_vars.items()
        if variable.ndim
        and variable.dtype.kind in "iuf"
        and name not in servants
        and "flag_values" not in variable.attrs
    ]


def promote_coordinates(data: xr.Dataset) -> xr.Dataset:
    """Make coordinates of latitudes and longitudes that a file holds as variables like any other."""
    found = {
        axis: [name for name in data.data_vars if find_geographic_axis(data[name].variable) == axis] for axis in "XY"
    }
    if not found["X"] or not found["Y"]:  # a lone latitude may well be what somebody wants to look at
        return data
    return data.set_coords([*found["X"], *found["Y"]])


def find_time_coordinate(field: xr.DataArray) -> str | None:
    """Name of the one time of a field without a time dimension; None if it has no such coordinate."""
    names = (
        str(n) for n, c in field.coords.items() if c.ndim == 0 and find_axis_evidence(str(n), c.variable)[1] == "T"
    )
    # where a forecast has several, the one it holds at
    return min(names, key=lambda name: (name != "valid_time", name != "time", name), default=None)


def has_same_units(one: str, other: str) -> bool:
    """Whether units are the same but for how they are written: m s**-1, m.s-1.

    Examples
    --------
    >>> same_units("m s**-1", "m.s-1"), same_units("K", "degC")
    (True, False)
    """
    plain = (re.sub(r"[\s*^.]", "", units) for units in (one, other))
    return len(set(plain)) == 1


def describe_sizes(field: xr.DataArray | xr.Dataset) -> str:
    """Dimensions and their sizes, for a person."""
    return ", ".join(f"{dim} {n}" for dim, n in field.sizes.items())


def _kind(field: xr.DataArray, dim: str) -> tuple[int, str]:
    """Rank of the best evidence (0 is best) and the axis it speaks for; the axis is empty where nothing does."""
    own = find_axis_evidence(dim, field.coords[dim].variable) if dim in field.coords else find_axis_by_name(dim)
    others = {
        find_axis_evidence(str(name), coord.variable)
        for name, coord in field.coords.items()
        if coord.dims == (dim,) and name != dim
    }
    axes = {axis for _, axis in others if axis}
    # latitude and longitude along one dimension are a track or a list of points, not a grid
    if {"X", "Y"} <= axes and own[1] in ("", "X", "Y"):
        return RANK_OF_NAME + 1, ""
    if own[1] and (own[0] < RANK_OF_NAME or not axes & {"X", "Y"}):
        return own
    return min((one for one in others if one[1] in ("X", "Y")), default=own)


def _best(kinds: Mapping[str, tuple[int, str]], axis: str) -> str | None:
    """The dimension with the best evidence for an axis; of equals the first by name, whatever the order."""
    return min((dim for dim, kind in kinds.items() if kind[1] == axis), key=lambda d: (kinds[d], d), default=None)


def _found(field: xr.DataArray, kinds: Mapping[str, tuple[int, str]]) -> tuple[str, ...]:
    claims = {axis: [dim for dim in kinds if kinds[dim][1] == axis] for axis in "YX"}
    best = {axis: [d for d in dims if kinds[d][0] == min(kinds[e][0] for e in dims)] for axis, dims in claims.items()}
    sure = all(len(dims) == 1 and kinds[dims[0]][0] < RANK_OF_NAME for dims in best.values())
    spanned = _spanned(field, "X", kinds) & _spanned(field, "Y", kinds)
    if not sure and len(spanned) == 2:
        first, second = sorted(spanned, key=list(field.dims).index)
        turned = "X" in kinds[first][1] or "Y" in kinds[second][1]
        return (second, first) if turned else (first, second)
    if all(len(dims) == 1 for dims in best.values()):
        return best["Y"][0], best["X"][0]
    where = display_name(field)
    for axis, word in (("Y", "south-north"), ("X", "west-east")):
        if len(best[axis]) > 1:
            raise InputError(f"{where}: both {_and(best[axis])} look like the {word} dimension. {_remedy(field)}")
    if _is_list(field, kinds):
        raise InputError(
            f"{where} is no grid: its latitudes and longitudes lie along one dimension ({describe_sizes(field)}). "
            "Interpolate it to a grid first."
        )
    known = f"only {best['Y' if best['Y'] else 'X'][0]} was found" if best["Y"] or best["X"] else "no rule finds them"
    raise InputError(
        f"{where}: which dimensions are horizontal is not clear, {known} ({describe_sizes(field)}). {_remedy(field)}"
    )


def _named(field: xr.DataArray, dims: Sequence[str]) -> tuple[str, ...]:
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


def _spanned(field: xr.DataArray, axis: str, kinds: Mapping[str, tuple[int, str]]) -> set[str]:
    """The two dimensions that a latitude (Y) or longitude (X) of the field varies along; empty if there is none."""
    for name, coord in field.coords.items():
        # a moving grid has a time dimension too
        spanned = {str(d) for d in coord.dims if kinds.get(str(d), (0, ""))[1] not in ("T", "E", "Z")}
        word = "lon" if axis == "X" else "lat"
        named = re.search(f"(^|_|nav|geo|[xtuvrg]){word}", str(name), re.IGNORECASE) and coord.dtype.kind == "f"
        if len(spanned) == 2 and (
            find_geographic_axis(coord.variable) == axis or (named and not coord.attrs.get("standard_name"))
        ):
            return spanned
    return set()


def _is_list(field: xr.DataArray, kinds: Mapping[str, tuple[int, str]]) -> bool:
    along: dict[Hashable, set[str]] = {}
    for name, coord in field.coords.items():
        if coord.ndim == 1:
            along.setdefault(coord.dims[0], set()).add(find_axis_evidence(str(name), coord.variable)[1])
    return any({"X", "Y"} <= axes for dim, axes in along.items() if str(dim) in kinds)


def display_name(field: xr.DataArray) -> str:
    """Name of an array in messages."""
    return str(field.name) if field.name is not None else "The array"


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _remedy(field: xr.DataArray) -> str:
    if field.ndim < 2:
        return "A field has at least two dimensions."
    y, x = field.dims[-2:]
    return f"Name them: --dims {y},{x} (in Python dims=('{y}', '{x}'))."


def _check(field: xr.DataArray, name: str) -> None:
    """Raise InputError unless a one-dimensional coordinate rises or falls steadily."""
    coord, dim = field.coords[name], field.coords[name].dims[0]
    values = coord.values
    if values.size < 2:
        return
    dates = values.dtype.kind == "O" and hasattr(values[0], "timetuple")
    if values.dtype.kind not in "iufMm" and not dates:
        return
    where = f"{display_name(field)}: coordinate {name}"
    missing = np.flatnonzero(coord.isnull().values)
    if missing.size:
        raise InputError(f"{where} has no value at position {missing[0]}. Give it one, or leave it out with isel.")
    if _steady(values) or (is_longitude(coord.variable, name) and _steady(_unwrapped(values))):
        return
    index = pd.Index(values)
    if (twice := np.flatnonzero(index.duplicated())).size:
        again = twice[0]
        first = int(np.flatnonzero(index == index[again])[0])
        raise InputError(
            f"{where} has {_shown(values[again])} twice, at positions {first} and {again}. "
            f"Keep one: drop_duplicates('{dim}')."
        )
    rising = np.asarray(values[1:] > values[:-1])
    at = int(np.flatnonzero(rising != (np.count_nonzero(rising) * 2 >= rising.size))[0])
    raise InputError(
        f"{where} does not rise or fall steadily: {_shown(values[at])} at position {at} is followed by "
        f"{_shown(values[at + 1])}. Sort it: sortby('{name}')."
    )


def _steady(values: np.ndarray) -> bool:
    return bool((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all())


def _unwrapped(degrees: np.ndarray) -> np.ndarray:
    """Longitudes that run on where they jump from 180 to -180 or from 360 to 0."""
    return np.unwrap(degrees.astype(np.float64), period=360.0)


def _shown(value: object) -> str:
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[s]")).removesuffix("T00:00:00")
    return f"{value:g}" if isinstance(value, np.floating | np.integer) else str(value)


def _closes(field: xr.DataArray, dim: str, horizontal: Sequence[str]) -> bool:
    """Whether the longitudes along a dimension go around once: n steps are 360 degrees."""
    for name, coord in field.coords.items():
        if dim not in coord.dims or not is_longitude(coord.variable, str(name)):
            continue
        if coord.ndim == 1:
            return _goes_around(coord.values, even=True)
        others = {str(d): field.sizes[d] for d in coord.dims if d != dim}
        if set(coord.dims) <= set(horizontal):
            # rows near a pole or fold of the grid do not count, so those in between have to agree
            rows = [{d: n * share // 4 for d, n in others.items()} for share in (1, 2)]
            return all(_goes_around(coord.isel(row).values, even=False) for row in rows)
    return False


def _goes_around(degrees: np.ndarray, even: bool) -> bool:
    n = degrees.size
    if n < 3 or not np.isfinite(degrees).all():
        return False
    run = degrees.astype(np.float64) if _steady(degrees) else _unwrapped(degrees)
    steps = np.diff(run)
    mean = float(steps.mean())
    if not mean or (steps / mean <= 0).any() or (even and np.abs(steps / mean - 1).max() > 0.5):
        return False
    # where the spacing changes along the row, what its ends have counts
    expected, slack = (mean, 0.1) if even else ((steps[0] + steps[-1]) / 2, 0.5)
    return bool(abs((np.sign(mean) * 360.0 - (run[-1] - run[0])) / expected - 1) <= slack)
