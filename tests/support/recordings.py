"""Recordings for tests of readers."""

import io
from pathlib import Path

import numpy as np
import obspy
from obspy import Stream, Trace, UTCDateTime

from geoae.readers.records import mseed_headers

SHIPPED = sorted(
    path
    for path in Path(obspy.__file__).parent.glob("**/tests/data/**/*")
    if path.is_file() and path.stat().st_size < 500_000
)


MINISEED = [path for path in SHIPPED if mseed_headers.is_miniseed(path.read_bytes()[:48])]


START = UTCDateTime(2020, 1, 1)


def trace(n=5000, channel="HHZ", start=START, rate=100.0, seed=0, dtype=np.int32):
    samples = np.cumsum(np.random.default_rng(seed).integers(-50, 51, n)).astype(dtype)
    header = {"network": "XX", "station": "AB", "location": "00", "channel": channel}
    return Trace(samples, {**header, "starttime": start, "sampling_rate": rate})


def interleaved(path, n_channels=3, reclen=512, n=20_000, gap_every=0):
    """Write channels whose records alternate in the file, as data loggers do."""
    buffers = []
    stream = Stream()
    for k in range(n_channels):
        whole = trace(n, "HH" + "ENZ12"[k], seed=k)
        cuts = range(0, n, gap_every or n)
        pieces = Stream([whole.slice(START + a / 100, START + (a + (gap_every or n) - 8) / 100) for a in cuts])
        stream += pieces
        buffer = io.BytesIO()
        pieces.write(buffer, format="MSEED", reclen=reclen, encoding="STEIM2")
        buffers.append([buffer.getvalue()[i : i + reclen] for i in range(0, buffer.tell(), reclen)])
    longest = max(len(records) for records in buffers)
    path.write_bytes(b"".join(records[i] for i in range(longest) for records in buffers if i < len(records)))
    return stream
