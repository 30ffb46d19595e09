"""Score a model of records and compare it with standard filters."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError, OptionError, OutputExistsError
from geoae.files.whole import output_errors, whole_file, write_text
from geoae.model import Model, load_model
from geoae.model.devices import check_device_name, prepare_model
from geoae.readers import catalog
from geoae.records import infer
from geoae.records.mixtures import SEED
from geoae.records.scores import Comparison, compare_denoisers
from geoae.records.scores_tables import format_markdown

Report = Callable[[str], None]
FILES = ("results.json", "results.md", "results.png")


@dataclass(frozen=True)
class EvaluateOptions:
    """The mixtures that a model is scored on, and where it runs."""

    n: int = 160
    """Number of mixtures for each signal-to-noise ratio."""
    stations: str = "validation"
    """validation (a quarter that training leaves out), train or all."""
    seed: int = SEED
    """Random seed of the mixtures."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    threads: int | None = None
    """CPU threads; None: as many as this process may use, at most 8."""
    overwrite: bool = False
    """Replace results that exist."""

    def __post_init__(self) -> None:
        check_device_name(self.device)
        for name, value, least in (("seed", self.seed, 0), ("threads", self.threads, 1)):
            if value is not None and value < least:
                raise OptionError(f"{name} is {value}; it must be at least {least}.")
        self.comparison(1)  # checks n and stations

    def comparison(self, validation_modulus: int) -> Comparison:
        """The comparison for a model whose training left out one of every `validation_modulus` stations."""
        return Comparison(self.n, self.stations, self.seed, validation_modulus)


def evaluate_model(
    data: str | Path, model: str | Path | Model, out: Path | None, options: EvaluateOptions, report: Report
) -> str:
    """As `geoae.evaluate`, with an options object."""
    if out is not None and not options.overwrite:
        for name in FILES:
            if (out / name).exists():
                raise OutputExistsError(
                    f"{out / name} is there already; choose another folder, or ask for --overwrite."
                )
    folder = catalog.locate_data(data)
    loaded = prepare_model(load_model(model), options.device, options.threads)
    results = compare_denoisers(
        window_denoiser(loaded), folder, options.comparison(validation_modulus(loaded)), report=report
    )
    results["model"] = {"name": loaded.name, "digest": loaded.digests}
    text = format_markdown(results)
    if out is not None:
        _write(out, results, text)
    return text


def window_denoiser(model: Model) -> Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]:
    """Make a function that denoises windows (n, 3, samples) at 100 Hz, as `compare` needs of every method."""

    def run(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        out = np.empty_like(x)
        for i, trace in enumerate(x):
            noise = infer.build_noise_reader(lambda a, b, t=trace: t[:, a:b], x.shape[-1], (0, 1, 2), 100.0, model)  # type: ignore[misc]
            out[i] = trace - noise(0, x.shape[-1])
        return out

    return run


def validation_modulus(model: Model) -> int:
    """The modulus of the training split: one of so many stations was left out of training."""
    split = model.contract.provenance.get("recipe", {}).get("split", {"modulus": 4, "remainder": 0})
    if split["remainder"]:
        raise InputError(
            f"Model {model.name!r} was trained with split.remainder {split['remainder']}; only models trained with 0 "
            "can be scored."
        )
    return int(split["modulus"])


def _write(out: Path, results: dict[str, Any], text: str) -> None:
    from geoae.plot.scores import plot_evaluation

    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_text(out / FILES[0], json.dumps(results, indent=1) + "\n")
    write_text(out / FILES[1], text)
    with whole_file(out / FILES[2]) as part:
        plot_evaluation(results).savefig(part)
