"""Read files into labelled arrays with the reader that recognises them.

A reader is a module or object as `geoae.readers.protocols` describes it; `sniff(path)` and `read(path)` are enough.
Other packages add readers through the entry-point group "geoae.readers".
"""

import glob
import importlib
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import InputError, UnknownFormatError, UnknownNameError
from geoae.files import paths
from geoae.labels.components import name_sensor
from geoae.labels.timeaxis import start_ns
from geoae.readers import catalog
from geoae.readers.plugins import PluginFields, PluginRecords, load_plugin, plugin_names

READERS = {
    "seisbench": "geoae.readers.records.seisbench",
    "cleaned": "geoae.stores.records",
    "grids": "geoae.readers.fields.grids",
    "traces": "geoae.readers.records.traces",
}
"""Built-in readers, in the order in which they look into a file: the one with the cheapest `sniff` comes first."""

Uri = str | Path | Sequence[str | Path]
"""A path, a URL or a name, or several of them. `read` also takes a Stream, a Trace or a list of Traces of ObsPy."""
AnyReader = ModuleType | PluginRecords | PluginFields
"""A built-in reader, or a wrapped reader of another package."""


def read(uri: Any, reader: str | None = None, **selection: Any) -> xr.DataArray | xr.DataTree:
    """Read a recording, field or data set; samples are read when they are used.

    Parameters
    ----------
    uri
        A file or store, a folder in the SeisBench format, a URL, a pattern with wildcards, several files that belong
        together, or the name of a data set in data_catalog.yml. A Stream, Trace or list of Traces of ObsPy becomes
        arrays in the same way.
    reader
        Name of a reader. None: the reader that recognises the file.
    **selection
        Passed to the reader: `ids`, `start_time`, `end_time` for recordings, `var`, `dims`, `along` for gridded fields.

    Returns
    -------
    DataArray or DataTree
        An array if there is one record or variable, else a tree. Each record is a child with the variable "trace".
        The variables of a gridded data set lie at the root, as ``tree["t2m"]``.

    Raises
    ------
    InputError
        There is no such file, nothing in it matches the selection, or the reader does not support the selection.
    UnknownFormatError
        No reader recognises the file.
    UnknownNameError
        There is no reader or variable of that name.
    """
    records = read_records(uri, reader, **selection)
    if not records:
        raise InputError(f"{_join_names(uri)} holds no samples that match. List what is in it with `geoae info`.")
    if len(records) == 1:
        return records[0]
    if len({record.name for record in records}) == len(records):
        return _merge_variables(records)
    names = _tree_names(records)
    return xr.DataTree.from_dict(
        {name: record.to_dataset(name="trace") for name, record in zip(names, records, strict=True)}
    )


def read_records(uri: Any, reader: str | None = None, **selection: Any) -> list[xr.DataArray]:
    """Read into a list with one array for each record or variable. Parameters and errors are those of `read`."""
    from geoae.readers.records.streams import find_stream, read_stream

    if (stream := find_stream(uri)) is not None:
        known = ("ids", "start_time", "end_time")
        if unknown := [*(["reader"] * (reader is not None)), *(key for key in selection if key not in known)]:
            raise InputError(f"A Stream is read without {', '.join(unknown)}; it takes {', '.join(known)}.")
        return read_stream(stream, **selection)
    uris = check_paths(uri, "read")
    source = _find_in_catalog(uris)
    if source is not None:
        reader = reader or source.reader
        selection = {**source.options, **selection}
        places: list[Path | str] = list(source.places)
    else:
        places = [place for single in uris for place in _list_places(single)]
    name = reader if reader is not None else find_reader(places[0])
    module = open_reader(name)
    parameters = inspect.signature(module.read).parameters
    if source is not None and "adapter" in parameters:
        selection["adapter"] = source.adapter
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if (unknown := [key for key in selection if key not in parameters]) and not takes_any:
        supported = [key for key in list(parameters)[1:] if key != "adapter"]
        raise InputError(
            f"The reader {name!r} of {places[0]} does not know {', '.join(unknown)}; it takes "
            f"{', '.join(supported) or 'nothing more'}."
        )
    found = module.read(places if len(places) > 1 else places[0], **selection)
    records = [found] if isinstance(found, xr.DataArray) else list(found)
    return records if source is None or "adapter" in parameters else [source.adapter(record) for record in records]


