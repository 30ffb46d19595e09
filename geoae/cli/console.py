"""What every verb of the command line shares: lines on the terminal, errors in one line, progress, signals."""

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from geoae.errors import GeoAEError

_asked_to_stop: list[int] = []


def raise_interrupt(number: int, frame: Any) -> None:
    """Handler of SIGINT and SIGTERM: both end like Ctrl-C."""
    _asked_to_stop.append(number)
    raise KeyboardInterrupt


def check_interrupt() -> None:
    """Stop where a library has swallowed the signal, as some do while they are imported."""
    if _asked_to_stop:
        raise KeyboardInterrupt


def print_line(text: str, err: bool = False) -> None:
    """One line on stdout or stderr."""
    try:
        typer.echo(text, err=err)
    except BrokenPipeError:  # such as `| head`: the work goes on, and nobody wants to read of it
        stream = sys.stderr if err else sys.stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def exit_with_problems(problems: list[str]) -> None:
    """Exit with code 1 and a line on stderr for each problem, if there are any."""
    for problem in problems:
        print_line(f"geoae: {' '.join(problem.split())}", err=True)
    if problems:
        raise typer.Exit(1)


NOTHING_LEFT = "nothing half-written is left"


@contextmanager
def report_errors(left: str = NOTHING_LEFT) -> Iterator[None]:
    """Turn an error of ours into one line and exit code 1, and Ctrl-C into exit code 130, SIGTERM into 143."""
    try:
        yield
    except GeoAEError as error:
        exit_with_problems([str(error)])
    except MemoryError:
        exit_with_problems(["there is not enough memory; denoise fewer files at once, or close other programs"])
    except KeyboardInterrupt:
        number = _asked_to_stop[0] if _asked_to_stop else signal.SIGINT
        did = "interrupted" if number == signal.SIGINT else "terminated"
        print_line(f"geoae: {did}; {left}", err=True)
        raise typer.Exit(128 + number) from None


@contextmanager
def warnings_in_one_line(quiet: bool = False) -> Iterator[None]:
    """What libraries warn of is a note to a person, without lines of code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "default")
        warnings.simplefilter("ignore", ResourceWarning)  # of a file that an interruption left to be closed
        warnings.showwarning = lambda message, *_: print_line(
            f"geoae: note: {' '.join(str(message).split())}", err=True
        )
        yield


@contextmanager
def progress_bar(quiet: bool, verb: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where a person looks at it."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: check_interrupt()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn(verb), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None)

        def show(done: int, total: int) -> None:
            check_interrupt()
            bar.update(task, completed=done, total=total)

        yield show
