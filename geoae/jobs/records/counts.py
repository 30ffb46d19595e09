"""Counts and sums of each trace of a run. They grow block by block, so that no samples are kept."""

import copy
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from geoae.arrays.types import Array
from geoae.jobs.records.fault_counts import FaultCounts, count_faults
from geoae.jobs.records.levels import FRAME_S, LevelSums
from geoae.labels.segments import PlacedSegment, Record, Segment
from geoae.readers.records.arrange import count_gaps_and_overlaps
from geoae.records.faults import FaultFinder, Faults
from geoae.records.flags import FlagCounts, describe_flags
from geoae.records.judge import NEAR, TRANSIENT, UNLIKE
from geoae.records.removal import is_too_short


@dataclass
class TraceSums:
    """Running sums of one trace: one id in one file."""

    id: str
    source: Path | None
    segments: tuple[Segment, ...] = ()
    text: bool = False
    seconds: float = 0.0
    problem: str = ""
    """Why the trace, or a part of it, was not denoised; empty if all of it was."""
    unchanged: int = 0
    """Number of segments that passed through unchanged or were left out."""
    left_out: int = 0
    """Number of segments that are not in the output."""
    notes: list[str] = field(default_factory=list)
    faults: FaultCounts = field(default_factory=FaultCounts)
    """Filled gaps, which `add` is not given, and steps."""
    flags: FlagCounts = field(default_factory=FlagCounts)
    """Doubts about windows of the trace."""
    _concluded: bool = False
    levels: LevelSums | None = None
    """Sums of squares about the drift."""
    too_short: int = 0
    """Number of segments in records that are too short to be denoised."""
    _finite: int = 0
    _range: tuple[float, float] = (math.inf, -math.inf)
    _at_range: tuple[int, int] = (0, 0)

    def add(self, x: Array, signal: Array, placed: PlacedSegment, first: int, found: Faults, start_ns: int = 0) -> None:
        """Add samples of a segment before and after denoising. Samples that fill gaps are counted apart.

        Parameters
        ----------
        x, signal
            The samples.
        placed
            The segment in its record.
        first
            Position of the first sample in the record.
        found
            Faults of a block of the record that holds these samples.
        start_ns
            Time of the record's first sample, ns since 1970-01-01.
        """
        rate_hz = placed.segment.rate_hz
        faults, filled = count_faults(found, placed.row, first, x, (start_ns, rate_hz))
        self.faults += faults
        valid = np.isfinite(x) if filled is None else np.isfinite(x) & ~filled
        self.levels = self.levels or LevelSums(max(round(FRAME_S * rate_hz), 8))
        steps = [
            (at - first, height, height if found.are_steps_kept else 0.0)
            for row, at, height in found.steps
            if row == placed.row and first <= at < first + len(x)
        ]
        self.levels.add(placed.segment.order, first - placed.first, x, signal, valid, steps)
        samples = x if valid.all() else x[valid]
        if samples.size:
            low, high = float(samples.min()), float(samples.max())
            at_low, at_high = (int(np.count_nonzero(samples == value)) for value in (low, high))
            self._add_range(samples.size, (low, high), (at_low, at_high))

    def export_sums(self) -> list[Any]:
        """The sums as plain data, for `add_sums`; empty if nothing was counted."""
        if self.levels is None:
            return []
        levels, faults, flags = self.levels.export(), self.faults.export(), self.flags.export()
        return [self._finite, self._range, self._at_range, levels, faults, flags]

    def add_sums(self, sums: list[Any]) -> None:
        """Add the result of `export_sums` for another part of the trace, from any process."""
        n, limits, at_limits, levels, faults, flags = sums
        self.faults += FaultCounts.load(faults)
        self.flags += FlagCounts.load(flags)
        self.levels = self.levels or LevelSums(levels[0])
        self.levels.merge(levels)
        self._add_range(n, limits, at_limits)

    def _add_range(self, n: int, limits: tuple[float, float], at_limits: tuple[int, int]) -> None:
        """Count samples, and those that equal the smallest or largest value of the whole trace."""
        self._finite += n
        known, (low, high) = self._range, limits
        self._range = min(low, known[0]), max(high, known[1])
        self._at_range = tuple(  # type: ignore[assignment]
            count * (limit == new) + more * (value == new)
            for count, limit, more, value, new in zip(
                self._at_range, known, at_limits, limits, self._range, strict=True
            )
        )

    def conclude(self) -> None:
        """Set the problem and notes of the trace. Constant, empty and single-sample traces cannot be denoised."""
        if self.text or self.problem or self._concluded:
            return
        self._concluded = True
        if self.samples == 0:
            self.problem, self.left_out = "no samples", len(self.segments)
        elif self._finite == 0 and len(self.faults.filled) == 1 and self.faults.n_filled == self.samples:
            self.problem = f"dead, all samples are {next(iter(self.faults.filled)):g}"
        elif self._finite == 0:
            self.problem = "no sample but filled gaps" if self.faults.filled else "no finite sample"
        elif self.samples == 1:
            self.problem = "one sample only"
        elif self.too_short and self.too_short == len(self.segments):
            self.problem = f"{self.samples} samples are too few to tell signal from noise"
        elif self._range[0] == self._range[1]:
            self.problem = f"dead, all samples are {self._range[0]:g}"
        elif self._finite + self.faults.n_filled < self.samples:
            n = self.samples - self._finite - self.faults.n_filled
            self.notes.append(f"{n} samples are not finite and stay unchanged")
        if self.problem:
            self.unchanged = len(self.segments)
        elif (n := min(self._at_range)) > max(10, 2e-4 * self._finite) and n > 10 * _mean_copies(self.segments):
            self.notes.append(f"may be clipped: {sum(self._at_range)} samples equal its smallest or largest value")
        if not self.problem:
            self.notes += self.faults.notes()
            if self.too_short:
                stretches = f"{self.too_short} of its {len(self.segments)} stretches"
                self.notes.append(f"{stretches} are too short to tell signal from noise; nothing is removed there")

    @property
    def samples(self) -> int:
        """Number of samples, including those that are not finite."""
        return sum(segment.n for segment in self.segments)

    @property
    def offset(self) -> float:
        """Distance from zero that all samples have, in the recording's units; nan if there are none."""
        low, high = self._range
        return math.nan if low > high else max(low, -high, 0.0)

    @property
    def rms_out(self) -> float:
        """Root mean square of the signal above the drift; nan if nothing was denoised."""
        n, _, after = self.levels.total() if self.levels else (0, 0.0, 0.0)
        return after / math.sqrt(n) if n else math.nan

    @property
    def denoised(self) -> bool:
        """Whether any part of the trace was denoised."""
        return not self.text and self.unchanged < len(self.segments)

    @property
    def written(self) -> bool:
        """Whether the output holds samples of the trace."""
        return not self.text and self.left_out < len(self.segments)

    @property
    def outcome(self) -> str:
        """Outcome of a trace with a problem, as text."""
        if not self.denoised and self.left_out >= len(self.segments):
            return "left out"
        if not self.denoised and not self.left_out:
            return "passed through unchanged"
        stretches = f"{self.unchanged} of its {len(self.segments)} stretches"
        return f"{stretches} {'left out' if self.left_out >= self.unchanged else 'passed through unchanged'}"


