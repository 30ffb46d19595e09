"""`geoae train` and `geoae evaluate`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from geoae.cli.app import Quiet, app
from geoae.cli.console import errors, progress_bar, say


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


def _quiet(row: dict[str, Any]) -> None:
    pass


def _say_row(row: dict[str, Any]) -> None:
    """One line a validation, on stderr."""
    say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), err=True)
