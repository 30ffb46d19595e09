"""Promises of geoae.files.libmseed and geoae.files.obspy_formats."""

import io

import numpy as np
import obspy
import pytest

from geoae.files.libmseed import LIBMSEED_LOCK, write_records
from geoae.files.obspy_formats import readable_formats, writable_formats


@pytest.mark.parametrize("encoding", ["STEIM1", "STEIM2", "INT32"])
def test_records_are_those_that_obspy_writes(encoding):
    """The same bytes as Trace.write, in big-endian records of the length that was asked for."""
    samples = np.random.default_rng(0).integers(-1000, 1000, 5000).astype(np.int32)
    trace = obspy.Trace(samples, {"network": "XX", "station": "AB", "channel": "HHZ", "sampling_rate": 100.0})
    expected, found = io.BytesIO(), io.BytesIO()
    trace.write(expected, format="MSEED", encoding=encoding, reclen=512, byteorder=">")
    write_records(trace, found, encoding, 512)
    assert found.getvalue() == expected.getvalue()
    assert len(found.getvalue()) % 512 == 0
    assert not LIBMSEED_LOCK.locked()


def test_formats_are_those_of_obspy():
    """miniSEED comes first among those that are read, and is written."""
    assert readable_formats()[0] == "MSEED"
    assert {"MSEED", "SAC", "SEGY"} <= set(writable_formats()) & set(readable_formats())
    assert writable_formats() == sorted(writable_formats())