@dataclass(frozen=True)
class SummaryRow:
    """Row of the summary table: one id over all files."""

    id: str
    samples: int
    gaps: int
    """Interruptions by more than half a sample."""
    rms_in: float
    """Root mean square of the denoised samples above the drift (`geoae.jobs.records.levels`), in the recording's units;
    nan if there are none."""
    rms_out: float
    """The same after denoising."""
    removed_db: float
    """20 log10(rms in / rms out); nan if either is zero."""
    seconds: float
    state: str
    """State of a trace that was not denoised: "unchanged", "left out" or "text"; else empty."""
    doubtful: int = 0
    """Number of spans of time in which what was taken for noise holds a transient that the record's noise does not
    explain."""


@dataclass
class RecordSummary:
    """Result of one run on recordings."""

    traces: list[TraceSums]
    outputs: list[Path]
    problems: list[str]
    """Failures and losses. Any of them makes the exit code 1."""
    notes: list[str]
    """Other remarks for the user."""
    model: str
    seconds: float
    format: str = ""
    """Format of the files; "" for a store."""
    is_unchanged: bool = False
    """Whether the outputs were complete before this run, which changed nothing."""
    keep_doubtful: bool = True
    """Whether transients that the record's noise does not explain stayed in the signal."""

    @property
    def ok(self) -> bool:
        """Whether there were no problems."""
        return not self.problems

    @property
    def warnings(self) -> list[str]:
        """A line on lost transients and one on unlike records, which name the windows; those of fields are none."""
        flags = ((t.id, t.flags) for t in self.traces if t.denoised)
        return describe_flags(flags, self.keep_doubtful, (TRANSIENT, UNLIKE))

    @property
    def doubts(self) -> list[str]:
        """A line on signals near the noise, which names the windows."""
        return describe_flags(((t.id, t.flags) for t in self.traces if t.denoised), self.keep_doubtful, (NEAR,))

    @property
    def rows(self) -> list[SummaryRow]:
        """One row for each id; hours of a day in separate files are one trace."""
        groups: dict[str, list[TraceSums]] = {}
        for trace in self.traces:
            groups.setdefault(trace.id, []).append(trace)
        return [_summarise(name, parts) for name, parts in groups.items()]


