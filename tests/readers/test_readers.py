"""Tests of geoae.readers: arrays, trees, and readers by name."""

import warnings

import numpy as np
import pytest
import xarray as xr
from obspy import Stream, Trace

import geoae.readers as readers
from geoae.errors import InputError, UnknownNameError
from geoae.labels.timeaxis import TimeIndex
from tests.support.recordings import START, trace


def test_trees_of_several_records(tmp_path):
    """A child has the name of its sensor, with the start if the sensor has several records."""
    stream = Stream([trace(100), trace(100, "BHZ", rate=20.0), trace(100, start=START + 86400)])
    stream.write(str(tmp_path / "x"), format="MSEED")
    tree = readers.read(tmp_path / "x")
    assert list(tree.children) == ["XX.AB.00.HH_20200101T000000", "XX.AB.00.HH_20200102T000000", "XX.AB.00.BH"]
    np.testing.assert_array_equal(tree["XX.AB.00.BH"]["trace"].values[0], trace(100).data)
    assert isinstance(tree["XX.AB.00.BH"]["trace"].xindexes["time"], TimeIndex)
    assert isinstance(readers.read(tmp_path / "x", ids="*BHZ"), xr.DataArray)
    with pytest.warns(UserWarning, match="no trace matches"), pytest.raises(InputError, match="no samples"):
        readers.read(tmp_path / "x", ids="YY*")


def test_sections_make_numbered_trees(tmp_path):
    """Traces of one id and time, as in a seismic section, are numbered."""
    section = Stream([Trace(np.arange(50, dtype=np.float32) + k, {"sampling_rate": 100.0}) for k in range(3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        section.write(str(tmp_path / "x"), format="SEGY")
    tree = readers.read(tmp_path / "x")
    assert len(tree.children) == 3
    assert sorted(float(child["trace"][0, 0]) for child in tree.children.values()) == [0, 1, 2]


def test_readers_by_name(tmp_path):
    """For an unknown name the error lists the readers."""
    trace(100).write(str(tmp_path / "x"), format="MSEED")
    assert len(readers.read_records(tmp_path / "x", reader="traces")) == 1
    assert {"traces", "seisbench"} <= set(readers.reader_names())
    with pytest.raises(UnknownNameError, match="seisbench, traces"):
        readers.read(tmp_path / "x", reader="tracers")
    with pytest.raises(LookupError):
        readers.read(tmp_path / "x", reader="tracers")
