"""`geoae train` and `geoae evaluate`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from geoae.cli.console import KEPT, print_line, progress_bar, report_errors
from geoae.cli.options import Device, Quiet, Threads, complete_models, complete_words


def train(
    recipe: Annotated[
        Path, typer.Argument(help="Recipe, such as recipes/seismic-dae.yml.", show_default=False, metavar="RECIPE")
    ],
    data: Annotated[
        Path, typer.Option(help="Folder with events/ and noise/ in the SeisBench format, or a catalog name.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Model folder; an unfinished training in it is resumed.")],
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps; under torchrun each process takes its GPU.")
    ] = "auto",
    threads: Threads = None,
    workers: Annotated[int, typer.Option(help="Processes that make training windows.")] = 1,
    steps: Annotated[
        int | None, typer.Option(help="Stop after this step, as a time limit would; the same command resumes.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model. The same command resumes an interrupted training.

    The sigma of a denoiser of records is calibrated at the end, on stations that it was not trained on.
    """
    with report_errors(KEPT):
        from geoae.jobs.train import TrainOptions, train_model

        rank = int(os.environ.get("RANK", "0"))
        with progress_bar(quiet or rank > 0, "train") as tick:
            report = _ignore_row if quiet or rank > 0 else _print_row
            result = train_model(recipe, data, out, TrainOptions(device, threads, workers, steps), report, tick)
        if rank == 0 and not quiet:
            print_line(result)


def evaluate(
    data: Annotated[
        Path, typer.Option(help="Folder with events/ and noise/ in the SeisBench format, or a catalog name.")
    ],
    model: Annotated[
        str, typer.Option(help="Name of a shipped model, or a model folder.", autocompletion=complete_models)
    ] = "seismic",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for results.json, results.md and results.png.")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Mixtures for each SNR; most recordings of each kind.")] = 160,
    stations: Annotated[
        str,
        typer.Option(
            help="validation (a quarter that training leaves out), train or all.",
            autocompletion=complete_words("validation", "train", "all"),
        ),
    ] = "validation",
    seed: Annotated[int, typer.Option(help="Random seed of the mixtures.")] = 20251121,
    device: Device = "auto",
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")] = False,
    recordings: Annotated[
        list[str] | None,
        typer.Option(help="Further folder like --data, scored as recorded, not mixed; may be repeated."),
    ] = None,
    card: Annotated[bool, typer.Option("--card", help="Put the tables into the card of the model folder.")] = False,
    purpose: Annotated[
        str | None, typer.Option("--for", metavar="PURPOSE", help="Score the model as `geoae denoise --for` uses it.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Score a model on recorded events and noise, next to no filter, a band-pass and STFT Wiener filters.

    One table says how near it comes to the truth; others what triggers, picks and amplitudes become of it, and whether
    sigma is right.
    """
    with report_errors():
        from geoae.jobs.evaluate import EvaluateOptions, evaluate_model

        options = EvaluateOptions(n, stations, seed, device, threads, overwrite, tuple(recordings or ()), card, purpose)
        print_line(
            evaluate_model(data, model, out, options, lambda line: None if quiet else print_line(line, err=True))
        )


def _ignore_row(row: dict[str, Any]) -> None:
    pass


def _print_row(row: dict[str, Any]) -> None:
    """Print one line for a validation, on stderr."""
    print_line("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), err=True)