class TraceCounts:
    """Sums of all traces of a run, in the order of the files, and lines on samples that were lost."""

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self.losses: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.doubts: dict[str, None] = {}
        """Lines on results that are not to be trusted."""
        self._traces: dict[tuple[Path | None, str], TraceSums] = {}
        self._clock = time.perf_counter()
        parts: dict[tuple[Path | None, str], list[Segment]] = {}
        for segment in segments:
            parts.setdefault((segment.source, segment.id), []).append(segment)
        for key, segments_of_id in parts.items():
            text = all(s.text for s in segments_of_id)
            self._traces[key] = TraceSums(key[1], key[0], tuple(segments_of_id), text)

    @property
    def traces(self) -> list[TraceSums]:
        """All traces."""
        return list(self._traces.values())

    def __getitem__(self, segment: Segment) -> TraceSums:
        return self._traces[segment.source, segment.id]

    def add_loss(self, line: str) -> None:
        """Add a line on lost samples, once."""
        self.losses[line] = None

    def add_note(self, line: str) -> None:
        """Add a remark on the run, once."""
        self.notes[line] = None

    def note_short_record(self, record: Record) -> None:
        """Record for each segment if its record is too short to be denoised."""
        if is_too_short(record.n, record.rate_hz):
            for placed in record.placed:
                self[placed.segment].too_short += 1

    def fail(self, segment: Segment, reason: str, left_out: bool) -> None:
        """Record why a segment is not denoised, and whether it is missing in the output."""
        trace = self[segment]
        trace.unchanged += 1
        trace.left_out += left_out
        trace.problem = trace.problem or reason

    def leave_out(self, segment: Segment, reason: str, denoised: bool) -> None:
        """Record that a segment is missing in the output; `denoised` if it was counted as denoised before."""
        trace = self[segment]
        trace.unchanged += denoised
        trace.left_out += 1
        if not trace.problem:
            trace.problem = reason
        elif reason.partition(":")[0] not in trace.problem:  # it may tell of the same format already
            trace.problem += f", and {reason}"

    def count_again(self, samples: Iterable[tuple[Segment, Array, Array]]) -> None:
        """Replace the sums of traces by those of other signals, given as (segment, samples, signal)."""
        fresh: dict[str, TraceSums] = {}
        for segment, x, signal in samples:
            trace = self[segment]
            sums = fresh.setdefault(f"{trace.source} {trace.id}", TraceSums(trace.id, trace.source))
            row = x.astype(np.float64)[None]
            found = FaultFinder(partial(_cut, row), segment.n, segment.rate_hz).find(0, segment.n)
            found = replace(found, are_steps_kept=trace.faults.are_steps_kept)
            sums.add(row[0], signal, PlacedSegment(segment, 0, 0), 0, found)
            for name in ("levels", "_finite", "_range", "_at_range"):
                setattr(trace, name, getattr(sums, name))

    def replace(self, segment: Segment, parts: list[Segment]) -> None:
        """Replace a segment by its decodable parts."""
        trace = self[segment]
        at = trace.segments.index(segment)
        trace.segments = (*trace.segments[:at], *parts, *trace.segments[at + 1 :])

    def copy_sums(self, segments: Iterable[Segment]) -> list[tuple[TraceSums, TraceSums]]:
        """Copy the present sums of the traces of segments."""
        traces = {(s.source, s.id): self[s] for s in segments}
        return [(trace, replace(trace, levels=copy.deepcopy(trace.levels))) for trace in traces.values()]

    def restore_sums(self, saved: list[tuple[TraceSums, TraceSums]]) -> None:
        """Restore the sums that `copy_sums` returned."""
        for trace, before in saved:
            vars(trace).update(vars(before))

    def add_elapsed(self, segments: list[Segment]) -> None:
        """Share the time since the last call among the traces of `segments`."""
        now = time.perf_counter()
        keys = {(s.source, s.id): s for s in segments}
        for segment in keys.values():
            self[segment].seconds += (now - self._clock) / len(keys)
        self._clock = now

    def conclude(self) -> list[TraceSums]:
        """All traces, with problems and notes set."""
        return self._conclude(self.traces)

    def conclude_source(self, source: Path | None) -> list[TraceSums]:
        """The traces of one finished file, with problems and notes set."""
        return self._conclude([t for t in self._traces.values() if t.source == source])

    def conclude_trace(self, segment: Segment) -> list[TraceSums]:
        """The finished trace of a segment, with problem and notes set."""
        return self._conclude([self[segment]])

    @staticmethod
    def _conclude(traces: list[TraceSums]) -> list[TraceSums]:
        for trace in traces:
            trace.conclude()
        return traces


