"""Tests of geoae.readers.records.trace_parts; damaged files are read in tests of `salvage`."""

import pytest
from obspy import Stream

from geoae.readers.records import trace_parts
from tests.support.recordings import trace

FORMATS = ("GSE2", "SLIST", "TSPAIR", "SH_ASC", "SEGY", "SU")


def content_of(path, format_name):
    """Bytes of a file of three traces."""
    dtype = "i4" if format_name in ("GSE2", "SLIST", "TSPAIR") else "f4"
    stream = Stream([trace(300, "HH" + letter, seed=k, dtype=dtype) for k, letter in enumerate("ENZ")])
    stream.write(str(path), format=format_name, **({"data_encoding": 5} if format_name == "SEGY" else {}))
    return path.read_bytes()


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.filterwarnings("ignore:CREATING TRACE HEADER")
def test_each_trace_is_a_part(tmp_path, format_name):
    """Nothing is lost between the parts, and their headers tell the number of samples."""
    content = content_of(tmp_path / "x", format_name)
    parts = trace_parts.split_traces(content, format_name)
    assert len(parts) == 3
    assert not any(part.problem for part in parts)
    assert {part.told_samples for part in parts} <= {300, None}
    header = 3600 if format_name == "SEGY" else 0  # it belongs to each part
    assert b"".join(part.content[header:] for part in parts) == content[header:]
    assert trace_parts.is_whole_chain(content, format_name) == (format_name in ("SEGY", "SU"))
    if format_name == "SEGY":
        assert not trace_parts.is_whole_chain(content[:-100], format_name)


@pytest.mark.parametrize("format_name", FORMATS[:4])
def test_texts_are_recognised_by_their_other_headers(tmp_path, format_name):
    """With a damaged first header, which is told."""
    content = b"?" + content_of(tmp_path / "x", format_name)[1:]
    assert trace_parts.guess_format(content) == format_name
    parts = trace_parts.split_traces(content, format_name)
    assert len(parts) == 3
    assert [bool(part.problem) for part in parts] == [format_name not in ("SLIST", "TSPAIR"), False, False]
    assert trace_parts.guess_format(b"anything else") is None


def test_other_formats_are_not_divided():
    """Nor are files that are too short for a header."""
    assert trace_parts.split_traces(b"x", "SAC") == []
    assert trace_parts.split_traces(b"x", "SEGY") == []
    assert trace_parts.split_traces(b"x", "SU") == []


@pytest.mark.parametrize("format_name", ["AH", "Q"])
def test_bytes_after_the_traces_are_told(tmp_path, format_name):
    """The traces take just the bytes that they need."""
    path = tmp_path / ("x.QHD" if format_name == "Q" else "x")
    Stream([trace(300, "HH" + letter, dtype="f4") for letter in "ENZ"]).write(str(path), format=format_name)
    assert trace_parts.describe_rest(path, format_name, [300, 300, 300]) == ""
    assert "2 traces that can be read" in trace_parts.describe_rest(path, format_name, [300, 300])
    assert trace_parts.describe_rest(path, "SAC", [300]) == ""
