"""Tests of geoae.readers.records.selection."""

import numpy as np
import obspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.errors import InputError, OptionError
from geoae.labels.segments import Segment
from geoae.labels.timeaxis import sample_offset_ns
from geoae.readers.records import traces
from geoae.readers.records.selection import check_id_patterns, parse_time_limits, samples_within
from tests.support.recordings import START, interleaved, trace


def test_selection_by_id_and_time(tmp_path):
    """Ids with wildcards and times, both ends included, cut what is read to the sample."""
    interleaved(tmp_path / "x")
    found = traces.scan(tmp_path / "x", ["*.HHZ", "XX.AB.00.HHE"], START + 10.005, "2020-01-01T00:00:30")
    assert sorted({segment.id for segment in found.segments}) == ["XX.AB.00.HHE", "XX.AB.00.HHZ"]
    expected = {one.id: one.data[1001:3001] for one in obspy.read(str(tmp_path / "x"))}
    for segment in found.segments:
        assert segment.start_ns == START.ns + 10_010_000_000
        np.testing.assert_array_equal(traces.fetch_samples(segment), expected[segment.id])
        np.testing.assert_array_equal(traces.fetch_samples(segment, 5, 900), expected[segment.id][5:900])
        header = traces.read_header(segment)
        assert (header.starttime.ns, header.npts) == (segment.start_ns, segment.n)
    nothing = traces.scan(tmp_path / "x", "YY.*")
    assert nothing.segments == ()
    assert "XX.AB.00.HHE" in nothing.notes[0]
    with pytest.raises(InputError, match="start_time='soon'"):
        traces.scan(tmp_path / "x", start_time="soon")


def test_other_formats_are_cut_as_well(tmp_path):
    """A selection of time trims a SAC file, and its header copies say so."""
    written = trace(1000, dtype=np.float32)
    written.write(str(tmp_path / "x.sac"), format="SAC")
    (segment,) = traces.scan(tmp_path / "x.sac", start_time=START + 2).segments
    np.testing.assert_array_equal(traces.fetch_samples(segment, 0, 10), written.data[200:210])
    header = traces.read_header(segment)
    assert (header.starttime, header.npts) == (START + 2, 800)
    assert "sac" in header
    assert traces.read_raw_records(segment) is None


@given(
    n=st.integers(1, 50),
    rate=st.sampled_from([100.0, 75.19, 1 / 3]),
    first=st.integers(-20, 60),
    length=st.integers(0, 60),
)
def test_samples_within_limits_are_those_between_them(n, rate, first, length):
    """The range holds exactly the samples whose times lie between the limits, both included."""
    times = START.ns + sample_offset_ns(np.arange(n), rate)
    limits = [START.ns + int(sample_offset_ns(np.array(k), rate)) + 3 for k in (first, first + length)]
    expected = np.flatnonzero((times >= limits[0]) & (times <= limits[1]))
    span = samples_within(Segment("XX.A..HHZ", START.ns, rate, n, 0, None, None), *limits)
    assert (list(range(*span)) if span else []) == expected.tolist()


def test_text_is_selected_by_its_start():
    """A segment without samples has a start only."""
    text = Segment("XX.A..LOG", 100, 0.0, 0, 0, None, None, True)
    assert samples_within(text, 100, 100) == (0, 0)
    assert samples_within(text, 101, None) is None
    assert samples_within(text, None, 99) is None


def test_limits_in_the_wrong_order_are_refused():
    """Texts, datetime64 and UTCDateTime are accepted, and None is no limit."""
    assert parse_time_limits(None, None) == (None, None)
    assert parse_time_limits(START, np.datetime64("2020-01-02")) == (START.ns, START.ns + 86_400 * 10**9)
    with pytest.raises(InputError, match="lies after the end time"):
        parse_time_limits("2020-01-02", "2020-01-01")


def test_a_year_or_a_month_is_its_first_moment():
    """As dates are; text that is no time is an error of the option."""
    assert parse_time_limits("2024", "2024-03") == (1_704_067_200 * 10**9, 1_709_251_200 * 10**9)
    with pytest.raises(OptionError, match=r"end_time='20240' is no time\. Write it as 2010-09-01T12:30:00\.$"):
        parse_time_limits("2024", "20240")


@pytest.mark.parametrize("pattern", ["*", "*Z", "XX.A..HHZ", "XX.A..HH?", "XX.A??HHZ", "XX.A[.]00.HHZ"])
def test_patterns_that_can_match_an_id_pass(pattern):
    """With three dots, or wildcards in their place."""
    check_id_patterns([pattern])


@pytest.mark.parametrize("pattern", ["", "HHZ", "XX.A.HHZ", "XX.A..HHZ.D", "??"])
def test_patterns_that_match_no_id_are_refused(pattern):
    """The message shows how patterns look."""
    with pytest.raises(OptionError, match=r"matches no id: ids are NET\.STA\.LOC\.CHA with three dots\. Write \*\.HHZ"):
        check_id_patterns(["*", pattern])
