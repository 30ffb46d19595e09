"""Streams of ObsPy in memory, as labelled arrays."""

import numpy as np
import obspy
import pytest
import xarray as xr

import geoae
from geoae.errors import InputError
from geoae.readers.records.streams import find_stream


def test_streams_traces_and_lists_of_traces_are_found():
    """Nothing else is, an empty list neither."""
    stream = obspy.read()
    assert find_stream(stream) is stream
    assert [t.id for t in find_stream(stream[0])] == [stream[0].id]
    assert [t.id for t in find_stream(list(stream))] == [t.id for t in stream]
    for other in (None, [], ["a"], [stream[0], "a"], np.zeros(3), stream[0].stats, xr.DataArray([1.0])):
        assert find_stream(other) is None


def test_a_stream_is_read_as_its_file_is(tmp_path):
    """Samples, times and ids; selections work, and the Stream is not changed."""
    stream = obspy.read()
    for trace in stream:
        trace.data = trace.data.astype(np.float32)
    before = stream.copy()
    stream.write(str(tmp_path / "x.mseed"), format="MSEED")
    expected = geoae.read(tmp_path / "x.mseed")
    for given in (stream, list(stream)):
        found = geoae.read(given)
        np.testing.assert_array_equal(found.values, expected.values)
        xr.testing.assert_equal(found["time"], expected["time"])
        assert list(found["id"].values) == list(expected["id"].values)
    assert geoae.read(stream[0]).sizes == {"channel": 1, "time": 3000}
    assert list(geoae.read(stream, ids="*Z")["channel"].values) == ["EHZ"]
    assert stream == before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: geoae.read(obspy.read(), reader="grids"), "read without reader; it takes ids"),
        (lambda: geoae.read(obspy.read(), var="t"), "read without var"),
        (lambda: geoae.read(obspy.read(), ids="X"), "The Stream holds no samples that match"),
        (lambda: geoae.read(np.zeros(3)), "read was given a ndarray; it takes paths"),
        (lambda: geoae.read(None), "read was given a NoneType"),
        (lambda: geoae.read([3]), "a list with a int in it"),
        (lambda: geoae.read([]), "No file was given"),
    ],
)
def test_what_cannot_be_read_is_named(call, says):
    with pytest.raises(InputError, match=says):
        call()
