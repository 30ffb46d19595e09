"""Paths that a user gives, which may lead nowhere."""

import os
from pathlib import Path

import pytest

from geoae.errors import DamagedFileError, InputError, MissingFileError, UnreadableFileError
from geoae.files.paths import can_reach, find_fault, read_errors, require_path, resolve_links


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "broken").symlink_to("gone")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("none", MissingFileError, "none does not exist"),
        ("file/none", MissingFileError, "does not exist"),
        ("a\0b", MissingFileError, "does not exist"),
        ("x" * 300, MissingFileError, "no file system takes so long a name"),
        ("loop", MissingFileError, "leads back to itself"),
        ("broken", MissingFileError, "link to gone, which does not exist"),
        ("pipe", InputError, "is a pipe, but a file was expected"),
        ("/dev/null", InputError, "is a device"),
    ],
)
def test_faults_are_named(folder, name, kind, words):
    """One line that tells the reason; a pipe is refused without being opened, which would wait for its writer."""
    fault = find_fault(folder / name)
    assert type(fault) is kind
    assert words in str(fault)
    assert can_reach(folder / name) == (kind is InputError)


def test_files_folders_and_links_to_them_can_be_used(folder):
    """Nothing is wrong with them."""
    for name in ("file", "link", "."):
        assert can_reach(folder / name)
        assert find_fault(folder / name) is None


def test_standard_input_is_no_file():
    """A dash stands for it in other programs."""
    assert "standard input cannot be read" in str(find_fault("-"))


def test_a_closed_folder_is_named(folder, monkeypatch):
    """The file may be there, so the message does not say that it is not."""

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(folder), "stat", refuse)
    assert isinstance(find_fault(folder / "file"), UnreadableFileError)
    assert not can_reach(folder / "file")


def test_a_file_that_goes_while_it_is_read_is_named(folder):
    """In one line; errors of geoae pass."""
    with (
        pytest.raises(DamagedFileError, match=r"none can no longer be read: No such file or directory\."),
        read_errors(folder / "none"),
    ):
        (folder / "none").read_bytes()
    with pytest.raises(MissingFileError), read_errors(folder / "none"):
        raise find_fault(folder / "none")


def test_links_are_followed_as_far_as_they_lead(folder):
    """A loop stays what it is."""
    assert resolve_links(folder / "link") == folder / "file"
    assert resolve_links(folder / "loop") == folder / "loop"
    assert resolve_links(folder / "broken") == folder / "gone"
    assert resolve_links(folder / "a\0b") == folder / "a\0b"


def test_what_is_no_path_is_named():
    """Text and paths become paths."""
    assert require_path("a/b", "The store") == require_path(Path("a/b"), "The store") == Path("a/b")
    for wrong in (None, 3, b"a", ["a"]):
        with pytest.raises(InputError, match=f"The store is a path, and a {type(wrong).__name__} was given"):
            require_path(wrong, "The store")
