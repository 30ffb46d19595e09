"""Attributes in which variables name others, which have to be in the data set, or be said to be elsewhere."""

import re
from collections.abc import Collection, Mapping
from typing import Any

EXTERNAL = "external_variables"
"""Attribute of a data set: names of variables that are in other files."""
_LISTS = ("ancillary_variables", "cell_measures")
"""Attributes that are true without some of their names."""
_WHOLE = ("formula_terms", "grid_mapping", "bounds", "climatology")
"""Attributes that mean nothing if one of their names is missing."""


def find_dangling(attrs: Mapping[Any, Any], held: Collection[str]) -> dict[str, list[str]]:
    """Names of variables that are not among `held`, by the attribute that names them.

    Examples
    --------
    >>> find_dangling({"cell_measures": "area: areacella", "grid_mapping": "crs"}, {"crs"})
    {'cell_measures': ['areacella']}
    """
    found = {}
    for key in (*_LISTS, *_WHOLE):
        names = [name for _, name in _split(key, attrs.get(key))]
        if missing := [name for name in names if name not in held]:
            found[key] = missing
    return found


def drop_dangling(attrs: Mapping[str, Any], held: Collection[str]) -> dict[str, Any]:
    """Attributes without names of variables that are not among `held`."""
    found = dict(attrs)
    for key in find_dangling(attrs, held):
        kept = [role + name for role, name in _split(key, attrs[key]) if name in held]
        del found[key]
        if key in _LISTS and kept:
            found[key] = " ".join(kept)
    return found


def list_external(attrs: Mapping[Any, Any]) -> set[str]:
    """Names that the attributes of a data set say are in other files."""
    return set(str(attrs.get(EXTERNAL, "")).split())


def _split(key: str, value: Any) -> list[tuple[str, str]]:
    """Pairs of a role, such as "area: ", or "", and a name."""
    if not isinstance(value, str):
        return []
    if key == "grid_mapping":  # it may be "crs: lat lon", which names all three
        return [("", name.rstrip(":")) for name in value.split()]
    pairs = re.findall(r"(\S+:\s+)?([^\s:]+)(?=\s|$)", value)
    return [(" ".join(role.split()) + " " if role else "", name) for role, name in pairs]
