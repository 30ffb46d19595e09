"""A task that is done stays done, partial blocks never count, and a run resumes only with its own settings."""

import errno
import os
import pickle
import signal
from pathlib import Path

import pytest

from geoae.errors import InputError, MissingFileError, OutputError, OutputExistsError, StoreError, UnreadableFileError
from geoae.stores import ledger, provenance
from tests.support.store_worker import (
    EPOCH,
    IDENTITY,
    content,
    ready_processes,
    run_bare_and_die,
)
from tests.support.store_worker import begin_bare as begin
from tests.support.store_worker import finished_bare as finished
from tests.support.store_worker import write_bare as write

ONE_LINE = r"^[^\n]+$"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_resumes_where_it_stopped(tmp_path):
    """Written blocks are not pending; a complete store has its name, and nothing else is left."""
    target = tmp_path / "out.zarr"
    run = begin(target)
    assert run.pending().tolist() == [0, 1, 2, 3, 4]
    write(run, 3, 0)
    again = begin(target)
    assert again == run
    assert again.pending().tolist() == [1, 2, 4]
    assert [again.is_done(i) for i in range(5)] == [True, False, False, True, False]
    assert not target.exists()
    with pytest.raises(StoreError, match=r"unfinished: 3 of 5 blocks are missing\.$"):
        again.finish()
    write(again, 1, 2, 4)
    assert again.finish() == target.resolve()
    assert names(tmp_path) == ["out.zarr"]
    assert sorted(p.name for p in (target / "u").iterdir()) == [f"c.{i}.0" for i in range(5)] + ["zarr.json"]


def test_repeating_a_finished_run_does_nothing(tmp_path):
    """Also if the run was killed after its last rename."""
    target = finished(tmp_path / "out.zarr")
    run = begin(target)
    assert run.finished
    assert run.pending().size == run.n_tasks == 0
    assert run.finish() == target
    left = tmp_path / ".out.zarr.part" / provenance.make_fingerprint(IDENTITY)
    left.mkdir(parents=True)
    (left / "ledger.json").write_text("{}")
    assert begin(target, overwrite=True).finished  # its folder shows that this command wrote the store
    assert names(tmp_path) == ["out.zarr"]
    assert begin(target, overwrite=True).pending().size == 5  # a second --overwrite starts again


def test_a_task_is_done_when_all_its_variables_are_written(tmp_path):
    """One of two files is not enough, and a file in progress does not count."""
    run = begin(tmp_path / "out.zarr")
    one = run.task(2)
    run.write(one, one.part.variables[0], b"u")
    (run.folder / "tmp" / "half").write_bytes(b"v")
    assert run.pending().tolist() == [0, 1, 2, 3, 4]
    run.write(one, one.part.variables[1], b"v")
    assert run.pending().tolist() == [0, 1, 3, 4]


def test_an_unfinished_store_names_settings_that_differ(tmp_path):
    """An unfinished store resumes only with its own settings, unless --overwrite is given."""
    target = tmp_path / "out.zarr"
    write(begin(target), 0, 1)
    with pytest.raises(StoreError, match=r"^The unfinished \S+out.zarr was begun with other settings: model: a -> b; "
                                         r"window: \[64, 64\] -> \[32, 64\]\. [^\n]+--overwrite\.$"):  # fmt: skip
        begin(target, model="b", window=(32, 64))
    with pytest.raises(StoreError, match=r"source: in\.nc -> none"):
        begin(target, source=None)
    assert begin(target).pending().tolist() == [2, 3, 4]
    assert begin(target, model="b", overwrite=True).pending().size == 5
    with pytest.raises(StoreError, match="model: b -> a"):
        begin(target)


def test_a_finished_store_is_replaced_only_on_request(tmp_path):
    """It stays until its replacement is finished."""
    target = finished(tmp_path / "out.zarr")
    with pytest.raises(OutputExistsError, match=r"there already, with other settings \(model: a -> b\); [^\n]+$"):
        begin(target, model="b")
    run = begin(target, model="b", overwrite=True)
    write(run, 0)
    assert provenance.is_result(target, IDENTITY)
    assert ledger.read_store_status(target)[1:4] == (False, 1, 5)
    run = begin(target, model="b", overwrite=True)
    write(run, *run.pending())
    run.finish()
    assert provenance.read_settings(target)["model"] == "b"
    assert names(tmp_path) == ["out.zarr"]


