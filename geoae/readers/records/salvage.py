"""Read one recording with ObsPy. Where a file is damaged, read the traces in it one by one, and tell what is lost."""

import io
import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from geoae.errors import DamagedFileError, one_line
from geoae.files.libmseed import lock_and_record_warnings
from geoae.labels.segments import Segment
from geoae.readers.records import mseed
from geoae.readers.records.mseed_index import MseedIndex, index_segments
from geoae.readers.records.selection import cut_segment

_LONGEST_GSE_LINE = 82
"""Bytes of a line with its end. ObsPy copies longer ones beyond the end of a buffer."""

_GSE_TEXT = bytes(range(32, 127)) + b"\r\n\t"
_TRACE_HEADER = 240
_TEXT_HEADER = rb"(?:TIMESERIES|[^\n]*\bsps\b)"
"""A header of SLIST and TSPAIR, also with a damaged first word."""
_SEGY_SAMPLE_BYTES = {1: 4, 2: 4, 3: 2, 5: 4, 8: 1}


class Reading(NamedTuple):
    """Traces of one file."""

    traces: list[Any]
    orders: list[int]
    """The same number for traces that touch and are one segment of a drifting clock; see `mseed_index`."""
    losses: list[str]
    """Parts that could not be read, one line each."""
    notes: list[str]
    """Remarks, one line each."""


class _Part(NamedTuple):
    """One trace of a file, as bytes that ObsPy reads."""

    label: str
    content: bytes


def read_miniseed(path: Path, name: str) -> tuple[Reading, list[str]]:
    """Read all of a miniSEED file. A record that cannot be decoded is left out.

    Parameters
    ----------
    path
        The file.
    name
        Its name in messages.

    Returns
    -------
    Reading, and the messages of ObsPy, which may be about losses

    Raises
    ------
    Exception
        ObsPy cannot read it, and no record in it is valid.
    """
    found = index_segments(path)
    if found is None:
        rest = index_segments(path, salvage=True)
        # a file that ObsPy alone understands, or an undamaged one with records of several lengths
        if rest is None or len({segment.order for segment in rest.segments}) == len(rest.segments):
            try:
                with lock_and_record_warnings() as caught:
                    return _read(path, "MSEED", name), [str(warning.message) for warning in caught]
            except Exception:
                if rest is None or not rest.segments:
                    raise
        found = rest
    return _decode_index(found, path.name, name), []


def read_other_format(path: Path, format_name: str, name: str) -> tuple[Reading, list[str]]:
    """Read a file of any format but miniSEED. If a trace in it is damaged, the others are read.

    Parameters
    ----------
    path
        The file.
    format_name
        ObsPy's name of the format.
    name
        Name of the file in messages.

    Returns
    -------
    Reading, and the messages of ObsPy, which may be about losses

    Raises
    ------
    Exception
        ObsPy cannot read any trace.
    """
    with lock_and_record_warnings() as caught:
        found = _read_traces(path, format_name, name)
    return found, [str(warning.message) for warning in caught]


def _read_traces(path: Path, format_name: str, name: str) -> Reading:
    split = _SPLITTERS.get(format_name)
    content = path.read_bytes() if split else b""
    parts = list(split(content)) if split else []
    traces: list[Any] = []
    losses: list[str] = []
    refusals: list[Exception] = []
    if not parts:
        return _read(path, format_name, name)
    if format_name in _CHAINS and _is_whole_chain(content, format_name):
        try:
            return _read(path, format_name, name)
        except MemoryError:
            raise
        except Exception as error:  # each format raises types of its own
            refusals.append(error)
    for number, part in enumerate(parts, 1):
        label = f"{name}: trace {number} of {len(parts)}{part.label}"
        try:
            found, problem = _read_part(part, format_name, is_last=number == len(parts))
        except MemoryError:
            raise
        except Exception as error:  # as above
            refusals.append(error)
            losses.append(f"{label} is left out: {one_line(error).rstrip('.')[:200]}.")
        else:
            traces += found
            losses += [f"{label}: {problem}."] if problem else []
    if not traces:
        raise refusals[0]
    return Reading(traces, list(range(len(traces))), losses, [])


def _read(file: "Path | io.BytesIO", format_name: str, name: str, **options: Any) -> Reading:
    import glob

    import obspy

    place = glob.escape(str(file)) if isinstance(file, Path) else file
    # with a format, ObsPy does not look for archives or try PICKLE, which could run code
    stream = obspy.read(place, format=format_name, check_compression=False, **options)
    traces = list(stream)
    if format_name == "SEGY":
        for trace in traces:
            trace.stats.segy.file_headers = stream.stats  # a writer needs those of the whole file
    if not traces:
        raise DamagedFileError("there are no traces in it")
    return Reading(traces, list(range(len(traces))), [], [])


def _decode_index(found: MseedIndex, file_name: str, name: str) -> Reading:
    """Decode all segments of an index into ObsPy Traces."""
    traces: list[Any] = []
    orders: list[int] = []
    losses = [line.replace(file_name, name, 1) for line in found.losses]
    for segment in found.segments:
        locator = segment.locator
        assert isinstance(locator, mseed.MseedRecords)
        spans = mseed.find_decodable_spans(locator)
        if (lost := segment.n - sum(min(stop, segment.n) - start for start, stop in spans)) and not segment.text:
            losses.append(f"{name}: {segment.id}: {lost} samples are lost: they cannot be decoded.")
        for start, stop in spans:
            part = segment if segment.text else cut_segment(segment, start, min(stop, segment.n))
            traces.append(_make_trace(part, stop - start, losses.append))
            orders.append(segment.order)
    if not traces:
        raise DamagedFileError("; ".join(line.rstrip(".") for line in losses) or "there are no samples")
    return Reading(
        traces, orders, list(dict.fromkeys(losses)), [line.replace(file_name, name, 1) for line in found.notes]
    )


