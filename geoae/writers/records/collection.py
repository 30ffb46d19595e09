"""Collect whole segments in memory, for formats that ObsPy writes at once, and check what was written."""

import warnings
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from geoae.errors import InputError, one_line
from geoae.labels.segments import Segment, touches
from geoae.writers.records.encodings import (
    choose_encoding,
    choose_format,
    encode_samples,
    fits_cm6,
    round_to_integers,
)
from geoae.writers.records.mseed import MseedFile, SegmentKey
from geoae.writers.records.readback import ExpectedTrace, compare_file

_ONE_TRACE_A_FILE = {"SAC", "SACXY"}
INTEGER_FORMATS = {"GCF", "GSE2"}
"""Formats that hold integers, so that samples are rounded."""
_SINGLE_PRECISION = {"AH", "Q", "SAC", "SACXY", "SEGY", "SU"}
_MILLISECONDS = {"GSE2", "Q", "SH_ASC"}
_LARGEST_NUMBER = 32767
"""Largest number of samples and of microseconds between samples in the headers of SEGY and SU."""
_ERROR, _ERROR_OF_COPIES = 0.01, 1e-6
"""Largest rms error of samples that are read back, as fractions of their standard deviation."""


@dataclass
class _Kept:
    """A segment with its header and samples, or several parts of a segment that touch."""

    segment: Segment
    header: Any
    blocks: list[np.ndarray] = field(default_factory=list)
    is_copy: bool = False
    later_parts: list[Segment] = field(default_factory=list)

    @property
    def data(self) -> np.ndarray:
        if len(self.blocks) > 1:
            self.blocks = [np.concatenate(self.blocks)]
        return self.blocks[0]


