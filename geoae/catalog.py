"""Data sets by name: data_catalog.yml in the form of hydroMT v1, checked by pydantic."""

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
        meta = data.pop("meta", {})
        root = Path(os.path.expandvars(str((meta.get("roots") or ["."])[0])))
        return Catalog(root=root if root.is_absolute() else path.parent / root, entries=data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg'].lower()}" for e in error.errors())
        raise RecipeError(f"{path.name} is no data catalog: {faults}.") from error
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise RecipeError(f"{path} cannot be read as a data catalog: {' '.join(str(error).split())}") from error


def find_catalog() -> Path | None:
    """The file that GEOAE_CATALOG names, else data_catalog.yml in the working folder, else none."""
    named = os.environ.get(ENVIRONMENT)
    path = Path(named) if named else Path(FILE)
    return path if path.is_file() else None


def locate(data: str | Path) -> Path:
    """Folder or file of `data`: a path, or the name of a catalog entry.

    Raises
    ------
    UnknownNameError
        Neither a path nor a name in the catalog.
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
    uri = Path(os.path.expandvars(entries.entries[str(data)].uri))
    path = uri if uri.is_absolute() else entries.root / uri
    if not path.exists():
        raise InputError(
            f"Catalog entry {str(data)!r} points to {path}, which is not there. Correct its uri, or its root."
        )
    return path
