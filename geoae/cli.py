"""The command line: arguments -> one job -> a printed summary. No arithmetic here, nothing heavy until it is needed."""

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoae import cli_codes
from geoae._version import __version__
from geoae.console import NOTHING_LEFT, errors, fail, progress_bar, say, stop, warnings_in_one_line
from geoae.errors import GeoAEError
from geoae.runs import is_store

if TYPE_CHECKING:
    from geoae.jobs.field_summary import FieldSummary
    from geoae.jobs.summary import Summary

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


@app.command()
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
    with errors("what is done is kept: the same command goes on from there" if is_store(out) else NOTHING_LEFT):
        from geoae.jobs.denoise import denoise_files
        from geoae.jobs.options import DenoiseOptions

        options = DenoiseOptions.of(
            out=out, format=format_name, encoding=encoding, ids=ids, start_time=start_time, end_time=end_time, var=var,
            dims=dims, model=model, device=device, batch_size=batch_size, threads=threads, noise_out=noise_out, dry=dry,
            above_band=above_band, plot=plot, cluster=cluster, workers=workers, chunks=chunks, shard=shard,
            append=append, force=force, codes=codes, codes_model=codes_model, latent=latent, overwrite=overwrite,
            dry_run=dry_run, command=shlex.join(["geoae", *sys.argv[1:]]),
            say=lambda line: None if quiet else say(f"geoae: note: {line}", err=True),
        )  # fmt: skip
        with warnings_in_one_line(quiet), progress_bar(quiet or dry_run, "denoise") as progress:
            summary = denoise_files(inputs, options, progress)
        _print_summary(summary, dry_run, quiet, verbose)


@app.command()
def info(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Recordings, gridded fields (netCDF, zarr, GRIB) or names in data_catalog.yml.", show_default=False
        ),
    ],
) -> None:
    """List what is there: ids, times, rates, gaps of recordings; variables, dimensions, units of gridded fields."""
    with errors(), warnings_in_one_line():
        from geoae import tables
        from geoae.jobs.inspect import info as look

        problems = []
        for source in inputs:
            try:
                content = look(source)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            if content.rows:
                say(tables.recording(source, content))
            if content.fields:
                say(tables.fields(source, content))
            name = Path(source).name
            for note in content.notes:
                say(note if note.startswith(name) else f"{name}: {note}")
            problems += content.problems
        fail(problems)


@app.command()
def models() -> None:
    """List the models that come with geoae."""
    with errors():
        from geoae import tables
        from geoae.jobs.inspect import models as shipped

        say(tables.models(shipped()))


@app.command()
def status(
    stores: Annotated[
        list[Path], typer.Argument(help="Zarr stores, finished or not, that geoae writes.", show_default=False)
    ],
) -> None:
    """Tell how far a store is, when it was begun, by which model and from what."""
    with errors():
        from geoae import tables
        from geoae.jobs.inspect import status as look

        problems = []
        for store in stores:
            try:
                found = look(store)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            say(tables.status(store, found))
            if found.finished and found.n_done < found.n_tasks:
                missing = found.n_tasks - found.n_done
                problems.append(
                    f"{store} is damaged: {missing} of its blocks are missing. Make it anew with --overwrite."
                )
        fail(problems)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, such as recipes/seismic-dae.yml.", show_default=False)],
    data: Annotated[
        Path, typer.Option(help="Folder with events/ and noise/ in the SeisBench form, or a catalog name.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Model folder; a training found there is resumed.")],
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps; under torchrun each process takes its GPU.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads. [all that this process may use, at most 8]")] = None,
    workers: Annotated[int, typer.Option(help="Processes that make training windows.")] = 1,
    steps: Annotated[
        int | None, typer.Option(help="Stop after this step, as a time limit would; run again to go on.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model; a run that was interrupted goes on where it was when started again."""
    with errors():
        from geoae.jobs.train import train as run

        rank = int(os.environ.get("RANK", "0"))
        with progress_bar(quiet or rank > 0, "train") as tick:
            result = run(
                recipe, data, out, device=device, threads=threads, workers=workers, stop=steps, tick=tick,
                report=_quiet if quiet or rank > 0 else _say_row,
            )  # fmt: skip
        if rank == 0 and not quiet:
            say(result)


@app.command()
def evaluate(
    data: Annotated[
        Path, typer.Option(help="Folder with events/ and noise/ in the SeisBench form, or a catalog name.")
    ],
    model: Annotated[str, typer.Option(help="Name of a shipped model, or a model folder.")] = "seismic",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for results.json, results.md and results.png.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Mixtures an SNR.")] = 160,
    stations: Annotated[
        str, typer.Option(help="validation (a quarter that training leaves out), train or all.")
    ] = "validation",
    seed: Annotated[int, typer.Option(help="Of the mixtures.")] = 20251121,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads. [all that this process may use, at most 8]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Score a model on recorded events in recorded noise, beside doing nothing, a band-pass and STFT Wiener filters."""
    with errors():
        from geoae.jobs.evaluate import evaluate as run

        text = run(
            data, model, out, n=n, stations=stations, seed=seed, device=device, threads=threads, overwrite=overwrite,
            report=(lambda line: None) if quiet else (lambda line: say(line, err=True)),
        )  # fmt: skip
        say(text)


cli_codes.register(app)


def main() -> None:
    """Entry point of the `geoae` command."""
    # waiting threads that spin make a second busy process up to 16 times slower; must be set before torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; ours take whole windows
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - stays open as long as the process
        getattr(sys, name).reconfigure(errors="backslashreplace")  # names of files may be any bytes
    try:
        app()
    except KeyboardInterrupt:  # before there was anything to clean up
        raise SystemExit(130) from None


def _quiet(row: dict[str, Any]) -> None:
    pass


def _say_row(row: dict[str, Any]) -> None:
    """One line a validation, on stderr."""
    say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), err=True)


def _print_summary(summary: "Summary | FieldSummary", dry_run: bool, quiet: bool, verbose: bool) -> None:
    if not quiet:
        from geoae import tables

        say(tables.summary(summary, dry_run))
        for note in summary.notes if verbose else [n for n in summary.notes if "unknown header" not in n]:
            say(f"geoae: note: {' '.join(note.split())}", err=True)
        say(tables.outputs(summary, dry_run))
    fail(summary.problems)
