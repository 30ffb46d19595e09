"""Tests of geoae.labels.segments: plain values that can be compared, hashed and sent to workers."""

import dataclasses
import pickle

import pytest

from geoae.labels.segments import PlacedSegment, Record, Segment

SEGMENT = Segment("XX.AB..HHZ", 0, 100.0, 50, 0, None, None)


def test_a_segment_has_samples_unless_it_is_text():
    """The default is a segment of numbers."""
    assert not SEGMENT.text
    assert dataclasses.replace(SEGMENT, n=0, text=True).text


def test_equal_content_is_equal():
    """Segments and records are compared by value and can be keys of a dictionary."""
    record = Record(("XX.AB..HHZ",), 0, 100.0, 50, (PlacedSegment(SEGMENT, 0, 0),))
    again = pickle.loads(pickle.dumps(record))
    assert again == record
    assert {record: 1}[again] == 1
    assert record != dataclasses.replace(record, n=51)


def test_segments_cannot_be_changed():
    """A change makes a new segment."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        SEGMENT.n = 3
