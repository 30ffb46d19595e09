"""miniSEED 3 files, which ObsPy does not read, are read with ids, times and samples as they are."""

import struct
import zipfile

import google_crc32c
import numpy as np
import pytest

import geoae
from geoae.errors import DamagedFileError
from geoae.readers.records import traces
from geoae.readers.records.mseed3 import is_miniseed3
from tests.readers.records.test_steim import steim_records

SECOND = 10**9
START_NS = 1_709_251_200 * SECOND  # 2024-03-01, day 61
SAMPLES = np.random.default_rng(0).integers(-3000, 3000, 900).astype(np.int32)


def record(payload, encoding, n, at=0, source="FDSN:XX_ABC_00_H_H_Z", rate=100.0, **more) -> bytes:
    """One record that begins `at` samples after 2024-03-01T00:00:00.123456789."""
    ns = 123_456_789 + round(at * SECOND / 100)
    second, ns = divmod(ns, SECOND)
    sid, extra = source.encode(), more.get("extra", b"")
    head = struct.pack(
        "<2sBBIHHBBBBdIIBBHI", b"MS", 3, 0, ns, 2024, more.get("day", 61), 0, 0, second, encoding, rate, n, 0, 1,
        len(sid), len(extra), len(payload),
    )  # fmt: skip
    whole = head + sid + extra + payload
    check = google_crc32c.value(whole) if more.get("checked", True) else 0
    return whole[:28] + struct.pack("<I", check) + whole[32:]


def records(encoding=3, dtype="<i4", **more) -> list[bytes]:
    """Nine records of 100 samples."""
    return [
        record(SAMPLES[i : i + 100].astype(dtype).tobytes(), encoding, 100, i, **more)
        for i in range(0, len(SAMPLES), 100)
    ]


def scan(tmp_path, *parts):
    (tmp_path / "x.ms3").write_bytes(b"".join(parts))
    return traces.scan(tmp_path / "x.ms3")


@pytest.mark.parametrize(("encoding", "dtype"), [(1, "<i2"), (3, "<i4"), (4, "<f4"), (5, "<f8")])
def test_records_that_follow_each_other_are_one_segment(tmp_path, encoding, dtype):
    """To the nanosecond, in the type of the file, also from an archive."""
    found = scan(tmp_path, *records(encoding, dtype, extra=b'{"FDSN":{}}'))
    (segment,) = found.segments
    assert (segment.id, segment.rate_hz, segment.start_ns) == ("XX.ABC.00.HHZ", 100.0, START_NS + 123_456_789)
    samples = traces.fetch_samples(segment)
    assert samples.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(samples, SAMPLES)
    assert (found.notes, found.losses) == ((), ())
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "x.ms3", "x")
    np.testing.assert_array_equal(geoae.read(tmp_path / "x.zip").values[0], SAMPLES)


@pytest.mark.parametrize("version", [1, 2])
def test_steim(tmp_path, version):
    """Frames have the same layout as in miniSEED 2."""
    payloads, counts = steim_records(SAMPLES, version)
    starts = np.cumsum(counts) - counts
    parts = [record(p, 9 + version, n, at) for p, n, at in zip(payloads, counts, starts, strict=True)]
    (segment,) = scan(tmp_path, *parts).segments
    np.testing.assert_array_equal(traces.fetch_samples(segment), SAMPLES)


def test_gaps_sources_and_rates(tmp_path):
    """A gap, another source or rate begin a segment; a negative rate is a period; long codes keep their parts."""
    short = SAMPLES[:10].tobytes()
    found = scan(
        tmp_path,
        record(short, 3, 10), record(short, 3, 10, 10.4), record(short, 3, 10, 21),
        record(short, 3, 10, 31, rate=-10.0),
        record(short, 3, 10, source="FDSN:NETWORK_STATION8__H_H_Z"), record(short, 3, 10, source="FDSN:XX_A__B_SX_1"),
        record(short, 3, 10, source="other"), record(b"hello", 0, 5, source="FDSN:XX_A__L_O_G"), record(b"", 3, 0),
    )  # fmt: skip
    assert [(s.id, s.n, s.rate_hz) for s in found.segments] == [
        ("XX.ABC.00.HHZ", 20, 100.0), ("XX.ABC.00.HHZ", 10, 100.0), ("XX.ABC.00.HHZ", 10, 0.1),
        ("NETWORK.STATION8..HHZ", 10, 100.0), ("XX.A..B_SX_1", 10, 100.0), (".other..", 10, 100.0),
        ("XX.A..LOG", 0, 100.0),
    ]  # fmt: skip
    assert found.segments[-1].text
    assert found.losses == ()


@pytest.mark.parametrize(
    ("damage", "left", "words"),
    [
        (lambda r: [*r[:4], r[4][:80] + b"\xff" + r[4][81:], *r[5:]], 800, "are no valid record"),
        (lambda r: [*r[:4], b"XX" + r[4][2:], *r[5:]], 800, "are no valid record"),
        (lambda r: [*r[:8], r[8][:-9]], 800, "are no valid record"),
        (lambda r: [*r, record(b"12", 3, 100, 900)], 900, "100 samples are lost: their number is not that"),
        (lambda r: [*r, record(b"12", 19, 100, 900)], 900, "100 samples are lost: encoding 19 is not known"),
        (lambda r: [*r, record(bytes(64), 10, 100, 900)], 900, "100 samples are lost: they cannot be decoded"),
    ],
)
def test_a_damaged_record_loses_its_own_samples_alone(tmp_path, damage, left, words):
    """One line tells it."""
    found = scan(tmp_path, *damage(records()))
    assert sum(segment.n for segment in found.segments) == left
    assert len(found.losses) == 1
    assert words in found.losses[0]


def test_records_without_a_check_value_are_read(tmp_path):
    """Some writers leave it zero."""
    assert scan(tmp_path, *records(checked=False)).losses == ()


def test_a_file_without_a_whole_record_is_refused(tmp_path):
    """The error names the format."""
    with pytest.raises(DamagedFileError, match=r"looks like miniSEED 3 but cannot be read: .*no valid record"):
        scan(tmp_path, records()[0][:50])
    assert is_miniseed3(records()[0])
    assert not is_miniseed3(b"000001D ")
