"""How files of several traces divide into them, from bytes alone: a damaged trace then hides no other one."""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

_TRACE_HEADER = 240
"""Bytes before the samples of a trace in SEG-Y and SU."""
_SEGY_SAMPLE_BYTES = {1: 4, 2: 4, 3: 2, 5: 4, 8: 1}
_AH1_HEADER = 1080
_WRONG_LENGTH = "it is cut, or its header tells of another number of samples than that of the file"
_HEADERS = {
    "GSE2": rb"^WID2 \d{4}/\d\d/", "GSE1": rb"^WID1 \d{7}", "SLIST": rb"^TIMESERIES .*\bSLIST\b",
    "TSPAIR": rb"^TIMESERIES .*\bTSPAIR\b", "SH_ASC": rb"^DELTA: *[\d.e+-]+\s*\nLENGTH: *\d",
}  # fmt: skip
"""Lines by which text formats are recognised."""
_NO_HEADER = "its header cannot be read"


class TracePart(NamedTuple):
    """One trace of a file."""

    label: str
    """What identifies it in a message, beside its number."""
    content: bytes
    """A file of this trace alone."""
    told_samples: int | None = None
    """Number of samples in its header, to be compared with those that are read; None if readers compare it."""
    problem: str = ""
    """Why it cannot be read."""


def split_traces(content: bytes, format_name: str) -> list[TracePart]:
    """Divide a file into its traces; empty if that is not known of the format."""
    split = _SPLITTERS.get(format_name)
    return list(split(content)) if split else []


def is_whole_chain(content: bytes, format_name: str) -> bool:
    """Whether traces that tell their own lengths fill a SEG-Y or SU file up to its end."""
    if format_name not in _CHAINS:
        return False
    start, order, sample_bytes, _ = _CHAINS[format_name](content)
    while start + _TRACE_HEADER <= len(content):
        samples = struct.unpack_from(order + "H", content, start + 114)[0]
        start += _TRACE_HEADER + samples * sample_bytes
    return start == len(content)


def describe_rest(path: Path, format_name: str, samples: Sequence[int]) -> str:
    """What lies after the traces that were read, which have these numbers of samples; empty if nothing does."""
    if format_name == "AH" and path.read_bytes()[:4] == struct.pack(">i", 6):  # the first version
        expected, size = sum(_AH1_HEADER + 4 * n for n in samples), path.stat().st_size
    elif format_name == "Q" and (data := path.with_suffix(".QBN")).exists():
        expected, size = sum(4 * n for n in samples), data.stat().st_size
    else:
        return ""
    if expected == size:
        return ""
    return (
        f"the {len(samples)} traces that can be read take {expected} bytes, but there are {size}. Other traces are "
        "lost, or samples of these are wrong."
    )


def guess_format(head: bytes) -> str | None:
    """Format of a file with these first bytes that ObsPy does not recognise, since some of them are damaged."""
    for name, pattern in _HEADERS.items():
        if re.search(pattern, head, re.MULTILINE):
            return name
    return None


def _split_before(content: bytes, header: bytes, before: bytes, samples: bytes = b"") -> Iterator[TracePart]:
    """Split a text before each line that begins with the pattern `header`.

    `before` is a pattern of samples that are not those of a header. `samples` finds the number of samples in a header.
    """
    starts = [match.start() for match in re.finditer(b"^" + header, content, re.MULTILINE)]
    if starts and re.search(before, content[: starts[0]], re.MULTILINE):
        yield TracePart("", b"", problem=_NO_HEADER)
    for start, stop in zip(starts, [*starts[1:], len(content)], strict=True):
        line = content[start : start + 60].splitlines()[0].decode("ascii", "replace")
        label = f" ({' '.join(line.split())} ...)"
        found = re.search(samples, content[start : min(stop, start + 400)], re.MULTILINE) if samples else None
        if samples and not found:
            yield TracePart(label, b"", problem=_NO_HEADER)
        else:
            yield TracePart(label, content[start:stop], int(found[1]) if found else None)


class _Chain(NamedTuple):
    """Traces of one length that follow each other."""

    start: int
    order: str
    sample_bytes: int
    samples: int


def _find_segy_chain(content: bytes) -> _Chain:
    """The length of traces stands in the header of the file."""
    for order in (">", "<") if len(content) > 3600 else ():
        samples, code = (struct.unpack_from(order + "H", content, at)[0] for at in (3220, 3224))
        if code in _SEGY_SAMPLE_BYTES:
            n_texts = struct.unpack_from(order + "h", content, 3504)[0]
            return _Chain(3600 + 3200 * max(n_texts, 0), order, _SEGY_SAMPLE_BYTES[code], samples)
    return _Chain(len(content), ">", 4, 0)


def _find_su_chain(content: bytes) -> _Chain:
    """The length of traces is that in the first header by which the file can be divided."""
    for order in ("<", ">") if len(content) > _TRACE_HEADER else ():
        samples = struct.unpack_from(order + "H", content, 114)[0]
        if samples and len(content) % (_TRACE_HEADER + 4 * samples) == 0:
            return _Chain(0, order, 4, samples)
    return _Chain(len(content), ">", 4, 0)


def _split_chain(content: bytes, format_name: str) -> Iterator[TracePart]:
    first, order, sample_bytes, samples = _CHAINS[format_name](content)
    size = _TRACE_HEADER + sample_bytes * samples
    for start in range(first, len(content), size) if samples else ():
        trace = content[start : start + size]
        told = struct.unpack_from(order + "H", trace, 114)[0] if len(trace) == size else -1
        yield TracePart("", content[:first] + trace, problem="" if told == samples else _WRONG_LENGTH)


_CHAINS = {"SEGY": _find_segy_chain, "SU": _find_su_chain}
_TIMESERIES = {"header": rb"(?:TIMESERIES|[^\n]*\bsps\b)", "before": rb"\d", "samples": rb",\s*(\d+) samples"}
"""SLIST and TSPAIR; the first word of a header may be damaged."""

_SPLITTERS: dict[str, Callable[[bytes], Iterator[TracePart]]] = {
    "GSE1": partial(_split_before, header=rb"WID1 ", before=rb"^DAT1"),
    "GSE2": partial(_split_before, header=rb"WID2 ", before=rb"^DAT2"),
    "SLIST": partial(_split_before, **_TIMESERIES),
    "TSPAIR": partial(_split_before, **_TIMESERIES),
    "SH_ASC": partial(_split_before, header=rb"DELTA:", before=rb"^[-\d]", samples=rb"^LENGTH:\s*(\d+)"),
    "SEGY": partial(_split_chain, format_name="SEGY"),
    "SU": partial(_split_chain, format_name="SU"),
}
SPLIT_FORMATS = frozenset(_SPLITTERS)
"""Formats whose files can be divided."""
