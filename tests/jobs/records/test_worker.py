"""Counts of one block of a record."""

from pathlib import Path

import numpy as np

from geoae.jobs.records.counts import TraceCounts
from geoae.jobs.records.worker import count_record_block
from geoae.labels.segments import PlacedSegment, Record, Segment
from geoae.records.faults import Faults


def test_blocks_count_only_samples_of_segments():
    """A gap between two segments is not counted, and losses are moved to the block that saw them."""
    first = Segment("XX.A..HHZ", 0, 1.0, 40, 0, Path("a"), None)
    second = Segment("XX.A..HHZ", 60 * 10**9, 1.0, 40, 1, Path("a"), None)
    record = Record(("XX.A..HHZ",), 0, 1.0, 100, (PlacedSegment(first, 0, 0), PlacedSegment(second, 0, 60)))
    x = np.arange(100.0)[None]
    lost, counts = TraceCounts(), TraceCounts([first, second])
    lost.add_loss("one line")
    results = [
        count_record_block(record, slice(a, b), x[:, a:b], 0.5 * x[:, a:b], Faults(a, None, ()), lost)
        for a, b in ((0, 70), (70, 100))
    ]
    assert [result["losses"] for result in results] == [["one line"], []]
    (trace,) = counts.traces
    for result in results:
        trace.add_sums(result["traces"][0])
    assert trace.levels is not None
    n, before, after = trace.levels.total()
    assert n == 80
    # a straight line is drift
    np.testing.assert_allclose((before, after), 0, atol=1e-9)
