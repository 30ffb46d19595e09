"""The process of the command line: its signals, and streams that may be closed or full."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    if hasattr(signal, name)
)
"""Signals after which unfinished outputs are removed: Ctrl-C, `kill`, and a terminal that was closed."""
CLEAN_UP_S = 5.0
"""Time after a signal in which others are ignored, in seconds, so that they do not stop the clean-up."""
_caught: list[tuple[int, float]] = []
"""Number and time of each signal that came."""


def raise_interrupt(number: int, frame: Any) -> None:
    """Handler of signals: raise KeyboardInterrupt, but not while the clean-up after an earlier signal lasts."""
    now = time.monotonic()
    is_first = not _caught or now - _caught[0][1] > CLEAN_UP_S
    _caught.append((number, now))
    if is_first and not _is_cleaning_up():
        raise KeyboardInterrupt


def check_interrupt() -> None:
    """Raise KeyboardInterrupt if a signal came but a library swallowed it, as some do while they are imported."""
    if _caught:
        raise KeyboardInterrupt


def first_signal() -> int | None:
    """Number of the first signal that came; None: there was none."""
    return _caught[0][0] if _caught else None


@contextmanager
def handle_signals() -> Iterator[None]:
    """Let the `SIGNALS` raise KeyboardInterrupt in the ``with`` block, then restore the handlers of the caller.

    Ignored signals stay ignored, as under nohup. In the process of the `geoae` command all are ignored afterwards:
    it is about to end, and a signal during the exit of the interpreter would print a traceback.
    """
    if threading.current_thread() is not threading.main_thread():  # handlers belong to the main thread
        yield
        return
    callers = {number: signal.getsignal(number) for number in SIGNALS}
    changed = {number: handler for number, handler in callers.items() if handler not in (signal.SIG_IGN, None)}
    _caught.clear()
    for number in changed:
        signal.signal(number, raise_interrupt)
    try:
        yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, signal.SIG_IGN if _is_own_process() else handler)


class SafeStream:
    """A text stream whose writing never fails. The first error is kept, and text after it is dropped.

    It has no attribute ``buffer``: click would write to it directly.

    Parameters
    ----------
    stream
        The stream; None if the process was started without one.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.error: OSError | None = None
        """The error because of which text was lost."""

    def write(self, text: str) -> int:
        """Write text, and return its length."""
        if not isinstance(text, str):  # click finds out in this way that this is a stream of text
            raise TypeError(f"expected text, got {type(text).__name__}")
        if text and self._stream is None:
            self.error = self.error or OSError("it is closed")
        elif text and self.error is None:
            self._try_to(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        if self.error is None:
            self._try_to(lambda stream: stream.flush())

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        """The file descriptor; raises OSError if there is none."""
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        """Name of the encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:
        """What happens to characters that cannot be encoded."""
        return getattr(self._stream, "errors", None) or "backslashreplace"

    def _try_to(self, act: Any) -> None:
        if self._stream is None:
            return
        try:
            act(self._stream)
        except OSError as error:
            self.error = error
            _drop_buffered_text(self._stream)
        except ValueError as error:  # it was closed
            self.error = OSError(str(error))


@contextmanager
def safe_streams() -> Iterator[tuple[SafeStream, SafeStream]]:
    """Make stdout and stderr a `SafeStream` each in the ``with`` block; yields both."""
    _fill_closed_descriptors()
    streams = sys.stdout, sys.stderr
    handled = [getattr(stream, "errors", None) for stream in streams]
    _set_error_handling(streams, ["backslashreplace"] * 2)  # names of files may be any bytes
    out, err = SafeStream(sys.stdout), SafeStream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = streams
        _set_error_handling(streams, handled)


def _is_cleaning_up() -> bool:
    """Whether the code that a signal interrupted handles a KeyboardInterrupt, as in ``finally`` and ``__exit__``."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_own_process() -> bool:
    """Whether this process was started as `geoae`, and not by a script that calls `geoae.cli.main`."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return Path(script).name.removesuffix(".py").removesuffix("-script").removesuffix(".exe") == "geoae"


def _fill_closed_descriptors() -> None:
    """Open the null device in place of a closed stdin, stdout or stderr.

    Otherwise the next file that is opened gets its number, and what libraries print goes into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number
            os.set_inheritable(opened, True)


def _set_error_handling(streams: tuple[Any, ...], errors: list[Any]) -> None:
    for stream, how in zip(streams, errors, strict=True):
        if how is not None and hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=how)


def _drop_buffered_text(stream: TextIO) -> None:
    """Empty the buffer of a stream that cannot be written, which the interpreter would try again when it exits."""
    with suppress(OSError, ValueError):
        number = stream.fileno()
        kept, null = os.dup(number), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, number)
            stream.flush()
        finally:
            os.dup2(kept, number)
            os.close(kept)
            os.close(null)
