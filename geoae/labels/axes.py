"""Find the axis of a coordinate: X west-east, Y south-north, Z level, T time, E ensemble member.

The rules are those of the CF conventions, sections 4 and 5 (https://cfconventions.org). Coordinates without metadata
are recognised by the names that models and sensors use.
"""

import re

import xarray as xr

_STANDARD_NAMES = {
    "X": r"longitude|grid_longitude|projection_x_(angular_)?coordinate",
    "Y": r"latitude|grid_latitude|projection_y_(angular_)?coordinate",
    "Z": r"air_pressure|(geopotential_)?height\w*|altitude|depth\w*|(atmosphere|ocean)_\w*coordinate\w*"
    r"|model_level_\w+",
    "T": r"time|forecast_reference_time",
    "E": r"realization",
}
_UNITS = {
    "X": r"degrees?_?e(ast)?",
    "Y": r"degrees?_?n(orth)?",
    "Z": r"(k|h|deca)?pa|pascals?|(milli|deci)?bars?|[md]bar|mb|(sigma_)?level|layer",
    "T": r"[a-z]+ since .*",
}
_NAMES = {
    "X": r"(grid_)?x[cthquvfgpi]?|[nrgx]?lon(g|gitude)?|(grid_)?longitude|n?i|east(ing)?|(west_east|east_west)(_stag)?"
    r"|xi_(rho|u|v|psi)|col(umn)?s?|ground_pixels?|pixels?|(across|cross)_?track|range",
    "Y": r"(grid_)?y[cthquvfgpj]?|[nrgy]?lat(itude)?|(grid_)?latitude|n?j|north(ing)?|(south_north|north_south)(_stag)?"
    r"|eta_(rho|u|v|psi)|rows?|scan_?lines?|lines?|along_?track|azimuth",
    "Z": r"z[tw]?|levels?|p?lev|pressure|isobaricinhpa|isobaricinpa|heights?|alt(itude)?|depth[tuvw]?|sigma|hybrid"
    r"|layers?|bottom_top(_stag)?|s_(rho|w)|[sw][tw]_ocean",
    "T": r"(valid_?)?time|t|date(time)?|year|month|week|day|dayofyear|hour|season",
    "E": r"members?|number|ens(emble)?s?|realization|realisation|runs?",
}
RANK_OF_NAME = 6
"""Rank of evidence from a name, the weakest."""
_NUMBER_SUFFIX = r"(_?\d+)?"  # as lat_0 in converted GRIB


def find_axis_evidence(name: str, coord: xr.Variable) -> tuple[int, str]:
    """Return rank (0 is best) and axis (X, Y, Z, T or E) of the best evidence; the axis is "" without evidence."""
    attrs = {key: str(value).strip() for key, value in coord.attrs.items()}
    axis = (attrs.get("axis") or attrs.get("cartesian_axis") or "").upper()
    if axis in ("X", "Y", "Z", "T", "E"):
        return 0, axis
    units = str(coord.encoding.get("units", "")) if coord.dtype.kind in "MO" else attrs.get("units", "")
    for rank, text, table in ((1, attrs.get("standard_name", ""), _STANDARD_NAMES), (2, units, _UNITS)):
        for axis, pattern in table.items():
            if re.fullmatch(pattern, text, re.IGNORECASE):
                return rank, axis
    if coord.dtype.kind == "M":
        return 3, "T"
    if attrs.get("positive", "").lower() in ("up", "down"):
        return 4, "Z"
    return find_axis_by_name(name)


def find_axis_by_name(name: str) -> tuple[int, str]:
    """Return rank and axis from a name alone, as `find_axis_evidence` does."""
    for axis, pattern in _NAMES.items():
        if re.fullmatch(f"({pattern}){_NUMBER_SUFFIX}", name.lower()):
            return RANK_OF_NAME, axis
    return RANK_OF_NAME + 1, ""


def find_geographic_axis(variable: xr.Variable) -> str:
    """Return X for a longitude and Y for a latitude of any shape, by standard name or units; else an empty text."""
    standard, units = str(variable.attrs.get("standard_name", "")), str(variable.attrs.get("units", ""))
    for axis, name in (("X", "longitude"), ("Y", "latitude")):
        if standard == name or (not standard and re.fullmatch(_UNITS[axis], units, re.IGNORECASE)):
            return axis
    return ""


def is_longitude(coord: xr.Variable, name: str) -> bool:
    """Whether a coordinate is in degrees of longitude, on the globe or on a rotated grid."""
    standard, units = str(coord.attrs.get("standard_name", "")), str(coord.attrs.get("units", "")).lower()
    if re.fullmatch(_UNITS["X"], units) or standard in ("longitude", "grid_longitude"):
        return not units.startswith("rad")
    return "lon" in name.lower() and units in ("", "degree", "degrees", "deg") and coord.dtype.kind in "iuf"
