"""Readers of other installed packages: entry points in the group "geoae.readers".

Each reader is wrapped. Missing functions of `geoae.readers.protocols` are derived from its arrays, its results are
checked, and its exceptions become errors of geoae in one line.
"""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import xarray as xr

from geoae.errors import DamagedFileError, GeoAEError, InputError, UnknownNameError, one_line
from geoae.labels.adapter import Adapter
from geoae.labels.cf import grid_layout, list_gridded
from geoae.readers.fields.joining import join_fields
from geoae.readers.from_arrays import check_field, check_record, scan_arrays, select_record
from geoae.readers.protocols import Kind, Place, Scan, Segment

GROUP = "geoae.readers"
_BUILT_IN = "geoae."
_SELECTION = ("ids", "start_time", "end_time")


def plugin_names() -> list[str]:
    """Names of the readers of other packages, sorted. No reader is loaded."""
    return sorted({entry.name for entry in _entries()})


def load_plugin(name: str, built_in: Collection[str] = ()) -> "PluginRecords | PluginFields":
    """Load the reader of another package.

    Parameters
    ----------
    name
        Name of its entry point.
    built_in
        Names of built-in readers, which it must not have.

    Raises
    ------
    UnknownNameError
        No installed package has a reader of that name.
    InputError
        Two packages have a reader of that name, it has the name of a built-in reader, it cannot be imported, or it is
        no reader.
    """
    found = [entry for entry in _entries() if entry.name == name]
    if not found:
        raise UnknownNameError(f"No reader is called {name!r}. There are: {', '.join(sorted({*built_in}))}.")
    packages = ", ".join(dict.fromkeys(_package(entry) for entry in found))
    if name in built_in:
        raise InputError(
            f"The reader {name!r} of {packages} has the name of a built-in reader. Rename its entry point, or remove "
            "the package."
        )
    if len(found) > 1:
        raise InputError(
            f"Two readers are called {name!r}, of {packages}. Remove one of the packages, or rename an entry point."
        )
    (entry,) = found
    try:
        plugin = entry.load()
    except Exception as error:  # the import of another package may raise anything
        raise InputError(
            f"The reader {name!r} of {packages} cannot be imported: {type(error).__name__}: {one_line(error)}. "
            "Repair or remove the package."
        ) from error
    return wrap_reader(plugin, name)


def wrap_reader(plugin: Any, name: str) -> "PluginRecords | PluginFields":
    """Turn a module or object with `sniff` and `read` into a complete reader.

    Raises
    ------
    InputError
        It lacks one of them, or its `kind` is neither "records" nor "fields".
    """
    if missing := [part for part in ("sniff", "read") if not callable(getattr(plugin, part, None))]:
        raise InputError(
            f"The reader {name!r} has no function {' and no '.join(missing)}; sniff(path) -> bool and "
            "read(path) -> DataArray were expected."
        )
    kind = getattr(plugin, "kind", "records")
    if kind not in ("records", "fields"):
        raise InputError(f'The reader {name!r} has the kind {kind!r}; "records" or "fields" was expected.')
    return PluginFields(name, plugin) if kind == "fields" else PluginRecords(name, plugin)


@dataclass(frozen=True)
class PluginRecords:
    """A reader of recordings from another package; see `geoae.readers.protocols.RecordsReader`."""

    name: str
    plugin: Any
    kind: Kind = "records"

    def sniff(self, path: Path) -> bool:
        """See `geoae.readers.protocols.Reader`."""
        return _sniff(self.plugin, self.name, path)

    def read(self, path: Place | Sequence[Place], **selection: Any) -> list[xr.DataArray]:
        """Records of one or several files. `ids`, `start_time` and `end_time` also work if the reader lacks them."""
        known, rest = _split_selection(self.plugin, self.name, selection, _SELECTION)
        records: list[xr.DataArray] = []
        for place in _as_list(path):
            for found in _read_arrays(self.plugin, self.name, place, known):
                x: xr.DataArray | None = check_record(found, place, self.name)
                if any(value is not None and value != () for value in rest.values()):
                    assert x is not None
                    x = select_record(x, rest.get("ids") or (), rest.get("start_time"), rest.get("end_time"))
                records += [x] if x is not None else []
        return records

    def scan(
        self,
        path: Path,
        ids: Sequence[str] = (),
        start_time: Any = None,
        end_time: Any = None,
        **options: Any,
    ) -> Scan:
        """Call the `scan` of the reader, or derive the segments from its arrays; `options` are those of its `read`."""
        if not callable(getattr(self.plugin, "scan", None)):
            return scan_arrays(self.read(path, **options), path, self.name, ids, start_time, end_time)
        known = inspect.signature(self.plugin.scan).parameters
        with _reader_errors(self.name, path):
            found = self.plugin.scan(
                path, ids, start_time, end_time, **{k: v for k, v in options.items() if k in known}
            )
        if not isinstance(found, Scan) or not all(isinstance(segment, Segment) for segment in found.segments):
            raise InputError(
                f"{path}: scan of the reader {self.name!r} returns {type(found).__name__}; a "
                "geoae.readers.protocols.Scan with segments was expected."
            )
        return found


