"""What a run on arrays reads: the same variables in every process, what belongs to them, a digest of them."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae import readers
from geoae.arrays.types import AnyArray
from geoae.arrays.windows import Region
from geoae.errors import DamagedFileError, InputError, UnreadableFileError
from geoae.fields.frame import split_span
from geoae.labels.adapter import Adapter
from geoae.labels.cf import find_time_coordinate, grid_layout, list_fields, promote_coordinates
from geoae.readers import catalog
from geoae.readers.fields import opening as stores

MAX_HASHED_BYTES = 1 << 34
"""Bytes of files up to which their content makes the digest; of more, their sizes and times do."""


@dataclass(frozen=True)
class ArraySource:
    """Files, stores or URLs, and how they are read as arrays; plain data, which is sent to workers."""

    names: tuple[str, ...]
    """As they were given."""
    places: tuple[str, ...]
    """Absolute paths, or URLs."""
    reader: str | None = None
    """None: "grids"."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the reader."""
    adapter: Mapping[str, Any] | None = None
    """Of a catalog entry."""
    timed: bool = False
    """Whether fields of one moment get a time dimension."""

    def spec(self) -> dict[str, Any]:
        """As JSON holds it, for `source_from_spec`."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    def open(self, var: Sequence[str] = (), dims: Sequence[str] | None = None) -> list[xr.DataArray]:
        """The variables, lazily; errors are those of `geoae.readers.read`."""
        selection = {**self.options, **({"var": list(var)} if var else {}), **({"dims": list(dims)} if dims else {})}
        places = [place if "://" in place else Path(place) for place in self.places]
        if self.has_fields:
            reader: Any = readers.open_reader(self.reader or "grids")
            adapter = Adapter(**self.adapter) if self.adapter else None
            found = reader.read(places if len(places) > 1 else places[0], adapter=adapter, **selection)
        else:
            found = readers.read_records(places if len(places) > 1 else places[0], self.reader, **selection)
            found = [Adapter(**self.adapter)(x) if self.adapter else x for x in found]
        return [_timed(x, dims) for x in found] if self.timed else found

    @property
    def has_fields(self) -> bool:
        """Whether these are gridded fields, and no records."""
        return self.reader is None or readers.open_reader(self.reader).kind == "fields"

    def label(self) -> str:
        """What was given, for a person and for the store."""
        some = self.names if len(self.names) <= 20 else (*self.names[:3], "...", self.names[-1])
        more = f" ({len(self.names)} inputs)" if len(self.names) > 20 else ""
        return ", ".join(name if "://" in name else Path(name).name or name for name in some) + more


def source_from_spec(spec: Mapping[str, Any]) -> ArraySource:
    """The source that `FieldSource.spec` made into `spec`."""
    plain: dict[str, Any] = {k: tuple(v) if k in ("names", "places") else v for k, v in spec.items()}
    return ArraySource(**plain)


def source_from_catalog(found: catalog.Source) -> ArraySource:
    """The source that an entry of the catalog names."""
    places = tuple(place if isinstance(place, str) else str(place.resolve()) for place in found.places)
    return ArraySource((found.name,), places, found.reader, found.options, asdict(found.adapter))


class RegionReader:
    """Samples of a field by region; with a time, the last block is kept: the next one shares slices with it."""

    def __init__(self, x: xr.DataArray, time: int | None) -> None:
        self.x, self.time = x, time
        self._last: tuple[Region, AnyArray] | None = None

    def __call__(self, spans: Region) -> AnyArray:
        """Samples of spans, which count modulo the length of an axis; see `geoae.fields.frame`."""
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
            parts = [self._read(spans, axis + 1, (*index, p)) for p in split_span(spans[axis], self.x.shape[axis])]
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
        data = self.x.variable[index].data
        # in this thread: workers of a scheduler must not ask it for more
        return np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "compute") else data)


def list_skipped_variables(source: ArraySource, chosen: Sequence[xr.DataArray]) -> list[str]:
    """A line for each variable of the first place that is no field on a grid."""
    lines, names = [], {str(x.name) for x in chosen}
    with _datasets(source, source.places[0]) as datasets:
        for x in (data[name] for data in datasets for name in list_fields(data) if name not in names):
            try:
                grid_layout(x)
            except InputError:
                lines.append(f"{x.name} ({', '.join(map(str, x.dims))}) is no field on a grid, and is left out")
    return lines


def read_companions(
    source: ArraySource, chosen: Sequence[xr.DataArray], dims: Sequence[str] = ()
) -> tuple[dict[str, Any], xr.Dataset]:
    """Attributes of the data set, and the small variables that belong to the chosen ones: bounds, grid mappings."""
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
        with _datasets(source, place) as datasets:
            for data in datasets:
                attrs = attrs or dict(data.attrs)
                for name in wanted:
                    if name in data.variables and len(parts.setdefault(name, [])) < len(places):
                        parts[name].append(data[name].variable.load())
    times = {str(time) for x in chosen if (time := grid_layout(x, dims or None).time) is not None}
    for name, own in parts.items():
        along = next((str(d) for d in own[0].dims if d in times), None) if own else None
        if own:
            found[name] = xr.Variable.concat(own, along) if along and len(own) > 1 else own[0]  # type: ignore[no-untyped-call]
    return attrs, xr.Dataset({name: v for name, v in found.items() if _fits(v, chosen)})


def digest_source(source: ArraySource) -> str:
    """What changes when the input does; its first word says of what it is made.

    "sha256" is of the files' content one after the other, as ``cat FILES | sha256sum`` gives it. Of zarr stores, and
    files of more than `MAX_HASHED_BYTES` bytes together, it is of names, sizes and times of change
    ("sizes-and-times"); of URLs of the metadata of a store or what the server says of a file ("metadata").
    """
    total, paths = hashlib.sha256(), [Path(p) for p in source.places if "://" not in p]
    if len(paths) < len(source.places):
        for place in source.places:
            total.update(_remote(place))
        return f"metadata:{total.hexdigest()}"
    try:
        if all(p.is_file() for p in paths) and sum(p.stat().st_size for p in paths) <= MAX_HASHED_BYTES:
            return hash_content(paths)
        for path in paths:
            for name, stat in sorted(_files(path)):
                total.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    except OSError as error:
        raise UnreadableFileError(f"{error.filename} cannot be read: {error.strerror}.") from error
    return f"sizes-and-times:{total.hexdigest()}"


def hash_content(paths: Iterable[Path]) -> str:
    """SHA-256 of the content of files one after the other, as ``cat FILES | sha256sum`` gives it.

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


