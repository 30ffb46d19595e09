"""Select segments of recordings by id and time."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import geoae.readers.records.mseed as mseed
from geoae.errors import OptionError
from geoae.labels.segments import Segment
from geoae.labels.timeaxis import first_position, sample_offset_ns
from geoae.readers.protocols import Scan


def select_segments(
    scan: Scan, name: str, ids: str | Sequence[str] = (), start_time: Any = None, end_time: Any = None
) -> Scan:
    """Select segments by id and time. `ids`, `start_time` and `end_time` are those of `traces.scan`.

    Parameters
    ----------
    scan
        All segments of a file.
    name
        Name of the file, for the note that nothing matches.

    Raises
    ------
    InputError
        A time cannot be understood, or the start lies after the end.
    """
    patterns = [ids] if isinstance(ids, str) else list(ids)
    first_ns, last_ns = parse_time_limits(start_time, end_time)
    selected = []
    for segment in scan.segments:
        if not patterns or any(fnmatch.fnmatchcase(segment.id, pattern) for pattern in patterns):
            span = samples_within(segment, first_ns, last_ns)
            if span is not None:
                selected.append(cut_segment(segment, *span))
    notes = scan.notes
    if scan.segments and not selected:
        held = sorted({segment.id for segment in scan.segments})
        notes = (*notes, f"{name}: no trace matches the ids and times asked for; there are {join_first(held)}.")
    return Scan(tuple(selected), notes, scan.losses)


def check_id_patterns(patterns: Sequence[str]) -> None:
    """Raise OptionError for a pattern that matches no id NET.STA.LOC.CHA, such as a channel alone."""
    for pattern in patterns:
        dots, any_character = pattern.count("."), pattern.count("?") + pattern.count("[")
        if "*" not in pattern and not dots <= 3 <= dots + any_character:
            raise OptionError(
                f"The pattern {pattern!r} matches no id: ids are NET.STA.LOC.CHA with three dots. Write *.HHZ or "
                "XX.ABC.*, for example, in quotation marks."
            )


def parse_time_limits(start_time: Any, end_time: Any) -> tuple[int | None, int | None]:
    """Return a start and an end in ns since 1970-01-01 UTC; None stays None.

    Raises
    ------
    InputError
        A time cannot be understood, or the start lies after the end.
    """
    first_ns, last_ns = _parse_time("start_time", start_time), _parse_time("end_time", end_time)
    if first_ns is not None and last_ns is not None and first_ns > last_ns:
        raise OptionError(f"The start time {start_time} lies after the end time {end_time}. Exchange them.")
    return first_ns, last_ns


def samples_within(segment: Segment, first_ns: int | None, last_ns: int | None) -> tuple[int, int] | None:
    """Range of samples, (start, stop), from one time to another, both included; None if there are none.

    A segment without samples (text) gives (0, 0) if its start lies within the limits.
    """
    if segment.n == 0:
        inside = (first_ns is None or segment.start_ns >= first_ns) and (last_ns is None or segment.start_ns <= last_ns)
        return (0, 0) if inside else None
    start, stop = 0, segment.n
    if first_ns is not None:
        start = max(first_position(first_ns - segment.start_ns, segment.rate_hz), 0)
    if last_ns is not None:
        stop = min(first_position(last_ns + 1 - segment.start_ns, segment.rate_hz), segment.n)
    return (start, stop) if start < stop else None


def cut_segment(segment: Segment, start: int, stop: int) -> Segment:
    """Return the segment that has only samples start ... stop of another one."""
    if (start, stop) == (0, segment.n):
        return segment
    locator: Any = segment.locator
    is_indexed = isinstance(locator, mseed.MseedRecords)
    locator = mseed.trim_records(locator, start, stop) if is_indexed else locator.part(start, stop)
    start_ns = segment.start_ns + int(sample_offset_ns(start, segment.rate_hz))
    return replace(segment, start_ns=start_ns, n=stop - start, locator=locator)


def join_first(names: Sequence[str]) -> str:
    """Join the first three names, and count the others."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _parse_time(name: str, time: Any) -> int | None:
    if time is None:
        return None
    if isinstance(time, np.datetime64):
        return int(time.astype("datetime64[ns]").astype(np.int64))
    from obspy import UTCDateTime

    if isinstance(time, str) and re.fullmatch(r"\d{4}(-\d\d)?", time):  # a year or a month, which ObsPy refuses
        time += "-01-01" if len(time) == 4 else "-01"
    try:
        return int(UTCDateTime(time).ns)
    except Exception as error:  # UTCDateTime raises many types
        raise OptionError(f"{name}={time!r} is no time. Write it as 2010-09-01T12:30:00.") from error
