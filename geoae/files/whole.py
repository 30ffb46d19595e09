"""A file or folder appears under its name only when all of it is there.

Content goes to a hidden temporary file or folder in the same folder. It is synchronised with the disk and then renamed.
A process that is killed at any moment leaves the old content or the new one, and never a part of either. The hidden
files that it leaves are removed when an output of the same name is written again; see `geoae.files.owners`.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geoae.errors import GeoAEError, OutputError, one_line
from geoae.files.owners import Owner, find_hidden, hidden_name
from geoae.files.paths import resolve_links


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, in place of one of that name.

    Raises
    ------
    OutputError
        It cannot be written; a file of that name is left as it was.
    """
    with whole_file(path) as part:
        part.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write text whole in UTF-8, see `write_bytes`."""
    write_bytes(path, content.encode())


@contextmanager
def whole_file(
    path: Path, *, temporary_folder: Path | None = None, target: Path | None = None, advice: str = ""
) -> Iterator[Path]:
    """Give the path of a temporary file to write, which becomes `path` when the ``with`` block ends without an error.

    Parameters
    ----------
    path
        The file. What a symbolic link points to is replaced, and the link stays.
    temporary_folder
        Folder of the temporary file, on the same file system; by default the folder of `path`.
    target
        Name in the error, where `path` is an internal part of an output that the user knows by another name.
    advice
        Added to the error; begins with a space.

    Yields
    ------
    Path
        A name that no other process uses. It has the suffix of `path`, because many libraries choose the format by it.

    Raises
    ------
    OutputError
        The disk fails or is full, also inside the block; a file of that name is left as it was.
    """
    final = follow_link(path)
    if temporary_folder is None:
        remove_leftovers([final])
    part = (temporary_folder or final.parent) / hidden_name(final)
    try:
        with output_errors(target or path, advice):
            yield part
            sync_to_disk(part)
            part.replace(final)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give the path of a temporary folder to fill, which becomes `path` when the ``with`` block ends without an error.

    An existing file or folder of that name is replaced by two renames. A process that is killed between them leaves
    both the old content and the new one, complete, under hidden names; the next call begins with the old one.

    Parameters
    ----------
    path
        The folder; its parents are made. What a symbolic link points to is replaced, and the link stays.

    Yields
    ------
    Path
        An empty folder beside `path` that no other process uses.

    Raises
    ------
    OutputError
        The disk fails or is full, also inside the block; a file or folder of that name is left as it was.
    """
    final = follow_link(path)
    _undo_interrupted_replacement(final)
    remove_leftovers([final])
    part = final.with_name(hidden_name(final))
    try:
        with output_errors(path):
            part.mkdir(parents=True)
            yield part
            sync_to_disk(*part.rglob("*"), part)
            _replace_folder(part, final)
            sync_to_disk(final.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def make_hidden_folder(path: Path) -> Path:
    """Make a hidden folder beside an output for its unfinished files. It is only for this user; `path` is no link."""
    folder = path.with_name(hidden_name(path, keep_suffix=False))
    folder.mkdir(mode=0o700)
    return folder


def remove_leftovers(paths: Iterable[Path], owner: Owner = Owner.GONE) -> None:
    """Remove what processes that were killed have left of outputs; with another `owner`, what those have made."""
    for _, hidden, found in find_hidden(map(follow_link, paths)):
        if found is owner:
            _remove(hidden)


def follow_link(path: Path) -> Path:
    """What a symbolic link points to, which is replaced while the link stays; another path is returned as it is.

    Raises
    ------
    OutputError
        Links form a loop, the name is too long, or a folder on the way may not be entered.
    """
    with output_errors(path):
        if not path.is_symlink():
            return path
        final = resolve_links(path)
        if final.is_symlink():
            raise OutputError(f"{path} is a symbolic link that leads back to itself; choose another output.")
        return final


@contextmanager
def output_errors(target: Path, advice: str = "") -> Iterator[None]:
    """Turn errors of the operating system into an OutputError of one line that names `target`."""
    try:
        yield
    except OSError as error:
        if isinstance(error, GeoAEError):
            raise
        raise OutputError(f"{target} cannot be written: {error.strerror or one_line(error)}.{advice}") from error


def sync_to_disk(*paths: Path) -> None:
    """Wait until the content of files, or the names in folders, have been written to the disk."""
    for path in paths:
        is_folder = path.is_dir()
        if os.name == "nt" and is_folder:
            continue  # Windows cannot synchronise folders
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)  # Windows needs a file open for writing
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _replace_folder(part: Path, final: Path) -> None:
    """Rename a folder, and remove what had its name before."""
    if not final.exists():
        part.rename(final)
        return
    old = final.with_name(hidden_name(final, "old"))
    final.rename(old)
    try:
        part.rename(final)
    except BaseException:
        with suppress(OSError):  # another process has taken the name meanwhile
            old.rename(final)
        raise
    _remove(old)


def _undo_interrupted_replacement(final: Path) -> None:
    """Give the old content its name again, if a process was killed between the two renames; else remove it."""
    for _, old, owner in find_hidden([final], "old"):
        if owner is not Owner.GONE:
            continue
        if not final.exists():
            with suppress(OSError):  # another process has taken the name meanwhile
                old.rename(final)
                continue
        _remove(old)
