"""Tests of geoae.readers.records.mseed_damage: what is lost is told, and nothing else is lost."""

import io

import numpy as np
import pytest

from geoae.errors import GeoAEError
from geoae.readers.records import mseed_damage, traces
from geoae.readers.records.mseed_index import index_segments
from tests.support.recordings import START, trace

CHANNELS = ("HHE", "HHN", "HHZ")
LENGTH = 512


def written(encoding="STEIM2", n=3000):
    """Three channels, one after the other in records of 512 bytes, and the samples of each."""
    buffer, samples = io.BytesIO(), {}
    for k, channel in enumerate(CHANNELS):
        one = trace(n, channel, seed=k)
        samples[one.id] = one.data
        one.write(buffer, format="MSEED", encoding=encoding, reclen=LENGTH)
    return bytearray(buffer.getvalue()), samples


def read_back(path, samples):
    """Samples that come back, by id; all of them must be where they were written."""
    found, left = index_segments(path, salvage=True), dict.fromkeys(samples, 0)
    for segment in found.segments:
        if segment.id not in samples:
            continue
        for part in traces.decodable_parts(segment):
            first = round((part.start_ns - START.ns) / 1e7)
            values = traces.fetch_samples(part, on_warning=lambda line: None)
            np.testing.assert_array_equal(values, samples[segment.id][first : first + part.n])
            left[segment.id] += part.n
    return found, left


@pytest.mark.parametrize(
    ("at", "value", "reason"),
    [
        (0, b"x", "no record that can be read"),
        (6, b"V", "no record that can be read"),
        (24, b"\x1e", "time in the header is impossible"),
        (22, b"\xff", "date in the header is impossible"),
        (20, b"\x07\xe3", "contradicts the records before and after"),
        (33, b"\x63", "contradicts the records before and after"),
        (12, b"x", "contradicts the records before and after"),
        (40, b"\x01", "contradicts the records before and after"),
        (45, b"\x10", "more samples than the record has room for"),
        (47, b"\x10", "blockettes of the header are damaged"),
        (51, b"\xff", "blockettes of the header are damaged"),
        (52, b"\x5b", "encoding in the header is unknown"),
        (54, b"\x18", "record length in the header is impossible"),
        (54, b"\x0a", "record length in the header reaches into the next record"),
        (54, b"\x0d", "record length in the header reaches into the next record"),
    ],
)
def test_a_wrong_byte_in_a_header_costs_one_record(tmp_path, at, value, reason):
    """All other samples come back at their times, and one line names what is left out."""
    content, samples = written()
    begin = 2 * LENGTH  # in the first channel
    lost = int.from_bytes(content[begin + 30 : begin + 32], "big")
    content[begin + at : begin + at + len(value)] = value
    (tmp_path / "x").write_bytes(content)
    found, left = read_back(tmp_path / "x", samples)
    assert list(left.values()) == [3000 - lost, 3000, 3000]
    (line,) = found.losses
    assert reason in line
    assert f"{begin}" in line


@pytest.mark.parametrize("at", [7, 100, 512, 700, 4096])
def test_bytes_that_are_missing_or_added_cost_the_records_that_they_lie_in(tmp_path, at):
    """The records after them are found at their new positions."""
    content, samples = written()
    for changed in (content[:at] + content[at + 100 :], content[:at] + b"\0\1\2" + content[at:]):
        (tmp_path / "x").write_bytes(changed)
        found, left = read_back(tmp_path / "x", samples)
        assert sum(left.values()) > 9000 - 1300
        assert found.losses


def test_records_of_all_zeros_or_of_another_volume_lie_between(tmp_path):
    """Empty records are told; control headers of a SEED volume hold no samples and are not."""
    content, samples = written()
    for between, told in ((bytes(LENGTH), 1), (b"000007S 0520119ABC".ljust(LENGTH), 0)):
        (tmp_path / "x").write_bytes(content[:1024] + between + content[1024:])
        found, left = read_back(tmp_path / "x", samples)
        assert list(left.values()) == [3000, 3000, 3000]
        assert len(found.losses) == told


def test_ids_are_those_of_the_header():
    """Station, location, channel and network become NET.STA.LOC.CHA."""
    assert mseed_damage.format_id(b"ABC  00HHZXX") == "XX.ABC.00.HHZ"
    assert mseed_damage.format_id(b"ABCDE  HHZ") == ".ABCDE..HHZ"


def test_fuzzed_headers_never_raise(tmp_path):
    """Whatever stands in the headers: an index, an error of geoae, or no index."""
    rng = np.random.default_rng(0)
    original, _ = written(n=1000)
    for _ in range(60):
        content = original.copy()
        for at in rng.integers(0, len(content) // LENGTH, 3) * LENGTH + rng.integers(0, 64, 3):
            content[at] = rng.integers(0, 256)
        (tmp_path / "x").write_bytes(content)
        try:
            found = index_segments(tmp_path / "x")
        except GeoAEError:
            continue
        if found is not None:
            assert found.segments or found.losses
