"""The progress of a folder: every store in it, finished, unfinished or damaged, and the number of other files."""

import pytest
import xarray as xr
from typer.testing import CliRunner

from geoae.cli import app
from geoae.errors import InputError, MissingFileError
from geoae.files import owners
from geoae.jobs.progress import is_output_folder, read_folder_progress, read_progress
from tests.support.store_worker import begin_bare, finished_bare, write_bare


@pytest.fixture
def archive(tmp_path):
    """A finished store, an unfinished and a damaged one deeper down, day files, and what a killed run left."""
    folder = tmp_path / "clean"
    deep = folder / "2024" / "XX"
    deep.mkdir(parents=True)
    finished_bare(folder / "a.zarr")
    run = begin_bare(deep / "b.zarr")
    write_bare(run, 0, 3)
    damaged = finished_bare(deep / "c.zarr")
    next((damaged / "u").glob("c.*")).unlink()
    for name in ("XX.A..HHZ.D.2024.061", "XX.A..HHZ.D.2024.062", "x.mseed", ".hidden"):
        (deep / name).write_text("x")
    (deep / ".y.mseed.12.abc.part").mkdir()
    for version in (2, 3):
        xr.Dataset({"a": ("x", [1.0])}).to_zarr(folder / f"v{version}.zarr", zarr_format=version, consolidated=False)
    return folder


def test_every_output_below_a_folder_is_found(archive):
    """Stores by their state, files by their suffix; hidden files that are not of geoae do not count."""
    found = read_folder_progress(archive)
    assert [(s.path.name, s.finished, s.n_done, s.n_tasks) for s in found.stores] == [
        ("b.zarr", False, 2, 5), ("c.zarr", True, 4, 5), ("a.zarr", True, 5, 5),
    ]  # fmt: skip
    assert dict(found.files) == {".day": 2, ".mseed": 1, ".zarr": 2}
    assert [path.name for path in found.unfinished_files] == [".y.mseed.12.abc.part"]
    (problem,) = found.problems
    assert "c.zarr is damaged: 1 of its blocks are missing" in problem


def test_the_command_prints_numbers_and_what_is_not_finished(archive):
    """Exit code 1 for the damaged store, as for a store alone."""
    done = CliRunner().invoke(app, ["status", str(archive)])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == f"{archive}: 3 stores, 2 finished; 5 other files (2 .day, 2 .zarr, 1 .mseed)"
    assert sum("b.zarr" in line for line in lines) == 1
    assert not any("a.zarr" in line for line in lines)
    assert "c.zarr is damaged" in done.stderr


def test_files_alone_are_not_other_files(tmp_path):
    """A folder without stores holds files."""
    (tmp_path / "a.mseed").touch()
    shown = CliRunner().invoke(app, ["status", str(tmp_path)])
    assert shown.stdout == f"{tmp_path}: 1 file (1 .mseed)\n"


def test_stores_are_not_folders_of_outputs(archive, tmp_path):
    """A folder without any file is an error, since nothing can be said of it."""
    assert is_output_folder(archive)
    assert not is_output_folder(archive / "a.zarr")
    assert not is_output_folder(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no outputs\. Give the folder that a run writes to\.$"):
        read_folder_progress(tmp_path / "empty")


def test_a_file_is_complete_or_its_run_is_known(tmp_path, monkeypatch):
    """One line for a complete file, one that is being written, and one whose run was killed."""
    path = tmp_path / "x.mseed"
    with pytest.raises(MissingFileError, match=r"no output .*x\.mseed, finished or begun"):
        read_progress(path)
    part = tmp_path / owners.hidden_name(path)
    part.touch()
    assert read_progress(path) == f"{path} is being written by this process"
    with monkeypatch.context() as patch:
        patch.setattr(owners, "_machine", lambda: "0123abcd")
        assert "another machine" in read_progress(path)
    part.unlink()
    monkeypatch.setattr(owners, "_began", lambda pid: 1)
    killed = tmp_path / owners.hidden_name(path)
    monkeypatch.undo()
    killed.touch()
    assert "its run was killed. The same command begins again" in read_progress(path)
    assert read_folder_progress(tmp_path).unfinished_files == [killed]
    path.touch()
    assert "its run was killed" in read_progress(path)
    killed.unlink()
    assert "is a complete file, written at 20" in read_progress(path)


def test_a_store_that_was_killed_before_its_first_block(tmp_path):
    """It was begun, and the same command begins again; the exit code is 0, as for any unfinished output."""
    path = tmp_path / "x.zarr"
    (tmp_path / ".x.zarr.part" / "new-1").mkdir(parents=True)
    done = CliRunner().invoke(app, ["status", str(path)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "was begun and has no blocks yet" in done.stdout
    done = CliRunner().invoke(app, ["status", str(tmp_path / "y.zarr")])
    assert done.exit_code == 1
    assert "There is no store" in done.stderr
