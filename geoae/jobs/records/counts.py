"""Counts and sums of each trace of a run. They grow block by block, so that no samples are kept."""

import copy
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import numpy as np

from geoae.arrays.types import Array
from geoae.jobs.records.fault_counts import FaultCounts, count_faults
from geoae.labels.segments import Record, Segment
from geoae.readers.records.arrange import count_gaps_and_overlaps
from geoae.records.faults import Faults


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
    _concluded: bool = False
    _finite: int = 0
    _shift: float = math.nan
    _scale: float = 0.0
    _in: tuple[float, float] = (0.0, 0.0)
    _out: tuple[float, float] = (0.0, 0.0)
    _range: tuple[float, float] = (math.inf, -math.inf)
    _at_range: tuple[int, int] = (0, 0)
    _merged: tuple[list[float], ...] = ()

    def add(self, x: Array, signal: Array) -> None:
        """Add one block: samples before and after denoising."""
        finite = np.isfinite(x)
        if not finite.all():
            x, signal = x[finite], signal[finite]
        if not x.size:
            return
        low, high = float(x.min()), float(x.max())
        if math.isnan(self._shift):
            self._shift = float(x[0])
        if self._scale == 0 and (scale := max(high / 2 - low / 2, 0.0)):
            # each block before this one was constant, and was summed with a scale of 1
            self._scale = scale
            self._in, self._out = ((s / scale, s2 / scale / scale) for s, s2 in (self._in, self._out))
        self._finite += x.size
        self._in = _sums(self._in, x, self._shift, self._scale or 1.0)
        self._out = _sums(self._out, signal, self._shift, self._scale or 1.0)
        n_low, n_high = (c if e == o else 0 for c, e, o in zip(self._at_range, (low, high), self._range, strict=True))
        if low <= self._range[0]:
            n_low += int(np.count_nonzero(x == low))
        else:
            n_low = self._at_range[0]
        if high >= self._range[1]:
            n_high += int(np.count_nonzero(x == high))
        else:
            n_high = self._at_range[1]
        self._range, self._at_range = (min(low, self._range[0]), max(high, self._range[1])), (n_low, n_high)

    def add_part(self, record: Record, row: int, span: tuple[int, int], found: Faults, x: Array, signal: Array) -> None:
        """Add a part of a record: samples that fill gaps are counted apart from the others.

        `span` is the part, in samples of the record; `found` the faults of a block that holds it.
        """
        faults, filled = count_faults(found, record, row, span, x)
        self.faults += faults
        self.add(*((x, signal) if filled is None else (x[~filled], signal[~filled])))

    def export_sums(self) -> list[float]:
        """The sums as plain numbers, for `add_sums`; empty if nothing was counted."""
        n, before, after = self.moments()
        return [n, *before, *after, *self._range, *self._at_range] if n else []

    def add_sums(self, sums: list[float]) -> None:
        """Add the result of `export_sums` for another part of the trace, from any process."""
        n, *_, low, high, n_low, n_high = sums
        at_low, at_high = self._at_range
        at_low = (at_low if low >= self._range[0] else 0) + (int(n_low) if low <= self._range[0] else 0)
        at_high = (at_high if high <= self._range[1] else 0) + (int(n_high) if high >= self._range[1] else 0)
        self._range, self._at_range = (min(low, self._range[0]), max(high, self._range[1])), (at_low, at_high)
        self._merged += (sums,)
        self._finite += int(n)

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
        elif self._range[0] == self._range[1]:
            self.problem = f"dead, all samples are {self._range[0]:g}"
        elif self._finite + self.faults.n_filled < self.samples:
            n = self.samples - self._finite - self.faults.n_filled
            self.notes.append(f"{n} samples are not finite and stay unchanged")
        if self.problem:
            self.unchanged = len(self.segments)
        elif min(self._at_range) > max(10, 2e-4 * self._finite):
            self.notes.append(f"may be clipped: {sum(self._at_range)} samples equal its smallest or largest value")
        if not self.problem:
            self.notes += self.faults.notes()

    @property
    def samples(self) -> int:
        """Number of samples, including those that are not finite."""
        return sum(segment.n for segment in self.segments)

    @property
    def denoised(self) -> bool:
        """Whether any part of the trace was denoised."""
        return not self.text and self.unchanged < len(self.segments)

    def moments(self) -> tuple[int, tuple[float, float], tuple[float, float]]:
        """Number of samples, and (mean, rms about the mean) before and after denoising."""
        parts = [(int(c[0]), (c[1], c[2]), (c[3], c[4])) for c in self._merged]
        if n := self._finite - sum(part[0] for part in parts):
            scale = self._scale or 1.0
            first, last = ((self._shift + scale * s[0] / n, scale * _rms(s, n)) for s in (self._in, self._out))
            parts.append((n, first, last))
        if len(parts) == 1:
            return parts[0]
        before = _pool([(n, *m) for n, m, _ in parts])
        after = _pool([(n, *m) for n, _, m in parts])
        return self._finite, before, after

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
    """Root mean square about the mean of the denoised samples, in the recording's units; nan if there are none."""
    rms_out: float
    """The same after denoising."""
    removed_db: float
    """20 log10(rms in / rms out); nan if either is zero."""
    seconds: float
    state: str
    """State of a trace that was not denoised: "unchanged", "left out" or "text"; else empty."""


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

    @property
    def ok(self) -> bool:
        """Whether there were no problems."""
        return not self.problems

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
        elif reason not in trace.problem:
            trace.problem += f", and {reason}"

    def count_again(self, samples: Iterable[tuple[Segment, Array, Array]]) -> None:
        """Replace the sums of traces by those of other signals, given as (segment, samples, signal)."""
        fresh: dict[str, TraceSums] = {}
        for segment, x, signal in samples:
            trace = self[segment]
            sums = fresh.setdefault(f"{trace.source} {trace.id}", TraceSums(trace.id, trace.source))
            sums.add(x.astype(np.float64), signal)
            kept = {name: value for name, value in vars(sums).items() if name.startswith("_") and name != "_concluded"}
            vars(trace).update(kept)

    def replace(self, segment: Segment, parts: list[Segment]) -> None:
        """Replace a segment by its decodable parts."""
        trace = self[segment]
        at = trace.segments.index(segment)
        trace.segments = (*trace.segments[:at], *parts, *trace.segments[at + 1 :])

    def copy_sums(self, segments: Iterable[Segment]) -> list[tuple[TraceSums, TraceSums]]:
        """Copy the present sums of the traces of segments."""
        traces = {(s.source, s.id): self[s] for s in segments}
        return [(trace, copy.copy(trace)) for trace in traces.values()]

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
    counted = [part.moments() for part in parts if part.denoised]
    _, before = _pool([(n, *moments) for n, moments, _ in counted if n])
    _, after = _pool([(n, *moments) for n, _, moments in counted if n])
    removed_db = 20 * (math.log10(before) - math.log10(after)) if before > 0 and after > 0 else math.nan
    if counted:
        state = ""
    elif all(part.text for part in parts):
        state = "text"
    else:
        state = "left out" if all(part.left_out >= len(part.segments) for part in parts) else "unchanged"
    gaps, _ = count_gaps_and_overlaps(segments)
    samples, seconds = sum(s.n for s in segments), sum(part.seconds for part in parts)
    return SummaryRow(name, samples, gaps, before, after, removed_db, seconds, state)


def _pool(parts: list[tuple[int, float, float]]) -> tuple[float, float]:
    """Mean and rms about it of all parts together, from (number, mean, rms about the mean) of each part."""
    total = sum(n for n, _, _ in parts)
    if not total:
        return math.nan, math.nan
    centre = sum(n / total * mean for n, mean, _ in parts)
    # hypot neither overflows nor underflows
    shares = (math.sqrt(n / total) * math.hypot(rms, mean - centre) for n, mean, rms in parts)
    return centre, reduce(math.hypot, shares)


def _sums(sums: tuple[float, float], x: Array, shift: float, scale: float) -> tuple[float, float]:
    # the shift keeps squares of a large offset from swamping the rest, the scale keeps them in range
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        d = (x.astype(np.float64) - shift) / scale
        return sums[0] + float(d.sum()), sums[1] + float(np.einsum("t,t->", d, d))  # uses no BLAS threads


def _rms(sums: tuple[float, float], n: int) -> float:
    return math.sqrt(max(sums[1] / n - (sums[0] / n) ** 2, 0.0)) if n else math.nan
