"""Files to labelled arrays: pick a reader by name or by looking into the file.

A reader is a module or object as `geoae.readers.protocols` describes it; `sniff(path)` and `read(path)` are enough.
Other packages add theirs through the entry-point group "geoae.readers".
"""

import glob
import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import InputError, UnknownFormatError, UnknownNameError
from geoae.labels.timeaxis import start_ns
from geoae.readers import catalog
from geoae.readers.plugins import PluginFields, PluginRecords, load_plugin, plugin_names
from geoae.readers.records.arrange import FAMILIES

READERS = {
    "seisbench": "geoae.readers.records.seisbench",
    "cleaned": "geoae.stores.records",
    "grids": "geoae.readers.fields.grids",
    "traces": "geoae.readers.records.traces",
}
"""The built-in ones, in the order in which they are asked: the cheapest to ask comes first."""

Uri = str | Path | Sequence[str | Path]
AnyReader = ModuleType | PluginRecords | PluginFields
"""Built in, or of another package and wrapped."""


def read(uri: Uri, reader: str | None = None, **selection: Any) -> xr.DataArray | xr.DataTree:
    """Read a recording, field or data set; samples are read when they are used.

    Parameters
    ----------
    uri
        A file or store, a folder in the SeisBench form, a URL, a pattern with wildcards, or several files that belong
        together; or the name of a data set in data_catalog.yml.
    reader
        Name of a reader; found by looking into the file if left out.
    **selection
        Passed to the reader: `ids`, `start_time`, `end_time` for recordings, `var`, `dims`, `along` for gridded fields.

    Returns
    -------
    DataArray or DataTree
        The one record or variable. Else a tree: of records with one child each, holding the variable "trace"; of
        variables of a gridded data set with all of them at its root, so that ``tree["t2m"]`` is one.

    Raises
    ------
    InputError
        If there is no such file, nothing in it matches the selection, or the reader knows no such selection.
    UnknownFormatError
        If no reader recognises the file.
    UnknownNameError
        If there is no reader or variable of that name.
    """
    records = read_records(uri, reader, **selection)
    if not records:
        raise InputError(f"{_name(uri)} holds no samples that match. List what is in it with `geoae info`.")
    if len(records) == 1:
        return records[0]
    if len({record.name for record in records}) == len(records):
        return _variables(records)
    names = _tree_names(records)
    return xr.DataTree.from_dict(
        {name: record.to_dataset(name="trace") for name, record in zip(names, records, strict=True)}
    )


def read_records(uri: Uri, reader: str | None = None, **selection: Any) -> list[xr.DataArray]:
    """Read as `read` does, into a list with one array per record or variable; parameters and errors are its."""
    given = [uri] if isinstance(uri, str | Path) else list(uri)
    if not given:
        raise InputError("No file was given. Name at least one.")
    source = _catalogued(given)
    if source is not None:
        reader = reader or source.reader
        selection = {**source.options, **selection}
        places: list[Path | str] = list(source.places)
    else:
        places = [place for one in given for place in _places(one)]
    name = reader if reader is not None else find_reader(places[0])
    module = open_reader(name)
    known = inspect.signature(module.read).parameters
    if source is not None and "adapter" in known:
        selection["adapter"] = source.adapter
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    if (unknown := [key for key in selection if key not in known]) and not open_ended:
        takes = [key for key in list(known)[1:] if key != "adapter"]
        raise InputError(
            f"The reader {name!r} of {places[0]} does not know {', '.join(unknown)}; it takes "
            f"{', '.join(takes) or 'nothing more'}."
        )
    found = module.read(places if len(places) > 1 else places[0], **selection)
    records = [found] if isinstance(found, xr.DataArray) else list(found)
    return records if source is None or "adapter" in known else [source.adapter(record) for record in records]


def reader_names() -> list[str]:
    """Names of all readers, those of other installed packages included; none is loaded."""
    return sorted({*READERS, *plugin_names()})


