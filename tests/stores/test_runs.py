"""Folders of unfinished stores."""

from pathlib import Path

from geoae.stores import provenance, runs
from tests.support.store_worker import IDENTITY
from tests.support.store_worker import begin_bare as begin
from tests.support.store_worker import finished_bare as finished
from tests.support.store_worker import write_bare as write


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_only_complete_folders_are_runs(tmp_path):
    """New and removed folders have a prefix, and an incomplete layout lacks its ledger or store."""
    assert runs.list_runs(tmp_path / "none") == []
    for name in ("new-1", "old-1", "abc", "def"):
        (tmp_path / name / "store").mkdir(parents=True)
    for name in ("new-1", "old-1", "abc"):
        (tmp_path / name / "ledger.json").touch()
    assert [path.name for path in runs.list_runs(tmp_path)] == ["abc"]


def test_leftovers_of_killed_layouts_are_removed(tmp_path):
    """When a run is finished, layouts that never became runs are removed."""
    target = tmp_path / "out.zarr"
    (tmp_path / ".out.zarr.part" / "new-x" / "store").mkdir(parents=True)
    (tmp_path / ".out.zarr.part" / "new-x" / "ledger.json").write_text("{")
    finished(target)
    assert names(tmp_path) == ["out.zarr"]


def test_a_kill_between_the_last_two_renames_loses_no_store(tmp_path):
    """The next start restores the old store, and its replacement is still complete."""
    target = finished(tmp_path / "out.zarr")
    run = begin(target, model="b", overwrite=True)
    write(run, *run.pending())
    (run.folder / "store").rename(run.folder / "final-x")
    target.rename(run.folder / "replaced")
    again = begin(target, model="b", overwrite=True)
    assert provenance.is_result(target, IDENTITY)
    assert again.pending().size == 0
    again.finish()
    assert provenance.read_settings(target)["model"] == "b"
    assert names(tmp_path) == ["out.zarr"]
