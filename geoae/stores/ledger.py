"""The resumable work list of one output store: which blocks are done.

An unfinished store lies in a hidden folder beside its target. It gets its name when it is complete::

    clean.zarr                  a finished store: this one, or one to replace or to append to
    .clean.zarr.part/3f2a.../   one run, named by its fingerprint
        ledger.json             settings, start time, and the division into blocks
        store/                  the new store: laid out, with blocks missing
        tmp/                    blocks in progress

One task writes one block. It is done when the files of all its variables have their names. A file gets its name by a
rename after its bytes are on the disk. So a process may be killed at any moment, on any machine: there are no partial
blocks, no locks that stay behind, and no list of finished blocks that could differ from the disk.
"""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.errors import (
    GeoAEError,
    MissingFileError,
    OutputError,
    OutputExistsError,
    StoreError,
    UnreadableFileError,
    one_line,
)
from geoae.files.paths import resolve_links
from geoae.files.whole import follow_link, output_errors, sync_to_disk, whole_file
from geoae.stores import provenance, runs
from geoae.stores.blocks import Part, Task, Variable, find_task
from geoae.stores.provenance import Identity, describe_differences, find_done_blocks, make_fingerprint
from geoae.stores.schema import FINGERPRINT

FORMAT = 1
_RESUME = " What is done is kept: the same command goes on from there."
LayOut = Callable[[Path, str, Path | None], tuple[Part, ...]]
"""(folder, start time, finished store to append to) -> parts of the store that was laid out in the folder."""


@dataclass(frozen=True)
class Ledger:
    """The work list of one run. Tasks are numbers; workers open the ledger by its folder, see `load_run`."""

    target: Path
    folder: Path
    parts: tuple[Part, ...]
    identity: dict[str, Any]
    started: str
    base: str | None = None
    """Fingerprint of the finished store to append to; None if there is none."""
    replaces: bool = False
    """Whether this store may replace a finished one."""
    finished: bool = False

    @property
    def n_tasks(self) -> int:
        """Number of tasks, done or not; 0 if the store was finished before this run."""
        return sum(part.n_blocks for part in self.parts)

    def task(self, number: int) -> Task:
        """Task by its number, from 0 to `n_tasks` - 1."""
        return find_task(self.parts, number)

    def pending(self) -> NDArray[np.intp]:
        """Numbers of the tasks that are not done, in order.

        Raises
        ------
        StoreError
            The run was removed.
        """
        try:
            return np.flatnonzero(~find_done_blocks(self.folder / runs.STORE, self.parts))
        except FileNotFoundError:
            self._finished_elsewhere()
            return np.empty(0, np.intp)

    def is_done(self, number: int) -> bool:
        """Whether a task is done, by any process."""
        task = self.task(number)
        return all(self._file(task, variable).exists() for variable in task.part.variables)

    def write(self, task: Task, variable: Variable, content: bytes) -> None:
        """Write the block of a variable; it gets its name by one rename when its bytes are on the disk.

        If another process has finished the run meanwhile, the block is in the store already, and nothing happens.

        Raises
        ------
        StoreError
            The run was removed.
        OutputError
            The disk is full or fails; no partial file is left behind.
        """
        # not beside the block: a store that is finished meanwhile must not hold a partial block
        temporary = self.folder / runs.TMP
        block = self._file(task, variable)
        try:
            with whole_file(block, temporary_folder=temporary, target=self.target, advice=_RESUME) as part:
                part.write_bytes(content)
        except OutputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):  # the layout has made all folders
                raise
            self._finished_elsewhere()

    def finish(self) -> Path:
        """Give the store its name. A second call changes nothing.

        Raises
        ------
        StoreError
            Blocks are missing, the run was removed, or the store to append to has changed.
        OutputExistsError
            A store of that name has appeared since the run began.
        OutputError
            The disk fails.
        """
        if self.finished:
            return self.target
        store, claim = self.folder / runs.STORE, self.folder / f"final-{uuid.uuid4().hex}"
        with output_errors(self.target, _RESUME):
            try:
                done = find_done_blocks(store, self.parts)
                if not done.all():
                    raise StoreError(f"{self.target} is unfinished: {(~done).sum()} of {done.size} blocks are missing.")
                sync_to_disk(*(store / v.name for part in self.parts for v in part.variables), store)
                store.rename(claim)  # a rename is atomic: only one process gets past this line
            except FileNotFoundError:
                return self._finished_elsewhere()
            if self.target.exists():
                try:
                    self._check_replacement()
                except GeoAEError:
                    claim.rename(store)
                    raise
                # for a moment there is no store; if this process dies here, `begin_run` restores the old one
                self.target.rename(self.folder / runs.REPLACED)
            claim.rename(self.target)
            sync_to_disk(self.target.parent)
            # also leftovers of processes that were killed during their layout
            hidden = self.folder.parent
            runs.remove_runs(hidden, self.folder, *hidden.glob("new-*"))
        return self.target

    def discard(self) -> None:
        """Remove the run with the blocks that are done. A finished store of that name stays."""
        runs.remove_runs(self.folder.parent, self.folder)

    def _file(self, task: Task, variable: Variable) -> Path:
        return self.folder / runs.STORE / variable.file(task.index)

    def _check_replacement(self) -> None:
        if not self.replaces:
            raise OutputExistsError(f"{self.target} has appeared meanwhile; choose another output, or --overwrite.")
        if self.base is not None and provenance.read_attributes(self.target).get(FINGERPRINT) != self.base:
            raise StoreError(f"{self.target} has changed since this run began to append to it; nothing was appended.")

    def _finished_elsewhere(self) -> Path:
        for _ in range(10):  # the other process may be between two renames
            if provenance.is_result(self.target, self.identity):
                return self.target
            time.sleep(0.05)
        raise _removed_error(self.target)


