"""Files that are read whole: formats and archives told by content, traces as ObsPy gives them, its messages sorted."""

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
"""Time of the last change in ns and size in bytes: tells a new file of the same name."""

_LOSS = re.compile(
    r"integrity|not be read|will skip|dropping|truncated|mismatching byte size|non-contiguous|not enough data"
    r"|end of file|could not|cannot be",
    re.IGNORECASE,
)


class FileContent(NamedTuple):
    """What ObsPy makes of a file."""

    traces: tuple[Any, ...]
    notes: tuple[str, ...]
    """One line each: what is odd."""
    losses: tuple[str, ...]
    """One line each: what could not be read."""


def is_recording(path: Path) -> bool:
    """Tell whether ObsPy reads a file, or a file in the archive that it is."""
    # a format's own test may warn of what another format's bytes mean to it; where warnings are errors it would say no
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _unpacked(path) as files:
            return any(_format_of(file) for file in files)


def read_stamp(path: Path) -> Stamp:
    """Return what tells a new file of the same name."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def read_whole(path: Path, stamp: Stamp) -> FileContent:
    """Read all traces of a file and what ObsPy said about them; the last few files are remembered.

    Raises
    ------
    UnknownFormatError
        If it is no recording.
    DamagedFileError
        If it is one, or has changed since `stamp` was taken, but cannot be read.
    """
    import obspy

    if read_stamp(path) != stamp:
        raise DamagedFileError(f"{path.name} has changed while it was read. Read it again.")
    traces: list[Any] = []
    left_out: list[str] = []
    format_: str | None = "an archive"
    try:
        with _unpacked(path) as files, lock_and_record_warnings() as caught:
            for file in files:
                if (format_ := _format_of(file)) is None:
                    left_out.append(f"{path.name}: {file.name} is no recording and was left out.")
                else:
                    # given the format, ObsPy looks for no archive, and never tries PICKLE, which could run code
                    traces += obspy.read(glob.escape(str(file)), format=format_, check_compression=False)
    except MemoryError:
        raise
    except Exception as error:  # ObsPy's formats and the archives' modules raise whatever comes
        reason = one_line(error).rstrip(".")
        raise DamagedFileError(
            f"{path.name} looks like {format_} but cannot be read: {reason[:300]}. Fetch the file again."
        ) from error
    if len(left_out) == len(files):
        raise UnknownFormatError(
            f"{path.name} is in no format that ObsPy reads (miniSEED, SAC, GSE2, SEG-Y, ...). "
            "Check that it is a recording; text, pickles and metadata are not."
        )
    said = _condensed(path.name, (str(warning.message) for warning in caught))
    losses = tuple(line for line in said if _LOSS.search(line.removeprefix(path.name)))
    return FileContent(tuple(traces), (*left_out, *(line for line in said if line not in losses)), losses)


def _format_of(path: Path) -> str | None:
    """Name of the ObsPy format of a file; None if it is no recording."""
    with path.open("rb") as file:
        if is_miniseed(file.read(48)):
            return "MSEED"
    return detect_obspy_format(path)


@contextmanager
def _unpacked(path: Path) -> Iterator[list[Path]]:
    """Give the file itself, or the files of the archive that it is, for as long as the context lasts."""
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
            # file by file: filters that keep names inside the folder came with Python 3.11.4
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


def _condensed(name: str, messages: Iterable[str]) -> list[str]:
    """One line for all messages that differ in numbers only: libmseed has one for every 128 bytes of rubbish."""
    kinds: dict[str, list[str]] = {}
    for message in messages:
        message = re.sub(r"^\w+\(\): ", "", " ".join(message.split()))  # the C function that speaks
        kinds.setdefault(re.sub(r"\d+", "#", message), []).append(message)
    return [
        f"{name}: {alike[0][:300]}" + (f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else "")
        for alike in kinds.values()
    ]
