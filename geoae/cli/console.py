"""Shared by all verbs of the command line: printing, errors in one line, progress."""

import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from geoae.cli.process import check_interrupt, first_signal
from geoae.errors import GeoAEError, OptionError


def print_line(text: str, err: bool = False) -> None:
    """Print one line on stdout or stderr."""
    typer.echo(text, err=err)


def exit_with_problems(problems: list[str], code: int = 1) -> None:
    """Print each problem as a line on stderr and exit with a code; do nothing without problems."""
    for problem in problems:
        print_line(f"geoae: {' '.join(problem.split())}", err=True)
    if problems:
        raise typer.Exit(code)


NOTHING_LEFT = "nothing half-written is left"
KEPT = "what is done is kept: the same command goes on from there"


@contextmanager
def report_errors(state: str = NOTHING_LEFT) -> Iterator[None]:
    """Turn a GeoAEError into one line and exit code 1 (an OptionError: 2), and a signal into 128 plus its number.

    `state` tells after an interruption what is left on disk.
    """
    try:
        yield
    except OptionError as error:
        exit_with_problems([str(error)], code=2)
    except GeoAEError as error:
        exit_with_problems([str(error)])
    except MemoryError:
        exit_with_problems(["there is not enough memory; process fewer files at once, or close other programs"])
    except KeyboardInterrupt:
        number = first_signal() or signal.SIGINT
        verb = "interrupted" if number == signal.SIGINT else "terminated"
        print_line(f"geoae: {verb}; {state}", err=True)
        raise typer.Exit(128 + number) from None


@contextmanager
def warnings_in_one_line(quiet: bool = False) -> Iterator[None]:
    """Print warnings of libraries as notes of one line, without source code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "default")
        warnings.simplefilter("ignore", ResourceWarning)  # of files that an interruption left open
        warnings.showwarning = lambda message, *_: print_line(
            f"geoae: note: {' '.join(str(message).split())}", err=True
        )
        yield


@contextmanager
def progress_bar(quiet: bool, verb: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr if it is a terminal; yields a function of (done, total)."""
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
