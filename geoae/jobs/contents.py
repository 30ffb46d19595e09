"""Contents of data in memory, as `geoae info` lists those of files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import InputError
from geoae.jobs.inspect import SourceContent, TraceRow, describe_field, describe_scan
from geoae.labels.cf import list_fields
from geoae.labels.sorting import is_record
from geoae.labels.timeaxis import rate_hz, sample_offset_ns, start_ns
from geoae.readers.records.streams import find_stream
from geoae.readers.records.traces import scan_stream


def describe_data(x: Any) -> SourceContent | None:
    """List the traces of a Stream, or the records and fields of labelled arrays; None for anything else.

    Samples of records are read, to find gaps.

    Raises
    ------
    InputError
        There is nothing in it.
    """
    if (stream := find_stream(x)) is not None:
        if not stream:
            raise InputError("The Stream is empty. Check how it was read or selected.")
        return describe_scan(scan_stream(stream))
    if isinstance(x, xr.DataArray):
        return _describe_array(x, str(x.name or ""))
    if isinstance(x, xr.Dataset):
        return _describe_dataset(x)
    if isinstance(x, xr.DataTree):
        return join_contents([_describe_dataset(node.to_dataset()) for node in x.subtree if node.has_data])
    return None


def join_contents(parts: Sequence[SourceContent]) -> SourceContent:
    """Put the contents of several sources into one list.

    Raises
    ------
    InputError
        There is no source.
    """
    if not parts:
        raise InputError("There are no arrays, so there is nothing to list.")
    return SourceContent(
        [row for part in parts for row in part.rows],
        [note for part in parts for note in part.notes],
        [problem for part in parts for problem in part.problems],
        sum(part.records for part in parts),
        [row for part in parts for row in part.fields],
        dict(sum((Counter(part.sensors) for part in parts), Counter())),
    )


def _describe_dataset(data: xr.Dataset) -> SourceContent:
    names = {str(name): name for name in data.data_vars}  # one of them may be None
    return join_contents([_describe_array(data[names[name]], name) for name in list_fields(data)])


def _describe_array(x: xr.DataArray, name: str) -> SourceContent:
    if not is_record(x):
        row, note = describe_field(x, name)
        return SourceContent([], [] if note is None else [note], [], 0, [row])
    try:
        rate = rate_hz(x)
    except InputError as error:
        return SourceContent([], [str(error)], [], 0, [describe_field(x, name)[0]])
    last = [d for d in ("channel", "time") if d in x.dims]
    lead = [d for d in x.dims if d not in last]
    ordered = x.transpose(*lead, *last)
    rows = [
        _make_row(id_, ordered[index], rate)
        for id_, index in zip(_row_ids(ordered, name), np.ndindex(ordered.shape[:-1]), strict=True)
    ]
    return SourceContent(rows, [], [], int(np.prod([x.sizes[d] for d in lead])))


def _row_ids(x: xr.DataArray, name: str) -> Iterator[str]:
    """Id, or channel code, or number along each dimension, of every row of an array (..., time)."""
    names = next((x[c].values for c in ("id", "channel") if c in x.coords and x[c].dims == ("channel",)), None)
    for index in np.ndindex(x.shape[:-1]):
        places = [f"{dim}={i}" for dim, i in zip(x.dims, index, strict=False) if dim != "channel" or names is None]
        own = [] if names is None else [str(names[index[-1]])]
        yield ", ".join([*own, *places]) or name or "the array"


def _make_row(id_: str, x: xr.DataArray, rate: float) -> TraceRow:
    at = np.flatnonzero(np.isfinite(x.values)) if x.dtype.kind == "f" else np.arange(x.sizes["time"])
    first, last = (int(at[0]), int(at[-1])) if at.size else (0, 0)
    origin = start_ns(x) if "time" in x.coords else 0
    start, end = (origin + int(sample_offset_ns(i, rate)) for i in (first, last))
    return TraceRow(id_, start, end, rate, at.size, int(np.count_nonzero(np.diff(at) > 1)), 0)
