"""Tests of geoae.readers.records.whole."""

import gzip
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from geoae.errors import DamagedFileError, UnknownFormatError
from geoae.readers.records import traces, whole
from tests.support.recordings import trace


def test_pickles_are_never_opened(tmp_path, capsys):
    """A pickled Stream is refused without running what is in it."""

    class Trap:
        def __reduce__(self):
            return print, ("obspy.core.stream ran",)

    (tmp_path / "x").write_bytes(pickle.dumps(Trap()))
    assert not traces.sniff(tmp_path / "x")
    with pytest.raises(UnknownFormatError, match="pickles"):
        traces.scan(tmp_path / "x")
    assert capsys.readouterr().out == ""


def test_archives(tmp_path):
    """Recordings packed by gzip, zip or tar are read; what else is in there is noted."""
    trace(1000).write(str(tmp_path / "a.mseed"), format="MSEED")
    (tmp_path / "notes.txt").write_text("read me")
    (tmp_path / "a.gz").write_bytes(gzip.compress((tmp_path / "a.mseed").read_bytes()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.mseed", "a.mseed")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(tmp_path / "a.mseed", "../../day/a.mseed")  # stays inside the folder it is unpacked to
        archive.add(tmp_path / "notes.txt", "notes.txt")
    for name in ("a.gz", "a.zip", "a.tgz"):
        assert whole.is_recording(tmp_path / name)  # as sniff does, but what goes wrong is seen
        found = traces.scan(tmp_path / name)
        np.testing.assert_array_equal(traces.fetch_samples(found.segments[0]), trace(1000).data)
        assert len(found.notes) == (name == "a.tgz")


def test_a_file_that_changed_is_not_taken_from_the_cache(tmp_path):
    """The stamp tells the old content from the new; the same stamp returns the cached traces."""
    path = tmp_path / "a.sac"
    trace(100, dtype=np.float32).write(str(path), format="SAC")
    stamp = whole.read_stamp(path)
    content = whole.read_whole(path, stamp)
    assert whole.read_whole(path, stamp) is content
    assert [len(one.data) for one in content.traces] == [100]
    trace(200, dtype=np.float32).write(str(path), format="SAC")
    assert whole.read_stamp(path) != stamp
    whole.read_whole.cache_clear()
    with pytest.raises(DamagedFileError, match="changed while it was read"):
        whole.read_whole(path, stamp)


def test_messages_that_differ_in_numbers_are_one_line():
    """With the number of the others, and without the name of the C function."""
    messages = ["msr_unpack(): bad byte 128", "msr_unpack(): bad byte 256", "no end of file"]
    assert whole._condense("a", messages) == ["a: bad byte 128 (and 1 more like it)", "a: no end of file"]
