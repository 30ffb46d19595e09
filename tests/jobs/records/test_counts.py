"""Sums of traces: blocks and parts add up to the whole."""

from pathlib import Path

import numpy as np
import pytest

from geoae.jobs.records.counts import RecordSummary, TraceCounts, TraceSums
from geoae.labels.segments import PlacedSegment, Segment
from geoae.records.faults import Faults


def segment(n: int = 1000, order: int = 0, **changes) -> Segment:
    facts = {"id": "XX.A..HHZ", "start_ns": 0, "rate_hz": 100.0, "n": n, "order": order, "source": Path("a"),
             "locator": None}  # fmt: skip
    return Segment(**{**facts, **changes})


def add(sums: TraceSums, part: Segment, x, signal, first: int = 0) -> None:
    """Add samples of a segment that is a record of its own."""
    sums.add(x, signal, PlacedSegment(part, 0, 0), first, Faults(first, None, ()))


def test_sums_of_blocks_from_other_processes():
    """Numbers of samples and of those at the limits add up, however the trace is divided."""
    x = np.clip(np.random.default_rng(0).normal(size=1000), -1, 1)
    whole, other = TraceSums("id", None, (segment(),)), TraceSums("id", None, (segment(),))
    add(whole, segment(), x, 0.5 * x)
    for first in range(0, 1000, 300):
        piece = TraceSums("id", None, (segment(),))
        part = x[first : first + 300]
        add(piece, segment(), part, 0.5 * part, first)
        other.add_sums(piece.export_sums())
    assert whole.levels is not None
    assert other.levels is not None
    assert other.levels.total() == pytest.approx(whole.levels.total())
    for sums in (whole, other):
        sums.conclude()
        assert sums.notes == [f"may be clipped: {(np.abs(x) == 1).sum()} samples equal its smallest or largest value"]


@pytest.mark.parametrize(("n_peaks", "clipped"), [(1, False), (12, True)])
def test_copies_of_a_peak_are_not_taken_for_clipping(n_peaks, clipped):
    """A peak in twenty segments of one time is one peak; many peaks are clipped in copies too."""
    x = np.clip(np.random.default_rng(0).normal(size=1000), -3, 3)
    x[10 : 10 + n_peaks], x[50 : 50 + n_peaks] = 5, -5
    parts = tuple(segment() for _ in range(20))
    sums = TraceSums("id", None, parts)
    for part in parts:
        add(sums, part, x, 0.5 * x)
    sums.conclude()
    assert [note.startswith("may be clipped") for note in sums.notes] == [True] * clipped


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (np.full(1000, 3.0), "dead, all samples are 3"),
        (np.full(1000, np.nan), "no finite sample"),
        (np.arange(1000.0), ""),
    ],
)
def test_problems_of_a_trace(x, problem):
    """Constant traces and traces without finite samples are not denoised."""
    counts = TraceCounts([segment()])
    add(counts[segment()], segment(), x, x)
    (trace,) = counts.conclude()
    assert trace.problem == problem
    assert trace.denoised == (not problem)


def test_files_of_one_id_share_a_row():
    """Hours in separate files are one trace of the summary; sums can be restored."""
    parts = [segment(source=Path("a")), segment(source=Path("b"), start_ns=10**10)]
    counts = TraceCounts(parts)
    x = np.random.default_rng(0).normal(size=1000)
    for part in parts:
        add(counts[part], part, x, 0.1 * x)
    saved = counts.copy_sums(parts)
    add(counts[parts[0]], parts[0], 100 * x, x)
    counts.restore_sums(saved)
    (row,) = RecordSummary(counts.conclude(), [], [], [], "", 0.0).rows
    assert (row.samples, row.gaps, row.state) == (2000, 0, "")
    assert row.rms_in == pytest.approx(x.std(), rel=0.01)
    assert row.removed_db == pytest.approx(20)
