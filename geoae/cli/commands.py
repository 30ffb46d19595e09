"""The command line: arguments -> one job -> a printed summary. No arithmetic here, nothing heavy until it is needed."""

import os
from typing import Annotated

import typer

from geoae._version import __version__
from geoae.cli import codes, denoise, inspect, process, train
from geoae.cli.console import print_line
from geoae.cli.help import Verb

app = typer.Typer(
    context_settings={"help_option_names": ["-h", "--help"]},
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
    app.command(cls=Verb)(command)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        print_line(f"geoae {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the `geoae` command; ends in SystemExit.

    Signal handlers, stdout and stderr are those of the caller again afterwards.
    """
    # waiting threads that spin make a second busy process up to 16 times slower; must be set before torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; ours take whole windows
    with process.handle_signals(), process.safe_streams() as (stdout, _):
        code = _run_app()
        stdout.flush()
        if stdout.error is not None:
            reason = stdout.error.strerror or stdout.error
            print_line(f"geoae: stdout cannot be written ({reason}): results were not printed. Files are not affected.",
                       err=True)  # fmt: skip
            code = code or 1
    raise SystemExit(code)


def _run_app() -> int:
    """Run the command of this process, and return its exit code."""
    try:
        app()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except KeyboardInterrupt:  # before there was anything to clean up
        code = 130
    # typer makes every interruption outside of a verb a SIGINT
    number = process.first_signal()
    return 128 + number if code == 130 and number else code
