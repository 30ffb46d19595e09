"""The command line: arguments -> one job -> a printed summary. No arithmetic here, and nothing heavy before it is needed."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoae._version import __version__
from geoae.errors import GeoAEError

if TYPE_CHECKING:
    from geoae.jobs.summary import Summary

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time of --help
    pretty_exceptions_enable=False,
    help="Clean and compress geoscience signals. `geoae denoise input.mseed` is the main job.",
)
Inputs = Annotated[list[Path], typer.Argument(help="Recordings in any format that ObsPy reads.", show_default=False)]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Print notes on formats and devices too.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        _say(f"geoae {__version__}")
        raise typer.Exit


@app.command()
def denoise(
    inputs: Inputs,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File, or folder for one file each. [INPUT.denoised.mseed]")
    ] = None,
    format_name: Annotated[str, typer.Option("--format", help="Output format: any that ObsPy writes.")] = "MSEED",
    encoding: Annotated[
        str | None,
        typer.Option(help="Of miniSEED: FLOAT32, FLOAT64, INT32, STEIM1, STEIM2; the last three round. [FLOAT32]"),
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only NET.STA.LOC.CHA like this (* and ?); repeatable.")
    ] = None,
    start_time: Annotated[str | None, typer.Option(help="Only from this time, UTC.")] = None,
    end_time: Annotated[str | None, typer.Option(help="Only until this time, UTC.")] = None,
    model: Annotated[
        str, typer.Option(help="Name of a shipped model, or a folder that `geoae train` wrote.")
    ] = "seismic",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Windows a call of the net; changes speed, not results.")] = 8,
    threads: Annotated[int | None, typer.Option(help="CPU threads. [all that this process may use, at most 8]")] = None,
    noise_out: Annotated[Path | None, typer.Option(help="Write what was removed: file or folder.")] = None,
    dry: Annotated[float, typer.Option(help="Fraction of the original kept in the output, 0 to 1.")] = 0.0,
    above_band: Annotated[
        str, typer.Option(help="What lies above the model's band (50 Hz): pass it through, or remove it.")
    ] = "pass",
    plot: Annotated[
        Path | None, typer.Option(help="Draw the first record before and after, as PNG, PDF or SVG.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that are there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Take the noise out of recordings. Ids, times, rates, gaps and units come back as they came."""
    with _errors():
        from geoae.jobs.denoise import Options, denoise_files

        options = Options(model, device, batch_size, threads, dry, above_band)
        with _progress(quiet or dry_run) as progress:
            summary = denoise_files(
                inputs, out, options, format_name=format_name.upper(), encoding=encoding.upper() if encoding else None,
                ids=ids or (), start_time=start_time, end_time=end_time, noise_out=noise_out, plot=plot,
                overwrite=overwrite, dry_run=dry_run, progress=progress,
            )  # fmt: skip
        _print_summary(summary, dry_run, quiet, verbose)


@app.command()
def info(inputs: Inputs) -> None:
    """List what recordings hold: ids, times, rates, gaps, overlaps."""
    with _errors():
        from geoae.jobs.inspect import info as look

        problems = []
        for path in inputs:
            try:
                content = look(path)
            except GeoAEError as error:
                problems.append(str(error))
                continue
            if content.rows:
                _print_content(path, content)
            for note in content.notes:
                _say(f"{path.name}: {note}")
            problems += content.problems
        _fail(problems)


@app.command()
def models() -> None:
    """List the models that come with geoae."""
    with _errors():
        from geoae.jobs.inspect import models as shipped

        table = _table("model", "digest", "rate Hz", "takes Hz", "what for")
        for facts in shipped():
            c = facts["contract"]
            low, high = c["rate_range_hz"]
            table.add_row(
                c["name"], facts["weights_sha256"][:12], f"{c['rate_hz']:g}", f"{low:g}-{high:g}", c["summary"]
            )
        _print(table)


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
    with _errors():
        from geoae.jobs.train import train as run

        rank = int(os.environ.get("RANK", "0"))
        with _training_progress(quiet or rank > 0) as report:
            result = run(recipe, data, out, device=device, threads=threads, workers=workers, stop=steps, report=report)
        if rank == 0 and not quiet:
            _say(result)


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
    with _errors():
        from geoae.jobs.evaluate import evaluate as run

        text = run(
            data, model, out, n=n, stations=stations, seed=seed, device=device, threads=threads, overwrite=overwrite,
            report=(lambda line: None) if quiet else (lambda line: _say(line, err=True)),
        )  # fmt: skip
        _say(text)


def main() -> None:
    """Entry point of the `geoae` command."""
    # waiting threads that spin make a second busy process up to 16 times slower; must be set before torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's; ours take whole windows
    app()


def _say(text: str, err: bool = False) -> None:
    typer.echo(text, err=err)


def _fail(problems: list[str]) -> None:
    for problem in problems:
        _say(f"geoae: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn an error of ours into one line and exit code 1, and Ctrl-C into exit code 130."""
    try:
        yield
    except GeoAEError as error:
        _say(f"geoae: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        _say("geoae: interrupted; nothing half-written is left", err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise typer.Exit(1) from None


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where a person looks at it."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("denoise"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("denoise", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def _training_progress(quiet: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """One line a validation, on stderr."""

    def report(row: dict[str, Any]) -> None:
        if not quiet:
            _say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), err=True)

    yield report


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    # a file or a pipe gets whole lines, whatever the width of a terminal
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)


def _print_content(path: Path, content: Any) -> None:
    table = _table(path.name, "start (UTC)", "end (UTC)", "rate Hz", "samples", "gaps", "overlaps")
    for row in content.rows:
        times = (_time(t) for t in (row.start_ns, row.end_ns))
        table.add_row(row.id, *times, f"{row.rate_hz:g}", f"{row.samples:,}", str(row.gaps), str(row.overlaps))
    _print(table)
    _say(f"{len(content.rows)} ids; {content.records} records (one sensor over one stretch of time) to denoise")


def _time(ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{ns % 10**9 // 1000:06d}"


def _print_summary(summary: "Summary", dry_run: bool, quiet: bool, verbose: bool) -> None:
    if not quiet:
        table = _table("trace", "samples", "gaps", "rms in", "rms out", "removed dB", "seconds", "")
        for t in summary.traces:
            values = [f"{t.rms_in:.4g}", f"{t.rms_out:.4g}", f"{t.removed_db:.1f}", f"{t.seconds:.2f}"]
            state = "unchanged" if t.problem else "text" if t.text else ""
            table.add_row(t.id, f"{t.samples:,}", str(t.gaps), *(values if not dry_run else [""] * 4), state)
        _print(table)
        for note in summary.notes if verbose else [n for n in summary.notes if "unknown header" not in n]:
            _say(f"note: {note}", err=True)
        verb = "would write" if dry_run else "wrote"
        shown = [str(p) for p in summary.outputs]
        _say(f"{verb} {', '.join(shown[:3])}{f' and {len(shown) - 3} more' if len(shown) > 3 else ''}"
             + (f" (model {summary.model}, {summary.seconds:.1f} s)" if not dry_run else ""))  # fmt: skip
    _fail(summary.problems)
