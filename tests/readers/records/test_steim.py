"""Steim frames are decoded as ObsPy decodes them."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obspy import Stream, Trace

from geoae.readers.records.steim import decode_steim

HEADER = 64
"""Bytes before the frames in the records that ObsPy writes."""


def steim_records(samples: np.ndarray, version: int, length: int = 512) -> tuple[list[bytes], list[int]]:
    """Frames and numbers of samples of the records that ObsPy writes."""
    buffer = io.BytesIO()
    Stream([Trace(samples)]).write(buffer, format="MSEED", encoding=f"STEIM{version}", reclen=length)
    records = np.frombuffer(buffer.getvalue(), np.uint8).reshape(-1, length)
    counts = np.ascontiguousarray(records[:, 30:32]).view(">u2").ravel().tolist()
    return [record[HEADER:].tobytes() for record in records], counts


@settings(max_examples=30)
@given(
    version=st.sampled_from([1, 2]),
    scales=st.lists(st.integers(0, 27), min_size=1, max_size=8),
    length=st.sampled_from([256, 512, 4096]),
    seed=st.integers(0, 99),
)
def test_samples_come_back(version, scales, length, seed):
    """Differences of every size, in records of every length, all records at once."""
    rng = np.random.default_rng(seed)
    samples = np.concatenate([rng.integers(-(2**scale), 2**scale, 200) for scale in scales]).astype(np.int32)
    payloads, counts = steim_records(samples, version, length)
    found, agrees = decode_steim(payloads, counts, version)
    assert all(agrees)
    np.testing.assert_array_equal(np.concatenate(found), samples)


@pytest.mark.parametrize("version", [1, 2])
def test_damaged_records_are_told(version):
    """Frames that are cut, too few samples, a changed bit; the record between them is decoded."""
    samples = np.random.default_rng(0).integers(-500, 500, 2000).astype(np.int32)
    payloads, counts = steim_records(samples, version)
    good, n = payloads[0], counts[0]
    flipped = good[:100] + bytes([good[100] ^ 1]) + good[101:]
    found, agrees = decode_steim([good[:-1], good, good, flipped, b"", b""], [n, n, 9999, n, 0, 5], version)
    assert [x is None for x in found] == [True, False, True, False, False, True]
    assert agrees == [False, True, False, False, True, False]
    np.testing.assert_array_equal(found[1], samples[:n])


def test_no_records():
    """Nothing in, nothing out."""
    assert decode_steim([], [], 2) == ([], [])
