"""Tests of geoae.readers.records.whole."""

import errno
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


def test_members_that_are_not_read_are_named(tmp_path):
    """What may be a recording is a loss; texts and documents are noted; the other recordings are read."""
    trace(1000).write(str(tmp_path / "a.mseed"), format="MSEED")
    trace(1000, dtype=np.float32).write(str(tmp_path / "b.sac"), format="SAC")
    others = {
        "README": b"read me", "s.xml": b"<a/>", "map.pdf": b"%PDF\0", "dataless": b"000001V 0100018",
        "cut.sac": (tmp_path / "b.sac").read_bytes()[:2000], "bad.mseed": b"<html>", "empty": b"", "c": bytes(9) * 99,
        "x.zst": b"\x28\xb5\x2f\xfd",
    }  # fmt: skip
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "a.mseed", "d/XX.ABC..HHZ.D.2024.061")
        for name, content in others.items():
            archive.writestr(name, content)
    found = traces.scan(tmp_path / "x.zip")
    assert [segment.n for segment in found.segments] == [1000]
    assert sorted(line.split()[1] for line in found.notes) == ["README", "dataless", "map.pdf", "s.xml"]
    assert sorted(line.split()[1] for line in found.losses) == ["bad.mseed", "c", "cut.sac", "empty", "x.zst"]
    assert "x.zst was not read: it is packed by zstandard" in "".join(found.losses)


def test_an_archive_without_a_recording_is_refused(tmp_path):
    """The error names what is in it, or what is damaged."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("README", "read me")
    with pytest.raises(UnknownFormatError, match="no recording, only README: README is in no format"):
        traces.scan(tmp_path / "x.zip")
    (tmp_path / "u.nc.gz").write_bytes(gzip.compress(b"\x89HDF" + bytes(99)))
    with pytest.raises(UnknownFormatError, match=r"u.nc.gz is packed and is a netCDF, HDF5 or GRIB file. Unpack it"):
        traces.scan(tmp_path / "u.nc.gz")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:-30])
    with pytest.raises(DamagedFileError, match="list of members is missing or damaged"):
        traces.scan(tmp_path / "cut.zip")
    (tmp_path / "x.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(UnknownFormatError, match="packed by zstandard"):
        traces.scan(tmp_path / "x.zst")


def test_an_error_of_the_system_is_not_blamed_on_the_file(tmp_path, monkeypatch):
    """Such as too many open files; to fetch the file again would not help."""
    trace(100, dtype=np.float32).write(str(tmp_path / "x.sac"), format="SAC")

    def fail(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("obspy.read", fail)
    with pytest.raises(DamagedFileError, match=r"cannot be read: .*Too many open files\.$"):
        traces.scan(tmp_path / "x.sac")


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


def test_a_gse2_checksum_without_its_sign_is_no_note(tmp_path):
    """Old versions of ObsPy wrote them; the samples are right."""
    path = tmp_path / "a.gse2"
    trace(100).write(str(path), format="GSE2")
    samples, number = path.read_bytes().split(b"CHK2")
    path.write_bytes(samples + b"CHK2 %8d\n\n" % -int(number))
    content = whole.read_whole(path, whole.read_stamp(path))
    assert [len(one.data) for one in content.traces] == [100]
    assert (content.notes, content.losses) == ((), ())