@dataclass(frozen=True)
class PluginFields:
    """A reader of gridded fields from another package; see `geoae.readers.protocols.FieldsReader`."""

    name: str
    plugin: Any
    kind: Kind = "fields"

    def sniff(self, path: Path) -> bool:
        """See `geoae.readers.protocols.Reader`."""
        return _sniff(self.plugin, self.name, path)

    def contents(self, place: Place, *, adapter: Adapter | None = None, **options: Any) -> dict[str, xr.DataArray]:
        """All variables of one place, renamed as the adapter states."""
        if callable(getattr(self.plugin, "contents", None)):
            with _reader_errors(self.name, place):
                variables = self.plugin.contents(place, **options)
            if not isinstance(variables, Mapping):
                raise InputError(
                    f"{place}: contents of the reader {self.name!r} returns {type(variables).__name__}; a "
                    "mapping of names to arrays was expected."
                )
            arrays: Sequence[Any] = [
                x.rename(name) if isinstance(x, xr.DataArray) else x for name, x in variables.items()
            ]
        else:
            known, _ = _split_selection(self.plugin, self.name, options, ())
            arrays = _read_arrays(self.plugin, self.name, place, known)
        found: dict[str, xr.DataArray] = {}
        for x in arrays:
            x = _rename(check_field(x, place, self.name), adapter)
            found[str(x.name)] = x
        if not found:
            raise InputError(f"{place} holds no field: the reader {self.name!r} returns nothing.")
        return found

    def read(
        self,
        path: Place | Sequence[Place],
        var: str | Sequence[str] | None = None,
        dims: str | Sequence[str] | None = None,
        *,
        along: str | None = None,
        adapter: Adapter | None = None,
        **options: Any,
    ) -> list[xr.DataArray]:
        """Fields of one place, or of several joined. Parameters are those of `geoae.readers.fields.grids.read`."""
        places = _as_list(path)
        chosen = tuple(dims.replace(" ", "").split(",")) if isinstance(dims, str) else dims
        adapt = adapter or Adapter()
        opened = [self.contents(place, adapter=adapter, **options) for place in places]
        wanted = [var] if isinstance(var, str) else var
        names = list(wanted) if wanted else list_gridded(opened[0], lambda x: grid_layout(x, chosen))
        fields = []
        for name in names:
            parts = []
            for place, found in zip(places, opened, strict=True):
                if name not in found:
                    raise UnknownNameError(f"{place} has no variable {name}; there are {', '.join(found)}.")
                x = adapt(found[name])
                x.encoding.setdefault("source", str(place))
                parts.append((place, x))
            layout = grid_layout(parts[0][1], chosen)
            fields.append(join_fields(parts, along or layout.time))
        return fields


def _entries() -> Iterator[EntryPoint]:
    """Entry points of other packages, without those of geoae itself."""
    seen = set()
    for entry in entry_points(group=GROUP):
        key = entry.name, entry.value, _package(entry)
        if not entry.value.startswith(_BUILT_IN) and key not in seen:  # a package may be on the path twice
            seen.add(key)
            yield entry


def _package(entry: EntryPoint) -> str:
    return f"package {entry.dist.name}" if entry.dist is not None else f"module {entry.value}"


def _sniff(plugin: Any, name: str, path: Path) -> bool:
    try:
        return bool(plugin.sniff(path))
    except Exception as error:
        raise InputError(
            f"The reader {name!r} raises {type(error).__name__} in sniff for {path.name}: "
            f"{one_line(error)}. It must return True or False instead."
        ) from error


@contextmanager
def _reader_errors(name: str, place: Place) -> Iterator[None]:
    """Turn exceptions of another package's reader into an error of one line that names the reader."""
    try:
        yield
    except (GeoAEError, MemoryError):
        raise
    except Exception as error:
        raise DamagedFileError(
            f"{place} cannot be read by the reader {name!r}: {type(error).__name__}: {one_line(error)}."
        ) from error


def _read_arrays(plugin: Any, name: str, place: Place, selection: Mapping[str, Any]) -> list[Any]:
    with _reader_errors(name, place):
        found = plugin.read(place, **selection)
        if isinstance(found, list | tuple):
            return list(found)
    return [found]


def _split_selection(
    plugin: Any, name: str, selection: Mapping[str, Any], applied_here: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a selection into arguments of the reader and those that geoae applies; InputError for all others."""
    parameters = inspect.signature(plugin.read).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = {k: v for k, v in selection.items() if k in parameters or (takes_any and k not in applied_here)}
    rest = {k: v for k, v in selection.items() if k not in known}
    if unknown := [key for key in rest if key not in applied_here]:
        supported = list(dict.fromkeys([*list(parameters)[1:], *applied_here]))
        raise InputError(
            f"The reader {name!r} does not know {', '.join(unknown)}; it takes "
            f"{', '.join(supported) or 'nothing more'}."
        )
    return known, rest


def _as_list(path: Place | Sequence[Place]) -> list[Place]:
    return [path] if isinstance(path, str | Path) else list(path)


def _rename(x: xr.DataArray, adapter: Adapter | None) -> xr.DataArray:
    names = {old: new for old, new in (adapter.rename if adapter else {}).items() if old in {*x.coords, *x.dims}}
    x = x.rename(names) if names else x
    return x.rename(adapter.rename.get(str(x.name), str(x.name))) if adapter else x
