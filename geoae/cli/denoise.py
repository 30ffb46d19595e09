"""`geoae denoise`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoae.cli.console import (
    NOTHING_LEFT,
    exit_with_problems,
    print_line,
    progress_bar,
    report_errors,
    warnings_in_one_line,
)
from geoae.cli.options import Inputs, Quiet, Verbose
from geoae.stores.runs import is_store

if TYPE_CHECKING:
    from geoae.jobs.fields.counts import FieldSummary
    from geoae.jobs.records.counts import RecordSummary


def denoise(
    inputs: Inputs,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            metavar="PATH",
            help="File for all, folder for one each, or store NAME.zarr; fields: .zarr or .nc. [INPUT.denoised.mseed]",
        ),
    ] = None,
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="Format of the output: any that ObsPy writes, such as SAC.")
    ] = "MSEED",
    encoding: Annotated[
        str | None,
        typer.Option(help="Of miniSEED: FLOAT32, FLOAT64, INT32, STEIM1, STEIM2; the last three round. [FLOAT32]"),
    ] = None,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id", "--ids", metavar="PATTERN", help="Only ids NET.STA.LOC.CHA like this, with * and ?; repeatable."
        ),
    ] = None,
    start_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only from this time (UTC), such as 2010-09-01T12:30.")
    ] = None,
    end_time: Annotated[str | None, typer.Option(metavar="TIME", help="Only until this time (UTC), included.")] = None,
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these variables of the fields; repeatable. [all]")
    ] = None,
    dims: Annotated[
        str, typer.Option(metavar="Y,X", help="Horizontal dimensions of the fields, where metadata does not tell.")
    ] = "",
    model: Annotated[
        str | None,
        typer.Option(help="Name of a shipped model, or a folder that `geoae train` wrote. [seismic; of fields: grid]"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Windows a call of the net; changes speed, not results.")] = 16,
    threads: Annotated[int | None, typer.Option(help="CPU threads. [all that this process may use, at most 8]")] = None,
    noise_out: Annotated[
        str | None, typer.Option(metavar="PATH", help="Write what was removed too: to a file or folder.")
    ] = None,
    dry: Annotated[float, typer.Option(help="Fraction of the original kept in the output, 0 to 1.")] = 0.0,
    above_band: Annotated[
        str, typer.Option(help="What lies above the model's band (50 Hz): pass it through, or remove it.")
    ] = "pass",
    plot: Annotated[
        Path | None, typer.Option(readable=False, help="Draw the first record before and after, as PNG, PDF or SVG.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Who computes the blocks of a store: local, a dask scheduler (tcp://HOST:PORT), a jobqueue file.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that compute the blocks of a store.")] = 1,
    chunks: Annotated[
        str, typer.Option(metavar="DIM=N,...", help="Samples of a chunk of the store, of fields. [about a million]")
    ] = "",
    shard: Annotated[int, typer.Option(metavar="N", help="Chunks in a file of the store, of fields.")] = 1,
    append: Annotated[
        bool, typer.Option("--append", help="Add to a store of fields what comes later in time.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take a model that was trained on other units or dimensions.")
    ] = False,
    codes: Annotated[
        bool, typer.Option("--codes", help="Write the latent codes of the signal too, into the same store.")
    ] = False,
    codes_model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of the codes. [seismic-codes; of fields: grid-codes]"),
    ] = None,
    latent: Annotated[int | None, typer.Option(metavar="N", help="Numbers of a code: the first so many. [all]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Take the noise out of recordings and fields. Ids, coordinates, times, gaps and units come back as they came."""
    with report_errors("what is done is kept: the same command goes on from there" if is_store(out) else NOTHING_LEFT):
        from geoae.jobs.denoise import denoise_files
        from geoae.jobs.options import DenoiseOptions

        options = DenoiseOptions.from_keywords(
            out=out, format=format_name, encoding=encoding, ids=ids, start_time=start_time, end_time=end_time, var=var,
            dims=dims, model=model, device=device, batch_size=batch_size, threads=threads, noise_out=noise_out, dry=dry,
            above_band=above_band, plot=plot, cluster=cluster, workers=workers, chunks=chunks, shard=shard,
            append=append, force=force, codes=codes, codes_model=codes_model, latent=latent, overwrite=overwrite,
            dry_run=dry_run, command=shlex.join(["geoae", *sys.argv[1:]]),
            say=lambda line: None if quiet else print_line(f"geoae: note: {line}", err=True),
        )  # fmt: skip
        with warnings_in_one_line(quiet), progress_bar(quiet or dry_run, "denoise") as progress:
            summary = denoise_files(inputs, options, progress)
        _print_summary(summary, dry_run, quiet, verbose)


def _print_summary(summary: "RecordSummary | FieldSummary", dry_run: bool, quiet: bool, verbose: bool) -> None:
    if not quiet:
        from geoae.cli import tables

        print_line(tables.summary_table(summary, dry_run))
        for note in summary.notes if verbose else [n for n in summary.notes if "unknown header" not in n]:
            print_line(f"geoae: note: {' '.join(note.split())}", err=True)
        print_line(tables.format_outputs(summary, dry_run))
    exit_with_problems(summary.problems)
