"""Read miniSEED 3 files into ObsPy Traces.

The layout is that of the FDSN: https://docs.fdsn.org/projects/miniseed3.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geoae.errors import DamagedFileError
from geoae.readers.records.steim import decode_steim

FORMAT = "miniSEED 3"
"""Name of the format. ObsPy does not know it."""
_MAGIC = b"MS\3"
_HEADER = struct.Struct("<2sBBIHHBBBBdIIBBHI")
_DTYPES = {0: "S1", 1: "<i2", 3: "<i4", 4: "<f4", 5: "<f8"}
_STEIM = {10: 1, 11: 2}


class _Block(NamedTuple):
    """One record whose header is valid."""

    key: tuple[str, int, float, str]
    """Source, publication version, rate and type of samples. Records of one key may continue each other."""
    start_ns: int
    n: int
    encoding: int
    payload: bytes


@dataclass
class _Run:
    """Records that continue each other, and will be one trace."""

    first: _Block
    parts: list[np.ndarray] = field(default_factory=list)
    n: int = 0

    def is_continued_by(self, block: _Block) -> bool:
        """Whether a record begins where this ends, within half a sample, counted from the start of the trace."""
        rate = block.key[2]
        expected_ns = self.first.start_ns + round(self.n * 1e9 / rate) if rate > 0 else 0
        return rate > 0 and abs(block.start_ns - expected_ns) <= 0.5e9 / rate


def is_miniseed3(head: bytes) -> bool:
    """Whether a file begins with a record of miniSEED 3."""
    return head.startswith(_MAGIC)


def read_miniseed3(path: Path, name: str) -> tuple[list[Any], list[str]]:
    """Read all of a file: its traces, and a line on each part that cannot be read.

    A record continues the trace of its source if it begins within half a sample of where the trace ends.

    Parameters
    ----------
    path
        The file.
    name
        Its name in the lines.

    Raises
    ------
    DamagedFileError
        Nothing can be read.
    """
    from obspy import Trace, UTCDateTime

    losses: list[str] = []
    blocks = list(_find_blocks(path.read_bytes(), name, losses))
    runs: list[_Run] = []
    last: dict[tuple[str, int, float, str], _Run] = {}
    for block, samples in zip(blocks, _decode(blocks), strict=True):
        if isinstance(samples, str):
            losses.append(f"{name}: {block.key[0]}: {block.n} samples are lost: {samples}.")
        elif block.n:  # records without samples hold remarks
            run = last.get(block.key)
            if run is None or not run.is_continued_by(block):
                run = last[block.key] = _Run(block)
                runs.append(run)
            run.parts.append(samples)
            run.n += block.n
    if not runs:
        raise DamagedFileError("; ".join(line.rstrip(".") for line in losses) or "there are no samples in it")
    traces = []
    for run in runs:
        source, version, rate, _ = run.first.key
        header = dict(zip(("network", "station", "location", "channel"), _split_source(source), strict=True))
        more = {"sampling_rate": rate, "starttime": UTCDateTime(ns=run.first.start_ns), "_format": FORMAT}
        trace = Trace(header={**header, **more, "mseed3": {"publication_version": version}})
        trace.data = np.concatenate(run.parts)
        traces.append(trace)
    return traces, list(dict.fromkeys(losses))


def _find_blocks(content: bytes, name: str, losses: list[str]) -> Iterator[_Block]:
    """All valid records. What lies between them is a loss."""
    at = 0
    while at < len(content):
        block, stop = _read_block(content, at)
        if block is not None:
            yield block
        else:
            stop = content.find(_MAGIC, at + 1)
            stop = len(content) if stop < 0 else stop
            while stop < len(content) and _read_block(content, stop)[0] is None:
                stop = content.find(_MAGIC, stop + 1)
                stop = len(content) if stop < 0 else stop
            losses.append(f"{name}: bytes {at} to {stop} are no valid record and were left out.")
        at = stop


def _read_block(content: bytes, at: int) -> tuple[_Block | None, int]:
    """The record at a position and its end; None if there is no valid one."""
    import google_crc32c

    if not content.startswith(_MAGIC, at) or at + _HEADER.size > len(content):
        return None, at
    (_, _, _, nanosecond, year, day, hour, minute, second, encoding, rate, n, check, version, id_bytes, extra, size) = (
        _HEADER.unpack_from(content, at)
    )
    begin = at + _HEADER.size
    stop = begin + id_bytes + extra + size
    is_valid = 1 <= day <= 366 and hour < 24 and minute < 60 and second <= 60 and nanosecond < 10**9
    if not (is_valid and year >= 1 and np.isfinite(rate) and stop <= len(content)):
        return None, at
    # some writers leave the check value out
    if check and check != google_crc32c.value(content[at : at + 28] + bytes(4) + content[at + 32 : stop]):
        return None, at
    new_year = int(np.datetime64(f"{year:04d}-01-01", "D").astype(np.int64))
    seconds = (((new_year + day - 1) * 24 + hour) * 60 + minute) * 60 + second
    dtype = "<i4" if encoding in _STEIM else _DTYPES.get(encoding, "")
    source = content[begin : begin + id_bytes].decode("ascii", "replace")
    rate_hz = -1 / rate if rate < 0 else rate  # a negative number is a period in seconds
    key = (source, version, rate_hz, dtype)
    return _Block(key, seconds * 10**9 + nanosecond, n, encoding, content[begin + id_bytes + extra : stop]), stop


def _decode(blocks: list[_Block]) -> list[np.ndarray | str]:
    """Samples of each record, or why they cannot be decoded."""
    decoded: list[np.ndarray | str] = []
    for block in blocks:
        dtype = np.dtype(_DTYPES.get(block.encoding, "V"))
        if block.encoding not in _DTYPES:
            decoded.append(f"encoding {block.encoding} is not known")
        elif len(block.payload) != block.n * dtype.itemsize:
            decoded.append("their number is not that in the header")
        else:
            decoded.append(np.frombuffer(block.payload, dtype).astype(dtype.newbyteorder("="), copy=False))
    for encoding, version in _STEIM.items():
        rows = [i for i, block in enumerate(blocks) if block.encoding == encoding]
        found, agrees = decode_steim([blocks[i].payload for i in rows], [blocks[i].n for i in rows], version)
        for i, samples, good in zip(rows, found, agrees, strict=True):
            if samples is None:
                decoded[i] = "they cannot be decoded"
            else:
                decoded[i] = samples if good else "the last one is not that in the first frame"
    return decoded


def _split_source(source: str) -> tuple[str, str, str, str]:
    """Network, station, location and channel of FDSN:NET_STA_LOC_BAND_SOURCE_SUBSOURCE; others become the station."""
    match = re.fullmatch(r"(?:FDSN:)?([^_]*)_([^_]*)_([^_]*)_([^_]*)_([^_]*)_([^_]*)", source)
    if match is None:
        return "", source, "", ""
    network, station, location, *channel = match.groups()
    return network, station, location, ("_" if max(map(len, channel)) > 1 else "").join(channel)
