"""The command line's application and the options that several verbs share."""

from typing import Annotated

import typer

from geoae._version import __version__
from geoae.cli.console import say

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time of --help
    pretty_exceptions_enable=False,
    help="Clean and compress geoscience signals. `geoae denoise input.mseed` is the main job.",
)


Inputs = Annotated[
    list[str],  # not paths, which URLs would lose a slash as
    typer.Argument(
        help="Recordings that ObsPy reads, or fields (netCDF, zarr, GRIB); paths, URLs, names in data_catalog.yml.",
        show_default=False,
    ),
]


Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]


Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print notes on formats and devices too.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        say(f"geoae {__version__}")
        raise typer.Exit
