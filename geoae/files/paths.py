"""Whether a path that a user gave can be used as an input, and why not, in one line."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geoae.errors import DamagedFileError, GeoAEError, InputError, MissingFileError, UnreadableFileError, one_line

_SPECIAL = {
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device or terminal", stat.S_IFBLK: "a device"
}  # fmt: skip


def can_reach(path: str | Path) -> bool:
    """Whether there is a file or folder of that name. Unlike `Path.exists` it never raises."""
    try:
        Path(path).stat()
    except (OSError, ValueError):  # of a name with a null byte
        return False
    return True


def resolve_links(path: str | Path) -> Path:
    """Absolute path without symbolic links; links that form a loop, or cannot be followed, stay as they are."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # of a name with a null byte
        return Path(path).absolute()


def find_fault(path: str | Path) -> InputError | None:
    """Error that tells why there is no file or folder to be read under a name; None if there is one.

    A pipe, socket or device is refused, because its content can be read only once.
    """
    try:
        mode = Path(path).stat().st_mode
    except PermissionError:
        return UnreadableFileError(f"{path} cannot be reached: a folder on its way may not be entered. Ask its owner.")
    except (OSError, ValueError) as error:
        code = getattr(error, "errno", None)
        if code == errno.ELOOP:
            return MissingFileError(f"{path} is a symbolic link that leads back to itself. Name the file itself.")
        if code == errno.ENAMETOOLONG:
            return MissingFileError(f"{path} does not exist: no file system takes so long a name. Check the name.")
        if not isinstance(error, ValueError) and Path(path).is_symlink():
            return MissingFileError(f"{path} is a symbolic link to {Path(path).readlink()}, which does not exist.")
        if str(path) == "-":
            return MissingFileError("- is no file, and standard input cannot be read. Save its content to a file.")
        return MissingFileError(f"{path} does not exist. Check the name and the folder.")
    if (kind := _SPECIAL.get(stat.S_IFMT(mode))) is not None:
        return InputError(
            f"{path} is {kind}, but a file was expected, which can be read more than once. Save its content to a file."
        )
    return None


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system into a DamagedFileError of one line: a file was removed, or a disk fails."""
    try:
        yield
    except OSError as error:
        if isinstance(error, GeoAEError):
            raise
        raise DamagedFileError(f"{path.name} can no longer be read: {error.strerror or one_line(error)}.") from error


def require_path(path: Any, what: str) -> Path:
    """Return a path that a caller gave.

    Raises
    ------
    InputError
        It is neither text nor a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"{what} is a path, and a {type(path).__name__} was given.")
    return Path(path)
