"""Folders of unfinished stores: a hidden folder beside the target holds one folder for each run.

`geoae.stores.ledger` describes the content of a run's folder. All changes are renames, so each of them is atomic.
"""

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

SUFFIX = ".zarr"
"""Ends the name of a store."""
LEDGER, STORE, TMP, REPLACED = "ledger.json", "store", "tmp", "replaced"
"""Names in a run's folder: its work list, the new store, blocks in progress, the old store before its removal."""


def is_store(out: str | Path | None) -> bool:
    """Whether an output is a zarr store, by its name."""
    return out is not None and Path(out).suffix.lower() == SUFFIX


def name_hidden_folder(target: Path) -> Path:
    """Path of the folder that holds the runs for a target."""
    return target.with_name(f".{target.name}.part")


def list_subfolders(hidden: Path) -> list[Path]:
    """Folders of runs, and remains of removed runs."""
    return [path for path in hidden.iterdir() if path.is_dir()] if hidden.is_dir() else []


def list_runs(hidden: Path) -> list[Path]:
    """Runs that can be resumed: usually one; two if they were begun at the same moment."""
    return sorted(path for path in list_subfolders(hidden) if is_run(path))


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run that is laid out and not finished."""
    return not folder.name.startswith(("new-", "old-")) and (folder / LEDGER).is_file() and (folder / STORE).is_dir()


def remove_runs(hidden: Path, *unwanted: Path) -> None:
    """Remove folders of runs, remains of earlier removals, and the hidden folder when it is empty."""
    for folder in unwanted:
        # a folder that is half removed must not look like a run, or like a store to restore
        if not folder.name.startswith("old-"):
            with suppress(FileNotFoundError):
                folder.rename(hidden / f"old-{uuid.uuid4().hex}")
    for remains in list_subfolders(hidden):
        if remains.name.startswith("old-"):
            shutil.rmtree(remains, ignore_errors=True)
    with suppress(OSError):  # it holds another run, or was removed already
        hidden.rmdir()


def undo_interrupted_finish(target: Path, hidden: Path) -> None:
    """Undo the renames of a process that died in `Ledger.finish`."""
    for run in list_subfolders(hidden):
        if run.name.startswith("old-"):
            continue
        if not target.exists() and (run / REPLACED).is_dir():
            (run / REPLACED).rename(target)
        for claim in run.glob("final-*"):
            if not (run / STORE).exists():
                claim.rename(run / STORE)
