"""Where unfinished outputs lie: a hidden folder beside the target, one folder in it for each run.

See `geoae.stores.ledger` for what is in a run's folder. All changes are renames, so each of them is atomic.
"""

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

SUFFIX = ".zarr"
"""Of the name of a store."""
LEDGER, STORE, TMP, REPLACED = "ledger.json", "store", "tmp", "replaced"


def is_store(out: str | Path | None) -> bool:
    """Whether the name of an output is that of a zarr store."""
    return out is not None and Path(out).suffix.lower() == SUFFIX


def name_hidden_folder(target: Path) -> Path:
    """Where runs for a target lie."""
    return target.with_name(f".{target.name}.part")


def list_subfolders(hidden: Path) -> list[Path]:
    """Folders of runs, and remains of runs that were removed."""
    return [path for path in hidden.iterdir() if path.is_dir()] if hidden.is_dir() else []


def list_runs(hidden: Path) -> list[Path]:
    """Runs that can be resumed: one, unless two were begun at the same moment."""
    return sorted(path for path in list_subfolders(hidden) if is_run(path))


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run that is laid out and not yet finished."""
    return not folder.name.startswith(("new-", "old-")) and (folder / LEDGER).is_file() and (folder / STORE).is_dir()


def remove_runs(hidden: Path, *unwanted: Path) -> None:
    """Remove folders of runs, remains of earlier removals, and the hidden folder when it is empty."""
    for folder in unwanted:
        # nothing half-removed may be taken for a run, or for a store to bring back
        if not folder.name.startswith("old-"):
            with suppress(FileNotFoundError):
                folder.rename(hidden / f"old-{uuid.uuid4().hex}")
    for left in list_subfolders(hidden):
        if left.name.startswith("old-"):
            shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):  # another run is in there, or all is gone
        hidden.rmdir()


def undo_interrupted_finish(target: Path, hidden: Path) -> None:
    """Restore what a process renamed that died in `finish`."""
    for run in list_subfolders(hidden):
        if run.name.startswith("old-"):
            continue
        if not target.exists() and (run / REPLACED).is_dir():
            (run / REPLACED).rename(target)
        for claim in run.glob("final-*"):
            if not (run / STORE).exists():
                claim.rename(run / STORE)
