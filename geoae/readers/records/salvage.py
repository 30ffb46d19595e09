"""Read one recording with ObsPy. Where a file is damaged, read the traces in it one by one, and tell what is lost."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from geoae.errors import DamagedFileError, one_line
from geoae.files.libmseed import lock_and_record_warnings
from geoae.labels.segments import Segment
from geoae.readers.records import mseed
from geoae.readers.records.mseed_index import MseedIndex, index_segments
from geoae.readers.records.selection import cut_segment
from geoae.readers.records.trace_parts import SPLIT_FORMATS, TracePart, describe_rest, is_whole_chain, split_traces

_LONGEST_GSE_LINE = 82
"""Bytes of a line with its end. ObsPy copies longer ones beyond the end of a buffer."""

_GSE_TEXT = bytes(range(32, 127)) + b"\r\n\t"


_LONGEST_TEXT_HEADER = 200
_SECOND_60 = re.compile(rb"(?<=[ T_]\d\d:\d\d:)60(?=[.,\s])")


class Reading(NamedTuple):
    """Traces of one file."""

    traces: list[Any]
    orders: list[int]
    """The same number for traces that touch and are one segment of a drifting clock; see `mseed_index`."""
    losses: list[str]
    """Parts that could not be read, one line each."""
    notes: list[str]
    """Remarks, one line each."""


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
    content = path.read_bytes() if format_name in SPLIT_FORMATS else b""
    parts = split_traces(content, format_name)
    refusals: list[Exception] = []
    if not parts or is_whole_chain(content, format_name):
        try:
            found = _read(path, format_name, name)
        except MemoryError:
            raise
        except Exception as error:  # each format raises types of its own
            if not parts:
                raise
            refusals.append(error)
        else:
            rest = describe_rest(path, format_name, [len(trace.data) for trace in found.traces])
            return found._replace(losses=[f"{name}: {rest}"] if rest else [])
    traces: list[Any] = []
    losses: list[str] = []
    notes: list[str] = []
    for number, part in enumerate(parts, 1):
        # ObsPy refuses a second 60
        head, n_late = _SECOND_60.subn(b"59", part.content[:_LONGEST_TEXT_HEADER], 1)
        part = part._replace(content=head + part.content[_LONGEST_TEXT_HEADER:]) if n_late else part
        label = f"{name}: trace {number} of {len(parts)}{part.label}"
        try:
            some, problem = _read_part(part, format_name, is_last=number == len(parts))
        except MemoryError:
            raise
        except Exception as error:  # as above
            refusals.append(error)
            losses.append(f"{label} is left out: {one_line(error).rstrip('.')[:200]}.")
        else:
            traces += some
            if n_late:
                for trace in some:
                    trace.stats.starttime += 1
                notes.append(f"{label} begins in second 60 of a minute, taken for the first second of the next one.")
            losses += [f"{label}: {problem}."] if problem else []
    if not traces:
        raise refusals[0]
    return Reading(traces, list(range(len(traces))), losses, notes)


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
    if format_name == "SAC":
        for trace in traces:
            _mend_second_60(trace)
    if not traces:
        raise DamagedFileError("there are no traces in it")
    return Reading(traces, list(range(len(traces))), [], [])


def _mend_second_60(trace: Any) -> None:
    """Set the start of a SAC trace whose reference time has a second 60; ObsPy sets it to 1970."""
    from obspy import UTCDateTime

    header = trace.stats.sac
    if header.get("nzsec") != 60 or not {"nzyear", "nzjday", "nzhour", "nzmin"} <= set(header):
        return
    hour, minute = int(header.nzhour), int(header.nzmin)
    reference = UTCDateTime(year=int(header.nzyear), julday=int(header.nzjday), hour=hour, minute=minute) + 60
    header.nzyear, header.nzjday, header.nzhour = reference.year, reference.julday, reference.hour
    header.nzmin, header.nzsec = reference.minute, 0
    trace.stats.starttime = reference + int(header.get("nzmsec", 0)) / 1000 + float(header.get("b", 0))


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


def _read_part(part: TracePart, format_name: str, *, is_last: bool) -> tuple[list[Any], str]:
    """Traces of one part, and what is wrong with their samples."""
    if part.problem:
        raise DamagedFileError(part.problem)
    if format_name in ("GSE1", "GSE2"):
        return _read_gse(part.content, format_name)
    traces = _read(io.BytesIO(part.content), format_name, "").traces
    if (told := part.told_samples) is None:
        return traces, ""
    n = len(traces[0].data)
    if told == n:
        return traces, ""
    if n < told and is_last:
        return traces, f"it ends after {n} of {told} samples"
    if 0 <= told < n:
        # ObsPy takes all numbers up to the next header, also those of a trace whose header is lost
        traces[0].data = traces[0].data[:told]
        return traces, f"its header tells of {told} samples, but {n} follow; those after the first {told} are left out"
    # samples are missing, and those after them would be shifted
    raise DamagedFileError(f"its header tells of {told} samples, but {n} follow")


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
    if re.match(rb"WID[^\n]* INTV? ", content):  # Python reads numbers that are not compressed
        return False
    end = re.search(rb"^CHK[12]", content, re.MULTILINE)
    # Python reads the header: a line WID, and in GSE1 another line, in GSE2 perhaps a line STA2
    lines = content[: end.start() if end else None].split(b"\n")[2 if content.startswith(b"WID1") else 1 :]
    lines = lines[1:] if lines and lines[0].startswith(b"STA2") else lines
    return bool(b"".join(lines).translate(None, _GSE_TEXT)) or max(map(len, lines), default=0) >= _LONGEST_GSE_LINE
