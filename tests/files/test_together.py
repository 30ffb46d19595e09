"""Several files are replaced together, whenever the process is killed."""

from pathlib import Path

import pytest

from geoae.errors import OutputError
from geoae.files import together
from geoae.files.together import find_file, replace_files

OLD, NEW = {"a": b"old a", "b": b"old b"}, {"a": b"new a", "b": b"new b", "c": b"new c"}


class Killed(BaseException):
    """The process is killed here: nothing of it runs afterwards."""


def found(folder: Path) -> dict[str, bytes]:
    """What readers find."""
    return {name: path.read_bytes() for name in "abc" if (path := find_file(folder, name)).is_file()}


def test_files_are_replaced_and_others_stay(tmp_path):
    """A folder that is not there is made; nothing hidden is left."""
    folder = tmp_path / "x" / "y"
    replace_files(folder, OLD)
    (folder / "other").write_bytes(b"mine")
    replace_files(folder, NEW)
    assert found(folder) == NEW
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c", "other"]


@pytest.mark.parametrize("step", range(6))
def test_readers_find_the_old_files_or_the_new_ones(tmp_path, monkeypatch, step):
    """After a kill at any rename; the next replacement puts all in their places."""
    replace_files(tmp_path, OLD)
    renames = []

    def rename(self, target, method):
        renames.append(self)
        if len(renames) > step:
            raise Killed
        return method(self, target)

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            method = getattr(Path, name)
            patch.setattr(Path, name, lambda self, target, method=method: rename(self, target, method))
        try:
            replace_files(tmp_path, NEW)
        except Killed:
            assert found(tmp_path) == (OLD if step == 0 else NEW)
        else:
            assert len(renames) == 4  # the folder, and each of the files
    replace_files(tmp_path, {"c": b"last c"})
    assert found(tmp_path) == {**(OLD if step == 0 else NEW), "c": b"last c"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_full_disk_changes_nothing(tmp_path, monkeypatch):
    """The error names the folder, and the files are as they were."""
    replace_files(tmp_path, OLD)

    def fail(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        replace_files(tmp_path, NEW)
    assert found(tmp_path) == OLD
    assert not (tmp_path / together._COMPLETE).exists()