def test_files_and_folders_that_are_no_stores_stay(tmp_path):
    """Even with --overwrite."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("all of it")
    (tmp_path / "file").write_text("x")
    for name in ("folder", "file"):
        with pytest.raises(OutputError, match="is not a zarr store, so it is not touched"):
            begin(tmp_path / name, overwrite=True)
    with pytest.raises(OutputError, match=r"folder \S+nowhere for the output is not there"):
        begin(tmp_path / "nowhere" / "out.zarr")
    assert names(tmp_path) == ["file", "folder"]


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    """Before anything is computed, and also where a status is asked for."""
    (tmp_path / "loop.zarr").symlink_to(tmp_path / "loop.zarr")
    for name, words in {"loop.zarr": "leads back to itself", f"{'x' * 300}.zarr": "File name too long"}.items():
        with pytest.raises(OutputError, match=words):
            begin(tmp_path / name)
    with pytest.raises(MissingFileError, match="There is no store"):
        ledger.read_store_status(tmp_path / "loop.zarr")
    with pytest.raises(UnreadableFileError, match="File name too long"):
        ledger.read_store_status(tmp_path / ("x" * 300))
    assert names(tmp_path) == ["loop.zarr"]


def test_a_link_stays_a_link(tmp_path):
    """The target of the link is replaced."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out.zarr").symlink_to(tmp_path / "disk" / "real.zarr")
    finished(tmp_path / "out.zarr")
    assert (tmp_path / "out.zarr").is_symlink()
    assert (tmp_path / "disk" / "real.zarr" / "zarr.json").is_file()


