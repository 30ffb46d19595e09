"""The command line: arguments -> one job -> a printed summary. No arithmetic here, nothing heavy until it is needed."""

import os
import signal
import sys
from typing import Annotated

import typer

from geoae._version import __version__
from geoae.cli import codes, denoise, inspect, train
from geoae.cli.console import print_line, raise_interrupt

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time of --help
    pretty_exceptions_enable=False,
    help="Clean and compress geoscience signals. `geoae denoise input.mseed` is the main job.",
)
# in the order of `geoae --help`
for command in (
    denoise.denoise, inspect.info, inspect.models, inspect.status,
    train.train, train.evaluate, codes.encode, codes.decode,
):  # fmt: skip
    app.command()(command)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        print_line(f"geoae {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the `geoae` command."""
    # waiting threads that spin make a second busy process up to 16 times slower; must be set before torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; ours take whole windows
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, raise_interrupt)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - stays open as long as the process
        getattr(sys, name).reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        app()
    except KeyboardInterrupt:  # before there was anything to clean up
        raise SystemExit(130) from None
