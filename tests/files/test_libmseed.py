"""Tests of geoae.files.libmseed."""

import io
import warnings

import numpy as np
import obspy
import pytest
from obspy.io.mseed import InternalMSEEDWarning

from geoae.files.libmseed import LIBMSEED_LOCK, encoding_name, lock_and_record_warnings, write_records


def trace(**header) -> obspy.Trace:
    samples = np.random.default_rng(0).integers(-1000, 1000, 5000).astype(np.int32)
    ids = {"network": "XX", "station": "AB", "channel": "HHZ", "sampling_rate": 100.0}
    return obspy.Trace(samples, {**ids, **header})


@pytest.mark.parametrize("encoding", ["STEIM1", "STEIM2", "INT32"])
def test_records_are_those_that_obspy_writes(encoding):
    """The bytes are those of Trace.write: big-endian records of the given length."""
    expected, found = io.BytesIO(), io.BytesIO()
    trace().write(expected, format="MSEED", encoding=encoding, reclen=512, byteorder=">")
    write_records(trace(), found, encoding, 512)
    assert found.getvalue() == expected.getvalue()
    assert len(found.getvalue()) % 512 == 0
    assert not LIBMSEED_LOCK.locked()


@pytest.mark.parametrize(("byteorder", "marker"), [("<", 0), (">", 1)])
def test_the_byte_order_of_the_header_is_kept(byteorder, marker):
    """With byteorder None the header decides; blockette 1000 holds 0 for little-endian and 1 for big-endian."""
    file = io.BytesIO()
    write_records(trace(mseed={"byteorder": byteorder}), file, "INT32", 512, byteorder=None)
    content = file.getvalue()
    first_blockette = int.from_bytes(content[46:48], "little" if byteorder == "<" else "big")
    blockette = content[first_blockette:]
    assert int.from_bytes(blockette[:2], "little" if byteorder == "<" else "big") == 1000
    assert blockette[5] == marker


def test_warnings_are_collected_while_the_lock_is_held():
    """All warnings, or only those of libmseed; none is shown."""
    for only_mseed, expected in ((False, ["one", "two"]), (True, ["two"])):
        with lock_and_record_warnings(only_mseed=only_mseed) as caught:
            assert LIBMSEED_LOCK.locked()
            warnings.warn("one", stacklevel=1)
            warnings.warn("two", InternalMSEEDWarning, stacklevel=1)
        assert [str(warning.message) for warning in caught] == expected
        assert not LIBMSEED_LOCK.locked()


def test_encodings_have_the_names_of_the_seed_manual():
    """The codes 10 and 11 of blockette 1000 are the STEIM compressions."""
    assert [encoding_name(code) for code in (0, 3, 10, 11)] == ["ASCII", "INT32", "STEIM1", "STEIM2"]
