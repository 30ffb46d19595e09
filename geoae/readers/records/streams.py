"""Streams and Traces of ObsPy in memory, as segments and as lazy arrays."""

import sys
from collections.abc import Sequence
from typing import Any

import xarray as xr

from geoae.readers.records.selection import select_segments
from geoae.readers.records.traces import open_segments, scan_stream


def find_stream(x: Any) -> Any:
    """Return a Stream, a Trace or a list of Traces as a Stream; None for anything else. ObsPy is not loaded."""
    obspy: Any = sys.modules.get("obspy")
    if obspy is None:
        return None
    if isinstance(x, obspy.Stream):
        return x
    traces = [x] if isinstance(x, obspy.Trace) else x
    is_list = isinstance(traces, list | tuple) and bool(traces)
    return obspy.Stream(list(traces)) if is_list and all(isinstance(t, obspy.Trace) for t in traces) else None


def read_stream(
    stream: Any, ids: str | Sequence[str] = (), start_time: Any = None, end_time: Any = None
) -> list[xr.DataArray]:
    """Make one lazy array of each record of a Stream, as `geoae.readers.records.traces.read` does of files."""
    found = select_segments(scan_stream(stream), "The stream", ids, start_time, end_time)
    return open_segments(found.segments)