def _make_trace(segment: Segment, n: int, add_loss: Callable[[str], None]) -> Any:
    """The ObsPy Trace of a segment with `n` samples or characters."""
    from obspy import Trace, UTCDateTime

    locator = segment.locator
    assert isinstance(locator, mseed.MseedRecords)
    (samples,) = mseed.fetch_blocks([(locator, 0, n)], add_loss)
    stats = mseed.make_header(locator)
    stats.network, stats.station, stats.location, stats.channel = segment.id.split(".", 3)
    stats.sampling_rate, stats.starttime = segment.rate_hz, UTCDateTime(ns=segment.start_ns)
    trace = Trace(header=stats)
    trace.data = samples
    return trace


def _read_part(part: _Part, format_name: str, *, is_last: bool) -> tuple[list[Any], str]:
    """Traces of one part, and what is wrong with their samples."""
    if not part.content:
        raise DamagedFileError("it is cut, or its header tells of another number of samples than that of the file")
    if format_name in ("GSE1", "GSE2"):
        return _read_gse(part.content, format_name)
    traces = _read(io.BytesIO(part.content), format_name, "").traces
    if format_name in ("SLIST", "TSPAIR"):
        return traces, _compare_count(part, traces[0], is_last)
    return traces, ""


def _read_gse(content: bytes, format_name: str) -> tuple[list[Any], str]:
    sections = re.findall(rb"^DAT[12]\s", content, re.MULTILINE)
    if not sections or _has_dangerous_lines(content):
        raise DamagedFileError("its samples do not begin with a line DAT, or their lines are not those of the format")
    problem = "the header of another trace after it cannot be read, and that trace is left out"
    problem = problem if len(sections) > 1 else ""
    try:
        return _read(io.BytesIO(content), format_name, "").traces, problem
    except Exception as error:
        # ObsPy's class is private to its reader of GSE
        if type(error).__name__ != "ChksumError":
            raise
        traces = _read(io.BytesIO(content), format_name, "", verify_chksum=False).traces
        reason = f"its checksum is not that of its samples ({one_line(error)}), so some of them may be wrong"
        return traces, "; ".join(filter(None, [reason, problem]))


def _has_dangerous_lines(content: bytes) -> bool:
    """Whether there are lines before the check sum that ObsPy's C code cannot take."""
    end = re.search(rb"^CHK[12]", content, re.MULTILINE)
    # Python reads the header: a line WID, and in GSE1 another line, in GSE2 perhaps a line STA2
    lines = content[: end.start() if end else None].split(b"\n")[2 if content.startswith(b"WID1") else 1 :]
    lines = lines[1:] if lines and lines[0].startswith(b"STA2") else lines
    return bool(b"".join(lines).translate(None, _GSE_TEXT)) or max(map(len, lines), default=0) >= _LONGEST_GSE_LINE


def _compare_count(part: _Part, trace: Any, is_last: bool) -> str:
    """Compare the number of samples with that in a TIMESERIES header; ObsPy takes all numbers up to the next header.

    Raises
    ------
    DamagedFileError
        Samples are missing in the middle of the file, so that those after them would be shifted.
    """
    match = re.search(rb",\s*(\d+) samples", part.content[:200])
    told, n = int(match[1]) if match else -1, len(trace.data)
    if told == n:
        return ""
    if n < told and is_last:
        return f"it ends after {n} of {told} samples"
    if 0 <= told < n:
        trace.data = trace.data[:told]
        return f"its header tells of {told} samples, but {n} follow; those after the first {told} are left out"
    raise DamagedFileError(f"its header tells of {told} samples, but {n} follow" if match else "its header is damaged")


def _is_whole_chain(content: bytes, format_name: str) -> bool:
    """Whether traces that tell their own lengths fill a SEG-Y or SU file up to its end."""
    start, order, sample_bytes, _ = _CHAINS[format_name](content)
    while start + _TRACE_HEADER <= len(content):
        samples = struct.unpack_from(order + "H", content, start + 114)[0]
        start += _TRACE_HEADER + samples * sample_bytes
    return start == len(content)


def _split_before(pattern: bytes) -> Callable[[bytes], Iterator[_Part]]:
    """Split a file before each line that begins with a pattern."""
    begin = re.compile(rb"^" + pattern, re.MULTILINE)

    def split(content: bytes) -> Iterator[_Part]:
        starts = [match.start() for match in begin.finditer(content)]
        for start, stop in zip(starts, [*starts[1:], len(content)], strict=True):
            line = content[start : start + 60].splitlines()[0].decode("ascii", "replace")
            yield _Part(f" ({' '.join(line.split())} ...)", content[start:stop])

    return split


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


def _split_chain(content: bytes, format_name: str) -> Iterator[_Part]:
    first, order, sample_bytes, samples = _CHAINS[format_name](content)
    size = _TRACE_HEADER + sample_bytes * samples
    for start in range(first, len(content), size) if samples else ():
        trace = content[start : start + size]
        told = struct.unpack_from(order + "H", trace, 114)[0] if len(trace) == size else -1
        yield _Part("", content[:first] + trace if told == samples else b"")


_CHAINS = {"SEGY": _find_segy_chain, "SU": _find_su_chain}

_SPLITTERS: dict[str, Callable[[bytes], Iterator[_Part]]] = {
    "GSE1": _split_before(rb"WID1 "),
    "GSE2": _split_before(rb"WID2 "),
    "SLIST": _split_before(_TEXT_HEADER),
    "TSPAIR": _split_before(_TEXT_HEADER),
    "SEGY": partial(_split_chain, format_name="SEGY"),
    "SU": partial(_split_chain, format_name="SU"),
}
