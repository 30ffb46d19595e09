"""Printing, errors and signals of the command line."""

import signal
import warnings

import pytest
import typer

from geoae.cli import console, process
from geoae.errors import InputError


def test_an_error_is_one_line_and_exit_code_one(capsys):
    """Line breaks of the message become spaces."""
    with pytest.raises(typer.Exit) as stopped, console.report_errors():
        raise InputError("a\n b")
    assert stopped.value.exit_code == 1
    assert capsys.readouterr().err == "geoae: a b\n"


@pytest.mark.parametrize("number", process.SIGNALS)
def test_signals_have_their_exit_codes(capsys, monkeypatch, number):
    """128 plus the number of the signal, and a line on the state of the output."""
    monkeypatch.setattr(process, "_caught", [])
    with pytest.raises(typer.Exit) as stopped, console.report_errors(console.KEPT):
        process.raise_interrupt(number, None)
    assert stopped.value.exit_code == 128 + number
    verb = "interrupted" if number == signal.SIGINT else "terminated"
    assert capsys.readouterr().err == f"geoae: {verb}; {console.KEPT}\n"
    with pytest.raises(KeyboardInterrupt):
        process.check_interrupt()  # a library may have swallowed the first one


def test_no_problems_do_not_exit(capsys):
    """Each problem is a line on stderr."""
    console.exit_with_problems([])
    with pytest.raises(typer.Exit):
        console.exit_with_problems(["one", "two"])
    assert capsys.readouterr().err == "geoae: one\ngeoae: two\n"


def test_warnings_are_notes(capsys):
    """They show no source code; quiet hides them."""
    with console.warnings_in_one_line():
        warnings.warn("of\ntwo lines", stacklevel=1)
    with console.warnings_in_one_line(quiet=True):
        warnings.warn("hidden", stacklevel=1)
    assert capsys.readouterr().err == "geoae: note: of two lines\n"
