"""Counts of filled gaps and steps add up, travel as plain data, and are told in one line each."""

import json

import numpy as np

from geoae.jobs.records.fault_counts import FaultCounts, count_faults
from geoae.records.faults import Faults


def test_counts_of_parts_add_up_and_travel_as_plain_data():
    """The sum of two halves is the whole, from any process."""
    x = np.arange(100.0)
    x[40:60] = -999999
    filled = np.stack([x < 0, np.zeros(100, bool)])
    found = Faults(0, filled, ((0, 20, 500.0), (1, 30, 7.0), (0, 80, -600.0)))
    whole, marked = count_faults(found, 0, 0, x, (10**9, 10.0))
    np.testing.assert_array_equal(marked, x < 0)
    halves = [count_faults(found, 0, a, x[a : a + 50], (10**9, 10.0))[0] for a in (0, 50)]
    added = FaultCounts()
    for half in halves:
        added += FaultCounts.load(json.loads(json.dumps(half.export())))
    assert added.filled == whole.filled == {-999999.0: 20}
    assert added.steps == whole.steps == ((3 * 10**9, 500.0), (9 * 10**9, -600.0))
    assert FaultCounts.load(FaultCounts().export()) == FaultCounts()
    assert added.notes() == [
        "20 samples are taken for filled gaps and stay unchanged (value -999999)",
        "2 steps, the largest of -600 at 1970-01-01T00:00:09.000, stay in the signal",
    ]


def test_one_of_each_and_many_values():
    """Lines are short, however many values there are."""
    assert FaultCounts({2.0: 1}, ((0, 3.5),)).notes() == [
        "1 sample is taken for filled gaps and stays unchanged (value 2)",
        "a step of 3.5 at 1970-01-01T00:00:00.000 stays in the signal",
    ]
    (line,) = FaultCounts({float(value): value for value in range(1, 9)}).notes()
    assert line.endswith("(value 8, 7, 6 or 5 other values)")


def test_steps_that_a_high_pass_removes():
    """They are told as removed, in sums and after they have travelled."""
    one = FaultCounts({}, ((0, 3.5),), are_steps_kept=False)
    assert one.notes() == ["a step of 3.5 at 1970-01-01T00:00:00.000 is removed with the high-pass"]
    both = FaultCounts() + FaultCounts.load(json.loads(json.dumps((one + one).export())))
    assert both.notes() == ["2 steps, the largest of 3.5 at 1970-01-01T00:00:00.000, are removed with the high-pass"]