class Status(NamedTuple):
    """Progress of a store."""

    path: Path
    finished: bool
    n_done: int
    n_tasks: int
    started: str
    settings: dict[str, Any]


def read_store_status(target: Path) -> Status:
    """Progress and settings of a store. An unfinished run counts before a finished store of the same name.

    A finished store that lacks blocks is damaged.

    Raises
    ------
    MissingFileError
        There is no such store, finished or not.
    StoreError
        It is damaged, or not a store that geoae wrote.
    """
    target = resolve_links(target)
    try:
        for run in runs.list_runs(runs.name_hidden_folder(target)):
            ledger = _read(run)
            done = find_done_blocks(run / runs.STORE, ledger.parts)
            return Status(target, False, int(done.sum()), done.size, ledger.started, dict(ledger.identity))
        if not target.exists():
            raise MissingFileError(f"There is no store {target}, and no unfinished one of that name.")
        settings = provenance.read_settings(target)
        done = find_done_blocks(target, provenance.read_parts(target))
    except FileNotFoundError as error:
        if isinstance(error, GeoAEError):
            raise
        raise StoreError(f"{target} is damaged: {error.filename} is not there.") from error
    except OSError as error:
        if isinstance(error, GeoAEError):
            raise
        raise UnreadableFileError(f"{target} cannot be read: {error.strerror or one_line(error)}.") from error
    return Status(target, True, int(done.sum()), done.size, str(settings.get("started", "")), settings)


def begin_run(
    target: Path, identity: dict[str, Any], lay_out: LayOut, *, overwrite: bool = False, append: bool = False
) -> Ledger:
    """Begin a run, or resume the one that was begun with the same settings.

    Parameters
    ----------
    target
        Path of the store. If it is finished already with this identity, nothing is left to do, unless `overwrite` is
        given.
    identity
        Everything that decides the result, as JSON values. Messages use its names.
    lay_out
        (folder, start time, finished store to append to or None) -> parts. Makes the store in `folder` without its
        blocks, with the fingerprint of `identity` in its attributes. Not called if a run is resumed.
    overwrite
        Replace a finished store when this one is finished, and remove an unfinished one that has other settings.
    append
        Append to a finished store of that name, if there is one.

    Raises
    ------
    StoreError
        An unfinished store of that name has other settings, or is damaged.
    OutputExistsError
        A finished store with other settings is there.
    OutputError
        The place cannot be written to, or the target is not a store.
    """
    target = resolve_links(follow_link(Path(target)))  # a link stays a link: its target is replaced
    identity = json.loads(json.dumps(identity))  # as it will be read back
    with output_errors(target):
        if not target.parent.is_dir():
            raise OutputError(f"The folder {target.parent} for the output is not there; make it first.")
        hidden, base = runs.name_hidden_folder(target), None
        runs.undo_interrupted_finish(target, hidden)
        if target.exists():
            _check_store(target)
            own = hidden / make_fingerprint(identity)
            # a run that is killed after its last rename leaves its folder: the store is the result of this command
            leftover = own.is_dir() and not runs.is_run(own)
            if provenance.is_result(target, identity) and (leftover or not overwrite):
                runs.remove_runs(
                    hidden, *(folder for folder in runs.list_subfolders(hidden) if not runs.is_run(folder))
                )
                return Ledger(target, own, (), identity, "", finished=True)
            if append and not overwrite:
                base = str(provenance.read_attributes(target).get(FINGERPRINT))
            elif not overwrite:
                raise OutputExistsError(
                    f"{target} is there already{_describe_other_settings(target, identity)}; "
                    "choose another output, or ask for --overwrite."
                )
        run = hidden / make_fingerprint(identity, base)
        for other in runs.list_runs(hidden):
            if other != run:
                _drop_or_refuse(other, target, identity, overwrite)
        if not runs.is_run(run):
            if run.is_dir() and not any(run.glob("final-*")) and not (run / runs.REPLACED).exists():
                runs.remove_runs(hidden, run)  # left by a run whose store was removed later
            _new_run(run, target, identity, base, lay_out)
        return _read(run, replaces=overwrite or base is not None)


