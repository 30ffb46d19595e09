"""Train a model from a recipe and write its folder, with card and training curves."""

import csv
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoae import kinds
from geoae.errors import OptionError, OutputError
from geoae.files.whole import whole_file
from geoae.jobs import cards
from geoae.model import Model, devices
from geoae.readers import catalog
from geoae.stores.provenance import format_now
from geoae.training.recipe import AnyRecipe, find_recipe_kind, load_recipe

if TYPE_CHECKING:
    from geoae.training.loop import TrainingTask

Report = Callable[[dict[str, Any]], None]
Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainOptions:
    """How to run a training. Only `stop` changes the result: it adds a validation at its step."""

    device: str = "auto"
    """auto, cpu, cuda or mps."""
    threads: int | None = None
    """CPU threads; None: as many as this process may use, at most 8."""
    workers: int = 1
    """Processes that make training windows; 0: this process makes them."""
    stop: int | None = None
    """Stop after this step, as a time limit would; None: train to the end."""

    def __post_init__(self) -> None:
        devices.check_device_name(self.device)
        for name, value, least in (("threads", self.threads, 1), ("workers", self.workers, 0), ("steps", self.stop, 1)):
            if value is not None and value < least:
                raise OptionError(f"{name} is {value}; it must be at least {least}.")

    def resolve_device(self) -> str:
        """Name of an available device; under ``torchrun`` each process has its own GPU."""
        device = devices.choose_device(self.device)
        return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and "LOCAL_RANK" in os.environ else device

    def count_threads(self) -> int:
        """Number of threads of this process; the processes of a machine share its cores."""
        share = devices.count_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return self.threads or min(max(share, 1), devices.MAX_THREADS)


def train_model(recipe: Path, data: str | Path, out: Path, options: TrainOptions, report: Report, tick: Tick) -> str:
    """As `geoae.train`, with an options object."""
    from geoae.training.loop import Job
    from geoae.training.loop import train_net as run_loop

    format_now()  # raises now, and not after the training, if SOURCE_DATE_EPOCH is no number
    plan = load_recipe(recipe)
    folder = catalog.locate_data(data)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The model folder {out} cannot be made: {error.strerror}.") from error

    def draw_and_report(row: dict[str, Any]) -> None:
        draw_curves(out, find_recipe_kind(plan).score)
        report(row)

    kind = find_recipe_kind(plan)
    task: TrainingTask = kinds.load_name(kind.task)(plan, folder)
    job = Job(out, options.resolve_device(), options.count_threads(), options.workers, options.stop, draw_and_report,
              tick)  # fmt: skip
    trained = run_loop(plan, task, job)
    if int(os.environ.get("RANK", "0")):
        return ""
    found = kinds.load_name(kind.calibrate)(trained, plan, folder) if kind.calibrate else ""
    shown = recipe.name if recipe.is_absolute() else str(recipe)  # a card is published: no paths of this machine
    command = f"geoae train {shlex.quote(shown)} --data DIR -o MODELDIR"
    _save(trained, plan, out, {"data": cards.describe_sources(plan, folder), "command": command})
    score = trained.contract.provenance[f"validation_{task.metric}"]
    said = f"{out}: model {trained.name} {trained.digest}, validation {kind.score} {score} dB"
    return f"{said}\n{found}" if found else said


def draw_curves(out: Path, score: str) -> None:
    """Draw curves.png from history.csv; `score` names the validation score."""
    from geoae.plot.training import plot_training

    with (out / "history.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    with whole_file(out / "curves.png") as part:
        plot_training(rows, score).savefig(part)


def _save(trained: Model, plan: AnyRecipe, out: Path, facts: dict[str, Any]) -> None:
    """Write the model folder; `facts` are added to the model's provenance."""
    provenance: Any = {"provenance": {**trained.contract.provenance, **facts}}
    trained.contract = replace(trained.contract, **provenance)
    trained.save(out, cards.make_card(trained, plan))
    draw_curves(out, find_recipe_kind(plan).score)
