"""Tests of geoae.readers.records.arrange: every segment is placed once, on the right sample, in any order of input."""

import random
import time
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoae.labels.segments import Segment
from geoae.readers.records.arrange import arrange_records, assemble_block, describe_rates

SECOND = 10**9


def segment(id_="XX.A..HHZ", start_s=0.0, n=100, rate=100.0, order=0, text=False):
    return Segment(id_, round(start_s * SECOND), rate, n, order, None, None, text)


def ids_of(segments):
    return [record.ids for record in arrange_records(segments)]


@st.composite
def recordings(draw):
    """Segments of a few channels, many of them overlapping or nearly abutting, in file order."""
    rates = draw(st.sampled_from([(100.0,), (100.0, 20.0), (100.0, 100.0 * (1 + 1e-8))]))
    found = []
    for order in range(draw(st.integers(1, 25))):
        channel = draw(st.sampled_from(["HHE", "HHN", "HHZ", "HH1", "HH2", "LOG", "Z", ""]))
        start = draw(st.integers(0, 400)) / 40 + draw(st.sampled_from([0.0, 0.0, 5000.0]))
        start += draw(st.sampled_from([0.0, 0.001, 0.0049, -0.0049]))
        n = draw(st.integers(0, 300))
        found.append(segment(f"XX.A..{channel}", 100 + start, n, draw(st.sampled_from(rates)), order))
    return found


@given(recordings())
def test_each_segment_is_placed_once_and_none_overlap(segments):
    """No sample is lost or used twice, and rows hold one id at one rate."""
    records = arrange_records(segments)
    placed = [item.segment for record in records for item in record.placed]
    assert sorted(s.order for s in placed) == sorted(s.order for s in segments if s.n > 0)
    for record in records:
        assert list(record.placed) == sorted(record.placed, key=lambda item: (item.row, item.first))
        for row, id_ in enumerate(record.ids):
            own = [item for item in record.placed if item.row == row]
            assert own
            assert all(item.segment.id == id_ for item in own)
            assert all(abs(item.segment.rate_hz / record.rate_hz - 1) < 1e-6 for item in own)
            for one, following in pairwise(own):
                assert one.first + one.segment.n <= following.first
        assert min(item.first for item in record.placed) == 0
        assert max(item.first + item.segment.n for item in record.placed) == record.n


@given(recordings(), st.randoms())
def test_order_does_not_matter(segments, shuffler):
    """Segments in any order make the same records."""
    shuffled = list(segments)
    shuffler.shuffle(shuffled)
    assert arrange_records(shuffled) == arrange_records(segments)


@given(st.lists(st.tuples(st.integers(2, 500), st.integers(1, 200)), min_size=1, max_size=12), st.floats(-0.49, 0.49))
def test_segments_with_gaps_lie_on_the_nearest_sample(pieces, offset):
    """Each segment is placed within half a sample of its time."""
    segments, at = [segment(n=1)], 10
    for order, (n, gap) in enumerate(pieces, 1):
        segments.append(segment(start_s=(at + offset) / 100, n=n, order=order))
        at += n + gap + 1
    (record,) = arrange_records(segments)
    for item in record.placed:
        misfit = item.first - (item.segment.start_ns - record.start_ns) / 1e7
        assert abs(misfit) <= 0.5 + 1e-6


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20), st.floats(-0.49, 0.49), st.sampled_from([100.0, 75.19]))
def test_segments_of_a_cut_trace_have_no_gaps(lengths, drift, rate):
    """They follow each other without gap or overlap, even if the clock drifts."""
    at, segments = 0.0, []
    for order, n in enumerate(lengths):
        segments.append(segment(start_s=at, n=n, rate=rate, order=order))
        at += (n + drift) / rate
    (record,) = arrange_records(segments)
    assert [item.first for item in record.placed] == np.cumsum([0, *lengths[:-1]]).tolist()
    assert record.n == sum(lengths)


def test_overlap_of_less_than_a_sample_is_abutting():
    """A segment that begins 0.7 samples early is placed at the end of the segment before it."""
    (record,) = arrange_records([segment(n=100), segment(start_s=0.993, n=50, order=1)])
    assert [item.first for item in record.placed] == [0, 100]


