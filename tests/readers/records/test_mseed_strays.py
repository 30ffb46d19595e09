"""Tests of geoae.readers.records.mseed_strays; that shifted records are left out is tested with `mseed_damage`."""

import io

import numpy as np
import pytest

from geoae.readers.records.mseed_headers import HEADER_BYTES, parse_headers
from geoae.readers.records.mseed_index import index_segments
from geoae.readers.records.mseed_strays import find_strays
from tests.readers.records.test_mseed_damage import CHANNELS, LENGTH, written
from tests.support.recordings import trace


def test_gaps_and_lone_records_are_no_damage(tmp_path):
    """A lost record between those of another channel, and a short event, contradict nothing."""
    records = {}
    for k, channel in enumerate(CHANNELS):
        buffer = io.BytesIO()
        trace(448, channel, seed=k).write(buffer, format="MSEED", encoding="INT32", reclen=LENGTH)
        records[channel] = [buffer.getvalue()[i : i + LENGTH] for i in range(0, buffer.tell(), LENGTH)]
    e, n, z = records.values()
    (tmp_path / "x").write_bytes(b"".join([e[0], n[0], z[1], n[1], e[2], n[2], n[3], e[3]]))
    found = index_segments(tmp_path / "x")
    assert found.losses == found.notes == []
    assert sum(segment.n for segment in found.segments) == 8 * 112


def test_jumps_of_less_than_a_second_are_kept_and_told(tmp_path):
    """As clocks make them; the samples stay where their header puts them."""
    content, _ = written("INT32")
    content[2 * LENGTH + 28 : 2 * LENGTH + 30] = (
        int.from_bytes(content[2 * LENGTH + 28 : 2 * LENGTH + 30], "big") + 300
    ).to_bytes(2, "big")
    (tmp_path / "x").write_bytes(content)
    found = index_segments(tmp_path / "x")
    assert found.losses == []
    assert "XX.AB.00.HHE: 1 record is less than a second away" in found.notes[0]
    assert sum(segment.n for segment in found.segments) == 9000


@pytest.mark.parametrize(
    ("record", "at", "value", "lost", "line"),
    [
        (1, 30, b"\0\x28", 74, "XX.AB.00.HHE: 74 samples are missing after 1 of its records"),
        (4, 10, b"x", 0, "XX.ABx.00.HHE has 1 record, the first at byte 2048"),
        (4, 33, b"\x63", 0, "XX.AB.00.HHE: 1 record has another rate or encoding than all others"),
    ],
)
def test_what_cannot_be_decided_is_told(tmp_path, record, at, value, lost, line):
    """Fewer samples than fit, with a gap of just their number; and the last record of another station or rate."""
    content, _ = written("INT32", n=570)  # records hold 114 samples
    begin = record * LENGTH + at
    content[begin : begin + len(value)] = value
    (tmp_path / "x").write_bytes(content)
    found = index_segments(tmp_path / "x")
    assert any(line in told for told in (*found.losses, *found.notes))
    assert sum(segment.n for segment in found.segments) == 3 * 570 - lost


def test_strays_are_rows_of_the_table():
    """The mask has one row for each record."""
    content, _ = written()
    content[2 * LENGTH + 33] = 99
    heads = np.frombuffer(bytes(content), np.uint8).reshape(-1, LENGTH)[:, :HEADER_BYTES]
    table = parse_headers(heads)
    table["offset"] = np.arange(len(table)) * LENGTH
    strays, losses, notes = find_strays(table, "x")
    assert np.flatnonzero(strays).tolist() == [2]
    assert len(losses) == 1
    assert notes == []
    assert not find_strays(table[:1], "x")[0].any()