def open_reader(name: str) -> AnyReader:
    """Load a reader by name: a built-in one, else one of another package.

    Raises
    ------
    UnknownNameError
        There is no reader of that name.
    InputError
        The reader of another package cannot be used; see `geoae.readers.plugins.load_plugin`.
    """
    if name in READERS:
        return importlib.import_module(READERS[name])
    if name not in plugin_names():
        raise UnknownNameError(f"No reader is called {name!r}. There are: {', '.join(reader_names())}.")
    return load_plugin(name, READERS)


def find_reader(place: Path | str, otherwise: str | None = None) -> str:
    """Name of the reader of a file, folder or URL: every verb asks this function.

    The built-in readers are asked first, then those of other packages, then the backends of xarray. A reader of
    another package that cannot be used is only an error where no other reader knows the file.

    Parameters
    ----------
    place
        A path, or a URL as text.
    otherwise
        Name to return where no reader knows the file, so that this reader says what is wrong with it.

    Raises
    ------
    MissingFileError
        There is no such file.
    UnknownFormatError
        No reader recognises the file.
    """
    if isinstance(place, str):
        return "grids"
    if not place.exists():
        raise catalog.missing_file_error(place)
    for name in READERS:
        if open_reader(name).sniff(place):
            return name
    faults = []
    for name in plugin_names():
        try:
            if load_plugin(name, READERS).sniff(place):
                return name
        except InputError as error:
            faults.append(str(error))
    if importlib.import_module(READERS["grids"]).can_open(place):
        return "grids"
    if not faults:
        if otherwise is not None:
            return otherwise
        if place.is_file():
            importlib.import_module(READERS["traces"]).scan(place)
    said = " ".join([f"Readers asked: {', '.join(reader_names())}.", *faults])
    raise UnknownFormatError(f"{place} is nothing that can be read. {said}")


def _catalogued(given: Sequence[str | Path]) -> "catalog.Source | None":
    """The data set of the catalog that is meant, where one name is given and no such file is there."""
    text = str(given[0])
    if len(given) > 1 or not catalog.is_name(text) or Path(text).exists():
        return None
    return catalog.find_entry(text)


def _places(one: str | Path) -> list[Path | str]:
    """Paths of one input: several where it has wildcards; a URL stays text, since a path would lose its slashes."""
    text = str(one)
    if "://" in text:
        return [text]
    if glob.has_magic(text) and not Path(one).exists():
        return [Path(found) for found in sorted(glob.glob(text))] or [Path(one)]  # noqa: PTH207 - may be absolute
    return [Path(one)]


def _variables(records: Sequence[xr.DataArray]) -> xr.DataTree:
    """Variables at the root of a tree; those whose coordinates differ, such as levels of GRIB, each in a child."""
    try:
        return xr.DataTree(xr.merge(records, compat="equals", join="exact", combine_attrs="drop"))
    except ValueError:
        return xr.DataTree.from_dict({str(record.name): record.to_dataset() for record in records})


def _name(uri: Uri) -> str:
    return str(uri) if isinstance(uri, str | Path) else ", ".join(str(one) for one in uri)


def _tree_names(records: Sequence[xr.DataArray]) -> list[str]:
    """Sensor of each record, with the start, then a number, where that is not enough to tell them apart."""
    sensors = [_sensor(record) for record in records]
    starts = [
        str(np.datetime64(start_ns(record), "ns").astype("datetime64[s]")).replace("-", "").replace(":", "")
        for record in records
    ]
    names: list[str] = []
    for sensor, start in zip(sensors, starts, strict=True):
        name = stem = sensor if sensors.count(sensor) == 1 else f"{sensor}_{start}"
        number = 1
        while name in names:
            number += 1
            name = f"{stem}_{number}"
        names.append(name)
    return names


def _sensor(record: xr.DataArray) -> str:
    """Id without component; a name that a tree can hold where the id says nothing."""
    id_ = str(record["id"].values.flat[0]) if "id" in record.coords else str(record.name or "")
    sensor = id_[:-1] if record.sizes.get("channel", 1) > 1 or id_[-1:] in "".join(FAMILIES) else id_
    return sensor.replace("/", "_") if sensor.strip(".") else "record"