class Collection:
    """Whole segments in memory, converted to the samples of a format, and written by `finish`.

    Parameters
    ----------
    path
        The file. Formats with one trace in a file add ids to its name if there are several traces.
    format_name
        ObsPy's name of the format.
    otherwise
        Path of a miniSEED file that is written instead if the format cannot hold all segments. None: those that it
        cannot hold are left out.
    """

    def __init__(self, path: Path, format_name: str, otherwise: Path | None = None) -> None:
        self._path, self._otherwise = path, otherwise
        self.format = format_name
        """Format of what is written; MSEED after `finish` if that took the place of another one."""
        self.refused: dict[Segment, str] = {}
        """Segments that `finish` left out, and why."""
        self.notes: list[str] = []
        self.replaced: dict[Segment, np.ndarray] = {}
        """Samples of all segments, if miniSEED took the place of the format."""
        self._kept: dict[SegmentKey, _Kept] = {}
        self._unfit = ""

    def put(self, key: SegmentKey, segment: Segment, offset: int, data: np.ndarray, header: Any) -> None:
        """Add the next samples of a segment; offset 0 starts the segment again."""
        choose_encoding(data.dtype)  # raises InputError for types that are no samples
        if offset == 0:
            self._kept[key] = _Kept(segment, deepcopy(header))
        self._kept[key].blocks.append(data.copy())

    def put_copy(self, key: SegmentKey, segment: Segment, data: np.ndarray, header: Any) -> None:
        """Add all samples of a segment, which `finish` refuses if the format would change them."""
        self.put(key, segment, 0, data, header)
        self._kept[key].is_copy = True

    def refuse_format(self, reason: str) -> None:
        """Write miniSEED instead, for a reason that the samples do not tell."""
        self._unfit = self._unfit or reason

    def drop(self, key: SegmentKey) -> None:
        """Leave a segment out."""
        self._kept.pop(key, None)

    def finish(self) -> None:
        """Write the file, or one file for each trace, and read it back.

        Raises
        ------
        InputError
            The format can hold none of the segments.
        """
        kept = _join_parts(self._kept)
        one_each = self.format in _ONE_TRACE_A_FILE and len(kept) > 1
        reason = self._unfit
        if one_each and self._otherwise is not None:
            reason = reason or f"it holds one trace a file, and there are {len(kept)}"
        if not reason:
            files = (
                [([item], path) for item, path in zip(kept, self._file_names(kept), strict=True)]
                if one_each
                else [(kept, self._path)]
            )
            for members, path in files:
                self._write_checked(members, path)
            if self.refused and self._otherwise is not None:
                segment, why = next(iter(self.refused.items()))
                reason = f"{segment.id}: {why}"
        if reason:
            self._write_miniseed(reason)
        elif len(self.refused) == len(self._kept):
            named = dict.fromkeys(f"{segment.id}: {why}" for segment, why in self.refused.items())
            raise InputError(f"{'; '.join(named)}. Choose format {choose_format(kept[0].segment.id)}.")

    def discard(self) -> None:
        """Drop all segments."""
        self._kept.clear()

    def _refuse(self, item: _Kept, why: str) -> None:
        self.refused |= dict.fromkeys((item.segment, *item.later_parts), why)

    def _write_checked(self, members: Sequence[_Kept], path: Path) -> None:
        """Write traces and read them back; those that do not come back are left out, and the rest is written again."""
        traces: list[tuple[_Kept, Any, np.ndarray]] = []
        for item in members:
            try:
                trace = _make_trace(item.segment, item.header, _convert(item.data, self.format, item.segment.id))
                _prepare(trace, self.format)
            except InputError as error:
                self._refuse(item, str(error).removeprefix(f"{item.segment.id}: ").rstrip("."))
                continue
            wanted = item.data if item.is_copy or self.format not in INTEGER_FORMATS else trace.data
            traces.append((item, trace, wanted))
        problems, of_file = self._write_and_compare(traces, path)
        if problems and len(traces) > 1:
            if of_file:  # find the traces that are at fault, each in a file of its own
                alone = {i: self._write_and_compare([each], path)[0].get(0) for i, each in enumerate(traces)}
                problems = {i: why for i, why in alone.items() if why} or problems
            for i, why in problems.items():
                self._refuse(traces[i][0], why)
            traces = [each for i, each in enumerate(traces) if i not in problems]
            problems, _ = self._write_and_compare(traces, path)
        for i, why in problems.items():
            self._refuse(traces[i][0], why)
        if len(problems) == len(traces):
            _remove(path, self.format)

    def _write_and_compare(
        self, traces: list[tuple[_Kept, Any, np.ndarray]], path: Path
    ) -> tuple[dict[int, str], bool]:
        """Write traces into one file. Returns why traces do not come back, and whether the whole file does not."""
        from obspy import Stream

        _remove(path, self.format)
        if not traces:
            return {}, False
        stream = Stream([trace for _, trace, _ in traces])
        # 5 is IEEE float32; the default, IBM float, has fewer digits
        options = {"data_encoding": 5} if self.format == "SEGY" else {}
        if (common := stream[0].stats.get("segy", {}).get("file_headers")) is not None:
            stream.stats = common
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what does not come back is found below
                stream.write(str(path), format=self.format, **options)
        except Exception as error:  # each format raises types of its own
            _raise_disk_error(error)
            reason = f"{self.format} cannot hold this: {one_line(error).rstrip('.')}"
            return dict.fromkeys(range(len(traces)), reason), True
        expected = [
            ExpectedTrace(
                item.segment.id, item.segment.start_ns, item.segment.rate_hz, wanted,
                _spread(wanted) * (_ERROR_OF_COPIES if item.is_copy else _ERROR),
            )
            for item, _, wanted in traces
        ]  # fmt: skip
        found = compare_file(_main_file(path, self.format), self.format, expected)
        self.notes = found.notes
        return {i: f"{self.format} cannot hold it: {why}" for i, why in found.problems.items()}, found.of_file

    def _write_miniseed(self, reason: str) -> None:
        """Write all segments as miniSEED, in place of what was written."""
        assert self._otherwise is not None
        for path in self._path.parent.iterdir():
            path.unlink()
        self.notes = [
            f"{self._path.name}: {self.format} cannot hold it ({reason}), so {self._otherwise.name} is MSEED."
        ]
        self.format, self.refused = "MSEED", {}
        file = MseedFile(self._otherwise, None, _no_compression)
        for key, item in sorted(self._kept.items(), key=lambda pair: pair[0]):
            data = item.data if item.is_copy else _shorten(item.data)
            self.replaced[item.segment] = data
            try:
                file.put_copy(key, item.segment, data, item.header)
            except InputError as error:
                file.drop(key)
                self.refused[item.segment] = str(error)
        if len(self.refused) == len(self._kept):
            raise InputError("; ".join(self.refused.values()))
        file.finish()

    def _file_names(self, kept: Sequence[_Kept]) -> list[Path]:
        from obspy import UTCDateTime

        labels = [item.segment.id.replace("/", "_") for item in kept]
        counts = Counter(labels)
        for i, item in enumerate(kept):
            if counts[labels[i]] > 1:
                labels[i] += UTCDateTime(ns=item.segment.start_ns).strftime(".%Y%m%dT%H%M%S.%fZ")
        for i, label in enumerate(labels):
            if label in labels[:i]:
                labels[i] += f".{i}"
        return [self._path.with_name(f"{self._path.stem}.{label}{self._path.suffix}") for label in labels]


def _join_parts(kept: dict[SegmentKey, _Kept]) -> list[_Kept]:
    """All segments in order. Parts of one segment that touch are joined: such a trace has one start time."""
    joined: list[_Kept] = []
    last_key: SegmentKey = ()
    last: Segment | None = None
    for key, item in sorted(kept.items(), key=lambda pair: pair[0]):
        follows = last is not None and key[:2] == last_key[:2] and last.id == item.segment.id
        if follows and last is not None and touches(last, item.segment):
            joined[-1].blocks.extend(item.blocks)
            joined[-1].later_parts.append(item.segment)
            joined[-1].is_copy |= item.is_copy
        else:
            joined.append(_Kept(item.segment, item.header, list(item.blocks), item.is_copy))
        last_key, last = key, item.segment
    return joined


