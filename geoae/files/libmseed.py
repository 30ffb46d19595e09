"""ObsPy's wrapper of libmseed: a lock around its global state, and the private parts of ObsPy that geoae uses.

libmseed reports errors through one global callback, and Python's warning filters are global too, so only one thread
at a time may use the library.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

LIBMSEED_LOCK = threading.Lock()


@contextmanager
def lock_and_record_warnings(*, only_mseed: bool = False) -> Iterator[list[warnings.WarningMessage]]:
    """Hold the lock of the library, and collect warnings instead of showing them.

    Parameters
    ----------
    only_mseed
        Collect only the warnings of libmseed about the data; all others are dropped.

    Yields
    ------
    list of WarningMessage
        Filled while the ``with`` block runs.
    """
    from obspy.io.mseed import InternalMSEEDWarning

    with LIBMSEED_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", InternalMSEEDWarning if only_mseed else Warning)
        yield caught


def write_records(trace: Any, file: BinaryIO, encoding: str, record_length: int, byteorder: str | None = ">") -> None:
    """Write an ObsPy Trace to an open file as miniSEED records.

    `Stream.write` calls the same function, but looking it up takes longer than compressing a short trace.

    Parameters
    ----------
    trace
        An ObsPy Trace without masked samples.
    file
        Open for writing bytes.
    encoding
        ObsPy's name, such as "STEIM2".
    record_length
        Bytes of a record.
    byteorder
        ">" or "<". None: the byte order in the header of the trace, else big-endian.
    """
    from obspy.io.mseed.core import _write_mseed

    with LIBMSEED_LOCK:
        _write_mseed([trace], file, encoding=encoding, reclen=record_length, byteorder=byteorder)


def encoding_name(code: int) -> str:
    """ObsPy's name of the encoding with a SEED code, such as "STEIM2" for 11."""
    from obspy.io.mseed.headers import ENCODINGS

    return str(ENCODINGS[code][0])
