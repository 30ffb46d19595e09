"""Inspect files, stores and models without changing them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae import model, readers
from geoae.errors import GeoAEError, InputError, MissingFileError, OutputError, StoreError, UnknownFormatError
from geoae.files.paths import can_reach
from geoae.files.whole import output_errors
from geoae.labels.adapter import Adapter
from geoae.labels.axes import find_axis_evidence
from geoae.labels.cf import describe_sizes, grid_layout
from geoae.labels.components import join_components
from geoae.labels.segments import Segment
from geoae.labels.timeaxis import rate_hz as rate_of
from geoae.labels.timeaxis import sample_offset_ns
from geoae.labels.timeaxis import start_ns as start_of
from geoae.readers import catalog
from geoae.readers.fields import grids
from geoae.readers.plugins import PluginRecords
from geoae.readers.protocols import Scan
from geoae.readers.records import seisbench, traces
from geoae.readers.records.arrange import count_gaps_and_overlaps, describe_overlaps
from geoae.readers.records.clocks import describe_drift
from geoae.stores import ledger, provenance, schema
from geoae.stores import records as stored_records


@dataclass(frozen=True)
class TraceRow:
    """One id at one sampling rate in a recording."""

    id: str
    start_ns: int
    end_ns: int
    rate_hz: float
    samples: int
    gaps: int
    overlaps: int
    text: bool = False


@dataclass(frozen=True)
class VariableRow:
    """One variable of a gridded data set."""

    name: str
    dims: str
    """Names and sizes."""
    dtype: str
    """Type of the samples, and of the file if it differs."""
    units: str
    horizontal: str
    """Names of the horizontal dimensions; empty if they are unknown."""
    periodic: str
    """Horizontal dimensions that close around the globe."""
    time: str
    """First and last time."""


@dataclass(frozen=True)
class SourceContent:
    """Contents of a file or data set, as `geoae info` prints them."""

    rows: list[TraceRow]
    notes: list[str]
    problems: list[str]
    records: int
    """Number of records. Each is denoised as one: a sensor over a stretch of time."""
    fields: list[VariableRow] = field(default_factory=list)
    sensors: dict[str, int] = field(default_factory=dict)
    """Components of each sensor of a recording (XX.ABC..HHE HHN HHZ) -> its number of records."""


def info(source: str | Path, group: str = "") -> SourceContent:
    """List the traces of a recording, the records of a data set by station, or the variables of a gridded data set.

    `source` is a path, a URL, or a name in the data catalog; `group` is a group of a netCDF file or zarr store.

    Raises
    ------
    GeoAEError
        The file cannot be read.
    """
    found = None if can_reach(source) else catalog.find_entry(str(source))
    places = found.places if found else (source if "://" in str(source) else Path(source),)
    place = places[0]
    if isinstance(place, Path) and (fault := catalog.find_input_fault(place)) is not None:
        refuse_unfinished(place)
        raise fault
    name = found.reader if found else readers.find_reader(place, otherwise="traces")
    reader = readers.open_reader(name)
    if group and reader is not grids:
        raise InputError(f"--group: {place} has no groups. Leave it out.")
    if reader.kind == "fields":
        content = _describe_fields(place, reader, found, group)
    elif not isinstance(place, Path):
        raise InputError(f"{place} is a URL, but the reader {name!r} reads local files. Download it first.")
    elif name == "cleaned":
        content = _describe_denoised(place)
    elif name == "seisbench":
        content = _describe_data_set(seisbench.open_set(place))
    else:
        content = _describe_recording(
            place, reader, found.options if found and isinstance(reader, PluginRecords) else {}
        )
    notes = content.notes
    if found and reader.kind != "fields" and found.adapter.changes_samples:
        notes = [*notes, "samples and times are those of the files; the catalog changes them in geoae.read alone"]
    first_only = [f"the first of {len(places)} files"] if len(places) > 1 else []
    return replace(content, notes=[*first_only, *notes])


def _describe_recording(path: Path, reader: Any, options: Mapping[str, Any]) -> SourceContent:
    return describe_scan(reader.scan(path, **options))


def describe_scan(scan: Scan) -> SourceContent:
    """List the traces of a scan."""
    groups: dict[tuple[str, float, bool], list[Segment]] = {}
    for segment in scan.segments:
        groups.setdefault((segment.id, segment.rate_hz, segment.text), []).append(segment)
    rows = [_make_row(parts) for parts in groups.values()]
    records = traces.group_segments(scan.segments)
    notes = [*scan.notes, *describe_overlaps(records), *describe_drift(scan.segments)]
    sensors = dict(Counter(join_components(record.ids) for record in records))
    return SourceContent(rows, notes, list(scan.losses), len(records), sensors=sensors)


def models(folders: Sequence[str | Path] = ()) -> list[dict[str, Any]]:
    """Contract and digest of each shipped model, or of the models of the given names and folders.

    Raises
    ------
    UnknownNameError, ModelFileError
        See `geoae.model.describe_model`.
    """
    return [model.describe_model(name) for name in folders or model.list_shipped_models()]


def status(store: str | Path) -> ledger.Status:
    """Progress and settings of a store. Errors: see `geoae.stores.ledger.read_store_status`."""
    return ledger.read_store_status(Path(store))


def refuse_unfinished(path: Path) -> None:
    """Raise if a store of that name was begun and is not finished.

    Raises
    ------
    StoreError
        The store is not finished.
    """
    try:
        found = ledger.read_store_status(path)
    except GeoAEError:
        return
    if found.finished:
        return
    raise StoreError(
        f"{path} is unfinished: {found.n_done} of {found.n_tasks} blocks are done. The same command goes on "
        "from there; `geoae status` shows its settings."
    )


def describe_target(target: Path, overwrite: bool) -> list[str]:
    """Notes on what writing to a store means for an existing store of that name.

    Raises
    ------
    OutputError
        The folder of the store does not exist.
    """
    with output_errors(target):
        if not target.absolute().parent.is_dir():
            raise OutputError(f"The folder {target.absolute().parent} for the output is not there; make it first.")
    try:
        found = ledger.read_store_status(target)
    except MissingFileError:
        return []
    if not found.finished:
        return [f"{target.name} is unfinished: {found.n_done} of {found.n_tasks} blocks are done"]
    if overwrite:
        return [f"{target.name} would be replaced"]
    return [f"{target.name} is already finished: the same command changes nothing, other settings need --overwrite"]


def _describe_fields(place: Path | str, reader: Any, source: catalog.Source | None, group: str) -> SourceContent:
    adapter = source.adapter if source else Adapter()
    options = source.options if source else {}
    if reader is grids:
        options = {k: v for k, v in options.items() if k in ("group", "engine", "options")}
        options |= {"group": group} if group else {}
    found = reader.contents(place, adapter=adapter, **options)
    dims = source.options.get("dims") if source else None
    rows, notes = [], []
    for name, raw in found.items():
        row, problem = describe_field(adapter(raw), name, dims)
        rows.append(row)
        notes += [] if problem is None else [problem]
    grids.close_files([found])
    return SourceContent([], notes, [], 0, rows)


def describe_field(x: xr.DataArray, name: str, dims: Sequence[str] | None = None) -> tuple[VariableRow, str | None]:
    """Describe a variable; also why its horizontal dimensions are unknown, that it holds codes, or None."""
    horizontal, periodic, time, problem = "", "", _find_time(x), None
    if schema.CODED_DIMS in x.attrs:
        horizontal, problem = "-", _describe_codes(x, name)
    else:
        try:
            grid = grid_layout(x, dims)
        except InputError as error:
            problem = str(error)
        else:
            horizontal, time = ", ".join(grid.horizontal), grid.time or time
            pairs = zip(grid.horizontal, grid.periodic, strict=True)
            periodic = ", ".join(dim for dim, closes in pairs if closes)
    units, span = str(x.attrs.get("units", "")), _format_time_span(x, time)
    return VariableRow(name, describe_sizes(x), _dtype(x), units, horizontal, periodic, span), problem


def _describe_codes(x: xr.DataArray, name: str) -> str:
    attrs, n = x.attrs, x.sizes.get(schema.LATENT, 0)
    by = f"{attrs.get(schema.MODEL_NAME)} {attrs.get(schema.MODEL_DIGEST)}"
    of = attrs.get(schema.CODED_VARIABLE) or "an array"
    return f"{name}: latent codes of {of} by {by}, {n} numbers for each window; geoae decode turns them into samples"


def _dtype(x: xr.DataArray) -> str:
    stored = np.dtype(x.encoding.get("dtype", x.dtype))
    return x.dtype.name if stored.name == x.dtype.name else f"{x.dtype.name} from {stored.name}"


def _find_time(x: xr.DataArray) -> str | None:
    along = (
        str(name) for name, c in x.coords.items() if c.ndim < 2 and find_axis_evidence(str(name), c.variable)[1] == "T"
    )
    return next(along, None)


def _format_time_span(x: xr.DataArray, time: str | None) -> str:
    if time is None or time not in x.coords:
        return ""
    coord = x.coords[time]
    first, last = (str(t.astype("datetime64[s]")) if isinstance(t, np.datetime64) else str(t)
                   for t in coord.values.ravel()[[0, -1]])  # fmt: skip
    span = first if coord.size == 1 else f"{first} to {last}"
    return span if coord.dtype.kind in "MO" else f"{time} {span}"


def _make_row(parts: list[Segment]) -> TraceRow:
    first = parts[0]
    starts = [s.start_ns for s in parts]
    ends = [s.start_ns + round((s.n - 1) * 1e9 / s.rate_hz) if s.n else s.start_ns for s in parts]
    return TraceRow(
        first.id, min(starts), max(ends), first.rate_hz, sum(s.n for s in parts),
        *count_gaps_and_overlaps(parts), first.text,
    )  # fmt: skip


def _describe_denoised(path: Path) -> SourceContent:
    x = stored_records.read(path)
    valid, rows, rate = stored_records.find_valid_samples(x), [], rate_of(x)
    for name, samples in zip(x["id"].values, valid, strict=True):
        at = np.flatnonzero(samples)
        first, last = (int(at[0]), int(at[-1])) if at.size else (0, 0)
        start, end = (start_of(x) + int(sample_offset_ns(i, rate)) for i in (first, last))
        rows.append(TraceRow(str(name), start, end, rate, at.size, int(np.count_nonzero(np.diff(at) > 1)), 0))
    settings = provenance.read_settings(path)
    notes = [f"denoised by model {settings.get('model')} {settings.get('digest')} from {settings.get('source')}"]
    return SourceContent(rows, notes, [], 1)


def _describe_data_set(data: seisbench.SeisBenchSet) -> SourceContent:
    counts: dict[str, int] = {}
    for i in range(len(data)):
        counts[data.station(i)] = counts.get(data.station(i), 0) + 1
    stations = ", ".join(f"{name} ({n})" for name, n in sorted(counts.items(), key=lambda item: -item[1])[:12])
    more = ", ..." if len(counts) > 12 else ""
    notes = [f"a data set of {len(data)} records from {len(counts)} stations: {stations}{more}"]
    if not counts:
        raise UnknownFormatError(f"{data.folder} holds no records.")
    return SourceContent([], notes, [], len(data))
