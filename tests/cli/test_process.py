"""Signals and streams of the process of the command line."""

import io
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from geoae.cli import main, process


def call_main(monkeypatch, *words) -> int:
    """Exit code of `geoae WORDS` in this interpreter."""
    monkeypatch.setattr(sys, "argv", ["geoae", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_handlers_and_streams_of_the_caller_come_back(monkeypatch):
    """A script that calls `main` can be terminated afterwards, and its stdout is its own."""
    before = [signal.getsignal(number) for number in process.SIGNALS], sys.stdout, sys.stderr
    assert call_main(monkeypatch, "--version") == 0
    assert ([signal.getsignal(number) for number in process.SIGNALS], sys.stdout, sys.stderr) == before


def test_main_runs_in_a_thread(monkeypatch):
    """Only the main thread can have handlers; others run without."""
    codes = []
    thread = threading.Thread(target=lambda: codes.append(call_main(monkeypatch, "--version")))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize("number", process.SIGNALS)
@pytest.mark.parametrize("clean_up_s", [0, 60])
def test_a_second_signal_does_not_stop_the_clean_up(monkeypatch, number, clean_up_s):
    """It is ignored in `finally` and `__exit__`, for as long as they take, and for some seconds in any case."""
    monkeypatch.setattr(process, "CLEAN_UP_S", clean_up_s)
    steps = []

    class Output:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            os.kill(os.getpid(), number)
            steps.append("closed")

    def work():
        with Output():
            try:
                os.kill(os.getpid(), number)
            finally:
                os.kill(os.getpid(), number)
                steps.append("removed")

    with process.handle_signals():
        with pytest.raises(KeyboardInterrupt):
            work()
        if clean_up_s:
            os.kill(os.getpid(), number)
        else:
            with pytest.raises(KeyboardInterrupt):  # a library may have swallowed the first one
                os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            process.check_interrupt()
        assert process.first_signal() == number
    assert steps == ["removed", "closed"]


def test_ignored_signals_stay_ignored():
    """As under nohup."""
    callers = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with process.handle_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert process.first_signal() is None
    finally:
        signal.signal(signal.SIGHUP, callers)


class FullDisk(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("stdout", "reason"), [(FullDisk(), "No space left on device"), (None, "it is closed")])
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["info", "--help"], ["models"]], ids=" ".join)
def test_results_that_cannot_be_printed(monkeypatch, capsys, stdout, reason, words):
    """One line on stderr and an exit code other than 0, whatever the verb."""
    monkeypatch.setattr(sys, "stdout", stdout)
    assert call_main(monkeypatch, *words) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(f"geoae: stdout cannot be written ({reason})")
    assert errors.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux that is always full")
def test_a_stream_that_fails_is_left_without_buffered_text():
    """The interpreter has nothing left to write when it exits, and the descriptor is that of the caller."""
    with Path("/dev/full").open("w") as full:
        stream = process.SafeStream(full)
        stream.write("text")
        stream.flush()
        assert stream.error is not None
        full.flush()
        full.write("text of the caller")
        with pytest.raises(OSError, match="No space"):
            full.flush()
        process._drop_buffered_text(full)


def test_text_goes_through():
    """Length, flush and attributes are those of the stream; bytes are refused, as click expects of text."""
    text = io.StringIO()
    stream = process.SafeStream(text)
    assert stream.write("a é") == 3
    stream.flush()
    assert (text.getvalue(), stream.error, stream.isatty()) == ("a é", None, False)
    with pytest.raises(TypeError):
        stream.write(b"")
    text.close()
    stream.write("late")
    assert stream.error is not None
