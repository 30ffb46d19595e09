"""Find data sets by name in data_catalog.yml, which has the format of hydroMT v1."""

import glob
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from geoae.errors import InputError, MissingFileError, RecipeError, UnknownNameError
from geoae.files import paths, yaml_files
from geoae.labels.adapter import Adapter

FILE = "data_catalog.yml"
ENVIRONMENT = "GEOAE_CATALOG"
# readers of geoae for the drivers of hydroMT
_READERS = {
    name: "grids" for name in ("raster_xarray", "geodataset_xarray", "dataset_xarray", "netcdf", "zarr", "grib")
}
# options of these drivers that only tune xarray, and are ignored
_IGNORED_OPTIONS = {
    "chunks",
    "combine",
    "parallel",
    "compat",
    "join",
    "coords",
    "data_vars",
    "combine_attrs",
    "ext_override",
}


@dataclass(frozen=True)
class Source:
    """Where a data set of the catalog lies, and how to read it."""

    name: str
    places: tuple[Path | str, ...]
    """Paths that exist, or URLs."""
    reader: str
    options: dict[str, Any]
    """Keyword arguments of the reader."""
    adapter: Adapter


class Driver(BaseModel):
    """Reader of an entry, and its options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


def _not_zero(value: float) -> float:
    if not math.isfinite(value) or value == 0:
        raise ValueError("expected a number other than 0")
    return value


class DataAdapter(BaseModel):
    """Changes on reading: rename first, then x * unit_mult + unit_add under the new names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rename: dict[str, str] = Field(default_factory=dict)
    unit_mult: dict[str, Annotated[float, AfterValidator(_not_zero)]] = Field(default_factory=dict)
    unit_add: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(default_factory=dict)
    """For "time" a shift in seconds."""


class Metadata(BaseModel):
    """Facts about the data. Further keys are allowed, such as url, licence, citation and notes."""

    model_config = ConfigDict(frozen=True, extra="allow")

    unit: str | None = None
    """Units of the variables, after conversion."""
    nodata: float | dict[str, float] | None = None
    """Value of missing samples, for files without a fill value."""
    attrs: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Attributes of variables, such as ``{t2m: {units: degC}}``."""


class Entry(BaseModel):
    """One data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_type: str
    uri: str
    """Path or URL. Relative paths start at the `root` of the catalog. The wildcards * and ?, {year} and {month} match
    several files."""
    driver: Driver
    data_adapter: DataAdapter = Field(default_factory=DataAdapter)
    metadata: Metadata = Field(default_factory=Metadata)
    root: str | None = None
    version: str | int | float | None = None
    provider: str | None = None

    @field_validator("driver", mode="before")
    @classmethod
    def _accept_name(cls, driver: Any) -> Any:
        """Accept the name of a driver without options, as hydroMT does."""
        return {"name": driver} if isinstance(driver, str) else driver


