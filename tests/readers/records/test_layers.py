"""Overlapping segments: the same samples are used once, others lie in layers, and components stay together."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.readers.records.arrange import arrange_records, describe_overlaps
from geoae.readers.records.layers import split_into_layers
from geoae.readers.records.traces import fetch_parts
from tests.support.overlaps import SAMPLES, list_spans, part, read_all


@pytest.mark.parametrize("late_s", [0.0, 1e-4, -1e-4, 0.004, -0.004, -0.006])
@pytest.mark.parametrize(
    "parts", [[(0, 501), (500, 900)], [(0, 600), (500, 900)], [(0, 900), (200, 300)], [(0, 9)] * 3]
)
def test_the_same_samples_are_one_record(parts, late_s):
    """One shared sample, many, a segment inside another one, and copies; clocks are off by parts of a sample."""
    found = [part(a, b, order=i, late_s=late_s * (i % 2)) for i, (a, b) in enumerate(parts)]
    (record,) = arrange_records(found, fetch_parts)
    assert list_spans(record) == [("Z", a, b) for a, b in parts]
    np.testing.assert_array_equal(read_all(record, fetch_parts)[0], SAMPLES[: max(b for _, b in parts)])
    assert record.overlaps == ()
    reads = [(p.first, p.first + p.segment.n) for p in record.sources]
    assert all(stop <= start for (_, stop), (start, _) in pairwise(reads))


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 120)), min_size=1, max_size=12), st.randoms())
def test_pieces_of_one_recording_are_its_samples(pieces, shuffler):
    """Any pieces of one trace make one record, with NaN where no piece lies, in any order of files."""
    found = [part(a, a + n, order=i, source=Path(str(i))) for i, (a, n) in enumerate(pieces)]
    shuffler.shuffle(found)
    (record,) = arrange_records(found, fetch_parts)
    first, end = min(a for a, _ in pieces), max(a + n for a, n in pieces)
    expected = np.full(end - first, np.nan)
    for a, n in pieces:
        expected[a - first : a - first + n] = SAMPLES[a : a + n]
    np.testing.assert_array_equal(read_all(record, fetch_parts)[0], expected)


def test_no_numbers_are_the_same_samples():
    """NaN in the shared samples of two files separates nothing."""

    def fetch(parts):
        return [np.where(x == SAMPLES[520], np.nan, x) for x in fetch_parts(parts)]

    assert len(arrange_records([part(0, 600), part(500, 900, order=1)], fetch)) == 1


def test_only_samples_of_segments_are_compared():
    """A segment of another file may begin before the one that it is compared with, if other components do not."""

    def fetch(parts):
        assert all(0 <= start < stop <= segment.n for segment, start, stop in parts)
        return fetch_parts(parts)

    spans = {"a": [("HHE", 0, 100), ("HHZ", 90, 110)], "b": [("HHE", 50, 150), ("HHZ", 50, 150)]}
    found = [part(a, b, code=code, source=Path(name)) for name, each in spans.items() for code, a, b in each]
    assert len(split_into_layers(sorted(found, key=lambda segment: segment.start_ns), fetch)) == 2


def test_other_samples_are_other_records():
    """The second version is told; components that begin with it are in its record, those alone are not merged."""
    found = [part(0, 600, code=f"HH{c}", order=i) for i, c in enumerate("ENZ")]
    found += [part(500, 900, code=f"HH{c}", order=3 + i, add=c == "E") for i, c in enumerate("ENZ")]
    one, two = arrange_records(found, fetch_parts)
    assert list_spans(one) == [(c, 0, 600) for c in "ENZ"]
    assert list_spans(two) == [(c, 0, 400) for c in "ENZ"]
    (line,) = describe_overlaps([one, two])
    assert line.startswith("XX.A..HHE: two segments overlap at 1970-01-01T00:16:45.000, by 100 samples, and differ")
    assert len(split_into_layers(found, None)) == 2


def test_the_longest_overlap_is_told():
    """Of three versions, the third one overlaps both others."""
    found = [part(a, b, order=i, add=i) for i, (a, b) in enumerate([(0, 800), (500, 700), (600, 900)])]
    assert [overlap.n for layer in split_into_layers(found, fetch_parts) for overlap in layer.overlaps] == [200, 200]


@pytest.mark.parametrize("late_n", [0, 90])
def test_a_component_that_is_missing_in_one_version_moves_no_other(late_n):
    """Where only one version has N, its N is with its E, also if it begins somewhat later."""
    found = [part(0, 600, code="HHE"), part(500, 900, code="HHE", order=1, add=1)]
    found.append(part(500 + late_n, 900, code="HHN", order=2))
    one, two = arrange_records(found, fetch_parts)
    assert (list_spans(one), list_spans(two)) == ([("E", 0, 600)], [("E", 0, 400), ("N", late_n, 400)])


@pytest.mark.parametrize(("add", "n_records"), [(0, 1), (1, 2)])
def test_damaged_samples_are_not_compared(add, n_records):
    """What cannot be read does not separate two segments whose other samples are the same."""

    def fetch(parts):
        if any(a < 620 < b for s, a, b in parts if s.order == 0):
            raise OSError
        return fetch_parts(parts)

    found = [part(0, 900), part(500, 1000, order=1, add=add)]
    assert len(arrange_records(found, fetch)) == n_records


def test_nothing_readable_is_not_the_same():
    """Segments of which no common sample can be read are in records of their own."""

    def fail(parts):
        raise OSError

    assert len(arrange_records([part(0, 600), part(500, 900, order=1)], fail)) == 2


def test_many_versions_are_not_compared():
    """Traces of one id and time are compared with a few others only, so that thousands take no time."""
    calls = []

    def count(parts):
        calls.append(parts)
        return fetch_parts(parts)

    found = [part(0, 50, order=i, add=i) for i in range(300)]
    assert len(arrange_records(found, count)) == 300
    assert len(calls) < 60