def check_paths(uri: Any, verb: str) -> list[str | Path]:
    """Return one or several paths, URLs or names as a list.

    Raises
    ------
    InputError
        There is none, or something else was given to the verb.
    """
    # arrays and open files can be iterated, too
    is_one = isinstance(uri, str | bytes | os.PathLike | Mapping) or hasattr(uri, "dtype") or hasattr(uri, "read")
    several = isinstance(uri, Iterable) and not is_one
    found = list(uri) if several else [uri]
    if not found:
        raise InputError("No file was given. Name at least one.")
    for one in found:
        if not isinstance(one, str | os.PathLike):
            what = f"{type(uri).__name__} with a {type(one).__name__} in it" if several else type(one).__name__
            raise InputError(
                f"{verb} was given a {what}; it takes paths, URLs, names of data sets, or a Stream of ObsPy."
            )
    return [one if isinstance(one, str) else Path(one) for one in found]


def reader_names() -> list[str]:
    """Names of all readers, including those of other installed packages. No reader is loaded."""
    return sorted({*READERS, *plugin_names()})


def open_reader(name: str) -> AnyReader:
    """Load a built-in reader or a reader of another package by name.

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
    """Find the name of the reader that recognises a file, folder or URL.

    The built-in readers come first, then those of other packages, then the backends of xarray. A broken reader of
    another package is an error only if no other reader recognises the file.

    Parameters
    ----------
    place
        A path, or a URL as text.
    otherwise
        Name of the reader to return if none recognises the file; its error then explains what is wrong.

    Raises
    ------
    InputError
        There is no such file, it cannot be reached, or it is a pipe.
    UnknownFormatError
        No reader recognises the file.
    """
    if isinstance(place, str):
        return "grids"
    if (fault := catalog.find_input_fault(place)) is not None:
        raise fault
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
    details = " ".join([f"Readers tried: {', '.join(reader_names())}.", *faults])
    raise UnknownFormatError(f"{place} is in no format that can be read. {details}")


def _find_in_catalog(uris: Sequence[str | Path]) -> "catalog.Source | None":
    """The data set of that name in the catalog; None for several names, or for a name that is an existing file."""
    text = str(uris[0])
    if len(uris) > 1 or not catalog.is_name(text) or paths.can_reach(text):
        return None
    return catalog.find_entry(text)


def _list_places(uri: str | Path) -> list[Path | str]:
    """Paths that a name or pattern stands for. A URL stays text, because a Path would merge its slashes."""
    text = str(uri)
    if "://" in text:
        return [text]
    if glob.has_magic(text) and not paths.can_reach(uri):
        return [Path(match) for match in sorted(glob.glob(text))] or [Path(uri)]  # noqa: PTH207 - may be absolute
    return [Path(uri)]


def _merge_variables(records: Sequence[xr.DataArray]) -> xr.DataTree:
    """Put variables at the root of a tree, or each into a child if their coordinates differ, as levels of GRIB do."""
    try:
        return xr.DataTree(xr.merge(records, compat="equals", join="exact", combine_attrs="drop"))
    except ValueError:
        return xr.DataTree.from_dict({str(record.name): record.to_dataset() for record in records})


def _join_names(uri: Any) -> str:
    if hasattr(uri, "stats") or hasattr(uri, "traces"):
        return "The Stream"
    return str(uri) if isinstance(uri, str | Path) else ", ".join(map(str, uri))


def _tree_names(records: Sequence[xr.DataArray]) -> list[str]:
    """Unique names of records: the sensor, with the start and then a number where the sensor is not unique."""
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
    """Id without the component, or "record" if the id is empty."""
    ids = [str(id_) for id_ in record["id"].values.flat] if "id" in record.coords else [str(record.name or "")]
    sensor = name_sensor(ids)
    return sensor.replace("/", "_") if sensor.strip(".") else "record"
