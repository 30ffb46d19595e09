"""Train a model from a recipe, into a model folder with its card and curves."""

import csv
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from geoae import catalog, devices
from geoae.errors import InputError, OutputError
from geoae.jobs import cards
from geoae.recipe import load_recipe

Report = Callable[[dict[str, Any]], None]
TRAINED_BY = {
    "Recipe": ("geoae.training_records", "SI-SDR improvement"),
    "FieldRecipe": ("geoae.training_fields", "error reduction"),
    "CodeRecipe": ("geoae.training_codes", "reconstruction"),
    "PriorRecipe": ("geoae.training_vae", "reconstruction"),
}
"""Class of a recipe -> module that makes its lesson (it loads torch), and what its score is."""


def train(
    recipe: Path,
    data: str | Path,
    out: Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    stop: int | None = None,
    report: Report = lambda row: None,
    tick: Callable[[int, int], None] = lambda step, steps: None,
) -> str:
    """Train the net of `recipe` on the data below the folder `data` and write the model folder `out`.

    Denoisers of records need DATA/events and DATA/noise in the SeisBench form; recipes of fields name their files.

    Started again after an interruption, it goes on from the last validation. Under ``torchrun`` the processes share
    each batch. `stop` ends early after that step, as a time limit would. `report` is called with each row of the
    history (curves.png is drawn anew by then), `tick` with (step, steps) after each step.

    Returns
    -------
    str
        One line that says what came out.

    Raises
    ------
    GeoAEError
        The recipe, the data or the folder cannot be used.
    """
    from geoae.training import Job
    from geoae.training import train as run

    for name, value, least in (("threads", threads, 1), ("workers", workers, 0), ("steps", stop, 1)):
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; it must be at least {least}.")
    plan = load_recipe(recipe)
    folder = catalog.locate(data)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The model folder {out} cannot be made: {error.strerror}.") from error
    device = devices.resolve(device)
    if device == "cuda" and "LOCAL_RANK" in os.environ:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    share = devices.available_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    threads = threads or min(max(share, 1), devices.MAX_THREADS)

    def told(row: dict[str, Any]) -> None:
        draw(out)
        report(row)

    room, metric = TRAINED_BY[type(plan).__name__]
    lesson = import_module(room).lesson(plan, folder)
    trained = run(plan, lesson, Job(out, device, threads, workers, stop, told, tick))
    if int(os.environ.get("RANK", "0")):
        return ""
    shown = recipe.name if recipe.is_absolute() else str(recipe)  # a card goes to others: no paths of this machine
    command = f"geoae train {shlex.quote(shown)} --data DIR -o MODELDIR"
    trained.contract = replace(
        trained.contract,
        provenance={**trained.contract.provenance, "data": cards.sources(plan, folder), "command": command},
    )
    trained.save(out, cards.card(trained, plan))
    draw(out)
    score = trained.contract.provenance[f"validation_{lesson.metric}"]
    return f"{out}: model {trained.name} {trained.digest}, validation {metric} {score} dB"


def draw(out: Path) -> None:
    """curves.png beside history.csv."""
    from geoae.plot import plot_training

    with (out / "history.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    plot_training(rows).savefig(out / "curves.png")
