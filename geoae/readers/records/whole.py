"""Read whole files and archives with ObsPy, in any of its formats, and sort its messages into notes and losses."""

import re
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from geoae.errors import DamagedFileError, GeoAEError, UnknownFormatError, one_line
from geoae.files import archives
from geoae.files.obspy_formats import detect_obspy_format
from geoae.files.paths import read_errors
from geoae.readers.records import mseed3, salvage
from geoae.readers.records.mseed_damage import has_records
from geoae.readers.records.mseed_headers import is_miniseed
from geoae.readers.records.trace_parts import guess_format

Stamp = tuple[int, int]
"""Time of the last change in ns and size in bytes: they change with the content of the file."""

_SEARCHED_BYTES = 2**16
"""Bytes at the beginning of a file in which records of miniSEED are searched for."""

_LOSS_MESSAGE = re.compile(
    r"integrity|not be read|will skip|dropping|truncated|mismatching byte size|non-contiguous|not enough data"
    r"|end of file|could not|cannot be",
    re.IGNORECASE,
)
_EMPTY_MESSAGE = re.compile("Checksum differs only in absolute value")
"""Old versions of ObsPy wrote GSE2 checksums without their sign. The samples are right."""


_RECORDINGS = re.compile(r".*\.(mseed|miniseed|msd?|seed|sac|gse2?|gcf|se?gy|su|se?g2)", re.IGNORECASE)
"""Names of recordings, whatever the content."""
_DOCUMENTS = re.compile(r".*\.(pdf|png|jpe?g|gif|tiff?|docx?|xlsx?|pptx?|odt)", re.IGNORECASE)
_VOLUME_HEADER = re.compile(rb"\d{6}[VAST]")
_FIELD_MAGIC = (b"\x89HDF", b"CDF\1", b"CDF\2", b"CDF\5", b"GRIB")
_TEXT_BYTES = bytes([*b"\t\n\f\r\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)])


class FileContent(NamedTuple):
    """Traces of a file, and the messages of ObsPy about it."""

    traces: tuple[Any, ...]
    notes: tuple[str, ...]
    """Remarks, one line each."""
    losses: tuple[str, ...]
    """Parts that could not be read, one line each."""
    orders: tuple[int, ...]
    """For each trace: the same number for those that are one segment; see `geoae.readers.records.mseed_index`."""


def is_recording(path: Path) -> bool:
    """Whether ObsPy reads a file, or a file in an archive."""
    # the test of a format may warn about files of other formats; as an error, the warning would make the test fail
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with archives.unpack(path) as unpacked:
            members = []
            for member in unpacked:
                if _format_of(member.path):
                    return True
                members.append(member)
            # formats of several files are recognised when all of them are there
            return len(members) > 1 and any(_format_of(member.path) for member in members)


def find_formats(path: Path) -> set[str]:
    """Names of the ObsPy formats of a file, or of the recordings in an archive. Never raises.

    Empty if it is no recording, or cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with archives.unpack(path) as unpacked:
                members = list(unpacked)
                return {name for member in members if (name := _format_of(member.path))}
    except (GeoAEError, OSError):
        return set()


def read_stamp(path: Path) -> Stamp:
    """Time of the last change and size of a file; DamagedFileError if it is not there any more."""
    with read_errors(path):
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
    UnreadableFileError
        There is no room for the files of an archive.
    """
    if read_stamp(path) != stamp:
        raise DamagedFileError(f"{path.name} changed while it was read. Read it again.")
    traces: list[Any] = []
    orders: list[int] = []
    notes: list[str] = []
    losses: list[str] = []
    others: list[archives.ArchiveMember] = []
    n_read = 0
    with archives.unpack(path) as unpacked:
        for member in sorted(unpacked, key=lambda member: PurePosixPath(member.name)):
            if (format_ := _format_of(member.path)) is None:
                others.append(member)
                continue
            n_read += 1
            found = _read_member(member.path, unpacked.label(member.name), format_)
            first = max(orders, default=-1) + 1
            orders += [first + order for order in found.orders]
            traces += found.traces
            notes += found.notes
            losses += found.losses
        losses = [*unpacked.losses, *losses]
        if not traces and losses:
            raise DamagedFileError(" ".join(losses[:3]) + (f" And {len(losses) - 3} more." if len(losses) > 3 else ""))
        if not n_read:
            raise UnknownFormatError(_describe_no_recording(path, others))
        for member in others:
            label = unpacked.label(member.name)
            if _may_be_recording(member):
                losses.append(f"{label} was not read: it is {_describe_unknown(member.path)}.")
            else:
                notes.append(f"{label} is no recording and was left out.")
    return FileContent(tuple(traces), (*unpacked.notes, *notes), tuple(losses), tuple(orders))


def _read_member(file: Path, label: str, format_: str) -> FileContent:
    """Read a file of a known format; one that cannot be read is a loss."""
    try:
        if format_ == mseed3.FORMAT:
            traces, lost = mseed3.read_miniseed3(file, label)
            return FileContent(tuple(traces), (), tuple(lost), tuple(range(len(traces))))
        found, caught = (
            salvage.read_miniseed(file, label)
            if format_ == "MSEED"
            else salvage.read_other_format(file, format_, label)
        )
    except MemoryError:
        raise
    except Exception as error:  # ObsPy may raise anything
        reason = (
            one_line(error).replace(str(file), file.name).rstrip(".").removesuffix(" Fetch the file again").rstrip(".")
        )
        # an error with a number is one of the system, such as too many open files, and not of the content
        advice = "" if isinstance(error, OSError) and error.errno is not None else " Fetch the file again."
        loss = f"{label} looks like {format_} but cannot be read: {reason[:300]}.{advice}"
        return FileContent((), (), (loss,), ())
    messages = _condense(label, (message for message in caught if not _EMPTY_MESSAGE.search(message)))
    losses = [line for line in messages if _LOSS_MESSAGE.search(line.removeprefix(label))]
    notes = [line for line in messages if line not in losses]
    return FileContent(tuple(found.traces), (*found.notes, *notes), (*found.losses, *losses), tuple(found.orders))


def _describe_no_recording(path: Path, others: Sequence[archives.ArchiveMember]) -> str:
    if not others:
        return f"{path.name} holds no files, but a recording was expected. Fetch the file again."
    if not archives.is_archive(path):
        return f"{path.name} is {_describe_unknown(path)}."
    names = ", ".join(member.name for member in others[:3]) + (", ..." if len(others) > 3 else "")
    holds = f"holds no recording, only {names}: {others[0].name}" if others[0].name != path.name else "is packed and"
    with others[0].path.open("rb") as file:
        is_field = file.read(4) in _FIELD_MAGIC
    what = "a netCDF, HDF5 or GRIB file. Unpack it first" if is_field else _describe_unknown(others[0].path)
    return f"{path.name} {holds} is {what}."


def _describe_unknown(path: Path) -> str:
    """What a file is, if it is known; else that no format was recognised."""
    with path.open("rb") as file:
        head = file.read(48)
    if not head:
        return "empty"
    if packing := archives.foreign_packing(head):
        return f"packed by {packing}, which geoae does not open. Unpack it first"
    return (
        "in no format that ObsPy reads (miniSEED, SAC, GSE2, SEG-Y, ...). "
        "Check that it is a recording; text, pickles and metadata are not"
    )


def _may_be_recording(member: archives.ArchiveMember) -> bool:
    """Whether a file whose format is unknown may be a recording that is damaged, rather than a text or document."""
    with member.path.open("rb") as file:
        head = file.read(4096)
    if _RECORDINGS.fullmatch(member.name) or archives.foreign_packing(head):
        return True
    # SEED without data describes instruments
    if _DOCUMENTS.fullmatch(member.name) or _VOLUME_HEADER.match(head):
        return False
    is_text = head and not head.translate(None, _TEXT_BYTES)
    return not is_text


def _format_of(path: Path) -> str | None:
    """Name of the ObsPy format of a file; None if it is no recording."""
    with path.open("rb") as file:
        head = file.read(_SEARCHED_BYTES)
    if is_miniseed(head[:48]):
        return "MSEED"
    if mseed3.is_miniseed3(head):
        return mseed3.FORMAT
    # the header of the first record or trace may be damaged
    return detect_obspy_format(path) or guess_format(head) or ("MSEED" if has_records(head) else None)


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
