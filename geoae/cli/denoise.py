"""`geoae denoise`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoae.cli.console import (
    KEPT,
    NOTHING_LEFT,
    exit_with_problems,
    print_line,
    progress_bar,
    report_errors,
    warnings_in_one_line,
)
from geoae.cli.options import Device, Group, Inputs, Quiet, Threads, Verbose, complete_models, complete_words
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
            help="File for all, folder for one each, or store NAME.zarr; fields: .zarr or .nc. [INPUT.denoised.FORMAT]",
        ),
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="Format that ObsPy writes, such as SAC. [by the ending of -o, else that of the inputs, else MSEED]",
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            autocompletion=complete_words("FLOAT32", "FLOAT64", "INT32", "STEIM1", "STEIM2"),
            help="Encoding of miniSEED: FLOAT32, FLOAT64, or (rounded) INT32, STEIM1, STEIM2. [FLOAT32]",
        ),
    ] = None,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id",
            "--ids",
            metavar="PATTERN",
            help="Only ids NET.STA.LOC.CHA that match, with * and ?; repeatable.",
        ),
    ] = None,
    start_time: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only from this time (UTC), such as 2010-09-01T12:30.")
    ] = None,
    end_time: Annotated[str | None, typer.Option(metavar="TIME", help="Only up to this time (UTC), inclusive.")] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only these variables of the fields; repeatable. [all]"),
    ] = None,
    dims: Annotated[
        str, typer.Option(metavar="Y,X", help="Horizontal dimensions of the fields, if metadata does not name them.")
    ] = "",
    group: Group = "",
    model: Annotated[
        str | None,
        typer.Option(
            help="Name of a shipped model, or a folder that `geoae train` wrote. [seismic; fields: grid]",
            autocompletion=complete_models,
        ),
    ] = None,
    device: Device = "auto",
    batch_size: Annotated[int, typer.Option(help="Windows in one call of the net; changes speed, not results.")] = 16,
    threads: Threads = None,
    noise_out: Annotated[
        str | None, typer.Option(metavar="PATH", help="Also write the removed noise, to this file or folder.")
    ] = None,
    sigma_out: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Also write the standard error of each sample, to this file or folder."),
    ] = None,
    sigma: Annotated[
        bool, typer.Option("--sigma", help="Also write the standard error of each sample, into the store.")
    ] = False,
    sds: Annotated[
        bool, typer.Option("--sds", help="Day files of an SDS archive: write an SDS archive below the folder -o.")
    ] = False,
    highpass: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="High-pass recordings first; what lies below this frequency is removed, too."),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="PURPOSE",
            help="Keep as much noise as suits picking, amplitude or viewing; `geoae models` lists those of a model.",
            autocompletion=complete_words("picking", "amplitude", "viewing"),
        ),
    ] = None,
    dry: Annotated[float | None, typer.Option(help="Fraction of the noise that is kept, 0 to 1. [0]")] = None,
    keep_doubtful: Annotated[
        bool,
        typer.Option(
            "--keep-doubtful/--no-keep-doubtful",
            help="Transients that the record's noise does not explain stay in the signal.",
        ),
    ] = True,
    above_band: Annotated[
        str,
        typer.Option(
            help="Frequencies above the model's band (50 Hz): pass or remove.",
            autocompletion=complete_words("pass", "remove"),
        ),
    ] = "pass",
    plot: Annotated[
        Path | None, typer.Option(readable=False, help="Draw the first record before and after, as PNG, PDF or SVG.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Cluster for the blocks of a store: local, a dask scheduler (tcp://HOST:PORT), or a jobqueue file.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that compute the blocks of a store.")] = 1,
    chunks: Annotated[
        str, typer.Option(metavar="DIM=N,...", help="Fields: samples in a chunk of the store. [about a million]")
    ] = "",
    shard: Annotated[int, typer.Option(metavar="N", help="Fields: chunks in one file of the store.")] = 1,
    append: Annotated[bool, typer.Option("--append", help="Fields: add later times to an existing store.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Accept a model that was trained on other units or dimensions.")
    ] = False,
    codes: Annotated[
        bool, typer.Option("--codes", help="Also write the latent codes of the signal, into the same store.")
    ] = False,
    codes_model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model of the codes. [seismic-codes; fields: grid-codes]"),
    ] = None,
    latent: Annotated[int | None, typer.Option(metavar="N", help="Length of a code: its first numbers. [all]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and stop.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Remove noise from recordings and fields. Ids, coordinates, times, gaps and units stay unchanged."""
    with report_errors(KEPT if is_store(out) else NOTHING_LEFT):
        from geoae.jobs.denoise import denoise_files
        from geoae.jobs.options import DenoiseOptions

        options = DenoiseOptions.from_keywords(
            out=out, format=format_name, encoding=encoding, ids=ids, start_time=start_time, end_time=end_time, var=var,
            dims=dims, group=group, model=model, device=device, batch_size=batch_size, threads=threads,
            noise_out=noise_out, sigma_out=sigma_out, sigma=sigma, sds=sds, highpass=highpass, purpose=purpose,
            dry=dry, keep_doubtful=keep_doubtful,
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
        for doubt in getattr(summary, "doubts", ()) if verbose else ():
            print_line(f"geoae: note: {doubt}", err=True)
        print_line(tables.format_outputs(summary, dry_run))
    if not quiet or not getattr(summary, "keep_doubtful", True):  # a loss is told in any case
        for line in getattr(summary, "warnings", ()):
            print_line(f"geoae: warning: {line}", err=True)
    exit_with_problems(summary.problems)
