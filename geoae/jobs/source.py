"""The source of a run on arrays: it opens the same variables in every process, and has a digest."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae import readers
from geoae.arrays.types import AnyArray
from geoae.arrays.windows import Region
from geoae.errors import DamagedFileError, InputError, UnreadableFileError
from geoae.fields.frame import FieldFrame, split_span
from geoae.labels.adapter import Adapter
from geoae.labels.cf import find_time_coordinate, grid_layout, list_fields, promote_coordinates
from geoae.readers import catalog
from geoae.readers.fields.opening import open_store, shorten_error

MAX_HASHED_BYTES = 1 << 34
"""Up to this many bytes the digest is that of the content; above, of file sizes and times."""


@dataclass(frozen=True)
class ArraySource:
    """Files, stores or URLs that are read as labelled arrays. Plain data that can be sent to workers."""

    names: tuple[str, ...]
    """Names as given by the user."""
    places: tuple[str, ...]
    """Absolute paths, or URLs."""
    reader: str | None = None
    """Name of the reader; None: "grids"."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the reader."""
    adapter: Mapping[str, Any] | None = None
    """Fields of the `Adapter` of a catalog entry."""
    add_time: bool = False
    """Give fields of a single time a time dimension of length one."""

    def spec(self) -> dict[str, Any]:
        """The source as JSON data, for `source_from_spec`."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    def open(self, var: Sequence[str] = (), dims: Sequence[str] | None = None) -> list[xr.DataArray]:
        """Open the variables lazily. Errors: see `geoae.readers.read`."""
        selection = {**self.options, **({"var": list(var)} if var else {}), **({"dims": list(dims)} if dims else {})}
        places = [place if "://" in place else Path(place) for place in self.places]
        if self.has_fields:
            reader: Any = readers.open_reader(self.reader or "grids")
            adapter = Adapter(**self.adapter) if self.adapter else None
            found = reader.read(places if len(places) > 1 else places[0], adapter=adapter, **selection)
        else:
            found = readers.read_records(places if len(places) > 1 else places[0], self.reader, **selection)
            found = [Adapter(**self.adapter)(x) if self.adapter else x for x in found]
        return [_add_time(x, dims) for x in found] if self.add_time else found

    @property
    def has_fields(self) -> bool:
        """Whether the source holds gridded fields; else it holds records."""
        return self.reader is None or readers.open_reader(self.reader).kind == "fields"

    def label(self) -> str:
        """A short text that names the inputs, for messages and for the store."""
        some = self.names if len(self.names) <= 20 else (*self.names[:3], "...", self.names[-1])
        more = f" ({len(self.names)} inputs)" if len(self.names) > 20 else ""
        if group := self.options.get("group"):  # groups of one file are different inputs
            more += f" (group {group})"
        return ", ".join(name if "://" in name else Path(name).name or name for name in some) + more


def source_from_spec(spec: Mapping[str, Any]) -> ArraySource:
    """The source that `FieldSource.spec` made into `spec`."""
    plain: dict[str, Any] = {k: tuple(v) if k in ("names", "places") else v for k, v in spec.items()}
    return ArraySource(**plain)


def source_from_catalog(found: catalog.Source) -> ArraySource:
    """The source of a catalog entry."""
    places = tuple(place if isinstance(place, str) else str(place.resolve()) for place in found.places)
    return ArraySource((found.name,), places, found.reader, found.options, asdict(found.adapter))


class RegionReader:
    """Read samples of an array by region.

    Along the axis `time`, the last block is kept in memory, since the next block shares slices with it. Spans are those
    of a `frame`; without one they count modulo the length of an axis.
    """

    def __init__(self, x: xr.DataArray, time: int | None, frame: FieldFrame | None = None) -> None:
        self.x, self.time, self.frame = x, time, frame
        self._last: tuple[Region, AnyArray] | None = None

    def __call__(self, spans: Region) -> AnyArray:
        """Samples of spans; see `geoae.fields.frame`."""
        t = self.time
        if t is None:
            return self._read(spans)
        before, block = self._last or (None, np.empty(0))
        now = spans[t]
        follows = before is not None and before[t].start <= now.start < before[t].stop <= now.stop
        if before is None or not follows or before[:t] + before[t + 1 :] != spans[:t] + spans[t + 1 :]:
            block = self._read(spans)
        else:
            block = block[(slice(None),) * t + (slice(now.start - before[t].start, None),)]
            if now.stop > before[t].stop:
                fresh = (*spans[:t], slice(before[t].stop, now.stop), *spans[t + 1 :])
                block = np.concatenate([block, self._read(fresh)], t)
        self._last = spans, block
        return block

    def _read(self, spans: Region, axis: int = 0, index: Region = ()) -> AnyArray:
        if axis < len(spans):
            split = self.frame.split(axis, spans[axis]) if self.frame else split_span(spans[axis], self.x.shape[axis])
            parts = [self._read(spans, axis + 1, (*index, part)) for part in split]
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
        data = self.x.variable[index].data
        # computed in this thread: a dask worker must not wait for its own scheduler
        return np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "compute") else data)


def list_skipped_variables(source: ArraySource, chosen: Sequence[xr.DataArray]) -> list[str]:
    """A note for each variable of the first place that is not a field on a grid."""
    lines, names = [], {str(x.name) for x in chosen}
    with _open_datasets(source, source.places[0]) as datasets:
        for x in (data[name] for data in datasets for name in list_fields(data) if name not in names):
            try:
                grid_layout(x)
            except InputError:
                lines.append(f"{x.name} ({', '.join(map(str, x.dims))}) is not a field on a grid and is left out")
    return lines


def read_companions(
    source: ArraySource, chosen: Sequence[xr.DataArray], dims: Sequence[str] = ()
) -> tuple[dict[str, Any], xr.Dataset]:
    """Attributes of the data set, and small variables that belong to the chosen ones: bounds and grid mappings."""
    wanted: dict[str, None] = {}
    for x in chosen:
        for key in ("grid_mapping", "bounds", "climatology"):
            for variable in (x, *x.coords.values()):
                named = str(variable.attrs.get(key, variable.encoding.get(key, "")))
                wanted |= dict.fromkeys(part.rstrip(":") for part in named.split())
    found: dict[str, xr.Variable] = {}
    attrs: dict[str, Any] = {}
    order = chosen[0].encoding.get("source", ())
    places = order if isinstance(order, tuple) else source.places[:1]
    parts: dict[str, list[xr.Variable]] = {}
    for place in places:
        with _open_datasets(source, place) as datasets:
            for data in datasets:
                attrs = attrs or dict(data.attrs)
                for name in wanted:
                    if name in data.variables and len(parts.setdefault(name, [])) < len(places):
                        parts[name].append(data[name].variable.load())
    times = {str(time) for x in chosen if (time := grid_layout(x, dims or None).time) is not None}
    for name, variables in parts.items():
        along = next((str(d) for d in variables[0].dims if d in times), None) if variables else None
        if variables:
            found[name] = xr.Variable.concat(variables, along) if along and len(variables) > 1 else variables[0]  # type: ignore[no-untyped-call]
    return attrs, xr.Dataset({name: v for name, v in found.items() if _has_same_sizes(v, chosen)})


def digest_source(source: ArraySource) -> str:
    """A digest of the input. Its prefix names what was hashed.

    "sha256": the content of the files, one after the other, as ``cat FILES | sha256sum``. "sizes-and-times": names,
    sizes and modification times, for zarr stores and for files of more than `MAX_HASHED_BYTES` bytes together.
    "metadata": for URLs, the metadata of a store or what the server reports of a file.
    """
    total, paths = hashlib.sha256(), [Path(p) for p in source.places if "://" not in p]
    if len(paths) < len(source.places):
        for place in source.places:
            total.update(_describe_remote(place))
        return f"metadata:{total.hexdigest()}"
    try:
        if all(p.is_file() for p in paths) and sum(p.stat().st_size for p in paths) <= MAX_HASHED_BYTES:
            return hash_content(paths)
        for path in paths:
            for name, stat in sorted(_list_files(path)):
                total.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    except OSError as error:
        raise UnreadableFileError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return f"sizes-and-times:{total.hexdigest()}"


def digest_places(source: ArraySource) -> list[str]:
    """A digest of each file, store or URL of the input, as `digest_source` makes it of one."""
    return [digest_source(replace(source, places=(place,))) for place in source.places]


def hash_content(paths: Iterable[Path]) -> str:
    """SHA-256 of the content of files, one after the other, as ``cat FILES | sha256sum``.

    Raises
    ------
    UnreadableFileError
        A file cannot be read.
    """
    total = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while part := file.read(1 << 20):
                    total.update(part)
        except OSError as error:
            raise UnreadableFileError(f"{path} cannot be read: {error.strerror}.") from error
    return f"sha256:{total.hexdigest()}"


def _list_files(path: Path) -> list[tuple[str, os.stat_result]]:
    if not path.is_dir():
        return [(path.name, path.stat())]
    found, waiting = [], [path]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(Path(entry.path))
                else:
                    found.append((os.path.relpath(entry.path, path), entry.stat()))
    return found


def _describe_remote(url: str) -> bytes:
    """Metadata of a remote store, or properties of a remote file that need no download."""
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(url)
        for name in (".zmetadata", "zarr.json"):
            if files.exists(f"{path.rstrip('/')}/{name}"):
                return bytes(files.cat_file(f"{path.rstrip('/')}/{name}"))
        properties = files.info(path)
        return repr(
            [(k, str(properties[k])) for k in ("name", "size", "ETag", "LastModified", "mtime") if k in properties]
        ).encode()
    except Exception as error:  # each protocol has its own errors
        raise DamagedFileError(f"{url} cannot be opened: {shorten_error(error)}. Check the address.") from error


def _add_time(x: xr.DataArray, dims: Sequence[str] | None) -> xr.DataArray:
    """Give a field of a single time a time dimension of length one."""
    if grid_layout(x, dims or None).time is not None or (time := find_time_coordinate(x)) is None:
        return x
    return x.expand_dims(time)


@contextmanager
def _open_datasets(source: ArraySource, place: str) -> Iterator[list[xr.Dataset]]:
    """The data sets of one place; an empty list if another reader than "grids" reads it."""
    options = {k: v for k, v in source.options.items() if k in ("group", "engine", "options")}
    rename = (source.adapter or {}).get("rename", {})
    opened = []
    if source.reader in (None, "grids"):
        opened = open_store(place if "://" in place else Path(place), **options)
    try:
        yield [promote_coordinates(d.rename({a: b for a, b in rename.items() if a in d.variables})) for d in opened]
    finally:
        for data in opened:
            data.close()


def _has_same_sizes(variable: xr.Variable, chosen: Sequence[xr.DataArray]) -> bool:
    """Whether a variable has the sizes of the chosen ones; bounds of one of several files do not."""
    wanted = {str(d): n for x in chosen for d, n in x.sizes.items()}
    return variable.size <= 1 << 22 and all(wanted.get(str(d), n) == n for d, n in variable.sizes.items())
