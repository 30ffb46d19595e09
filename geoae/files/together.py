"""Replace several files of a folder together: readers find all of the new ones or all of the old ones.

The new files are written to a hidden folder, which gets its name by one rename. From then on they are valid, and
`find_file` prefers them. They are then moved to their places. A process that is killed on the way leaves the rest in
the hidden folder, where readers find it, and the next replacement moves it.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from geoae.files.paths import can_reach
from geoae.files.whole import output_errors, sync_to_disk, whole_folder

_COMPLETE = ".complete"
"""Folder of files that are valid and not yet in their places."""


def find_file(folder: Path, name: str) -> Path:
    """Path of the valid file of that name, which need not exist."""
    moving = folder / _COMPLETE / name
    return moving if can_reach(moving) else folder / name


def replace_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by their names; other files of the folder, which is made if it is not there, stay.

    Raises
    ------
    OutputError
        The disk fails or is full; all files are as they were.
    """
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _move_to_places(folder)
        with whole_folder(folder / _COMPLETE) as part:
            for name, content in contents.items():
                (part / name).write_bytes(content)
        _move_to_places(folder)


def _move_to_places(folder: Path) -> None:
    complete = folder / _COMPLETE
    if not complete.is_dir():
        return
    for path in sorted(complete.iterdir()):
        with suppress(FileNotFoundError):  # another process moves them too
            path.replace(folder / path.name)
    sync_to_disk(folder)
    with suppress(OSError):
        complete.rmdir()
