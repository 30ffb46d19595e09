"""Tests of geoae.readers.records.selection."""

import numpy as np
import obspy
import pytest

from geoae.errors import InputError
from geoae.readers.records import traces
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
