"""Progress of all outputs below a folder: the stores in it, unfinished ones, and other files."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from geoae.errors import GeoAEError, InputError, MissingFileError
from geoae.files import owners
from geoae.files.owners import Owner
from geoae.files.paths import can_reach
from geoae.stores import ledger, provenance, runs
from geoae.stores.schema import PREFIX

_HIDDEN_STORE = re.compile(rf"\.(?P<name>.+{re.escape(runs.SUFFIX)})\.part")
_HIDDEN_FILE = re.compile(r"\..+\.part")
"""Hidden files of geoae 0.1 and earlier; see `geoae.files.owners` for the others."""
_UNFINISHED = {
    Owner.THIS: "is being written by this process",
    Owner.RUNNING: "is being written by another process of this machine",
    Owner.GONE: "is unfinished: its run was killed. The same command begins again and removes what is left of it",
    Owner.UNKNOWN: "is unfinished: a process of another machine writes it, or was killed",
}


@dataclass
class FolderProgress:
    """What is in a folder of outputs, and below it."""

    folder: Path
    stores: list[ledger.Status] = field(default_factory=list)
    """Progress of each store, sorted by path."""
    files: Counter[str] = field(default_factory=Counter)
    """Number of other files by suffix; the suffix of a day file, such as .061, counts as ".day"."""
    unfinished_files: list[Path] = field(default_factory=list)
    """Hidden parts of outputs that are no stores: a run is writing them, or was killed."""
    problems: list[str] = field(default_factory=list)
    """Stores that cannot be read, or lack blocks."""

    @property
    def unfinished(self) -> list[ledger.Status]:
        """Stores that are not finished."""
        return [store for store in self.stores if not store.finished]


def is_output_folder(path: Path) -> bool:
    """Whether a path is a folder, and neither a store nor a run that will become one."""
    return can_reach(path) and path.is_dir() and not runs.is_store(path) and not (path / "zarr.json").exists()


def read_folder_progress(folder: Path) -> FolderProgress:
    """Find all stores below a folder, finished or not, and count other files.

    Raises
    ------
    InputError
        The folder holds no files at all.
    """
    found = FolderProgress(folder)
    names: set[Path] = set()
    for place, folders, files in os.walk(folder):
        for name in list(folders):
            if not owners.is_hidden(name) and (hidden := _HIDDEN_STORE.fullmatch(name)):
                names.add(Path(place, hidden["name"]))
            elif not owners.is_hidden(name) and runs.is_store(name):
                names.add(Path(place, name))
            elif owners.is_hidden(name) or _HIDDEN_FILE.fullmatch(name):
                found.unfinished_files.append(Path(place, name))
            elif not name.startswith("."):
                continue
            folders.remove(name)
        for name in files:
            if owners.is_hidden(name) or _HIDDEN_FILE.fullmatch(name):
                found.unfinished_files.append(Path(place, name))
            elif not name.startswith("."):
                suffix = Path(name).suffix.lower()
                found.files[".day" if suffix[1:].isdigit() else suffix or "no suffix"] += 1
    for path in sorted(names):
        try:
            store = ledger.read_store_status(path)
        except GeoAEError as error:
            if _is_of_others(path):
                found.files[runs.SUFFIX] += 1
            else:
                found.problems.append(str(error))
            continue
        found.stores.append(store)
        if store.finished and store.n_done < store.n_tasks:
            found.problems.append(describe_damage(path, store))
    if not (names or found.files or found.unfinished_files):
        raise InputError(f"{folder} holds no outputs. Give the folder that a run writes to.")
    found.unfinished_files.sort()
    return found


def read_progress(path: Path) -> FolderProgress | ledger.Status | str:
    """Progress of all outputs in a folder, or of a store; one line on any other output, finished or not.

    Raises
    ------
    MissingFileError
        There is nothing of that name, finished or begun.
    InputError, StoreError
        See `read_folder_progress` and `geoae.stores.ledger.read_store_status`.
    """
    if is_output_folder(path):
        return read_folder_progress(path)
    if can_reach(path) and not path.is_dir():
        return _describe_file(path)
    try:
        return ledger.read_store_status(path)
    except MissingFileError:
        return _describe_file(path)


def describe_damage(path: Path, store: ledger.Status) -> str:
    """The problem of a finished store that lacks blocks."""
    missing = store.n_tasks - store.n_done
    return f"{path} is damaged: {missing} of its blocks are missing. Write it again with --overwrite."


def _is_of_others(path: Path) -> bool:
    """Whether a zarr store is whole and was not written by geoae."""
    if any((path / name).exists() for name in (".zgroup", ".zarray")):  # zarr format 2
        return True
    try:
        attributes = provenance.read_attributes(path)
    except (GeoAEError, OSError):
        return False
    return not any(str(name).startswith(PREFIX) for name in attributes)


def _describe_file(path: Path) -> str:
    """One line on an output that is a file, or that was begun and has nothing to be read yet."""
    lines = [f"{path} {_UNFINISHED[owner]}" for _, _, owner in owners.find_hidden([path])]
    if can_reach(path) and not path.is_dir():
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if lines:
            return f"{lines[0]}; until then, the file written at {written} stays"
        return f"{path} is a complete file, written at {written}. Only zarr stores have blocks that are resumed"
    if lines:
        return lines[0]
    if runs.list_subfolders(runs.name_hidden_folder(path)):
        return f"{path} was begun and has no blocks yet. If no process works on it, the same command begins again"
    kind = "store" if runs.is_store(path) else "output"
    raise MissingFileError(f"There is no {kind} {path}, finished or begun. Check the name and the folder.")
