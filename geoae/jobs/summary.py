"""What happened to each trace: counted block by block, so that nothing has to be kept."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.readers.layout import Segment

Array = NDArray[np.floating[Any]]


@dataclass
class Trace:
    """Running sums of one id of one source."""

    id: str
    source: Path | None
    samples: int = 0
    segments: int = 0
    text: bool = False
    seconds: float = 0.0
    problem: str = ""
    """Why the trace was passed through unchanged; empty where it was denoised."""
    notes: list[str] = field(default_factory=list)
    _concluded: bool = False
    _finite: int = 0
    _shift: float = math.nan
    _in: tuple[float, float] = (0.0, 0.0)
    _out: tuple[float, float] = (0.0, 0.0)
    _range: tuple[float, float] = (math.inf, -math.inf)
    _at_range: tuple[int, int] = (0, 0)

    def add(self, x: Array, signal: Array) -> None:
        """Count one block before and after."""
        finite = np.isfinite(x)
        if not finite.all():
            x, signal = x[finite], signal[finite]
        if not x.size:
            return
        if math.isnan(self._shift):
            self._shift = float(x[0])
        self._finite += x.size
        self._in = _sums(self._in, x, self._shift)
        self._out = _sums(self._out, signal, self._shift)
        low, high = float(x.min()), float(x.max())
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

    def conclude(self) -> None:
        """Name what a person should know; constant, empty and single-sample traces cannot be denoised."""
        if self.text or self.problem or self._concluded:
            return
        self._concluded = True
        if self.samples == 0:
            self.problem = "holds no samples"
        elif self._finite == 0:
            self.problem = "holds no finite sample"
        elif self.samples == 1:
            self.problem = "holds one sample"
        elif self._range[0] == self._range[1]:
            self.problem = f"is dead: all samples are {self._range[0]:g}"
        elif self._finite < self.samples:
            self.notes.append(f"{self.samples - self._finite} samples are not finite and stay as they are")
        if not self.problem and min(self._at_range) > max(10, 2e-4 * self._finite):
            self.notes.append(f"may be clipped: {sum(self._at_range)} samples lie at its two extremes")

    @property
    def gaps(self) -> int:
        """Interruptions: one fewer than the stretches of samples."""
        return max(self.segments - 1, 0)

    @property
    def rms_in(self) -> float:
        """Root mean square about the mean, in the trace's units."""
        return _rms(self._in, self._finite)

    @property
    def rms_out(self) -> float:
        """The same after denoising."""
        return _rms(self._out, self._finite)

    @property
    def removed_db(self) -> float:
        """20 log10 of rms in over rms out; nan where either is zero."""
        if self.problem or self.rms_in <= 0 or self.rms_out <= 0:
            return math.nan
        return 20 * math.log10(self.rms_in / self.rms_out)


@dataclass
class Summary:
    """What one run did."""

    traces: list[Trace]
    outputs: list[Path]
    problems: list[str]
    """What went wrong; any of them makes exit code 1."""
    notes: list[str]
    """What a person should know."""
    model: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything asked for was done."""
        return not self.problems


class Ledger:
    """The traces of a run, in the order of the sources."""

    def __init__(self) -> None:
        self._traces: dict[tuple[Path | None, str], Trace] = {}
        self._clock = time.perf_counter()

    def expect(self, segment: Segment) -> Trace:
        """Register a segment."""
        trace = self[segment]
        trace.segments += 1
        trace.samples += segment.n
        trace.text = trace.text or segment.text
        return trace

    def __getitem__(self, segment: Segment) -> Trace:
        key = (segment.source, segment.id)
        if key not in self._traces:
            self._traces[key] = Trace(segment.id, segment.source)
        return self._traces[key]

    def lap(self, segments: list[Segment]) -> None:
        """Share the time since the last lap among the traces that were worked on."""
        now = time.perf_counter()
        keys = {(s.source, s.id): s for s in segments}
        for segment in keys.values():
            self[segment].seconds += (now - self._clock) / len(keys)
        self._clock = now

    def conclude(self) -> list[Trace]:
        """All traces, each with its last word."""
        return self._conclude(list(self._traces.values()))

    def conclude_source(self, source: Path | None) -> list[Trace]:
        """The traces of one source, all of which have been worked through."""
        return self._conclude([t for t in self._traces.values() if t.source == source])

    @staticmethod
    def _conclude(traces: list[Trace]) -> list[Trace]:
        for trace in traces:
            trace.conclude()
        return traces


def _sums(sums: tuple[float, float], x: Array, shift: float) -> tuple[float, float]:
    d = x.astype(np.float64) - shift  # without the shift, squares of a large offset would drown the rest
    return sums[0] + float(d.sum()), sums[1] + float(np.einsum("t,t->", d, d))  # without the threads of BLAS


def _rms(sums: tuple[float, float], n: int) -> float:
    return math.sqrt(max(sums[1] / n - (sums[0] / n) ** 2, 0.0)) if n else math.nan
