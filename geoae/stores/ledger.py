"""The resumable work list of one output store: which blocks are done.

A store under way lies in a hidden folder beside its target, and gets its name when all of it is there::

    clean.zarr                  a finished store: this one, or the one that is replaced or appended to
    .clean.zarr.part/3f2a.../   one run, named by what decides its result
        ledger.json             settings, start, and which blocks there are
        store/                  the store to be: laid out whole, blocks missing
        tmp/                    blocks while they are written

One task writes one block. It is done when the file of each of its variables has its name, which it gets by a rename
after its bytes are on the disk. A process may be killed at any moment, on any machine: there is no half block, no lock
that stays behind, and no list that could differ from the disk.
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

from geoae.errors import GeoAEError, MissingFileError, OutputError, OutputExistsError, StoreError, one_line
from geoae.files.whole import output_errors, sync_to_disk, whole_file
from geoae.stores import provenance, runs
from geoae.stores.blocks import Part, Task, Variable, find_task
from geoae.stores.provenance import Identity, describe_differences, find_done_blocks, make_fingerprint
from geoae.stores.schema import FINGERPRINT

FORMAT = 1
_RESUME = " What is done is kept: the same command goes on from there."
LayOut = Callable[[Path, str, Path | None], tuple[Part, ...]]


@dataclass(frozen=True)
class Ledger:
    """The work list of one run. Tasks are numbers; workers open the ledger by its folder, see `load_run`."""

    target: Path
    folder: Path
    parts: tuple[Part, ...]
    identity: dict[str, Any]
    started: str
    base: str | None = None
    """Fingerprint of the finished store that is appended to."""
    replaces: bool = False
    """Whether a finished store gives way to this one."""
    finished: bool = False

    @property
    def n_tasks(self) -> int:
        """Tasks of the whole store, done or not; none where the store was finished before this run."""
        return sum(part.n_blocks for part in self.parts)

    def task(self, number: int) -> Task:
        """What task `number` computes and writes, from 0 to `n_tasks` - 1."""
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
        """Whether a task is done, by whichever process."""
        one = self.task(number)
        return all(self._file(one, variable).exists() for variable in one.part.variables)

    def write(self, one: Task, variable: Variable, content: bytes) -> None:
        """Put the block of a variable under its name, all at once, when its bytes are on the disk.

        Where another process has finished the run meanwhile, the block is in the store already, and nothing happens.

        Raises
        ------
        StoreError
            The run was removed.
        OutputError
            The disk is full or fails; nothing half-written is left behind.
        """
        # not beside the block: a store that gets its name meanwhile must not hold half a block
        temporary = self.folder / runs.TMP
        block = self._file(one, variable)
        try:
            with whole_file(block, temporary_folder=temporary, target=self.target, advice=_RESUME) as part:
                part.write_bytes(content)
        except OutputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):  # all folders are made with the run
                raise
            self._finished_elsewhere()

    def finish(self) -> Path:
        """Give the store its name; nothing happens the second time.

        Raises
        ------
        StoreError
            Tasks are missing, the run was removed, or the store that it appends to has changed.
        OutputExistsError
            A store of that name has appeared meanwhile.
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
                store.rename(claim)  # a rename is atomic: one process alone gets past this line
            except FileNotFoundError:
                return self._finished_elsewhere()
            if self.target.exists():
                try:
                    self._check_replaced()
                except GeoAEError:
                    claim.rename(store)
                    raise
                # for a moment there is no store: where this process dies here, `begin_run` puts the old one back
                self.target.rename(self.folder / runs.REPLACED)
            claim.rename(self.target)
            sync_to_disk(self.target.parent)
            # and what processes that were killed while they laid out have left
            hidden = self.folder.parent
            runs.remove_runs(hidden, self.folder, *hidden.glob("new-*"))
        return self.target

    def _file(self, one: Task, variable: Variable) -> Path:
        return self.folder / runs.STORE / variable.file(one.index)

    def _check_replaced(self) -> None:
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
    """How far a store is."""

    path: Path
    finished: bool
    n_done: int
    n_tasks: int
    started: str
    settings: dict[str, Any]


def read_store_status(target: Path) -> Status:
    """How far a store is, and its settings; where a finished one is replaced or appended to, how far that is.

    A finished store with fewer blocks done than there are is damaged.

    Raises
    ------
    MissingFileError
        There is no such store, finished or not.
    StoreError
        It is damaged, or not a store that geoae wrote.
    """
    target = Path(target).resolve()
    try:
        for run in runs.list_runs(runs.name_hidden_folder(target)):
            ledger = _read(run)
            done = find_done_blocks(run / runs.STORE, ledger.parts)
            return Status(target, False, int(done.sum()), done.size, ledger.started, dict(ledger.identity))
        if not target.exists():
            raise MissingFileError(f"There is no store {target}, and none of that name is being written.")
        settings = provenance.read_settings(target)
        done = find_done_blocks(target, provenance.read_parts(target))
    except FileNotFoundError as error:
        if isinstance(error, GeoAEError):
            raise
        raise StoreError(f"{target} is damaged: {error.filename} is not there.") from error
    return Status(target, True, int(done.sum()), done.size, str(settings.get("started", "")), settings)