def test_component_families():
    """Components are in the order of their family, for any subset and input order; Z belongs to one family."""

    def families(*channels):
        return [tuple(id_.split(".")[-1] for id_ in ids) for ids in ids_of([segment(f"XX.A..{c}") for c in channels])]

    assert families("HHZ", "HHN", "HHE") == [("HHE", "HHN", "HHZ")]
    assert families("HHZ", "HH2", "HH1") == [("HH1", "HH2", "HHZ")]
    assert families("BH3", "BH1", "BH2") == [("BH1", "BH2", "BH3")]
    assert families("HHT", "HHZ", "HHR") == [("HHR", "HHT", "HHZ")]
    assert families("HHT", "HHL", "HHQ") == [("HHQ", "HHT", "HHL")]
    assert families("EHW", "EHU", "EHV") == [("EHU", "EHV", "EHW")]
    assert families("EHC", "EHA", "EHB") == [("EHA", "EHB", "EHC")]
    assert sorted(families("HH1", "HH2", "HHZ", "HHN", "HHE")) == [("HH1", "HH2"), ("HHE", "HHN", "HHZ")]
    assert families("HHZ", "HHE") == [("HHE", "HHZ")]
    assert sorted(families("HHZ", "BHZ", "BHE", "HDF")) == [("BHE", "BHZ"), ("HDF",), ("HHZ",)]
    assert families("Z", "N", "E") == [("E", "N", "Z")]
    assert sorted(families("UD", "NS", "EW", "")) == [("",), ("EW", "NS", "UD")]


def test_different_rates_are_different_records():
    """Rates that differ only by rounding share a record."""
    assert len(ids_of([segment(), segment("XX.A..HHN", rate=50.0)])) == 2
    assert len(ids_of([segment(), segment("XX.A..HHN", rate=100.0 * (1 + 2e-7))])) == 1
    assert len(ids_of([segment(), segment(start_s=5, rate=101.0, order=1)])) == 2


def test_overlaps_of_all_components_share_a_record():
    """Segments that overlap on all components make a second record with all components."""
    segments = [
        segment(f"XX.A..HH{c}", start, 300, order=3 * i + k)
        for i, start in enumerate([0.0, 2.0, 2.5])
        for k, c in enumerate("ZNE")
    ]
    records = arrange_records(segments)
    assert [len(record.ids) for record in records] == [3, 3, 3]
    assert [record.placed[0].segment.start_ns // 10**8 for record in records] == [0, 20, 25]


def test_long_gaps_end_a_record():
    """A gap of more than an hour on all components ends a record; one component without the gap prevents this."""
    first, second = segment(n=100), segment(start_s=4000.0, n=100, order=1)
    assert len(arrange_records([first, second])) == 2
    bridge = segment("XX.A..HHN", start_s=0.0, n=400_000, order=2)
    assert len(arrange_records([first, second, bridge])) == 1


def test_text_and_empty_segments_are_left_out():
    """They are in no record."""
    assert arrange_records([segment(n=0), segment("XX.A..LOG", n=0, text=True)]) == []


def test_many_segments_are_fast():
    """5,000 segments on three components, and 1,000 traces of one id and time, take seconds."""
    gappy = [
        segment(f"XX.A..HH{c}", 17.28 * i, 1700, order=3 * i + k) for i in range(5000) for k, c in enumerate("ENZ")
    ]
    random.Random(0).shuffle(gappy)
    section = [segment("...", n=500, order=i) for i in range(1000)]
    begin = time.perf_counter()
    assert [len(record.placed) for record in arrange_records(gappy)] == [15_000]
    assert len(arrange_records(section)) == 1000
    assert time.perf_counter() - begin < 10  # a guard against quadratic time, not a benchmark


@given(recordings(), st.integers(0, 1000), st.integers(0, 1000))
def test_blocks_are_cut_from_the_whole(segments, start, length):
    """Any block of a record equals that part of the record, with NaN where no segment lies."""

    def fetch(parts):
        return [one.order * 1000.0 + np.arange(one.n)[a:b] for one, a, b in parts]

    for record in arrange_records(segments):
        whole = np.full((len(record.ids), record.n), np.nan)
        for item in record.placed:
            whole[item.row, item.first : item.first + item.segment.n] = fetch([(item.segment, 0, item.segment.n)])[0]
        stop = min(start + length, record.n)
        begin = min(start, stop)
        block = assemble_block(record, range(len(record.ids)), begin, stop, np.dtype(float), fetch)
        np.testing.assert_array_equal(block, whole[:, begin:stop])


def test_rounded_rates_share_a_record_unless_they_move_components():
    """Rates that differ by 4e-6 are those of one sensor, except where that is more than a second at the end."""
    rates = [100.0, 100.0004, 99.9996]

    def arrange(n):
        return ids_of([segment(f"XX.A..HH{c}", n=n, rate=r) for c, r in zip("ENZ", rates, strict=True)])

    assert arrange(100_000) == [("XX.A..HHE", "XX.A..HHN", "XX.A..HHZ")]
    assert len(arrange(100_000_000)) == 3
    assert len(ids_of([segment(), segment("XX.A..HHN", rate=100.002)])) == 2


def test_rates_that_move_samples_are_told():
    """A record has one time axis; what differs by less than a sample is not worth a line."""
    rates = [100.0, 100.0004]
    for n, expected in ((200_000, []), (500_000, ["XX.A..HHN: its rate is 100.0004 Hz, that of its record 100 Hz."])):
        found = [segment(f"XX.A..HH{c}", n=n, rate=rate) for c, rate in zip("EN", rates, strict=True)]
        assert [line[: len(expected[0])] for line in describe_rates(arrange_records(found))] == expected
