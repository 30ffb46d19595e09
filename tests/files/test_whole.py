"""Tests of geoae.files.whole."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoae.errors import OutputError
from geoae.files import owners
from geoae.files.whole import whole_file, whole_folder, write_bytes, write_text


class Stop(BaseException):
    """Neither an error of the disk nor one of geoae."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_the_last_content_is_there_and_nothing_else(tmp_path, contents):
    """The file has the last content, and the folder has no other file."""
    for content in contents:
        write_bytes(tmp_path / "x.bin", content)
    assert (tmp_path / "x.bin").read_bytes() == contents[-1]
    assert names(tmp_path) == ["x.bin"]


def test_text_is_utf_8_with_the_line_ends_that_it_has(tmp_path):
    """Text is written as it is, on every system."""
    write_text(tmp_path / "x.txt", "5 µm\n10 µm\n")
    assert (tmp_path / "x.txt").read_bytes() == "5 µm\n10 µm\n".encode()


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stop, ValueError])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_exception_leaves_the_old_file_and_no_temporary_one(tmp_path, error, old):
    """Also exceptions that are no Exception; they pass unchanged."""
    path = tmp_path / "x.bin"
    if old is not None:
        path.write_bytes(old)

    def fail() -> None:
        with whole_file(path) as part:
            part.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert (path.read_bytes() if path.exists() else None) == old
    assert names(tmp_path) == ([] if old is None else ["x.bin"])


def test_a_killed_process_leaves_the_old_file(tmp_path):
    """A process that is killed while it writes leaves the file as it was; what it leaves besides is hidden."""
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    code = f"""
import sys, time
from pathlib import Path
from geoae.files.whole import whole_file
with whole_file(Path({str(path)!r})) as part:
    part.write_bytes(b"half")
    print("half", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"half"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"
    assert [name for name in names(tmp_path) if not name.startswith(".")] == ["x.bin"]


def test_the_content_is_seen_under_its_name_only_when_it_is_whole(tmp_path):
    """While the block runs there is a hidden file with the suffix of the path, and none of its name."""
    path = tmp_path / "figure.png"
    with whole_file(path) as part:
        part.write_bytes(b"half")
        assert not path.exists()
        assert part.parent == tmp_path
        assert part.name.startswith(".")
        assert part.suffix == ".png"
    assert names(tmp_path) == ["figure.png"]


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    """Each has a temporary file of its own, and the one that ends last wins."""
    path = tmp_path / "x.bin"
    with whole_file(path) as first, whole_file(path) as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_permissions_are_those_of_the_umask(tmp_path, mask):
    """Others may read the file where the user's umask lets them."""
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "x.bin", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.bin").stat().st_mode) == 0o666 & ~mask


def test_a_link_stays_a_link(tmp_path):
    """What it points to is replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link.bin").symlink_to(tmp_path / "real" / "x.bin")
    write_bytes(tmp_path / "link.bin", b"new")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "real" / "x.bin").read_bytes() == b"new"
    assert names(tmp_path / "real") == ["x.bin"]


@pytest.mark.parametrize("opened", [whole_file, whole_folder])
def test_a_path_that_leads_nowhere_is_refused(tmp_path, opened):
    """Links in a circle, and a name that is too long."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, words in {"loop": "leads back to itself", "x" * 300: "cannot be written: File name too long"}.items():
        with pytest.raises(OutputError, match=words), opened(tmp_path / name):
            pass
    assert names(tmp_path) == ["loop"]


def test_errors_name_path_and_reason_in_one_line(tmp_path):
    """A missing folder, a folder in the file's place, and an error of a library in the block."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"x\.bin cannot be written: No such file or directory\.$"):
        write_bytes(tmp_path / "missing" / "x.bin", b"x")
    with pytest.raises(OutputError, match=r"folder cannot be written: Is a directory\.$"):
        write_bytes(tmp_path / "folder", b"x")
    with (
        pytest.raises(OutputError, match=r"^clean\.zarr cannot be written: No space left on device\. Free some\.$"),
        whole_file(tmp_path / "x.bin", target=Path("clean.zarr"), advice=" Free some."),
    ):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == ["folder"]


def test_the_temporary_file_may_lie_elsewhere(tmp_path):
    """The folder of the file has no unfinished file then."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "store").mkdir()
    with whole_file(tmp_path / "store" / "c.0", temporary_folder=tmp_path / "tmp") as part:
        part.write_bytes(b"x")
        assert names(tmp_path / "store") == []
    assert names(tmp_path / "store") == ["c.0"]
    assert names(tmp_path / "tmp") == []


