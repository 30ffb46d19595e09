"""Read whole files and archives with ObsPy, in any of its formats, and sort its messages into notes and losses."""

import glob
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from geoae.errors import DamagedFileError, UnknownFormatError, one_line
from geoae.files.libmseed import lock_and_record_warnings
from geoae.files.obspy_formats import detect_obspy_format
from geoae.readers.records.mseed_headers import is_miniseed

Stamp = tuple[int, int]
"""Time of the last change in ns and size in bytes: they change with the content of the file."""

_LOSS_MESSAGE = re.compile(
    r"integrity|not be read|will skip|dropping|truncated|mismatching byte size|non-contiguous|not enough data"
    r"|end of file|could not|cannot be",
    re.IGNORECASE,
)


class FileContent(NamedTuple):
    """Traces of a file, and the messages of ObsPy about it."""

    traces: tuple[Any, ...]
    notes: tuple[str, ...]
    """Remarks, one line each."""
    losses: tuple[str, ...]
    """Parts that could not be read, one line each."""


def is_recording(path: Path) -> bool:
    """Whether ObsPy reads a file, or a file in an archive."""
    # the test of a format may warn about files of other formats; as an error, the warning would make the test fail
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _unpacked(path) as files:
            return any(_format_of(file) for file in files)


def read_stamp(path: Path) -> Stamp:
    """Time of the last change and size of a file."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def read_whole(path: Path, stamp: Stamp) -> FileContent:
    """Read all traces of a file and the messages of ObsPy. The last few files are cached.

    Raises
    ------
    UnknownFormatError
        It is no recording.
    DamagedFileError
        It is a recording that cannot be read, or it has changed since `stamp` was read.
    """
    import obspy

    if read_stamp(path) != stamp:
        raise DamagedFileError(f"{path.name} changed while it was read. Read it again.")
    traces: list[Any] = []
    left_out: list[str] = []
    format_: str | None = "an archive"
    try:
        with _unpacked(path) as files, lock_and_record_warnings() as caught:
            for file in files:
                if (format_ := _format_of(file)) is None:
                    left_out.append(f"{path.name}: {file.name} is no recording and was left out.")
                else:
                    # with a format, ObsPy does not look for archives or try PICKLE, which could run code
                    traces += obspy.read(glob.escape(str(file)), format=format_, check_compression=False)
    except MemoryError:
        raise
    except Exception as error:  # ObsPy and the archive modules may raise anything
        reason = one_line(error).rstrip(".")
        raise DamagedFileError(
            f"{path.name} looks like {format_} but cannot be read: {reason[:300]}. Fetch the file again."
        ) from error
    if len(left_out) == len(files):
        raise UnknownFormatError(
            f"{path.name} is in no format that ObsPy reads (miniSEED, SAC, GSE2, SEG-Y, ...). "
            "Check that it is a recording; text, pickles and metadata are not."
        )
    messages = _condense(path.name, (str(warning.message) for warning in caught))
    losses = tuple(line for line in messages if _LOSS_MESSAGE.search(line.removeprefix(path.name)))
    return FileContent(tuple(traces), (*left_out, *(line for line in messages if line not in losses)), losses)


def _format_of(path: Path) -> str | None:
    """Name of the ObsPy format of a file; None if it is no recording."""
    with path.open("rb") as file:
        if is_miniseed(file.read(48)):
            return "MSEED"
    return detect_obspy_format(path)


@contextmanager
def _unpacked(path: Path) -> Iterator[list[Path]]:
    """Yield the file itself, or the files of an archive, unpacked while the ``with`` block runs."""
    import bz2
    import gzip
    import shutil
    import tarfile

    with path.open("rb") as file:
        head = file.read(512)
    opener: Any = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}.get(head[:2])
    is_zip, is_tar = head[:4] == b"PK\3\4", head[257:262] == b"ustar"
    if not (opener or is_zip or is_tar) or is_miniseed(head):
        yield [path]
        return
    with TemporaryDirectory() as folder:
        if is_zip:
            shutil.unpack_archive(path, folder, "zip")
        elif tarfile.is_tarfile(path):
            # file by file, because the extraction filters that keep names in the folder need Python 3.11.4
            with tarfile.open(path) as archive:
                for member in archive:
                    if (source := archive.extractfile(member) if member.isfile() else None) is None:
                        continue
                    inside = [part for part in Path(member.name).parts if part not in ("/", "..")]
                    target = Path(folder, *inside)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with source, target.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
        else:
            with opener(path) as packed, (Path(folder) / path.stem).open("wb") as copy:
                shutil.copyfileobj(packed, copy)
        yield sorted(file for file in Path(folder).rglob("*") if file.is_file())


def _condense(name: str, messages: Iterable[str]) -> list[str]:
    """Combine messages that differ only in numbers: libmseed has one for every 128 damaged bytes."""
    groups: dict[str, list[str]] = {}
    for message in messages:
        message = re.sub(r"^\w+\(\): ", "", " ".join(message.split()))  # name of the C function
        groups.setdefault(re.sub(r"\d+", "#", message), []).append(message)
    return [
        f"{name}: {similar[0][:300]}" + (f" (and {len(similar) - 1} more like it)" if len(similar) > 1 else "")
        for similar in groups.values()
    ]
