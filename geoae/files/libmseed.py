"""ObsPy's miniSEED library: the lock that its global state needs, and the one private function of ObsPy we call.

libmseed reports through one global callback, and warnings go through global state, so one thread may use it at a time.
"""

import threading
from typing import Any, BinaryIO

LIBMSEED_LOCK = threading.Lock()


def write_records(trace: Any, file: BinaryIO, encoding: str, record_length: int) -> None:
    """Write an ObsPy Trace to an open file as big-endian miniSEED records.

    `Stream.write` ends in the same function, but searches for it for longer than a short trace takes to compress.
    """
    from obspy.io.mseed.core import _write_mseed

    with LIBMSEED_LOCK:
        _write_mseed([trace], file, encoding=encoding, reclen=record_length, byteorder=">")
