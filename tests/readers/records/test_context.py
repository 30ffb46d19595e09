"""Samples around the own ones of a record, where segments overlap with other samples."""

from dataclasses import replace

import numpy as np

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


def test_a_long_overlap_is_no_step_of_a_clock():
    """Two recordings that overlap by seconds are cut where the other one begins."""
    one, two = arrange_records([part(0, 500), part(500, 900, order=1, late_s=-2.0)], fetch_parts, with_context=True)
    np.testing.assert_array_equal(read_all(one, fetch_parts)[0], np.r_[SAMPLES[:500], SAMPLES[700:900]])
    np.testing.assert_array_equal(read_all(two, fetch_parts)[0], np.r_[SAMPLES[:300], SAMPLES[500:900]])
