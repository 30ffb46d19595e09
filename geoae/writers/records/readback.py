"""Read a written file back, and compare it with what it should hold."""

import glob
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from geoae.errors import one_line
from geoae.files.obspy_formats import detect_obspy_format

_RATE = 1e-6
"""Largest relative error of a sampling rate: formats hold single precision or microseconds."""
_LAST_SAMPLE = 0.5
"""Largest shift of the last sample by an error of the rate, in samples."""
_START_S = 1e-3
"""Largest error of a start time in seconds; `_TOLD_S`: the largest one that is not told."""
_TOLD_S = 1e-5
_CODES = ("network", "station", "location", "channel")
_READ_AT_ONCE = 1 << 28
"""Bytes of a file of which samples are compared; of larger files the headers are."""


@dataclass(frozen=True)
class ExpectedTrace:
    """What one trace of a file should be when it is read."""

    id: str
    start_ns: int
    rate_hz: float
    data: np.ndarray
    error: float
    """Largest rms error of the samples, in their units."""


@dataclass
class FileComparison:
    """Result of a comparison."""

    problems: dict[int, str] = field(default_factory=dict)
    """Number of a trace -> why it does not come back, as text."""
    of_file: bool = False
    """Whether a problem is one of the whole file, so that it is not known which trace is at fault."""
    notes: list[str] = field(default_factory=list)
    """What a format has no place for, as text."""


def compare_file(path: Path, format_name: str, expected: Sequence[ExpectedTrace]) -> FileComparison:
    """Read a file and compare ids, start times, sampling rates, numbers of samples, and samples.

    Codes that the format has no place for, and starts to the millisecond, are notes. All else is a problem.
    """
    result = FileComparison()
    try:
        found = _read(path, format_name)
    except _UnreadableError as error:
        return FileComparison(dict.fromkeys(range(len(expected)), str(error)), of_file=True)
    if len(found) != len(expected):
        reason = f"{len(found)} traces come back instead of {len(expected)}"
        return FileComparison(dict.fromkeys(range(len(expected)), reason), of_file=True)
    ids: dict[str, str] = {}
    for number, (trace, wanted) in enumerate(zip(found, expected, strict=True)):
        reason = _find_difference(trace, wanted)
        if not reason and trace.id != "..." and ids.setdefault(trace.id, wanted.id) != wanted.id:
            reason = f"its id comes back as {trace.id}, as that of {ids[trace.id]}"
        if reason:
            result.problems[number] = reason
        elif not result.notes:
            result.notes = _list_losses(trace, wanted, format_name)
    return result


class _UnreadableError(Exception):
    pass


def _read(path: Path, format_name: str) -> Any:
    import obspy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = detect_obspy_format(path)
        if found != format_name:
            raise _UnreadableError(f"readers take the file for {found}" if found else "no reader recognises the file")
        headers_only = path.stat().st_size > _READ_AT_ONCE
        try:
            return obspy.read(glob.escape(str(path)), format=format_name, headonly=headers_only)
        except Exception as error:  # each format raises types of its own
            raise _UnreadableError(f"it cannot be read back: {one_line(error).rstrip('.')}") from error


def _find_difference(trace: Any, wanted: ExpectedTrace) -> str:
    stats, n, rate = trace.stats, len(wanted.data), wanted.rate_hz
    found = {code: getattr(stats, code) for code in _CODES}
    if any(found[code] not in ("", given) for code, given in zip(_CODES, wanted.id.split(".", 3), strict=True)):
        return f"its id comes back as {trace.id}"
    if stats.npts != n:
        return f"{stats.npts} samples come back instead of {n}"
    off = abs(stats.sampling_rate / rate - 1)
    if not (off <= _RATE and off * n <= _LAST_SAMPLE):
        return f"its sampling rate comes back as {stats.sampling_rate:.9g} Hz instead of {rate:.9g} Hz"
    late_s = (stats.starttime.ns - wanted.start_ns) / 1e9
    if abs(late_s) > min(_START_S, 0.5 / rate + 1e-6):
        return f"its start comes back {abs(late_s):.6g} s too {'late' if late_s > 0 else 'early'}"
    return _compare_samples(trace.data, wanted) if len(trace.data) else ""


def _compare_samples(found: np.ndarray, wanted: ExpectedTrace) -> str:
    finite = np.isfinite(wanted.data)
    if not np.array_equal(np.isfinite(found), finite):
        return "its samples that are no numbers do not come back"
    with np.errstate(over="ignore"):
        error = np.where(finite, found, 0).astype(np.float64) - np.where(finite, wanted.data, 0)
        rms = float(np.sqrt(np.mean(error**2)))
    return "" if rms <= wanted.error else f"its samples come back with an error of {rms:.2g} (rms)"


def _list_losses(trace: Any, wanted: ExpectedTrace, format_name: str) -> list[str]:
    notes = []
    lost = [
        code
        for code, given in zip(_CODES, wanted.id.split(".", 3), strict=True)
        if given and not getattr(trace.stats, code)
    ]
    if lost:
        notes.append(
            f"{format_name} has no place for {' and '.join(lost)} codes: {wanted.id} comes back as {trace.id}. "
            "MSEED keeps them."
        )
    if abs(trace.stats.starttime.ns - wanted.start_ns) > _TOLD_S * 1e9:
        notes.append(f"{format_name} keeps start times to the millisecond. MSEED keeps microseconds.")
    return notes