def begin_run(
    target: Path, identity: dict[str, Any], lay_out: LayOut, *, overwrite: bool = False, append: bool = False
) -> Ledger:
    """Begin a run, or go on with the one that was begun with the same settings.

    Parameters
    ----------
    target
        The store, a folder to be. Where it is finished already with this identity, nothing is left to do, unless
        `overwrite` is given.
    identity
        Everything that decides the result, as JSON has it: its names are those in messages.
    lay_out
        (folder, start, finished store to append to or None) -> parts. Makes the store in `folder`, whole but for its
        blocks, with the fingerprint of `identity` in its attributes; not called where a run is resumed.
    overwrite
        Replace a finished store once this one is finished, and drop an unfinished one that has other settings.
    append
        Add to a finished store of that name, if there is one.

    Raises
    ------
    StoreError
        An unfinished store of that name has other settings, or is damaged.
    OutputExistsError
        A finished store with other settings is there.
    OutputError
        The place cannot be written to, or something else than a store is there.
    """
    target = Path(target).resolve()  # a link stays a link: what it points to is replaced
    identity = json.loads(json.dumps(identity))  # as it comes back from the disk
    if not target.parent.is_dir():
        raise OutputError(f"The folder {target.parent} for the output is not there; make it first.")
    with output_errors(target):
        hidden, base = runs.name_hidden_folder(target), None
        runs.undo_interrupted_finish(target, hidden)
        if target.exists():
            _check_store(target)
            own = hidden / make_fingerprint(identity)
            # what a run leaves behind when it is killed after its last rename says that it was this command
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
                    f"{target} is there already{_other_settings(target, identity)}; "
                    "choose another output, or ask for --overwrite."
                )
        run = hidden / make_fingerprint(identity, base)
        for other in runs.list_runs(hidden):
            if other != run:
                _drop_or_refuse(other, target, identity, overwrite)
        if not runs.is_run(run):
            if run.is_dir() and not any(run.glob("final-*")) and not (run / runs.REPLACED).exists():
                runs.remove_runs(hidden, run)  # left of a run whose store was removed since
            _new_run(run, target, identity, base, lay_out)
        return _read(run, replaces=overwrite or base is not None)


@lru_cache(maxsize=64)
def load_run(folder: Path) -> Ledger:
    """The ledger in a run's folder, read once a process: the folder's name says all that decides the content.

    Raises
    ------
    StoreError
        It is not there any more, or damaged.
    """
    return _read(Path(folder))


def _read(folder: Path, replaces: bool = False) -> Ledger:
    target = folder.parent.with_name(folder.parent.name[1:].removesuffix(".part"))
    try:
        facts = json.loads((folder / runs.LEDGER).read_text())
        if facts["format"] != FORMAT:
            raise StoreError(f"The unfinished {target} was begun by another version of geoae; finish it with that.")
        parts = tuple(_part(part) for part in facts["parts"])
        return Ledger(target, folder, parts, facts["identity"], facts["started"], facts["base"], replaces)
    except FileNotFoundError:
        raise _removed_error(target) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        if isinstance(error, GeoAEError):
            raise
        raise StoreError(
            f"The unfinished {target} is damaged ({folder / runs.LEDGER}: {one_line(error)}). "
            f"Begin anew with --overwrite, or remove {folder.parent}."
        ) from error


def _part(facts: dict[str, Any]) -> Part:
    variables = tuple(_variable(**variable) for variable in facts["variables"])
    return Part(facts["name"], facts["n_axes"], variables, tuple(facts["grown"]) if facts["grown"] else None)


def _variable(*, name: str, dtype: str, shards: list[int] | None, **rest: list[Any]) -> Variable:
    dims, shape, chunks = (tuple(rest[key]) for key in ("dims", "shape", "chunks"))
    return Variable(name, dims, shape, dtype, chunks, tuple(shards) if shards else None)


def _new_run(run: Path, target: Path, identity: dict[str, Any], base: str | None, lay_out: LayOut) -> None:
    """Lay out under another name first, so that a run is whole as soon as it has its own."""
    fresh = run.parent / f"new-{uuid.uuid4().hex}"
    try:
        (fresh / runs.TMP).mkdir(parents=True)
        started = provenance.format_now()
        parts = lay_out(fresh / runs.STORE, started, target if base else None)
        facts = {"format": FORMAT, "identity": identity, "base": base, "started": started,
                 "parts": [asdict(part) for part in parts]}  # fmt: skip
        (fresh / runs.LEDGER).write_text(json.dumps(facts, indent=1))
        sync_to_disk(fresh / runs.LEDGER, fresh)
        try:
            fresh.rename(run)
        except OSError:
            if not runs.is_run(run):  # else another process was faster: what it has laid out is as good
                raise
        sync_to_disk(run.parent)
    finally:
        runs.remove_runs(run.parent, fresh)


def _drop_or_refuse(run: Path, target: Path, identity: Identity, overwrite: bool) -> None:
    if not overwrite:
        changed = (
            describe_differences(_read(run).identity, identity) or "the finished store that it appends to has changed"
        )
        raise StoreError(
            f"The unfinished {target} was begun with other settings: {changed}. "
            "Finish it with the settings that it was begun with, or begin anew with --overwrite."
        )
    runs.remove_runs(run.parent, run)


def _other_settings(target: Path, identity: Identity) -> str:
    """What a finished store that geoae wrote has of other settings."""
    try:
        there = {k: v for k, v in provenance.read_settings(target).items() if k in identity}
    except StoreError:
        return ""
    changed = describe_differences(there, {k: identity[k] for k in there})
    return f", with other settings ({changed})" if changed else ""


def _check_store(target: Path) -> None:
    if not any((target / name).is_file() for name in ("zarr.json", ".zgroup", ".zmetadata")):
        raise OutputError(f"{target} is there and is not a zarr store, so it is not touched; choose another output.")


def _removed_error(target: Path) -> StoreError:
    return StoreError(f"The unfinished {target} was removed while it was written. Run the command again.")
