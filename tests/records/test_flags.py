"""Flags of windows in words."""

import numpy as np

from geoae.labels.segments import PlacedSegment, Segment
from geoae.records.flags import FlagCounts, count_flags, describe_flags, format_seconds
from geoae.records.judge import FLAGS, NEAR, TRANSIENT, UNLIKE, Flag, find_marked, mark_flags

S = 10**9


def test_windows_that_touch_are_one_span():
    """Parts of one trace are joined in any order, and a window of two parts counts once."""
    first = FlagCounts(frozenset({(TRANSIENT, 0, 10 * S), (NEAR, 0, 10 * S)}))
    second = FlagCounts(frozenset({(TRANSIENT, 10 * S, 20 * S), (TRANSIENT, 0, 10 * S), (TRANSIENT, 30 * S, 40 * S)}))
    joined = first + second
    assert joined == second + first
    assert joined.find_spans(TRANSIENT) == [(0, 20 * S), (30 * S, 40 * S)]
    assert joined.find_spans(UNLIKE) == []
    assert FlagCounts.load(joined.export()) == joined


def test_a_segment_has_the_flags_of_its_row_and_time():
    """Times are those of the record."""
    segment = Segment("XX.A..HHZ", 5 * S, 10.0, 100, 0, None, None)
    flags = (Flag(TRANSIENT, 1, 0, 60), Flag(NEAR, 1, 200, 300), Flag(NEAR, 0, 0, 60))
    found = count_flags(flags, PlacedSegment(segment, 1, 50), 0)
    assert found.windows == {(TRANSIENT, 0, 6 * S)}


def test_a_line_names_ids_and_times():
    """Components of a sensor are named together, days once, and the rest is counted."""
    spans = {(TRANSIENT, i * 1000 * S, (i * 1000 + 60) * S) for i in range(5)}
    flags = FlagCounts(frozenset(spans))
    (line,) = describe_flags([("XX.A..HHE", flags), ("XX.A..HHN", flags)], True)
    assert "XX.A..HHE, HHN 1970-01-01T00:00:00 to 00:01:00, XX.A..HHE, HHN 1970-01-01T00:16:40" in line
    assert "and 2 more spans. The transient stays in the signal there; --no-keep-doubtful removes it" in line
    (line,) = describe_flags([("XX.A..HHE", flags)], False)
    assert line.endswith("It was removed; --keep-doubtful leaves it in the signal")
    assert describe_flags([("a", flags)], True, (UNLIKE,)) == []
    assert FlagCounts(frozenset({(NEAR, 0, 2 * S)})).describe(format_seconds) == ["near: 0 s to 2 s"]


def test_marks_are_read_back():
    """Samples hold a bit for each flag; spans of the same flag come back."""
    flags = [Flag(TRANSIENT, 0, 0, 60), Flag(UNLIKE, 1, 130, 250), Flag(NEAR, 0, 20, 140)]
    marks = mark_flags(flags, slice(100, 200), (2, 100))
    assert set(np.unique(marks)) <= set(range(1 << len(FLAGS)))
    assert find_marked(marks, 100) == (Flag(UNLIKE, 1, 130, 200), Flag(NEAR, 0, 100, 140))