def _files(path: Path) -> list[tuple[str, os.stat_result]]:
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


def _remote(url: str) -> bytes:
    """Metadata of a remote store, or what is known of a remote file without fetching it."""
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(url)
        for name in (".zmetadata", "zarr.json"):
            if files.exists(f"{path.rstrip('/')}/{name}"):
                return bytes(files.cat_file(f"{path.rstrip('/')}/{name}"))
        facts = files.info(path)
        return repr(
            [(k, str(facts[k])) for k in ("name", "size", "ETag", "LastModified", "mtime") if k in facts]
        ).encode()
    except Exception as error:  # each protocol has its own
        raise DamagedFileError(
            f"{url} cannot be looked at: {stores.shorten_error(error)}. Check the address."
        ) from error


def _timed(x: xr.DataArray, dims: Sequence[str] | None) -> xr.DataArray:
    """A field of one moment with a time dimension of length one."""
    if grid_layout(x, dims or None).time is not None or (time := find_time_coordinate(x)) is None:
        return x
    return x.expand_dims(time)


@contextmanager
def _datasets(source: ArraySource, place: str) -> Iterator[list[xr.Dataset]]:
    """The data sets of one place; none where a reader of others has opened it."""
    options = {k: v for k, v in source.options.items() if k in ("group", "engine", "options")}
    rename = (source.adapter or {}).get("rename", {})
    opened = []
    if source.reader in (None, "grids"):
        opened = stores.open_store(place if "://" in place else Path(place), **options)
    try:
        yield [promote_coordinates(d.rename({a: b for a, b in rename.items() if a in d.variables})) for d in opened]
    finally:
        for data in opened:
            data.close()


def _fits(variable: xr.Variable, chosen: Sequence[xr.DataArray]) -> bool:
    """Whether a variable has the sizes of those that it belongs to: not so the bounds of one of several files."""
    wanted = {str(d): n for x in chosen for d, n in x.sizes.items()}
    return variable.size <= 1 << 22 and all(wanted.get(str(d), n) == n for d, n in variable.sizes.items())