def _summarise(name: str, parts: list[TraceSums]) -> SummaryRow:
    segments = [segment for part in parts for segment in part.segments]
    counted = [part.levels.total() for part in parts if part.denoised and part.levels]
    n = sum(part[0] for part in counted)
    before, after = (math.hypot(*(part[i] / math.sqrt(n) for part in counted)) if n else math.nan for i in (1, 2))
    removed_db = 20 * (math.log10(before) - math.log10(after)) if before > 0 and after > 0 else math.nan
    if any(part.denoised for part in parts):
        state = ""
    elif all(part.text for part in parts):
        state = "text"
    else:
        state = "left out" if all(part.left_out >= len(part.segments) for part in parts) else "unchanged"
    gaps, _ = count_gaps_and_overlaps(segments)
    samples, seconds = sum(s.n for s in segments), sum(part.seconds for part in parts)
    doubtful = sum(len(part.flags.find_spans(TRANSIENT)) for part in parts if part.denoised)
    return SummaryRow(name, samples, gaps, before, after, removed_db, seconds, state, doubtful)


def _cut(x: Array, start: int, stop: int) -> Array:
    return x[:, start:stop]


def _mean_copies(segments: Sequence[Segment]) -> float:
    """How many segments hold a time of a trace, on average over the times that some segment holds."""
    covered, total, end = 0.0, 0.0, -math.inf
    for segment in sorted(segments, key=lambda segment: segment.start_ns):
        start, length = segment.start_ns, segment.n * 1e9 / segment.rate_hz
        covered += max(0.0, start + length - max(start, end))
        total, end = total + length, max(end, start + length)
    return total / covered if covered else 1.0