def test_the_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """The file is synchronised first and renamed afterwards."""
    path, synced = tmp_path / "x.bin", []

    def fsync(handle: int) -> None:
        synced.append((os.fstat(handle).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_bytes(path, b"12345")
    assert synced == [(5, False)]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(folder: Path, text: str) -> None:
    (folder / "deep").mkdir(exist_ok=True)
    (folder / f"{text}.txt").write_text(text)
    (folder / "deep" / "x.txt").write_text(text)


NEW = {"new.txt": b"new", "deep/x.txt": b"new"}
OLD = {"old.txt": b"old", "deep/x.txt": b"old"}


@pytest.mark.parametrize("old", [None, "folder", "file"])
def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path, old):
    """Until the block ends there is the old content; then there is the new content alone."""
    path = tmp_path / "parent" / "codes.zarr"
    if old == "folder":
        path.mkdir(parents=True)
        fill(path, "old")
    elif old == "file":
        path.parent.mkdir()
        path.write_bytes(b"old")
    with whole_folder(path) as part:
        assert names(part) == []
        assert part.parent == path.parent
        assert part.name.startswith(".")
        fill(part, "new")
        assert path.exists() == (old is not None)
        if old == "folder":
            assert content(path) == OLD
    assert content(path) == NEW
    assert names(path.parent) == ["codes.zarr"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stop, ValueError])
@pytest.mark.parametrize("old", [False, True])
def test_an_exception_leaves_the_old_folder_and_no_temporary_one(tmp_path, error, old):
    """Also exceptions that are no Exception; they pass unchanged."""
    path = tmp_path / "codes.zarr"
    if old:
        path.mkdir()
        fill(path, "old")

    def fail() -> None:
        with whole_folder(path) as part:
            fill(part, "new")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["codes.zarr"] if old else [])
    assert not old or content(path) == OLD


def test_an_old_folder_comes_back_when_the_last_rename_fails(tmp_path, monkeypatch):
    """The error of the disk is one line, and the old content has its name again."""
    path, rename = tmp_path / "codes.zarr", Path.rename
    path.mkdir()
    fill(path, "old")

    def refuse(self: Path, target: Path) -> Path:
        if ".part" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with (
        pytest.raises(OutputError, match=r"codes\.zarr cannot be written: No space left on device\.$"),
        whole_folder(path) as part,
    ):
        fill(part, "new")
    assert content(path) == OLD
    assert names(tmp_path) == ["codes.zarr"]


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    """The folder that it points to is replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_folder(tmp_path / "link") as part:
        fill(part, "new")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == NEW
    assert names(tmp_path) == ["link", "real"]


def test_two_writers_of_one_folder_do_not_mix(tmp_path):
    """Each has a temporary folder of its own, and the one that ends last wins."""
    path = tmp_path / "codes.zarr"
    with whole_folder(path) as first, whole_folder(path) as second:
        fill(first, "new")
        fill(second, "old")
    assert content(path) == NEW
    assert names(tmp_path) == ["codes.zarr"]


def test_all_of_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Files and folders are synchronised first, then the folder is renamed, then its parent is synchronised."""
    path, synced = tmp_path / "codes.zarr", []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.fstat(handle).st_ino, path.exists())))
    with whole_folder(path) as part:
        fill(part, "new")
    inside = {place.stat().st_ino for place in (path, *path.rglob("*"))}
    assert {node for node, has_name in synced if not has_name} == inside
    assert synced[-1] == (tmp_path.stat().st_ino, True)


@pytest.fixture
def killed(monkeypatch):
    """A function that makes a hidden path as a process does that was killed since."""

    def make(path: Path, word: str = "part", machine: str | None = None) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(owners, "_began", lambda pid: 1)
            if machine:
                patch.setattr(owners, "_machine", lambda: machine)
            return path.with_name(owners.hidden_name(path, word))

    return make


@pytest.mark.parametrize("way", [whole_file, whole_folder])
def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path, killed, way):
    """Of the same output only, and never what another process still writes."""
    path = tmp_path / "x.bin"
    file, folder = killed(path), killed(path)
    file.write_bytes(b"half")
    folder.mkdir()
    (folder / "half").touch()
    other, far = killed(tmp_path / "y.bin"), killed(path, machine="0123abcd")
    own = tmp_path / owners.hidden_name(path)
    for kept in (other, far, own):
        kept.touch()
    with way(path) as part:
        part.touch() if way is whole_file else (part / "new").touch()
    assert names(tmp_path) == sorted([other.name, far.name, own.name, "x.bin"])


@pytest.mark.parametrize("renamed", [False, True])
def test_a_folder_that_was_being_replaced_comes_back(tmp_path, killed, renamed):
    """The old content has its name again before anything is written, unless the new one has it."""
    path = tmp_path / "x"
    old = killed(path, "old")
    old.mkdir()
    (old / "old").touch()
    if renamed:
        path.mkdir()
        (path / "new").touch()

    def fail() -> None:
        with whole_folder(path):
            raise Stop

    with pytest.raises(Stop):
        fail()
    assert names(tmp_path) == ["x"]
    assert names(path) == ["new" if renamed else "old"]
