"""The verbs of latent codes on the command line: `geoae encode`, `geoae decode`."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoae.cli.console import (
    KEPT,
    exit_with_problems,
    print_line,
    progress_bar,
    report_errors,
    warnings_in_one_line,
)
from geoae.cli.options import Cluster, Device, Group, Quiet, Threads, Workers, complete_models

if TYPE_CHECKING:
    from geoae.jobs.codes.store import CodeSummary
    from geoae.jobs.options import RunOptions

Out = Annotated[Path, typer.Option("-o", "--out", metavar="NAME.zarr", help="Store to write.", show_default=False)]
Var = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only these variables; repeatable. [all]")]
Coder = Annotated[
    str | None,
    typer.Option(
        "--model", help="Name of a shipped model with codes, or a model folder.", autocompletion=complete_models
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing store.")]


def encode(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Fields (netCDF, zarr, GRIB, a catalog name) or one record.", show_default=False, metavar="INPUT"
        ),
    ],
    out: Out,
    var: Var = None,
    dims: Annotated[
        str, typer.Option(metavar="Y,X", help="Dimensions of the windows, if metadata does not name them.")
    ] = "",
    group: Group = "",
    model: Coder = None,
    latent: Annotated[int | None, typer.Option(help="Length of a code: only its first numbers. [all]")] = None,
    device: Device = "auto",
    threads: Threads = None,
    cluster: Cluster = None,
    workers: Workers = 1,
    append: Annotated[
        bool, typer.Option("--append", help="Add the codes of later times to an existing store of codes of fields.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Accept a model that was trained on other units.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Compress fields or a record to latent codes of windows, and store the error of each code."""
    with report_errors(KEPT):
        from geoae.jobs.codes.store import encode_store
        from geoae.jobs.options import CodeOptions, split_names

        options = CodeOptions(model, tuple(var or ()), split_names(dims), latent, device, threads, append, force, group)
        with _run_options(cluster, workers, overwrite, quiet) as run, progress_bar(quiet, "encode") as progress:
            summary = encode_store(inputs, out, options, run, progress)
        _print_summary(summary, quiet)


def decode(
    store: Annotated[
        Path, typer.Argument(help="Store of codes, written by `geoae encode`.", show_default=False, metavar="STORE")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="NAME.zarr", help="Store to write; fields: or NAME.nc.", show_default=False
        ),
    ],
    var: Var = None,
    model: Coder = None,
    device: Device = "auto",
    threads: Threads = None,
    cluster: Cluster = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Decode latent codes to a store of samples, in the units and on the grid or time axis of the original."""
    with report_errors(KEPT):
        from geoae.jobs.codes.store import decode_store
        from geoae.jobs.options import CodeOptions

        options = CodeOptions(model, tuple(var or ()), device=device, threads=threads)
        with _run_options(cluster, workers, overwrite, quiet) as run, progress_bar(quiet, "decode") as progress:
            summary = decode_store(store, out, options, run, progress)
        _print_summary(summary, quiet)


@contextmanager
def _run_options(cluster: str | None, n_workers: int, overwrite: bool, quiet: bool) -> "Iterator[RunOptions]":
    """Options of a run. Inside the block, warnings are printed as notes of one line."""
    from geoae.jobs import options

    def show(line: str) -> None:
        if not quiet:
            print_line(f"geoae: note: {line}", err=True)

    workers = options.Workers(cluster, n_workers, show)
    with warnings_in_one_line(quiet):
        yield options.RunOptions(overwrite, workers=workers, command=shlex.join(["geoae", *sys.argv[1:]]))


def _print_summary(summary: "CodeSummary", quiet: bool) -> None:
    if not quiet:
        for name, row in summary.rows.items():
            error = f", rms error {row['rms_error']:.4g}" if row["rms_error"] == row["rms_error"] else ""
            print_line(f"{name}: {row['windows']:g} windows of {row['latent']:g} numbers, 1:{row['ratio']:.4g}{error}")
        for note in summary.notes:
            print_line(f"geoae: note: {note}", err=True)
        by = f"wrote {summary.target} (model {summary.model}, {summary.seconds:.1f} s)"
        print_line(f"left as it was: {summary.target}" if summary.is_unchanged else by)
    exit_with_problems(list(summary.problems))
