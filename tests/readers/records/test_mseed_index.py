"""Tests of geoae.readers.records.mseed_index: the index is that of ObsPy, and clocks that drift are followed."""

import io
import warnings
from itertools import pairwise

import numpy as np
import obspy
import pytest
from obspy import Stream

from geoae.errors import DamagedFileError
from geoae.readers.records import mseed_index, traces
from tests.support.recordings import MINISEED, START, trace

DAMAGED = {"infinite-loop.mseed"}
"""Files that ObsPy cannot read."""


@pytest.mark.parametrize("path", MINISEED, ids=lambda path: path.name)
def test_index_finds_what_obspy_finds(path):
    """Ids, starts, rates, lengths and samples of each miniSEED file that comes with ObsPy, or no index at all."""
    found = mseed_index.index_segments(path)
    if found is None or path.name in DAMAGED:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream = obspy.read(str(path), format="MSEED")
        samples = [traces.fetch_samples(segment) for segment in found.segments]
    assert len(stream) == len(found.segments)
    for segment, values, expected in zip(found.segments, samples, stream, strict=True):
        stats = expected.stats
        assert segment.id == expected.id
        assert abs(segment.start_ns - stats.starttime.ns) <= 1000
        assert segment.rate_hz == stats.sampling_rate
        if not segment.text:
            np.testing.assert_array_equal(values, expected.data)
            assert values.dtype == segment.locator.dtype
        header = traces.read_header(segment)
        assert header.mseed == stats.mseed
        assert traces.read_raw_records(segment) is not None


def test_index_covers_most_files():
    """More than 90 % of the miniSEED files of ObsPy have an index."""
    assert sum(mseed_index.index_segments(path) is not None for path in MINISEED) > 0.9 * len(MINISEED)


def drifting(path, step, n_records=60, rate=100.0):
    """Write records of 100 samples, each of which begins `step` samples later than the rate says."""
    samples = np.arange(n_records * 100, dtype=np.int32)
    buffer = io.BytesIO()
    for k in range(n_records):
        part = trace(100, start=START + k * (100 + step) / rate, rate=rate)
        part.data = samples[k * 100 : (k + 1) * 100]
        part.write(buffer, format="MSEED", encoding="INT32", reclen=512)
    path.write_bytes(buffer.getvalue())
    return samples


@pytest.mark.parametrize("step", [0.3, -0.3, 0.07, 0.45])
def test_each_part_of_a_drifting_clock_has_the_time_of_its_record(tmp_path, step):
    """No sample is further than half a sample from its time, all samples are there, and readers still join them."""
    samples = drifting(tmp_path / "x", step)
    segments = mseed_index.index_segments(tmp_path / "x").segments
    assert {segment.order for segment in segments} == {0}
    assert len(segments) > 5
    first = 0
    for segment in segments:
        np.testing.assert_array_equal(traces.fetch_samples(segment), samples[first : first + segment.n])
        at = first + np.arange(0, segment.n, 100)
        true_ns = START.ns + (at + at // 100 * step) * 1e7
        assert np.abs(segment.start_ns + (at - first) * 1e7 - true_ns).max() <= 0.5e7
        assert abs(segment.start_ns - true_ns[0]) <= 1000
        first += segment.n
    assert first == len(samples)
    steps = [b.start_ns - a.start_ns - a.n * 1e7 for a, b in pairwise(segments)]
    assert max(map(abs, steps)) <= 0.5e7


def test_jitter_of_less_than_half_a_sample_is_no_drift(tmp_path):
    """Times that scatter by a fifth of a sample leave one segment."""
    scatter = np.random.default_rng(0).uniform(-0.2, 0.2, 50)
    buffer = io.BytesIO()
    for k in range(50):
        trace(100, start=START + k + scatter[k] / 100).write(buffer, format="MSEED", encoding="INT32", reclen=512)
    (tmp_path / "x").write_bytes(buffer.getvalue())
    assert len(mseed_index.index_segments(tmp_path / "x").segments) == 1


def test_records_of_several_lengths_are_left_to_obspy_unless_they_are_salvaged(tmp_path):
    """Salvage divides the segment where the length changes, and loses no sample."""
    whole, buffer = trace(4000), io.BytesIO()
    for part, reclen in ((whole.slice(START, START + 19.99), 512), (whole.slice(START + 20), 1024)):
        Stream([part]).write(buffer, format="MSEED", encoding="STEIM2", reclen=reclen)
    (tmp_path / "x").write_bytes(buffer.getvalue())
    assert mseed_index.index_segments(tmp_path / "x") is None
    found = mseed_index.index_segments(tmp_path / "x", salvage=True)
    assert found.losses == found.notes == []
    assert [segment.n for segment in found.segments] == [2000, 2000]
    np.testing.assert_array_equal(np.concatenate([traces.fetch_samples(s) for s in found.segments]), whole.data)


def test_a_record_in_second_60_is_told(tmp_path):
    """It begins with the next minute."""
    buffer = io.BytesIO()
    trace(100).write(buffer, format="MSEED", encoding="INT32", reclen=512)
    record = bytearray(buffer.getvalue())
    record[26] = 60
    (tmp_path / "x").write_bytes(record)
    found = mseed_index.index_segments(tmp_path / "x")
    assert found.segments[0].start_ns == (START + 60).ns
    assert "1 record begins in second 60" in found.notes[0]


def test_a_file_that_ends_in_its_first_record(tmp_path):
    """Nothing can be read from it."""
    buffer = io.BytesIO()
    trace(100).write(buffer, format="MSEED", encoding="INT32", reclen=512)
    (tmp_path / "x").write_bytes(buffer.getvalue()[:300])
    with pytest.raises(DamagedFileError, match="300 bytes, but its first record has 512"):
        mseed_index.index_segments(tmp_path / "x")
