"""Score a model of records and compare it with standard filters: nearness to the truth, and the work that follows."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError, OptionError, OutputExistsError, SamplingRateError
from geoae.files.whole import output_errors, whole_file, write_text
from geoae.jobs.cards import replace_scores
from geoae.model import Model, load_model, require_contract
from geoae.model.devices import check_device_name, prepare_model
from geoae.readers import catalog
from geoae.records.calibrate import make_estimator
from geoae.records.contract import RecordContract
from geoae.records.faults import FaultFinder
from geoae.records.long_scores import compare_long, format_long_scores
from geoae.records.mixtures import SEED
from geoae.records.periods import check_rate
from geoae.records.purposes import find_share
from geoae.records.recordings import RecordFunction
from geoae.records.removal import RemovalOptions, find_removal
from geoae.records.scores import Comparison, compare_denoisers
from geoae.records.scores_sigma import Estimate
from geoae.records.scores_tables import format_markdown
from geoae.training.recipe import SplitSection

Report = Callable[[str], None]
FILES = ("results.json", "results.md", "results.png")
_CELLS = "S N / (S + N) of cells of 1.28 s"


@dataclass(frozen=True)
class EvaluateOptions:
    """The mixtures and recordings that a model is scored on, and where it runs."""

    n: int = 160
    """Number of mixtures for each signal-to-noise ratio. At most `n` recordings of each kind of event, and 2 n of
    noise, are scored."""
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
    recordings: tuple[str | Path, ...] = ()
    """Further data like `data`, whose events and noise are scored as they were recorded, not mixed."""
    card: bool = False
    """Put the tables into the card of the model folder."""
    purpose: str | None = None
    """Name of a purpose of the model, whose share of the noise is kept; None: the model's default."""

    def __post_init__(self) -> None:
        check_device_name(self.device)
        for name, value, least in (("seed", self.seed, 0), ("threads", self.threads, 1)):
            if value is not None and value < least:
                raise OptionError(f"{name} is {value}; it must be at least {least}.")
        self.comparison(1)  # checks n and stations

    def find_share(self, model: Model) -> float:
        """Fraction of the noise that is kept."""
        return 0.0 if self.purpose is None else find_share(model, self.purpose)

    def describe_purpose(self) -> dict[str, str]:
        """The purpose for results, if there is one."""
        return {} if self.purpose is None else {"purpose": self.purpose}

    def comparison(self, validation_modulus: int) -> Comparison:
        """The comparison for a model whose training left out one of every `validation_modulus` stations."""
        folders = tuple(catalog.locate_data(folder) for folder in self.recordings)
        return Comparison(self.n, self.stations, self.seed, validation_modulus, recordings=folders)


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
    card = _find_card(model) if options.card else None
    folder = catalog.locate_data(data)
    loaded = prepare_model(load_model(model), options.device, options.threads)
    share = options.find_share(loaded)
    if is_of_long_periods(loaded):
        return _evaluate_long(loaded, folder, out, card, options)
    results = compare_denoisers(
        window_denoiser(loaded, share),
        folder,
        options.comparison(validation_modulus(loaded)),
        report=report,
        denoise_record=record_denoiser(loaded, share),
        estimates=sigma_estimators(loaded, share),
    )
    results["model"] = {"name": loaded.name, "digest": loaded.digests, **options.describe_purpose()}
    text = format_markdown(results)
    if out is not None:
        _write(out, results, text)
    if card is not None:
        write_text(card, replace_scores(card.read_text(encoding="utf-8"), text))
    return text


def is_of_long_periods(model: Model) -> bool:
    """Whether a model was trained on long periods, see `geoae.records.long_mixing`."""
    recipe = model.contract.provenance.get("recipe", {})
    return bool(recipe.get("mix", {}).get("periods") == "long")


