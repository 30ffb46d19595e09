"""Tests of geoae.readers.protocols: built-in readers and locators have the functions of the protocols."""

import inspect

import numpy as np
import pytest
from obspy import Stream, Trace

from geoae import readers
from geoae.readers import protocols
from geoae.readers.protocols import Locator
from geoae.readers.records import traces


@pytest.mark.parametrize("name", readers.READERS)
def test_built_in_readers_have_the_functions_of_their_kind(name):
    """Positional parameters have the names and the order of the protocol."""
    reader = readers.open_reader(name)
    protocol = {"records": protocols.RecordsReader, "fields": protocols.FieldsReader}[reader.kind]
    names = ["sniff", "read"] + (
        ["contents"] if reader.kind == "fields" else ["scan"] if hasattr(reader, "scan") else []
    )
    for function in names:
        expected = [p.name for p in inspect.signature(getattr(protocol, function)).parameters.values()][1:]
        found = list(inspect.signature(getattr(reader, function)).parameters)
        expected = [parameter for parameter in expected if parameter not in ("selection", "options")]
        assert found[: len(expected)] == expected, f"{name}.{function}"


@pytest.mark.parametrize("format_name", ["SAC", "SLIST"])
def test_locators_of_files_and_streams(tmp_path, format_name):
    """They are hashable, and a part of a part reads the samples of the whole."""
    trace = Trace(np.arange(50, dtype=np.float32), {"network": "XX", "channel": "HHZ", "sampling_rate": 10.0})
    trace.write(str(tmp_path / "a"), format=format_name)
    for scan in (traces.scan(tmp_path / "a"), traces.scan_stream(Stream([trace]))):
        locator = scan.segments[0].locator
        assert isinstance(locator, Locator)
        assert {locator: 1}[locator] == 1
        np.testing.assert_array_equal(locator.part(10, 40).part(5, 20).read(2, 6), trace.data[17:21])
        assert locator.dtype == locator.read(0, 1).dtype
        assert locator.headers().channel == "HHZ"
        assert locator.raw_bytes() is None
