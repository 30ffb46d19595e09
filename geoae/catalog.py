"""Data sets by name: data_catalog.yml in the form of hydroMT v1, checked by pydantic."""

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from geoae.errors import InputError, RecipeError, UnknownNameError

FILE = "data_catalog.yml"
ENVIRONMENT = "GEOAE_CATALOG"


class Driver(BaseModel):
    """Which reader opens the entry, and its options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class Entry(BaseModel):
    """One data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_type: str
    uri: str
    """Path or URL; relative ones count from the catalog's `root`."""
    driver: Driver
    metadata: dict[str, Any] = Field(default_factory=dict)
    """url, licence, citation, units, notes."""

    @field_validator("driver", mode="before")
    @classmethod
    def _named(cls, driver: Any) -> Any:
        """HydroMT takes the bare name of a driver too."""
        return {"name": driver} if isinstance(driver, str) else driver


class Catalog(BaseModel):
    """All entries of one file, and the folder that their paths count from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    entries: dict[str, Entry]


def load_catalog(path: Path) -> Catalog:
    """Read a catalog file.

    Raises
    ------
    RecipeError
        The file is no YAML, or an entry has an unknown key or lacks one.
    """
    try:
        data = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read as a data catalog: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or not isinstance(meta := data.pop("meta", {}) or {}, dict):
        raise RecipeError(f"{path} cannot be read as a data catalog: expected names, each with its entry, and `meta`.")
    roots = meta.get("roots") or ["."]
    root = os.path.expandvars(roots if isinstance(roots, str) else str(roots[0]))
    try:
        return Catalog(root=path.parent / root, entries=data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg'].lower()}" for e in error.errors())
        raise RecipeError(f"{path.name} is no data catalog: {faults}.") from error


def find_catalog() -> Path | None:
    """The file that GEOAE_CATALOG names, else data_catalog.yml in the working folder, else none.

    Raises
    ------
    RecipeError
        GEOAE_CATALOG names a file that is not there.
    """
    if named := os.environ.get(ENVIRONMENT):
        if not Path(named).is_file():
            raise RecipeError(f"The environment variable {ENVIRONMENT} names {named}, which is no file.")
        return Path(named)
    return Path(FILE) if Path(FILE).is_file() else None


def locate(data: str | Path) -> Path:
    """Folder or file of `data`: a path, or the name of a catalog entry.

    Raises
    ------
    UnknownNameError
        Neither a path nor a name in the catalog.
    RecipeError
        The catalog cannot be read.
    InputError
        The entry's path is not there.
    """
    if Path(data).exists():
        return Path(data)
    file = find_catalog()
    entries = load_catalog(file) if file else None
    if entries is None or str(data) not in entries.entries:
        known = f" or one of {', '.join(sorted(entries.entries))} ({file})" if entries else f"; there is no {FILE} here"
        raise UnknownNameError(f"There is no data set {str(data)!r}: give a path{known}.")
    path = entries.root / os.path.expandvars(entries.entries[str(data)].uri)
    if not path.exists():
        unset = ", ".join(re.findall(r"\$\{?(\w+)", str(path)))
        remedy = f"Set the environment variable {unset}" if unset else "Correct its uri, or its root"
        raise InputError(f"Catalog entry {str(data)!r} of {file} points to {path}, which is not there. {remedy}.")
    return path
