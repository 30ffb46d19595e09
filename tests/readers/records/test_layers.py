"""Overlapping segments: the same samples are used once, others lie in layers, and components stay together."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.labels.segments import Segment
from geoae.readers.records.arrange import arrange_records, assemble_block, describe_overlaps
from geoae.readers.records.layers import split_into_layers

SAMPLES = np.random.default_rng(0).integers(-1000, 1000, 10_000)
"""The recording of which segments have a part; sample i is at second 1000 + i / 100."""


def segment(start, stop, *, code="HHZ", order=0, add=0, source=None, late_s=0.0, station="A"):
    """Samples start ... stop, `add` to each; the clock is late by `late_s`."""
    start_ns = 1000 * 10**9 + round((start / 100 + late_s) * 1e9)
    data = SAMPLES[start:stop] + add
    return Segment(f"XX.{station}..{code}", start_ns, 100.0, stop - start, order, source, (data.tobytes(), 0))


def fetch(parts):
    """Samples of segments whose locator is (bytes, number of the first sample)."""
    return [np.frombuffer(s.locator[0], SAMPLES.dtype)[s.locator[1] + a : s.locator[1] + b] for s, a, b in parts]


@pytest.fixture(autouse=True)
def cut_by_bytes(monkeypatch):
    """Let `cut_segment` work on these locators."""

    def cut(s, start, stop):
        start_ns = s.start_ns + start * 10**7
        return Segment(s.id, start_ns, 100.0, stop - start, s.order, s.source, (s.locator[0], s.locator[1] + start))

    monkeypatch.setattr("geoae.readers.records.arrange.cut_segment", cut)


def read(record):
    """All samples of a record."""
    return assemble_block(record, range(len(record.ids)), 0, record.n, np.dtype(float), fetch)


def spans(record):
    """Codes, and first samples and ends of the segments of a record."""
    return [(p.segment.id[-1], p.first, p.first + p.segment.n) for p in record.placed]


@pytest.mark.parametrize("late_s", [0.0, 1e-4, -1e-4, 0.004, -0.004])
@pytest.mark.parametrize(
    "parts", [[(0, 501), (500, 900)], [(0, 600), (500, 900)], [(0, 900), (200, 300)], [(0, 9)] * 3]
)
def test_the_same_samples_are_one_record(parts, late_s):
    """One shared sample, many, a segment inside another one, and copies; clocks are off by parts of a sample."""
    found = [segment(a, b, order=i, late_s=late_s * (i % 2)) for i, (a, b) in enumerate(parts)]
    (record,) = arrange_records(found, fetch)
    assert spans(record) == [("Z", a, b) for a, b in parts]
    np.testing.assert_array_equal(read(record)[0], SAMPLES[: max(b for _, b in parts)])
    assert record.overlaps == ()
    reads = [(p.first, p.first + p.segment.n) for p in record.sources]
    assert all(stop <= start for (_, stop), (start, _) in pairwise(reads))


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 120)), min_size=1, max_size=12), st.randoms())
def test_pieces_of_one_recording_are_its_samples(pieces, shuffler):
    """Any pieces of one trace make one record, with NaN where no piece lies, in any order of files."""
    found = [segment(a, a + n, order=i, source=Path(str(i))) for i, (a, n) in enumerate(pieces)]
    shuffler.shuffle(found)
    (record,) = arrange_records(found, fetch)
    first, end = min(a for a, _ in pieces), max(a + n for a, n in pieces)
    expected = np.full(end - first, np.nan)
    for a, n in pieces:
        expected[a - first : a - first + n] = SAMPLES[a : a + n]
    np.testing.assert_array_equal(read(record)[0], expected)


def test_other_samples_are_other_records():
    """The second version is told; components that begin with it are in its record, those alone are not merged."""
    found = [segment(0, 600, code=f"HH{c}", order=i) for i, c in enumerate("ENZ")]
    found += [segment(500, 900, code=f"HH{c}", order=3 + i, add=c == "E") for i, c in enumerate("ENZ")]
    one, two = arrange_records(found, fetch)
    assert spans(one) == [(c, 0, 600) for c in "ENZ"]
    assert spans(two) == [(c, 0, 400) for c in "ENZ"]
    (line,) = describe_overlaps([one, two])
    assert line.startswith("XX.A..HHE: two segments overlap at 1970-01-01T00:16:45.000, by 100 samples that are not")
    assert len(split_into_layers(found, None)) == 2


def test_a_component_that_is_missing_in_one_version_moves_no_other():
    """Where only one version has N, its N is with its E."""
    found = [segment(0, 600, code="HHE"), segment(500, 900, code="HHE", order=1, add=1)]
    found.append(segment(500, 900, code="HHN", order=2))
    one, two = arrange_records(found, fetch)
    assert (spans(one), spans(two)) == ([("E", 0, 600)], [("E", 0, 400), ("N", 0, 400)])


def test_context_comes_from_other_records():
    """Each version begins and ends with the recording; its own samples come first, and each segment belongs to one."""
    found = [segment(0, 600), segment(500, 900, order=1, add=5), segment(700, 1000, code="HHN", order=2)]
    one, two = arrange_records(found, fetch, with_context=True)
    assert (one.n, two.n) == (1000, 1000)
    assert (one.has_context, two.has_context) == (True, True)
    assert (spans(one), spans(two)) == ([("N", 700, 1000), ("Z", 0, 600)], [("Z", 500, 900)])
    z = [read(record)[1] for record in (one, two)]
    np.testing.assert_array_equal(z[0][:900], np.r_[SAMPLES[:600], SAMPLES[600:900] + 5])
    np.testing.assert_array_equal(z[1][:900], np.r_[SAMPLES[:500], SAMPLES[500:900] + 5])
    for record in (one, two):
        np.testing.assert_array_equal(read(record)[0, 700:], SAMPLES[700:1000])


def test_segments_without_names_give_no_context():
    """Traces of a gather share an empty id, and are those of many sensors."""
    found = [segment(0, 600, station=""), segment(500, 900, order=1, add=5, station="")]
    found = [Segment("...", s.start_ns, s.rate_hz, s.n, s.order, None, s.locator) for s in found]
    records = arrange_records(found, fetch, with_context=True)
    assert [record.n for record in records] == [600, 400]
    assert describe_overlaps(records) == []


def test_damaged_samples_are_not_the_same():
    """What cannot be read is in a record of its own, where its loss is counted."""

    def fail(parts):
        raise OSError

    assert len(arrange_records([segment(0, 600), segment(500, 900, order=1)], fail)) == 2


def test_many_versions_are_not_compared():
    """Traces of one id and time are compared with a few others only, so that thousands take no time."""
    calls = []

    def count(parts):
        calls.append(parts)
        return fetch(parts)

    found = [segment(0, 50, order=i, add=i) for i in range(300)]
    assert len(arrange_records(found, count)) == 300
    assert len(calls) < 60
