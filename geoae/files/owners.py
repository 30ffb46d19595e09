"""Hidden names of unfinished outputs, which tell the process that writes them: `.LABEL.NAME.OWNER.part.SUFFIX`.

What a killed process left is found by them, and never what another process still writes. Processes of other machines,
of other containers and from before the last start of the machine cannot be looked up, so they count as running.
"""

import hashlib
import os
import re
import socket
import uuid
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import lru_cache
from pathlib import Path

_PATTERN = re.compile(
    r"\..*\.(?P<name>[0-9a-f]{8})\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<began>\d+)-[0-9a-f]{8}\.(?P<word>part|old)",
    re.DOTALL,
)
_LABEL_BYTES, _SUFFIX_BYTES = 80, 16
"""Longest label and suffix, so that a hidden name is never too long for a file system."""


class Owner(Enum):
    """The process that a hidden name names."""

    THIS = "this process"
    RUNNING = "another process of this machine, which runs"
    GONE = "a process of this machine that has ended"
    UNKNOWN = "a process that cannot be looked up from here"


def hidden_name(path: Path, word: str = "part", keep_suffix: bool = True) -> str:
    """A hidden name that no other process uses, for what will become `path` ("part") or was it before ("old").

    It has the suffix of `path`, because many libraries choose the format by it.
    """
    suffix = path.suffix if keep_suffix and len(os.fsencode(path.suffix)) <= _SUFFIX_BYTES else ""
    label = os.fsencode(path.stem)[:_LABEL_BYTES].decode(errors="ignore")
    pid = os.getpid()
    owner = f"{_machine()}-{pid}-{_began(pid) or 0}-{uuid.uuid4().hex[:8]}"
    return f".{label}.{_digest(path.name)}.{owner}.{word}{suffix}"


def is_hidden(name: str) -> bool:
    """Whether a name is one of `hidden_name`."""
    return _PATTERN.match(name) is not None


def find_hidden(paths: Iterable[Path], word: str = "part") -> Iterator[tuple[Path, Path, Owner]]:
    """Find hidden files and folders of outputs: (output, hidden path, its owner). Each folder is listed once."""
    wanted: dict[Path, dict[str, Path]] = {}
    for path in paths:
        wanted.setdefault(path.parent, {})[_digest(path.name)] = path
    for folder, outputs in wanted.items():
        try:
            entries = [name for name in os.listdir(folder) if name.startswith(".")]  # noqa: PTH208 - names only: quick
        except OSError:  # the error of writing there says more
            continue
        for entry in sorted(entries):
            match = _PATTERN.match(entry)
            if match and match["word"] == word and match["name"] in outputs:
                yield outputs[match["name"]], folder / entry, _find_owner(match)


def _find_owner(match: "re.Match[str]") -> Owner:
    pid, began = int(match["pid"]), int(match["began"])
    if match["machine"] != _machine():
        return Owner.UNKNOWN
    if not _is_running(pid) or _began(pid) not in (None, began):  # the number was used again
        return Owner.GONE
    return Owner.THIS if pid == os.getpid() else Owner.RUNNING


def _is_running(pid: int) -> bool:
    """Whether a process of this machine runs; True where this cannot be found out."""
    if os.name == "nt":
        return True  # there, signal 0 is Ctrl-C
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # of another user
        return True
    return True


def _began(pid: int) -> int | None:
    """When a process was started, in clock ticks since the machine was; -1 if it has ended and was not collected.

    None where the system does not tell.
    """
    try:
        # the name of the command, in parentheses, may hold anything
        state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return -1 if state in (b"Z", b"X") else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None


@lru_cache(maxsize=1)
def _machine() -> str:
    """Digest of all that must be equal for numbers of processes to mean the same processes."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - not a path; containers have their own numbers
    except OSError:  # not Linux
        parts.append(str(uuid.getnode()))
    return _digest("\n".join(parts))


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
