"""geoae.info and models in a notebook."""

import io

import numpy as np
import obspy
import pytest
import xarray as xr

import geoae
from geoae.errors import InputError
from tests.support.fields import field


def test_a_file_and_its_stream_have_the_same_contents(tmp_path):
    """Also a Trace, a list of Traces, and the labelled array of the file."""
    stream = obspy.read()
    for trace in stream:
        trace.data = trace.data.astype(np.float32)
    stream.write(str(tmp_path / "x.mseed"), format="MSEED")
    expected = geoae.info(tmp_path / "x.mseed")
    assert len(expected.rows) == 3
    for given in (str(tmp_path / "x.mseed"), stream, list(stream), tuple(stream)):
        found = geoae.info(given)
        assert sorted(found.rows, key=str) == sorted(expected.rows, key=str)
        assert found.records == expected.records == 1
    assert geoae.info(stream[1]).rows == [row for row in expected.rows if row.id == stream[1].id]
    for array in (geoae.read(tmp_path / "x.mseed"), geoae.read(stream), geoae.read(stream).to_dataset()):
        assert sorted(geoae.info(array).rows, key=str) == sorted(expected.rows, key=str)


def test_several_sources_are_listed_together(tmp_path):
    """Paths, fields and Streams, in their order."""
    obspy.read().write(str(tmp_path / "x.mseed"), format="MSEED")
    found = geoae.info([tmp_path / "x.mseed", field(2, 16, 24), obspy.read()])
    assert len(found.rows) == 6
    assert [row.name for row in found.fields] == [field(2, 16, 24).name]
    assert len(geoae.info(tmp_path.glob("*.mseed")).rows) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "info was given a NoneType"),
        (np.zeros(3), "info was given a ndarray"),
        (7, "info was given a int"),
        (io.BytesIO(b"x"), "info was given a BytesIO"),
        (b"x.mseed", "info was given a bytes"),
        ([], "No file was given"),
        ([3], "info was given a int"),
        (obspy.Stream(), "The Stream is empty"),
        (xr.Dataset(), "nothing to list"),
    ],
)
def test_what_holds_nothing_is_named(given, says):
    with pytest.raises(InputError, match=says):
        geoae.info(given)


def test_models_are_those_that_come_with_geoae():
    assert {"seismic", "grid"} <= set(geoae.models())
