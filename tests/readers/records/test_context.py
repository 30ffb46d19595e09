"""Samples around the own ones of a record, where segments overlap with other samples."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoae.readers.records.arrange import arrange_records, describe_overlaps
from geoae.readers.records.traces import fetch_parts
from tests.support.overlaps import SAMPLES, list_spans, part, read_all


def test_context_comes_from_other_records():
    """Each version begins and ends with the recording; its own samples come first, and each segment belongs to one."""
    found = [part(0, 600), part(500, 900, order=1, add=5), part(700, 1000, code="HHN", order=2)]
    one, two = arrange_records(found, fetch_parts, with_context=True)
    assert (one.n, two.n) == (1000, 1000)
    assert (one.has_context, two.has_context) == (True, True)
    assert (list_spans(one), list_spans(two)) == ([("N", 700, 1000), ("Z", 0, 600)], [("Z", 500, 900)])
    z = [read_all(record, fetch_parts)[1] for record in (one, two)]
    np.testing.assert_array_equal(z[0][:900], np.r_[SAMPLES[:600], SAMPLES[600:900] + 5])
    np.testing.assert_array_equal(z[1][:900], np.r_[SAMPLES[:500], SAMPLES[500:900] + 5])
    for record in (one, two):
        np.testing.assert_array_equal(read_all(record, fetch_parts)[0, 700:], SAMPLES[700:1000])


def test_segments_without_names_give_no_context():
    """Traces of a gather share an empty id, and are those of many sensors."""
    found = [replace(s, id="...") for s in (part(0, 600), part(500, 900, order=1, add=5))]
    records = arrange_records(found, fetch_parts, with_context=True)
    assert [record.n for record in records] == [600, 400]
    assert describe_overlaps(records) == []


def test_a_clock_that_is_set_back_leaves_out_no_sample():
    """Segments that overlap only by their times follow each other as context; each keeps its own place."""
    one, two = arrange_records([part(0, 500), part(500, 900, order=1, late_s=-1.0)], fetch_parts, with_context=True)
    assert (list_spans(one), list_spans(two)) == ([("Z", 0, 500)], [("Z", 400, 800)])
    np.testing.assert_array_equal(read_all(one, fetch_parts)[0], SAMPLES[:800])
    np.testing.assert_array_equal(read_all(two, fetch_parts)[0], SAMPLES[100:900])


def test_damaged_samples_are_no_evidence_of_a_step():
    """What cannot be read is cut by its times."""

    def fail(parts):
        raise OSError

    one, _ = arrange_records([part(0, 500), part(500, 900, order=1, late_s=-1.0)], fail, with_context=True)
    np.testing.assert_array_equal(read_all(one, fetch_parts)[0], np.r_[SAMPLES[:500], SAMPLES[600:900]])


def test_a_short_segment_inside_another_one_is_no_step():
    """Other samples of half a second do not follow what begins before them and ends after them."""
    one, two = arrange_records([part(0, 500), part(440, 490, order=1, add=5000)], fetch_parts, with_context=True)
    np.testing.assert_array_equal(read_all(one, fetch_parts)[0], SAMPLES[:500])
    np.testing.assert_array_equal(
        read_all(two, fetch_parts)[0], np.r_[SAMPLES[:440], SAMPLES[440:490] + 5000, SAMPLES[490:500]]
    )


def test_a_long_overlap_is_no_step_of_a_clock():
    """Two recordings that overlap by seconds are cut where the other one begins."""
    one, two = arrange_records([part(0, 500), part(500, 900, order=1, late_s=-2.0)], fetch_parts, with_context=True)
    np.testing.assert_array_equal(read_all(one, fetch_parts)[0], np.r_[SAMPLES[:500], SAMPLES[700:900]])
    np.testing.assert_array_equal(read_all(two, fetch_parts)[0], np.r_[SAMPLES[:300], SAMPLES[500:900]])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 800), st.integers(1, 300), st.sampled_from([0, 0, 5]), st.sampled_from(["HHE", "HHZ"]),
            st.sampled_from([0.0, 0.0, 0.004, -0.01, -1.0]),
        ),
        min_size=1, max_size=10,
    )
)  # fmt: skip
def test_each_segment_is_read_as_its_own_in_one_record(pieces):
    """Whatever lies around it: a segment is in one record, and its samples there are its own."""
    found = [
        part(a, a + n, order=i, add=add, code=code, late_s=late_s) for i, (a, n, add, code, late_s) in enumerate(pieces)
    ]
    records = arrange_records(found, fetch_parts, with_context=True)
    assert sorted(p.segment.order for record in records for p in record.placed) == list(range(len(found)))
    for record in records:
        x = read_all(record, fetch_parts)
        for p in record.placed:
            own = fetch_parts([(p.segment, 0, p.segment.n)])[0]
            np.testing.assert_array_equal(x[p.row, p.first : p.first + p.segment.n], own)
        reads = [(p.row, p.first, p.first + p.segment.n) for p in record.sources]
        assert all(one[0] < other[0] or one[2] <= other[1] for one, other in pairwise(reads))