def _convert(data: np.ndarray, format_name: str, label: str) -> np.ndarray:
    """Samples in the type that a format holds; raises InputError if they do not fit."""
    if format_name in INTEGER_FORMATS:
        return round_to_integers(data, np.dtype(np.int32), f"{label}: {format_name}")
    if format_name in _SINGLE_PRECISION:
        return encode_samples(data, "FLOAT32", label)[0]
    return data


def _make_trace(segment: Segment, header: Any, data: np.ndarray) -> Any:
    """Make an ObsPy Trace of a whole segment, with start and rate of the segment."""
    from obspy import Trace, UTCDateTime

    start = UTCDateTime(ns=segment.start_ns)
    if header.starttime != start:
        header.starttime = start
    if header.sampling_rate != segment.rate_hz:
        header.sampling_rate = segment.rate_hz
    trace = Trace(header=header)
    trace.data = data
    return trace


def _prepare(trace: Any, format_name: str) -> None:
    """Correct headers that ObsPy copies from the input or cuts; raise InputError for samples that it writes wrongly."""
    from obspy import UTCDateTime

    stats = trace.stats
    if format_name in _MILLISECONDS:
        stats.starttime = UTCDateTime(ns=(stats.starttime.ns + 500_000) // 1_000_000 * 1_000_000)  # ObsPy cuts them
    if format_name == "GSE2":
        if not fits_cm6(trace.data):
            raise InputError(f"{trace.id}: numbers too large for the compression of GSE2")
        if "gse2" in stats:
            stats.gse2.datatype = "CM6"  # ObsPy always compresses, but copies the header of the input
    elif format_name == "AH" and "ah" in stats:
        stats.ah.record.start_time = _with_fractions(stats.starttime)  # ObsPy writes this start
        stats.ah.record.delta = stats.delta
        if (origin := stats.ah.event.get("origin_time")) is not None:
            stats.ah.event.origin_time = _with_fractions(origin)
        for name in ("poles", "zeros"):
            stats.ah.station[name] = _CountedFromOne(stats.ah.station[name])
    elif format_name in ("SEGY", "SU"):
        interval_us = round(stats.delta * 1e6)
        if max(stats.npts, interval_us) > _LARGEST_NUMBER:
            raise InputError(
                f"{trace.id}: {format_name} holds at most {_LARGEST_NUMBER} samples a trace, and as many microseconds "
                f"between them, but there are {stats.npts} samples at {stats.sampling_rate:g} Hz"
            )
        if interval_us and abs(stats.delta * 1e6 / interval_us - 1) < 1e-6:
            stats.delta = (interval_us + 1e-4) / 1e6  # ObsPy cuts 3999.9997 to 3999
    elif format_name == "SAC" and "sac" in stats:
        exact = float(stats.sac.get("delta", 0.0))
        if abs(round(exact, 6) - stats.delta) < 1e-9:
            stats.delta = exact  # ObsPy rounds it to microseconds when it reads


def _with_fractions(time: Any) -> SimpleNamespace:
    """The parts of a time, as ObsPy writes them; the seconds of a UTCDateTime would be whole."""
    parts = {name: getattr(time, name) for name in ("year", "month", "day", "hour", "minute")}
    return SimpleNamespace(**parts, second=time.second + time.microsecond / 1e6)


class _CountedFromOne:
    """Poles or zeros whose first has the number 1, since the writer of ObsPy begins with that."""

    def __init__(self, items: Any) -> None:
        self._items = list(items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> Any:
        return self._items[number - 1]


def _spread(data: np.ndarray) -> float:
    finite = data[np.isfinite(data)].astype(np.float64)
    if not finite.size:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.nan_to_num(finite.std(), nan=0.0))


def _shorten(data: np.ndarray) -> np.ndarray:
    """The samples in float32, if that holds them."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = data.astype(np.float32)
        error = _spread(single.astype(np.float64) - data)
    return (
        single if error <= _ERROR * _spread(data) and np.array_equal(np.isfinite(single), np.isfinite(data)) else data
    )


def _no_compression(*arguments: Any) -> np.ndarray:
    raise AssertionError("the encoding is chosen by the type of the samples, and is never STEIM")


def _main_file(path: Path, format_name: str) -> Path:
    """The file that readers open. ObsPy writes two files in the format Q, and adds their endings to the name."""
    return path.with_name(path.name.removesuffix(".QHD") + ".QHD") if format_name == "Q" else path


def _remove(path: Path, format_name: str) -> None:
    header = _main_file(path, format_name)
    for each in (header, header.with_suffix(".QBN")) if format_name == "Q" else (header,):
        each.unlink(missing_ok=True)


def _raise_disk_error(error: BaseException) -> None:
    """Raise the first cause of an error if it is an OSError of the disk; ObsPy's SAC errors are other OSErrors."""
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        raise error