class Catalog(BaseModel):
    """All entries of one file, and the folder or URL at which their relative paths start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path | str
    entries: dict[str, Entry]


def load_catalog(path: Path) -> Catalog:
    """Read a catalog file.

    Raises
    ------
    RecipeError
        The file is not YAML, or an entry has an unknown key or lacks a required one.
    """
    data = yaml_files.read_yaml(path, "data catalog") or {}
    if not isinstance(data, dict) or not isinstance(meta := data.pop("meta", {}) or {}, dict):
        raise RecipeError(f"{path} cannot be read as a data catalog: expected names, each with its entry, and `meta`.")
    content = {"root": _choose_root(meta.get("roots"), path.parent), "entries": data}
    return yaml_files.validate_yaml(Catalog, content, path, "data catalog", n_outer_keys=1)


def find_catalog() -> Path | None:
    """Path of the catalog: the file named by GEOAE_CATALOG, else data_catalog.yml in the working folder, else None.

    Raises
    ------
    RecipeError
        GEOAE_CATALOG names a file that does not exist.
    """
    if named := os.environ.get(ENVIRONMENT):
        if not Path(named).is_file():
            raise RecipeError(f"The environment variable {ENVIRONMENT} names {named}, which is no file.")
        return Path(named)
    return Path(FILE) if Path(FILE).is_file() else None


def locate_data(data: str | Path) -> Path:
    """Find the folder or file of `data`, which is a path or the name of a catalog entry.

    Raises
    ------
    UnknownNameError
        It is neither a path nor a name in the catalog.
    RecipeError
        The catalog cannot be read.
    InputError
        The path of the entry does not exist.
    """
    if paths.can_reach(data):
        return Path(data)
    source = find_entry(str(data))
    if source is None:
        file = find_catalog()
        known = f" or one of {describe_names(file)}" if file else f"; there is no {FILE} here"
        raise UnknownNameError(f"There is no data set {str(data)!r}: give a path{known}.")
    if len(source.places) != 1 or not isinstance(place := source.places[0], Path):
        raise InputError(f"Catalog entry {str(data)!r} is no single folder or file, which is needed here.")
    return place


def find_entry(name: str) -> Source | None:
    """Find a data set of the catalog by name; None if there is no catalog or no such name.

    Raises
    ------
    RecipeError
        The catalog cannot be read.
    InputError
        The path of the entry does not exist.
    """
    file = find_catalog()
    catalog = load_catalog(file) if file else None
    if catalog is None or name not in catalog.entries:
        return None
    entry = catalog.entries[name]
    options = {key: value for key, value in entry.driver.options.items() if key not in _IGNORED_OPTIONS}
    if "concat_dim" in options:
        options["along"] = options.pop("concat_dim")
    if "storage_options" in options:
        options["options"] = {"storage_options": options.pop("storage_options")}
    changes, metadata = entry.data_adapter, entry.metadata
    adapter = Adapter(
        changes.rename, changes.unit_mult, changes.unit_add, metadata.nodata, metadata.attrs, metadata.unit
    )
    reader = _READERS.get(entry.driver.name, entry.driver.name)
    return Source(name, _locate_entry(name, entry, catalog, file), reader, options, adapter)


def expand_data(data: str | Path) -> list[Path | str]:
    """Replace the name of a data set by its paths; an existing path or an unknown name stays as it is."""
    if paths.can_reach(data) or not is_name(str(data)):
        return [data]
    source = find_entry(str(data))
    return list(source.places) if source else [data]


def is_name(text: str) -> bool:
    """Whether a text can be the name of an entry: unlike paths and URLs it has no separators."""
    return bool(text) and Path(text).name == text


def find_input_fault(place: str | Path) -> InputError | None:
    """Error for an input that cannot be reached, or None; it lists the catalog if the text can be a name in it."""
    fault = paths.find_fault(place)
    file = find_catalog() if fault is not None and is_name(str(place)) else None
    if file is None or not isinstance(fault, MissingFileError) or Path(place).is_symlink():
        return fault
    return MissingFileError(f"{place} does not exist, nor is it one of the data sets {describe_names(file)}.")


def describe_names(file: Path) -> str:
    """All names of a catalog file, as text for messages.

    Raises
    ------
    RecipeError
        The catalog cannot be read.
    """
    return f"{', '.join(sorted(load_catalog(file).entries))} ({file})"


def _choose_root(roots: Any, folder: Path) -> Path | str:
    """The first root that exists, else the first one."""
    texts = [os.path.expandvars(str(root)) for root in ([roots] if isinstance(roots, str) else roots or ["."])]
    places = [text if "://" in text else folder / text for text in texts]
    return next((place for place in places if isinstance(place, str) or paths.can_reach(place)), places[0])


def _locate_entry(name: str, entry: Entry, catalog: Catalog, file: Path | None) -> tuple[Path | str, ...]:
    uri = os.path.expandvars(re.sub(r"\{(year|month)(:[^}]*)?\}", "*", entry.uri))
    root = os.path.expandvars(entry.root) if entry.root else catalog.root
    if "://" in uri:
        return (uri,)
    if isinstance(root, str) and "://" in root:
        return (f"{root.rstrip('/')}/{uri}",)
    path = (file.parent if file else Path()) / root / uri if entry.root else Path(root) / uri
    if paths.can_reach(path):
        return (path,)
    if glob.has_magic(uri) and (matches := sorted(glob.glob(str(path)))):  # noqa: PTH207 - may be absolute
        return tuple(Path(match) for match in matches)
    unset = ", ".join(re.findall(r"\$\{?(\w+)", str(path)))
    remedy = f"Set the environment variable {unset}" if unset else "Correct its uri, or its root"
    raise InputError(f"Catalog entry {name!r} of {file} points to {path}, which does not exist. {remedy}.")