def test_a_resumed_run_keeps_its_first_start_time(tmp_path, monkeypatch):
    """Also if it is resumed on another day."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    target = tmp_path / "out.zarr"
    write(begin(target), 0, 1, 2, 3)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    run = begin(target)
    assert run.started == ledger.read_store_status(target).started == "1970-01-01T00:00:00Z"
    write(run, 4)
    run.finish()
    assert ledger.read_store_status(target).started == "1970-01-01T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "tomorrow")
    with pytest.raises(InputError, match=ONE_LINE):
        begin(target, overwrite=True)


def test_the_status_counts_blocks_and_reports_damage(tmp_path):
    """For unfinished, finished and damaged stores, and for folders that are no stores."""
    target = tmp_path / "out.zarr"
    with pytest.raises(MissingFileError, match=ONE_LINE):
        ledger.read_store_status(target)
    run = begin(target)
    write(run, 1, 3)
    assert ledger.read_store_status(target) == (target.resolve(), False, 2, 5, run.started, IDENTITY)
    write(run, 0, 2, 4)
    run.finish()
    assert ledger.read_store_status(target)[1:5] == (True, 5, 5, run.started)
    assert ledger.read_store_status(target).settings["model"] == "a"
    (target / "v" / "c.2").unlink()
    assert ledger.read_store_status(target)[1:4] == (True, 4, 5)
    (target / "v" / "zarr.json").write_text('{"shape"')
    with pytest.raises(StoreError, match=r"^\S+out.zarr is damaged \([^\n]+\)\.$"):
        ledger.read_store_status(target)
    (target / "v" / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"^\S+out.zarr is damaged: it lacks 'v'\.$"):
        ledger.read_store_status(target)
    (target / "zarr.json").write_text('{"attributes": {}}')
    with pytest.raises(StoreError, match="was not written by geoae"):
        ledger.read_store_status(target)
    (target / "zarr.json").unlink()
    with pytest.raises(StoreError, match="is not a zarr store of format 3"):
        ledger.read_store_status(target)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 99}', '{"format": 1, "parts": [{"x": 1}]}']
)
def test_a_damaged_ledger_is_an_error_of_one_line(tmp_path, text):
    """The error names the file, and --overwrite starts again."""
    target = tmp_path / "out.zarr"
    run = begin(target)
    (run.folder / "ledger.json").write_text(text)
    for call in (lambda: begin(target), lambda: begin(target, model="b"), lambda: ledger.read_store_status(target)):
        with pytest.raises(StoreError, match=r"^The unfinished \S+out.zarr [^\n]+\.$"):
            call()
    assert begin(target, model="b", overwrite=True).pending().size == 5


def test_a_missing_folder_is_an_error_of_one_line(tmp_path):
    """Folders of an unfinished store that were removed."""
    target = tmp_path / "out.zarr"
    run = begin(target)
    (run.folder / "store" / "v" / "zarr.json").unlink()
    (run.folder / "store" / "v").rmdir()
    with pytest.raises(StoreError, match=ONE_LINE):
        ledger.read_store_status(target)
    with pytest.raises(StoreError, match=ONE_LINE):
        run.pending()


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    """An error of one line, no partial files; the run resumes when there is space."""
    target = tmp_path / "out.zarr"
    run = begin(target)
    write(run, 0)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"^\S+out.zarr cannot be written: No space left on device\. "
                                              r"What is done is kept[^\n]+$"):  # fmt: skip
            write(run, 1)
        with pytest.raises(OutputError, match=r"^\S+new.zarr cannot be written: No space left on device\.$"):
            begin(tmp_path / "new.zarr")
    assert names(tmp_path) == [".out.zarr.part"]
    assert names(run.folder / "tmp") == []
    assert run.pending().tolist() == [1, 2, 3, 4]
    write(run, 1, 2, 3, 4)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=ONE_LINE):
            run.finish()
    assert begin(target).finish() == target.resolve()


def test_a_read_only_place_is_an_error_of_one_line(tmp_path, monkeypatch):
    """Also for read-only file systems."""

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"^\S+out.zarr cannot be written: Read-only file system\.$"):
        begin(tmp_path / "out.zarr")
    assert names(tmp_path) == []


def test_late_writers_change_nothing(tmp_path):
    """A worker that outlives its run writes nothing; if the run was removed, it raises an error."""
    target = tmp_path / "out.zarr"
    run = begin(target)
    write(run, *run.pending())
    run.finish()
    there = content(target)
    write(run, 0)
    assert run.pending().size == 0
    assert run.finish() == target.resolve()  # as a second client of the same command would
    assert content(target) == there
    assert names(tmp_path) == ["out.zarr"]
    other = begin(target, model="b", overwrite=True)
    begin(target, model="c", overwrite=True)
    for call in (lambda: write(other, 0), other.pending, other.finish):
        with pytest.raises(StoreError, match=r"^The unfinished \S+out.zarr was removed while it was written\. [^\n]+$"):
            call()


def test_two_clients_can_share_a_run(tmp_path):
    """There is no lock: the second finds the blocks of the first."""
    target = tmp_path / "out.zarr"
    one, two = begin(target), begin(target)
    write(one, 0, 1, 2)
    write(two, 2, 3, 4)
    assert one.finish() == two.finish() == target.resolve()
    assert names(tmp_path) == ["out.zarr"]


def test_a_store_that_appears_during_the_run_is_kept(tmp_path):
    """Only the store that was there at the start is replaced or appended to."""
    target = tmp_path / "out.zarr"
    run = begin(target)
    write(run, *run.pending())
    finished(tmp_path / "other.zarr", model="b").rename(target)
    with pytest.raises(OutputExistsError, match="has appeared meanwhile"):
        run.finish()
    assert provenance.read_settings(target)["model"] == "b"
    assert run.pending().size == 0  # the blocks of the run are still there
    grow = begin(tmp_path / "g.zarr", source="1", append=True)
    write(grow, *grow.pending())
    grow.finish()
    one = begin(tmp_path / "g.zarr", source="2", append=True)
    write(one, *one.pending())
    finished(tmp_path / "g2.zarr", source="3").rename(tmp_path / "moved.zarr")
    (tmp_path / "g.zarr").rename(tmp_path / "old.zarr")
    (tmp_path / "moved.zarr").rename(tmp_path / "g.zarr")
    with pytest.raises(StoreError, match="has changed since this run began to append to it"):
        one.finish()
    with pytest.raises(StoreError, match="the finished store that it appends to has changed"):
        begin(tmp_path / "g.zarr", source="2", append=True)


@pytest.mark.parametrize("way", ["new", "overwrite", "append"])
def test_a_kill_at_any_step_loses_nothing(tmp_path, monkeypatch, way):
    """Between any two renames, syncs or removals: the old store stays until the new one is complete."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    processes = ready_processes()
    options = {"n": 2, "model": "b", "overwrite": way == "overwrite", "append": way == "append"}

    def store(name: str) -> Path:
        return tmp_path / name if way == "new" else finished(tmp_path / name, n=1)

    old = None if way == "new" else content(store("old.zarr"))
    new, step, exitcode = content(finished(store("new.zarr"), **options)), 1, None
    while exitcode != 0:
        target = store(f"{step}.zarr")
        process = processes.Process(target=run_bare_and_die, args=(target, options, step))
        process.start()
        process.join()
        exitcode = process.exitcode
        assert exitcode in (0, -signal.SIGKILL)
        there = content(target) if target.exists() else None
        # between the last two renames there is no store, and the next start restores the old one
        assert there in (old, new, None)
        begin(target, **options)
        assert there is not None or old is None or target.exists()
        assert content(finished(target, **options)) == new
        assert not list(tmp_path.glob(".*"))
        step += 1
    assert step > 30


def test_the_size_of_a_ledger_does_not_depend_on_the_number_of_tasks(tmp_path):
    """It can be pickled; workers read it from its folder."""
    small, large = begin(tmp_path / "a.zarr", n=2), begin(tmp_path / "b.zarr", n=100_000)
    assert abs(len(pickle.dumps(large)) - len(pickle.dumps(small))) < 100
    assert pickle.loads(pickle.dumps(large)) == large
    assert ledger.load_run(large.folder) == large
    assert large.pending().size == large.n_tasks == 100_000
    assert large.task(99_999).block == (slice(199_998, 200_000),)
