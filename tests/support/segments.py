"""Segments, headers and samples for tests of writers."""

from pathlib import Path

import numpy as np
from obspy import UTCDateTime
from obspy.core import Stats

from geoae.labels.segments import Segment

START_NS = 1_583_020_799_123_456_000  # 2020-02-29T23:59:59.123456Z


SOURCE = Path("source.mseed")


def segment(n, order=0, channel="HHZ", start_ns=START_NS, rate_hz=100.0, source=SOURCE, text=False):
    return Segment(f"XX.ABC.00.{channel}", start_ns, rate_hz, n, order, source, None, text)


def header_of(piece, **more):
    network, station, location, channel = piece.id.split(".")
    ids = {"network": network, "station": station, "location": location, "channel": channel}
    times = {"starttime": UTCDateTime(ns=piece.start_ns), "sampling_rate": piece.rate_hz}
    return Stats({**ids, **times, **more})


def samples(n, dtype=np.float32, seed=0):
    return (np.random.default_rng(seed).normal(size=n) * 1000).astype(dtype)


def put(writer, piece, data, block=None, **more):
    """Put a whole segment, in blocks."""
    for start in range(0, len(data), block or max(len(data), 1)):
        writer.put(piece, start, data[start : start + (block or len(data))], header_of(piece, **more))


def listing(folder):
    """All names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())
