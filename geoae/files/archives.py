"""Unpack zip, tar, gzip, bzip2 and xz files, also archives in archives, and tell which members cannot be read.

Members are unpacked into a temporary folder under their own names, because some formats consist of several files that
name each other.
"""

import bz2
import filecmp
import gzip
import lzma
import os
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, NamedTuple

from geoae.errors import GeoAEError, UnreadableFileError, one_line

MAX_DEPTH = 4
"""Archives in archives are opened down to this depth: some files unpack to themselves without end."""
_PIECE_BYTES = 1 << 20
_OPENERS: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
_MAGIC = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz",
    b"PK\3\4": "zip", b"PK\5\6": "zip", b"PK\7\x08": "zip",  # with members, without, in several parts
}  # fmt: skip
_FOREIGN_MAGIC = {
    b"\x28\xb5\x2f\xfd": "zstandard", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!\x1a\x07": "RAR", b"\x1f\x9d": "compress",
    b"\x04\x22\x4d\x18": "LZ4",
}  # fmt: skip
_DOCUMENTS = {".docx", ".xlsx", ".pptx", ".odt", ".ods", ".jar", ".kmz", ".npz", ".whl", ".epub"}
"""Suffixes of files that are zip inside, but no archives to those who use them."""
_READ_ERRORS = (
    OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError,
    RuntimeError, ValueError,
)  # fmt: skip


class ArchiveMember(NamedTuple):
    """One file of an archive."""

    name: str
    """Its name in the archive; the name of the archive itself if it is one packed file."""
    path: Path
    """Where its content lies while the archive is open."""