def _evaluate_long(model: Model, folder: Path, out: Path | None, card: Path | None, options: EvaluateOptions) -> str:
    """Score a model of long periods at its own rate; recordings and signal-to-noise ratios have no options."""
    denoise = record_denoiser(model, options.find_share(model))
    rate_hz = require_contract(model, RecordContract).rate_hz

    def run(x: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
        return denoise(np.nan_to_num(x), rate_hz)

    stations = {"validation": True, "train": False, "all": None}[options.stations]
    split = SplitSection(modulus=validation_modulus(model))
    results = compare_long(run, folder, split, rate_hz, stations=stations, n=options.n)
    results["model"] = {"name": model.name, "digest": model.digests, **options.describe_purpose()}
    text = format_long_scores(results)
    if out is not None:
        with output_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        write_text(out / FILES[0], json.dumps(results, indent=1) + "\n")
        write_text(out / FILES[1], text)
    if card is not None:
        write_text(card, replace_scores(card.read_text(encoding="utf-8"), text))
    return text


def window_denoiser(
    model: Model, share: float = 0.0
) -> Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]:
    """Make a function that denoises windows (n, 3, samples) at 100 Hz, as `compare_denoisers` needs of every method."""
    denoise = record_denoiser(model, share)

    def run(x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        return np.stack([denoise(np.asarray(trace, dtype=np.float64), 100.0) for trace in x])

    return run


def record_denoiser(model: Model, share: float = 0.0) -> RecordFunction:
    """Make a function that denoises a record (3, samples), components E N Z, at its own rate.

    The result is that of `geoae denoise`: doubtful transients stay. `share` is the fraction of the noise that is kept.
    An absent component, of which all samples are equal, is not shown to the model. A record at a rate that neither the
    model nor its partner takes is returned as it is.
    """
    as_denoised = RemovalOptions(flags=True, keep_doubtful=True)

    def run(x: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
        slots = np.flatnonzero(np.ptp(x, axis=-1) > 0)
        try:
            check_rate(rate_hz, model, "the record")
        except SamplingRateError:
            return x
        if not slots.size:
            return x
        used = x[slots]
        finder = FaultFinder(lambda start, stop: used[:, start:stop], x.shape[-1], rate_hz)
        out = x.copy()
        out[slots] -= (1 - share) * find_removal(finder, slots.tolist(), model, as_denoised)(0, x.shape[-1]).noise
        return out

    return run


def sigma_estimators(model: Model, share: float = 0.0) -> dict[str, Estimate]:
    """Make functions that give signal and standard errors of windows, by the names of the rows of their scores.

    They are the model's standard errors and, beside them, those of a Wiener filter in cells of time and frequency, see
    `geoae.records.sigma`, unless the model's are the same. `share` is the fraction of the noise that is kept.
    """
    from geoae.nets.protocols import Estimates

    if not (isinstance(model.net, Estimates) or require_contract(model, RecordContract).sigma_weights):
        return {f"model ({_CELLS}, and a factor)": make_estimator(model, share)}
    return {"model": make_estimator(model, share), _CELLS: make_estimator(model, share, is_of_cells=True)}


def validation_modulus(model: Model) -> int:
    """The modulus of the training split: one of so many stations was left out of training."""
    split = model.contract.provenance.get("recipe", {}).get("split", {"modulus": 4, "remainder": 0})
    if split["remainder"]:
        raise InputError(
            f"Model {model.name!r} was trained with split.remainder {split['remainder']}; only models trained with 0 "
            "can be scored."
        )
    return int(split["modulus"])


def _find_card(model: str | Path | Model) -> Path:
    """Find the card of a model folder.

    Raises
    ------
    OptionError
        The model is not a folder with a card.
    InputError
        The card has no section on scores.
    """
    path = None if isinstance(model, Model) else Path(model) / "card.md"
    if path is None or not path.is_file():
        raise OptionError(f"The model {model!s} is not a folder with card.md; name a model folder to write its card.")
    replace_scores(path.read_text(encoding="utf-8"), "")  # a card without that section is refused before the work
    return path


def _write(out: Path, results: dict[str, Any], text: str) -> None:
    from geoae.plot.scores import plot_evaluation

    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    write_text(out / FILES[0], json.dumps(results, indent=1) + "\n")
    write_text(out / FILES[1], text)
    with whole_file(out / FILES[2]) as part:
        plot_evaluation(results).savefig(part)
