"""Files to labelled arrays: pick a reader by name or by looking into the file.

A reader is a module with `sniff(path)` and `read(path)`; others join through the entry-point group "geoae.readers".
"""

import importlib
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import InputError, UnknownFormatError, UnknownNameError
from geoae.readers.layout import FAMILIES
from geoae.timeaxis import start_ns

READERS = {"seisbench": "geoae.readers.seisbench", "traces": "geoae.readers.traces"}
"""What lives in the house, in the order in which it is asked: the cheapest to ask comes first."""

Uri = str | Path | Sequence[str | Path]


def read(uri: Uri, reader: str | None = None, **selection: Any) -> xr.DataArray | xr.DataTree:
    """Read a recording or data set; samples are read when they are used.

    Parameters
    ----------
    uri
        A file, a folder in the SeisBench form, or several files whose records belong together.
    reader
        Name of a reader; found by looking into the file if left out.
    **selection
        Passed to the reader: `ids`, `start_time`, `end_time` for recordings.

    Returns
    -------
    DataArray or DataTree
        The one record, or a tree with one child per record, each holding the variable "trace".

    Raises
    ------
    InputError
        If there is no such file, or nothing in it matches the selection.
    UnknownFormatError
        If no reader recognises the file.
    UnknownNameError
        If there is no reader of that name.
    """
    records = read_records(uri, reader, **selection)
    if not records:
        raise InputError(f"{_name(uri)} holds no samples that match. List what is in it with `geoae info`.")
    if len(records) == 1:
        return records[0]
    names = _tree_names(records)
    return xr.DataTree.from_dict(
        {name: record.to_dataset(name="trace") for name, record in zip(names, records, strict=True)}
    )


def read_records(uri: Uri, reader: str | None = None, **selection: Any) -> list[xr.DataArray]:
    """Read a recording or data set as a list with one array per record; parameters and errors are those of `read`."""
    paths = [Path(uri)] if isinstance(uri, str | Path) else [Path(one) for one in uri]
    if not paths:
        raise InputError("No file was given. Name at least one.")
    module = _load(reader) if reader is not None else _find(paths[0])
    found = module.read(paths if len(paths) > 1 else paths[0], **selection)
    return [found] if isinstance(found, xr.DataArray) else list(found)


def reader_names() -> list[str]:
    """Names of all readers, those of other installed packages included; none is loaded."""
    return sorted(READERS.keys() | entry_points(group="geoae.readers").names)


def _load(name: str) -> ModuleType:
    if name in READERS:
        return importlib.import_module(READERS[name])
    for entry in entry_points(group="geoae.readers", name=name):
        module: ModuleType = entry.load()
        return module
    raise UnknownNameError(f"No reader is called {name!r}. There are: {', '.join(reader_names())}.")


def _find(path: Path) -> ModuleType:
    if not path.exists():
        # the same words whether the reader is named or looked for
        _load("traces").scan(path)
    # our own first: what others bring is only loaded once that is needed
    for name in [*READERS, *(name for name in reader_names() if name not in READERS)]:
        module = _load(name)
        if module.sniff(path):
            return module
    if path.is_file():
        _load("traces").scan(path)
    raise UnknownFormatError(f"{path} is nothing that can be read. Readers asked: {', '.join(reader_names())}.")


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