@lru_cache(maxsize=64)
def load_run(folder: Path) -> Ledger:
    """Read the ledger in a run's folder, once in each process; the folder's name is the fingerprint of the content.

    Raises
    ------
    StoreError
        It was removed, or is damaged.
    """
    return _read(Path(folder))


def _read(folder: Path, replaces: bool = False) -> Ledger:
    target = folder.parent.with_name(folder.parent.name[1:].removesuffix(".part"))
    try:
        facts = json.loads((folder / runs.LEDGER).read_text())
        if facts["format"] != FORMAT:
            raise StoreError(
                f"The unfinished {target} was begun by another version of geoae; finish it with that version."
            )
        parts = tuple(_part(part) for part in facts["parts"])
        return Ledger(target, folder, parts, facts["identity"], facts["started"], facts["base"], replaces)
    except FileNotFoundError:
        raise _removed_error(target) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, GeoAEError):
            raise
        raise StoreError(
            f"The unfinished {target} is damaged ({folder / runs.LEDGER}: {one_line(error)}). "
            f"Start again with --overwrite, or remove {folder.parent}."
        ) from error


def _part(facts: dict[str, Any]) -> Part:
    variables = tuple(_variable(**variable) for variable in facts["variables"])
    return Part(facts["name"], facts["n_axes"], variables, tuple(facts["grown"]) if facts["grown"] else None)


def _variable(
    *, name: str, dtype: str, shards: list[int] | None, is_checked: bool = False, **rest: list[Any]
) -> Variable:
    dims, shape, chunks = (tuple(rest[key]) for key in ("dims", "shape", "chunks"))
    return Variable(name, dims, shape, dtype, chunks, tuple(shards) if shards else None, is_checked)


def _new_run(run: Path, target: Path, identity: dict[str, Any], base: str | None, lay_out: LayOut) -> None:
    """Lay out a run under a temporary name first, so that it is complete when it gets its own."""
    temporary = run.parent / f"new-{uuid.uuid4().hex}"
    try:
        (temporary / runs.TMP).mkdir(parents=True)
        started = provenance.format_now()
        parts = lay_out(temporary / runs.STORE, started, target if base else None)
        facts = {"format": FORMAT, "identity": identity, "base": base, "started": started,
                 "parts": [asdict(part) for part in parts]}  # fmt: skip
        (temporary / runs.LEDGER).write_text(json.dumps(facts, indent=1))
        sync_to_disk(temporary / runs.LEDGER, temporary)
        try:
            temporary.rename(run)
        except OSError:
            if not runs.is_run(run):  # another process may have laid out the same run
                raise
        sync_to_disk(run.parent)
    finally:
        runs.remove_runs(run.parent, temporary)


def _drop_or_refuse(run: Path, target: Path, identity: Identity, overwrite: bool) -> None:
    if not overwrite:
        changed = (
            describe_differences(_read(run).identity, identity) or "the finished store that it appends to has changed"
        )
        raise StoreError(
            f"The unfinished {target} was begun with other settings: {changed}. "
            "Finish it with its own settings, or start again with --overwrite."
        )
    runs.remove_runs(run.parent, run)


def _describe_other_settings(target: Path, identity: Identity) -> str:
    """Settings of a finished store that differ, in parentheses; empty if it was not written by geoae."""
    try:
        stored = {k: v for k, v in provenance.read_settings(target).items() if k in identity}
    except StoreError:
        return ""
    changed = describe_differences(stored, {k: identity[k] for k in stored})
    return f", with other settings ({changed})" if changed else ""


def _check_store(target: Path) -> None:
    if not any((target / name).is_file() for name in ("zarr.json", ".zgroup", ".zmetadata")):
        raise OutputError(f"{target} is there and is not a zarr store, so it is not touched; choose another output.")


def _removed_error(target: Path) -> StoreError:
    return StoreError(f"The unfinished {target} was removed while it was written. Run the command again.")
