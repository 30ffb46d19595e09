"""Tests of geoae.files.obspy_formats."""

import pickle

import numpy as np
import obspy
import pytest

from geoae.files.obspy_formats import detect_obspy_format, readable_formats, writable_formats


def test_formats_are_those_of_obspy():
    """miniSEED is the first of the readable formats, and writable."""
    assert readable_formats()[0] == "MSEED"
    assert {"MSEED", "SAC", "SEGY"} <= set(writable_formats()) & set(readable_formats())
    assert writable_formats() == sorted(writable_formats())


@pytest.mark.parametrize("name", ["MSEED", "SAC", "SLIST", "GSE2"])
def test_formats_are_recognised_by_content(tmp_path, name):
    """The name of the file does not matter."""
    trace = obspy.Trace(np.arange(100, dtype=np.int32), {"station": "AB", "channel": "HHZ", "sampling_rate": 10.0})
    if name == "SAC":
        trace.data = trace.data.astype(np.float32)
    trace.write(str(tmp_path / "x.dat"), format=name)
    assert detect_obspy_format(tmp_path / "x.dat") == name


def test_other_files_have_no_format(tmp_path):
    """Text is no recording, and a pickle is not opened to find out."""

    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the pickle was opened",)

    (tmp_path / "text").write_text("no recording\n" * 50)
    (tmp_path / "pickle").write_bytes(pickle.dumps(Trap()))
    assert detect_obspy_format(tmp_path / "text") is None
    assert detect_obspy_format(tmp_path / "pickle") is None
