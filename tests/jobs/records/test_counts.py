"""Sums of traces: blocks and parts add up to the whole."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.jobs.records.counts import RecordSummary, TraceCounts, TraceSums
from geoae.labels.segments import Segment


def segment(n: int = 1000, order: int = 0, **changes) -> Segment:
    facts = {"id": "XX.A..HHZ", "start_ns": 0, "rate_hz": 100.0, "n": n, "order": order, "source": Path("a"),
             "locator": None}  # fmt: skip
    return Segment(**{**facts, **changes})


@given(st.lists(st.integers(1, 999), max_size=4, unique=True).map(sorted), st.sampled_from([0.0, 1e9]))
def test_blocks_add_up_to_the_trace(cuts, offset):
    """Mean and rms before and after are those of numpy, for any blocks and with a large offset."""
    noise = np.random.default_rng(0).normal(size=1000)
    x, signal = offset + noise, offset + 0.5 * noise
    trace = TraceSums("id", None, (segment(),))
    other = TraceSums("id", None, (segment(),))
    for part in np.split(np.arange(1000), cuts):
        trace.add(x[part], signal[part])
        piece = TraceSums("id", None, (segment(),))
        piece.add(x[part], signal[part])
        other.add_sums(piece.export_sums())
    for sums in (trace, other):
        n, before, after = sums.moments()
        assert n == 1000
        assert before == pytest.approx((x.mean(), x.std()), rel=1e-6)
        assert after == pytest.approx((signal.mean(), signal.std()), rel=1e-6)


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
    counts[segment()].add(x, x)
    (trace,) = counts.conclude()
    assert trace.problem == problem
    assert trace.denoised == (not problem)


def test_files_of_one_id_share_a_row():
    """Hours in separate files are one trace of the summary; sums can be restored."""
    parts = [segment(source=Path("a")), segment(source=Path("b"), start_ns=10**10)]
    counts = TraceCounts(parts)
    x = np.random.default_rng(0).normal(size=1000)
    for part in parts:
        counts[part].add(x, 0.1 * x)
    saved = counts.copy_sums(parts)
    counts[parts[0]].add(100 * x, x)
    counts.restore_sums(saved)
    (row,) = RecordSummary(counts.conclude(), [], [], [], "", 0.0).rows
    assert (row.samples, row.gaps, row.state) == (2000, 0, "")
    assert row.rms_in == pytest.approx(x.std())
    assert row.removed_db == pytest.approx(20)
