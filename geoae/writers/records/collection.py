"""Collect whole segments in memory, for formats that ObsPy writes at once."""

import warnings
from collections import Counter
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from geoae.errors import InputError, one_line
from geoae.labels.segments import Segment, touches
from geoae.writers.records.encodings import choose_encoding, encode_samples, fits_cm6, round_to_integers
from geoae.writers.records.mseed import SegmentKey

_ONE_TRACE_A_FILE = {"SAC", "SACXY"}
INTEGER_FORMATS = {"GCF", "GSE2"}
"""Formats that hold integers, so that samples are rounded."""
_SINGLE_PRECISION = {"AH", "Q", "SAC", "SACXY", "SEGY", "SU"}


_Kept = tuple[Segment, Any, list[np.ndarray]]
"""A segment, its ObsPy header, and its samples."""


class Collection:
    """Whole segments in memory, converted to the samples of a format, and written by `finish`."""

    def __init__(self, path: Path, format_name: str) -> None:
        self._path, self._format = path, format_name
        self._kept: dict[SegmentKey, _Kept] = {}

    def put(self, key: SegmentKey, segment: "Segment", offset: int, data: np.ndarray, header: Any) -> None:
        """Add the next samples of a segment, converted for the format; offset 0 starts the segment again."""
        choose_encoding(data.dtype)  # raises InputError for types that are no samples
        if self._format in INTEGER_FORMATS:
            block = round_to_integers(data, np.dtype(np.int32), f"{segment.id}: {self._format}")
        elif self._format in _SINGLE_PRECISION:
            block, _ = encode_samples(data, "FLOAT32", segment.id)
        else:
            block = data
        if offset == 0:
            self._kept[key] = segment, deepcopy(header), []
        self._kept[key][2].append(block.copy())

    def drop(self, key: SegmentKey) -> None:
        """Leave a segment out."""
        self._kept.pop(key, None)

    def finish(self) -> None:
        """Write the file, or one file for each trace."""
        from obspy import Stream

        traces = [_make_trace(*kept) for kept in _join_parts(self._kept)]
        if self._format in _ONE_TRACE_A_FILE and len(traces) > 1:
            files = [([trace], path) for trace, path in zip(traces, self._file_names(traces), strict=True)]
        else:
            files = [(traces, self._path)]
        # 5 is IEEE float32; the default, IBM float, has fewer digits
        options = {"data_encoding": 5} if self._format == "SEGY" else {}
        for members, path in files:
            for trace in members:
                _prepare(trace, self._format)
            try:
                with warnings.catch_warnings():
                    # SEGY and SU warn for every trace from another format
                    warnings.filterwarnings("ignore", "CREATING TRACE HEADER")
                    Stream(members).write(str(path), format=self._format, **options)
            except Exception as error:  # each format raises types of its own
                _raise_disk_error(error)
                reason = one_line(error)
                raise InputError(
                    f"{self._format} cannot hold this: {reason}. Choose another output format; MSEED holds most."
                ) from error

    def discard(self) -> None:
        """Drop all segments."""
        self._kept.clear()

    def _file_names(self, traces: list[Any]) -> list[Path]:
        labels = [trace.id.replace("/", "_") for trace in traces]
        counts = Counter(labels)
        for i, trace in enumerate(traces):
            if counts[labels[i]] > 1:
                labels[i] += trace.stats.starttime.strftime(".%Y%m%dT%H%M%S.%fZ")
        for i, label in enumerate(labels):
            if label in labels[:i]:
                labels[i] += f".{i}"
        return [self._path.with_name(f"{self._path.stem}.{label}{self._path.suffix}") for label in labels]


def _join_parts(kept: dict[SegmentKey, _Kept]) -> list[_Kept]:
    """All segments in order. Parts of one segment that touch are joined: such a trace has one start time."""
    joined: list[_Kept] = []
    last_key: SegmentKey = ()
    last: Segment | None = None
    for key, (segment, header, blocks) in sorted(kept.items(), key=lambda item: item[0]):
        if last is not None and key[:2] == last_key[:2] and last.id == segment.id and touches(last, segment):
            joined[-1][2].extend(blocks)
        else:
            joined.append((segment, header, list(blocks)))
        last_key, last = key, segment
    return joined


def _make_trace(segment: "Segment", header: Any, blocks: list[np.ndarray]) -> Any:
    """Make an ObsPy Trace of a whole segment, with start and rate of the segment."""
    from obspy import Trace, UTCDateTime

    start = UTCDateTime(ns=segment.start_ns)
    if header.starttime != start:
        header.starttime = start
    if header.sampling_rate != segment.rate_hz:
        header.sampling_rate = segment.rate_hz
    trace = Trace(header=header)
    trace.data = np.concatenate(blocks)
    return trace


def _prepare(trace: Any, format_name: str) -> None:
    """Correct headers that ObsPy copies from the input; raise InputError for samples that it writes wrongly."""
    stats = trace.stats
    if format_name == "GSE2":
        if not fits_cm6(trace.data):
            raise InputError(f"{trace.id}: numbers too large for the compression of GSE2; choose MSEED.")
        if "gse2" in stats:
            stats.gse2.datatype = "CM6"  # ObsPy always compresses, but copies the header of the input
    elif format_name == "AH" and "ah" in stats:
        start = stats.starttime
        parts = {name: getattr(start, name) for name in ("year", "month", "day", "hour", "minute")}
        # ObsPy writes this start; the seconds of a UTCDateTime would be whole
        stats.ah.record.start_time = SimpleNamespace(**parts, second=start.second + start.microsecond / 1e6)
        stats.ah.record.delta = stats.delta


def _raise_disk_error(error: BaseException) -> None:
    """Raise the first cause of an error if it is an OSError of the disk; ObsPy's SAC errors are other OSErrors."""
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        raise error