class Unpacked:
    """The members of a file, which are unpacked while they are iterated over.

    Parameters
    ----------
    path
        The file. One that is no archive is its own only member.
    folder
        An empty folder for the members.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.losses: list[str] = []
        """What cannot be read, one line each. They grow during the iteration, as `notes` do."""
        self.notes: list[str] = []
        """Remarks, one line each."""
        self._path, self._folder, self._n_folders = path, folder, 0

    def __iter__(self) -> Iterator[ArchiveMember]:
        try:
            yield from self._open(ArchiveMember(self._path.name, self._path), 0)
        except GeoAEError:
            raise
        except OSError as error:  # errors of reading have been handled, so it is the temporary folder that fails
            raise _room_error(self._path, error) from error

    def _open(self, file: ArchiveMember, depth: int) -> Iterator[ArchiveMember]:
        """The file itself, or the members of an archive."""
        kind = _find_kind(file.path)
        if kind is None or (depth and PurePosixPath(file.name).suffix.lower() in _DOCUMENTS):
            yield file
            return
        if depth == MAX_DEPTH:
            self._lose(file.name, f"it lies {depth} archives deep and was not opened; unpack it first")
            return
        prefix = f"{file.name}/" if depth else ""
        members = self._open_zip(file, prefix) if kind == "zip" else self._open_tar_or_packed(file, kind, prefix)
        first: dict[str, Path] = {}
        for member in members:
            if _is_of_macos(member):
                continue
            if member.name in first:
                if filecmp.cmp(first[member.name], member.path, shallow=False):
                    self.notes.append(f"{self.label(member.name)}: it is there more than once and is used once.")
                    continue
                self.notes.append(f"{self.label(member.name)}: several files have this name, and each was read.")
            first.setdefault(member.name, member.path)
            yield from self._open(member, depth + 1)

    def _open_zip(self, file: ArchiveMember, prefix: str) -> Iterator[ArchiveMember]:
        try:
            archive = zipfile.ZipFile(file.path)
        except _READ_ERRORS as error:
            self._lose(file.name, f"its list of members is missing or damaged ({_reason(error)}). Fetch the file again")
            return
        with archive:
            base = self._make_folder()
            for info in archive.infolist():
                if info.is_dir():
                    continue
                name = prefix + _printable(info.filename)
                if info.flag_bits & 1:
                    self._lose(name, "it is encrypted and was not read; unpack it first")
                    continue
                try:
                    source = archive.open(info)
                except _READ_ERRORS as error:
                    self._lose(name, f"it cannot be unpacked ({_reason(error)}). Fetch the file again")
                    continue
                with source:
                    target = self._place(base, info.filename)
                    if self._copy(source, target, name).is_usable:
                        yield ArchiveMember(name, target)

    def _open_tar_or_packed(self, file: ArchiveMember, kind: str, prefix: str) -> Iterator[ArchiveMember]:
        with _OPENERS[kind](file.path) if kind in _OPENERS else file.path.open("rb") as source:
            try:
                head = source.read(tarfile.BLOCKSIZE)
                source.seek(0)
            except _READ_ERRORS:  # copying meets the same error again, and tells it
                head = b""
            if _is_tar(head):
                yield from self._open_tar(file, source, prefix)
                return
        # opened again, because a failed read may have taken bytes that are still good
        with _OPENERS[kind](file.path) as source:
            target = self._place(self._make_folder(), file.path.stem)
            if self._copy(source, target, file.name).is_usable:
                yield ArchiveMember(file.name, target)

    def _open_tar(self, file: ArchiveMember, source: Any, prefix: str) -> Iterator[ArchiveMember]:
        base, log = self._make_folder(), _HeaderLog()
        names: set[str] = set()
        links: list[tuple[str, str]] = []
        archive: tarfile.TarFile | None = None
        last = "its beginning"
        while True:
            try:
                # zeros end an archive, but an archive that was appended as a whole follows them
                archive = archive or tarfile.TarFile(fileobj=source, tarinfo=log.header_class(), ignore_zeros=True)
                info = archive.next()
                content = archive.extractfile(info) if info is not None and info.isfile() else None
            except _READ_ERRORS as error:
                self._lose(file.name, f"nothing can be read after {last} ({_reason(error)}). Fetch the file again")
                break
            if info is None:
                self._tell_lost_headers(log, file.name, last)
                break
            name = last = prefix + _printable(info.name)
            if info.issym() or info.islnk():
                folder = posixpath.dirname(info.name) if info.issym() else ""
                links.append((name, posixpath.normpath(posixpath.join(folder, info.linkname))))
            if content is None:
                continue
            names.add(posixpath.normpath(info.name))
            with content:
                target = self._place(base, info.name)
                outcome = self._copy(content, target, name)
            if outcome.is_usable:
                yield ArchiveMember(name, target)
            if outcome.is_cut:
                break
        for name, wanted in links:
            if wanted not in names:
                self._lose(name, f"it is a link to {_printable(wanted)}, which is not in the archive")

    def _tell_lost_headers(self, log: "_HeaderLog", name: str, last: str) -> None:
        for damaged in log.damaged:
            self._lose(name, f"the entry of {damaged} is damaged, and that file was not read. Fetch the file again")
        if not log.has_end:
            self._lose(name, f"it has no end mark, so what followed {last} may be lost. Fetch the file again")

    def _copy(self, source: Any, target: Path, name: str) -> "_Outcome":
        """Copy a member. Of one that ends early, the first part is good; one that is damaged is lost."""
        n, piece_bytes = 0, _PIECE_BYTES
        with target.open("wb") as copy:
            while True:
                try:
                    piece = source.read1(piece_bytes)
                except _READ_ERRORS as error:
                    fault = error
                    if piece_bytes == _PIECE_BYTES and isinstance(error, tarfile.ReadError | EOFError):
                        piece_bytes = tarfile.BLOCKSIZE  # a large piece fails as a whole if its end is missing
                        source.seek(n)
                        continue
                    break
                if not piece:
                    return _Outcome(is_usable=True)
                copy.write(piece)
                n += len(piece)
        if n and str(fault).startswith("Not a gzipped file"):  # the check value of what comes before was compared
            self._lose(name, f"after {n} bytes of content comes something that is not gzip and was not read")
            return _Outcome(is_usable=True)
        is_cut = isinstance(fault, EOFError | tarfile.ReadError)
        if is_cut:
            self._lose(name, f"it ends early, after {n} bytes of content, and the rest is lost. Fetch the file again")
        else:
            self._lose(name, f"it cannot be unpacked ({_reason(fault)}). Fetch the file again")
        return _Outcome(is_usable=is_cut and n > 0, is_cut=is_cut)

    def _lose(self, name: str, what: str) -> None:
        self.losses.append(f"{self.label(name)}: {what}.")

    def label(self, name: str) -> str:
        """Name of a member in messages: that of the archive comes first."""
        return name if name == self._path.name else f"{self._path.name}: {name}"

    def _make_folder(self) -> Path:
        self._n_folders += 1
        folder = self._folder / str(self._n_folders)
        folder.mkdir()
        return folder

    def _place(self, base: Path, name: str) -> Path:
        """A path in `base` for a member, or in a new folder if the name is taken or impossible."""
        parts = [part for part in PurePosixPath(name.replace("\0", "_")).parts if part.strip("/") not in ("", "..")]
        sizes = [len(os.fsencode(part)) for part in parts]
        if parts and max(sizes) <= 200 and sum(sizes) <= 2000:
            target = base.joinpath(*parts)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    return target
            except (FileExistsError, NotADirectoryError):  # a file has the name of a folder
                pass
        return self._make_folder() / (parts[-1][-40:] if parts else "file")


@contextmanager
def unpack(path: Path) -> Iterator[Unpacked]:
    """Give the members of a file. They lie in a temporary folder, which goes when the ``with`` block ends.

    Raises
    ------
    OSError
        The file cannot be opened.
    UnreadableFileError
        There is no temporary folder, or no room in it; also during the iteration.
    """
    if _find_kind(path) is None:
        yield Unpacked(path, path)  # the folder is not used
        return
    try:
        folder = TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        raise _room_error(path, error) from error
    with folder as name:
        yield Unpacked(path, Path(name))


def is_archive(path: Path) -> bool:
    """Whether a file is packed in a way that `unpack` opens."""
    return _find_kind(path) is not None


def foreign_packing(head: bytes) -> str | None:
    """Name of a packing that is recognised by the first bytes of a file, but cannot be opened."""
    return next((name for magic, name in _FOREIGN_MAGIC.items() if head.startswith(magic)), None)


class _Outcome(NamedTuple):
    """Of copying a member: whether the copy can be used, and whether the archive ends in the member."""

    is_usable: bool
    is_cut: bool = False


class _HeaderLog:
    """Damaged headers of a tar file, which tarfile skips without a message."""

    def __init__(self) -> None:
        self.damaged: list[str] = []
        """A name for each, as far as it can be read."""
        self.has_end = False
        """Whether the last block that was read is zeros, which end an archive."""
        self._is_lost = False

    def header_class(self) -> type[tarfile.TarInfo]:
        """A class of headers that fills this log."""
        log = self

        class Header(tarfile.TarInfo):
            @classmethod
            def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Header":
                try:
                    found = super().frombuf(buf, encoding, errors)
                except tarfile.HeaderError:
                    if buf:  # it is empty at the end of the file
                        log.add(bytes(buf))
                    raise
                log.add(b"")
                return found

        return Header

    def add(self, block: bytes) -> None:
        """Add a block that is no header; empty for a good header."""
        was_lost, self._is_lost = self._is_lost, bool(block)
        self.has_end = bool(block) and (self.has_end or not any(block))
        # after a damaged header comes the content of its file, and after the end mark anything may follow
        if block and not was_lost and not self.has_end:
            name = block[:100].split(b"\0")[0].decode(errors="replace")
            self.damaged.append(name if name.isprintable() and name else "a file")


def _find_kind(path: Path) -> str | None:
    """Kind of an archive by its first bytes; None if it is none."""
    with path.open("rb") as file:
        head = file.read(tarfile.BLOCKSIZE)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    return kind or ("tar" if _is_tar(head) else None)


def _is_tar(head: bytes) -> bool:
    """Whether a block is a header of a tar file. Old ones have no magic number, but all have a checksum."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return head[257:262] == b"ustar"
    return True


def _is_of_macos(member: ArchiveMember) -> bool:
    """Whether a member is one of the files that macOS adds to archives: they hold no data of the user."""
    name = PurePosixPath(member.name)
    if name.name == ".DS_Store":
        return True
    if "__MACOSX" not in name.parts and not name.name.startswith("._"):
        return False
    with member.path.open("rb") as file:
        return file.read(4) in (b"\0\5\x16\7", b"")


def _printable(name: str) -> str:
    """A name that can be printed: names in archives may be any bytes."""
    return " ".join(name.encode(errors="backslashreplace").decode().split())


def _reason(error: BaseException | None) -> str:
    return one_line(error).rstrip(".")[:200] if error is not None else ""


def _room_error(path: Path, error: OSError) -> UnreadableFileError:
    try:
        place = f"into {gettempdir()}"
    except OSError:
        place = "because there is no folder for temporary files"
    return UnreadableFileError(
        f"{path.name} cannot be unpacked {place}: {error.strerror or one_line(error)}. Make room there, or set TMPDIR "
        "to another folder."
    )
