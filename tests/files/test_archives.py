"""Every member of an archive is unpacked, or named as lost."""

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.errors import UnreadableFileError
from geoae.files.archives import foreign_packing, is_archive, unpack

LINK = ("c", (tarfile.LNKTYPE, "a"))
A, B = (np.random.default_rng(seed).bytes(3000) for seed in (1, 2))


def pack_zip(*members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one name twice
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def pack_tar(*members, **options) -> bytes:
    """A tar file. The content of a member is bytes, or the type and target of a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for name, content in members:
            header = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                header.size = len(content)
                archive.addfile(header, io.BytesIO(content))
            else:
                header.type, header.linkname = content
                archive.addfile(header)
    return buffer.getvalue()


def unpacked(path: Path) -> tuple[list[tuple[str, bytes]], list[str], list[str]]:
    """Members with their content, losses and notes."""
    with unpack(path) as archive:
        members = [(member.name, member.path.read_bytes()) for member in archive]
        return members, archive.losses, archive.notes


def remove_magic(tar: bytes) -> bytes:
    """The first header of a tar file as tar wrote it before POSIX: without the magic number and what follows it."""
    head = bytearray(tar[:512])
    head[257:] = bytes(255)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + tar[512:]


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


def set_encrypted(archive: bytes) -> bytes:
    """A zip file whose first member is marked as encrypted."""
    at = archive.index(b"PK\1\2") + 8
    return archive[:6] + b"\1" + archive[7:at] + b"\1" + archive[at + 1 :]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("two_dots.zip", pack_zip(("XX.ABC..HHZ", A), ("../up", B)), [("XX.ABC..HHZ", A), ("../up", B)]),
        ("absolute.zip", pack_zip(("/abs/a", A)), [("/abs/a", A)]),
        ("one_name.zip", pack_zip(("a", A), ("a", B)), [("a", A), ("a", B)]),
        ("one_name.tar", pack_tar(("a", A), ("a", B)), [("a", A), ("a", B)]),
        ("file_and_folder.tar", pack_tar(("a", A), ("a/b", B)), [("a", A), ("a/b", B)]),
        ("x.tar.xz", lzma.compress(pack_tar(("d/a", A))), [("d/a", A)]),
        ("x.tbz", bz2.compress(pack_tar(("a", A), ("b", B))), [("a", A), ("b", B)]),
        ("old.tar", remove_magic(pack_tar(("a", A), format=tarfile.USTAR_FORMAT)), [("a", A)]),
        ("joined.tar", pack_tar(("a", A)) + pack_tar(("b", B)), [("a", A), ("b", B)]),
        ("junk.tar", pack_tar(("a", A)) + b"junk" * 300, [("a", A)]),
        ("long.tar", pack_tar(("n" * 300, A)), [("n" * 300, A)]),
        ("odd.tar", pack_tar(("\udcff", A), format=tarfile.GNU_FORMAT), [("\\udcff", A)]),
        ("links.tar", pack_tar(("a", A), ("d/b", (tarfile.SYMTYPE, "../a")), LINK), [("a", A)]),
        ("fifo.tar", pack_tar(("a", A), ("f", (tarfile.FIFOTYPE, ""))), [("a", A)]),
        ("mac.zip", pack_zip(("a", A), ("__MACOSX/._a", b"\0\5\x16\7 fork"), (".DS_Store", b"x")), [("a", A)]),
        ("inner.zip", pack_zip(("b.zip", pack_zip(("a", A)))), [("b.zip/a", A)]),
        ("packed.zip", pack_zip(("c.gz", gzip.compress(B))), [("c.gz", B)]),
        ("table.zip", pack_zip(("a.xlsx", pack_zip(("sheet", A)))), [("a.xlsx", pack_zip(("sheet", A)))]),
        ("x.gz", gzip.compress(A) + gzip.compress(B), [("x.gz", A + B)]),
        ("x.bz2", bz2.compress(A), [("x.bz2", A)]),
        ("x.xz", lzma.compress(A), [("x.xz", A)]),
        ("plain", A, [("plain", A)]),
        ("empty", b"", [("empty", b"")]),
        ("empty.zip", pack_zip(), []),
    ],
)  # fmt: skip
def test_every_member_is_unpacked(tmp_path, name, content, expected):
    """Whatever the names, the kind of archive and the depth; nothing lies outside the temporary folder or stays."""
    (tmp_path / name).write_bytes(content)
    members, losses, _ = unpacked(tmp_path / name)
    assert (members, losses) == (expected, [])
    assert [path.name for path in tmp_path.iterdir()] == [name]


TAR = pack_tar(("a", A), ("b", B))
START_OF_B = 512 + 3072


@pytest.mark.parametrize(
    ("name", "content", "expected", "words"),
    [
        ("secret.zip", set_encrypted(pack_zip(("a", A), ("b", B))), [("b", B)], ["secret.zip: a: it is encrypted"]),
        ("flipped.zip", flip(pack_zip(("a", A), ("b", B)), 100), [("b", B)], ["flipped.zip: a: it cannot be unpacked"]),
        ("cut.zip", pack_zip(("a", A))[:-30], [], ["cut.zip: its list of members is missing"]),
        ("entry.tar", flip(TAR, 2), [("b", B)], ["the entry of a"]),
        ("middle.tar", flip(pack_tar(("a", A), ("b", B), ("c", A)), START_OF_B + 2), [("a", A), ("c", A)], ["of b"]),
        ("cut_in_b.tar", TAR[: START_OF_B + 512 + 1100], [("a", A), ("b", B[:1024])], ["b: it ends early, after 1024"]),
        ("cut_at_b.tar", TAR[:START_OF_B], [("a", A)], ["no end mark, so what followed a "]),
        ("cut_in_entry.tar", TAR[: START_OF_B + 300], [("a", A)], ["the entry of b", "no end mark"]),
        ("link.tar", pack_tar(("a", A), ("d/b", (tarfile.SYMTYPE, "/c"))), [("a", A)], ["d/b: it is a link to /c"]),
        ("cut.tgz", gzip.compress(TAR)[:-2000], [("a", A), ("b", None)], ["cut.tgz: b: it ends early"]),
        ("cut.gz", gzip.compress(A * 9)[:-9], [("cut.gz", None)], ["cut.gz: it ends early"]),
        ("cut.xz", lzma.compress(A * 9)[:-9], [("cut.xz", None)], ["cut.xz: it ends early"]),
        ("junk.gz", gzip.compress(A) + b"junk", [("junk.gz", A)], ["junk.gz: after 3000 bytes"]),
        ("check.gz", flip(gzip.compress(A), -6), [], ["check.gz: it cannot be unpacked (CRC"]),
        ("check.bz2", flip(bz2.compress(A), 5), [], ["check.bz2: it cannot be unpacked"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path, name, content, expected, words):
    """The other members are unpacked, and so is the beginning of one that is cut."""
    (tmp_path / name).write_bytes(content)
    members, losses, _ = unpacked(tmp_path / name)
    assert [member for member, _ in members] == [member for member, _ in expected]
    assert all(wanted in (None, found) for (_, found), (_, wanted) in zip(members, expected, strict=True))
    assert len(losses) == len(words)
    for loss, word in zip(losses, words, strict=True):
        assert loss.startswith(name)
        assert word in loss


def test_one_file_twice_is_used_once(tmp_path):
    """The same name and content; the note says so, as it does for other content of the same name."""
    (tmp_path / "x.zip").write_bytes(pack_zip(("a", A), ("a", A), ("a", B)))
    members, losses, notes = unpacked(tmp_path / "x.zip")
    assert (members, losses) == ([("a", A), ("a", B)], [])
    assert notes == [
        "x.zip: a: it is there more than once and is used once.",
        "x.zip: a: several files have this name, and each was read.",
    ]


def test_archives_are_opened_to_a_certain_depth(tmp_path):
    """An archive that holds itself would go on for ever."""
    content = A
    for i in range(6):
        content = pack_zip((f"{i}.zip" if i else "a", content))
    (tmp_path / "x.zip").write_bytes(content)
    members, losses, _ = unpacked(tmp_path / "x.zip")
    assert members == []
    assert losses == ["x.zip: 5.zip/4.zip/3.zip/2.zip: it lies 4 archives deep and was not opened; unpack it first."]


def test_a_temporary_folder_that_fails_is_named(tmp_path, monkeypatch):
    """It is not there, or full: the archive itself may be whole."""
    (tmp_path / "x.gz").write_bytes(gzip.compress(A))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(UnreadableFileError, match=r"x.gz cannot be unpacked into .*missing: No such file.*TMPDIR"):
        unpacked(tmp_path / "x.gz")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class FullDisk(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with unpack(tmp_path / "x.gz") as archive:
        monkeypatch.setattr(Path, "open", lambda path, mode: (FullDisk if mode == "wb" else io.FileIO)(path, mode))
        with pytest.raises(UnreadableFileError, match=r"x.gz cannot be unpacked into .*: No space left.*TMPDIR"):
            list(archive)


@settings(max_examples=30)
@given(data=st.data())
def test_damaged_archives_raise_nothing(data):
    """Whatever byte is changed and wherever the file ends: members come back, or losses."""
    kinds = {
        "x.zip": pack_zip(("a", A), ("b", B)),
        "x.tar": TAR,
        "x.tar.gz": gzip.compress(TAR),
        "x.tar.xz": lzma.compress(TAR),
    }
    name = data.draw(st.sampled_from(sorted(kinds)))
    content = kinds[name]
    content = flip(content, data.draw(st.integers(0, len(content) - 1)))
    content = content[: data.draw(st.integers(len(content) // 2, len(content)))]
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / name).write_bytes(content)
        members, losses, _ = unpacked(folder / name)
        # tar has no check value of the content, so a changed byte in it is not seen
        n_whole = sum(len(found) == len(A) for _, found in members)
        assert n_whole == 2 or losses or members == [(name, content)]
    finally:
        shutil.rmtree(folder)


def test_packings_that_are_not_opened():
    """They are known by name."""
    assert foreign_packing(b"\x28\xb5\x2f\xfd rest") == "zstandard"
    assert foreign_packing(A) is None


def test_kinds_are_found_by_content(tmp_path):
    """An archive needs no suffix."""
    (tmp_path / "x.mseed").write_bytes(gzip.compress(A))
    (tmp_path / "x.gz").write_bytes(A)
    assert is_archive(tmp_path / "x.mseed")
    assert not is_archive(tmp_path / "x.gz")
