"""Tests of geoae.readers.records.clocks."""

from dataclasses import replace

import pytest

from geoae.labels.segments import Segment
from geoae.readers.records.clocks import describe_drift


def parts(step_ns, id_="XX.A..HHZ", n_parts=10):
    """Parts of one segment of 100 samples at 100 Hz, each of which begins `step_ns` later than the rate says."""
    return [Segment(id_, k * (10**9 + step_ns), 100.0, 100, 0, None, None) for k in range(n_parts)]


@pytest.mark.parametrize(("is_kept", "end"), [(None, "(XX.A..HHZ)."), (True, "half a sample."), (False, "the times.")])
def test_the_line_tells_how_much_and_for_which_ids(is_kept, end):
    """Nine steps of 3 ms in ten seconds."""
    slow = parts(3_000_000)
    other = [replace(part, id="XX.A..HHN", order=1, start_ns=round(part.start_ns * 1.0005)) for part in parts(0)]
    (line,) = describe_drift([*slow, *other], is_kept=is_kept)
    assert line.startswith("XX.A..HHN, XX.A..HHZ: the clock drifts. ")
    assert "by up to +0.027 s in 10 s" in line
    assert line.endswith(end)


def test_gaps_and_segments_of_their_own_are_no_drift():
    """Parts beside a gap, segments with other numbers, and parts that touch exactly."""
    assert describe_drift(parts(0)) == []
    assert describe_drift(parts(10**9)) == []
    assert describe_drift([replace(part, order=k) for k, part in enumerate(parts(3_000_000))]) == []
