"""Train a model from a recipe, into a model folder with its card and curves."""

import csv
import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from geoae import catalog, devices, model
from geoae.errors import InputError, OutputError
from geoae.readers.seisbench import SeisBenchSet, open_set
from geoae.recipe import Recipe, load_recipe

Report = Callable[[dict[str, Any]], None]


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
    """Train the net of `recipe` on DATA/events and DATA/noise (SeisBench form) and write the model folder `out`.

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

    trained = run(plan, folder, Job(out, device, threads, workers, stop, told, tick))
    if int(os.environ.get("RANK", "0")):
        return ""
    sources = {side: describe(open_set(folder / side)) for side in ("events", "noise")}
    shown = recipe.name if recipe.is_absolute() else str(recipe)  # a card goes to others: no paths of this machine
    command = f"geoae train {shlex.quote(shown)} --data DIR -o MODELDIR"
    trained.contract = replace(
        trained.contract, provenance={**trained.contract.provenance, "data": sources, "command": command}
    )
    trained.save(out, card(trained, plan))
    draw(out)
    score = trained.contract.provenance["validation_si_sdr_improvement_db"]
    return f"{out}: model {trained.name} {trained.digest}, validation SI-SDR improvement {score} dB"


def describe(data: SeisBenchSet) -> dict[str, Any]:
    """Digest, size, sources and licences of a data set, for the model's provenance."""
    table = b"".join(p.read_bytes() for p in sorted(data.folder.glob("metadata*.csv")))
    licences = Counter(row.get("licence") or row.get("license") or "not stated" for row in data.rows)
    return {
        "metadata_sha256": hashlib.sha256(table).hexdigest(),
        "records": len(data),
        "stations": len({data.station(i) for i in range(len(data))}),
        "licences": dict(licences.most_common()),
    }


def card(trained: model.Model, recipe: Recipe, scores: str = "") -> str:
    """The card of a model: what it is for, what it was trained on, how it scored, what it is not for."""
    p = trained.contract.provenance
    lines = [f"# {trained.name}", "", trained.contract.summary, "", "## Training data", ""]
    for side, facts in p.get("data", {}).items():
        lines += [f"{facts['records']} {side} records from {facts['stations']} stations "
                  f"(metadata SHA-256 {facts['metadata_sha256'][:12]}). Licences and sources:", ""]  # fmt: skip
        lines += [f"- {n} records: {licence}" for licence, n in facts["licences"].items()]
        lines += [""]
    split = recipe.split
    lines += [
        f"Stations with crc32(NET.STA) % {split.modulus} == {split.remainder} were not trained on; scores are theirs.",
        "", "## Scores", "",
        scores or f"Median SI-SDR improvement on {split.n_windows} validation mixtures at -10 to 15 dB: "
        f"{p['validation_si_sdr_improvement_db']} dB (step {p['step']}).",
        "", "## Limits", "", recipe.limits or "None stated in the recipe.",
        "", "## How it was made", "", f"`{p.get('command', '')}` on {p['date']}, torch {p['torch']}, "
        f"weights {trained.digest}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def draw(out: Path) -> None:
    """curves.png beside history.csv."""
    from geoae.plot import plot_training

    with (out / "history.csv").open(newline="") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    plot_training(rows).savefig(out / "curves.png")
