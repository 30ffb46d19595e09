"""`geoae.train` and `geoae.evaluate`: keyword arguments for a notebook, one options object inside."""

from collections.abc import Callable, Sequence
from pathlib import Path

from geoae.files.paths import require_path
from geoae.jobs.evaluate import EvaluateOptions, evaluate_model
from geoae.jobs.train import Report, Tick, TrainOptions, train_model
from geoae.model import Model
from geoae.records.mixtures import SEED


def train(
    recipe: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    stop: int | None = None,
    report: Report = lambda row: None,
    tick: Tick = lambda step, steps: None,
) -> str:
    """Train the net of `recipe` on the data below the folder `data` and write the model folder `out`.

    Denoisers of records need DATA/events and DATA/noise in the SeisBench format; recipes of fields name their files.

    Started again after an interruption, it resumes from the last validation. Under ``torchrun`` the processes share
    each batch.

    Parameters
    ----------
    recipe
        YAML file.
    data
        Folder, or a name in the data catalog.
    out
        Model folder to write.
    device, threads, workers, stop
        See `geoae.jobs.train.TrainOptions`.
    report
        Called with each row of the history, after curves.png is drawn.
    tick
        Called with (step, steps) after each step.

    Returns
    -------
    str
        One line with the model, its digest and its validation score; of a denoiser of records another one that says
        whether its standard errors are calibrated.

    Raises
    ------
    GeoAEError
        The recipe, the data or the folder cannot be used.
    """
    recipe, out = require_path(recipe, "The recipe"), require_path(out, "The model folder")
    require_path(data, "The folder of data")
    return train_model(recipe, data, out, TrainOptions(device, threads, workers, stop), report, tick)


def evaluate(
    data: str | Path,
    model: str | Path | Model = "seismic",
    out: str | Path | None = None,
    *,
    n: int = 160,
    stations: str = "validation",
    seed: int = SEED,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    recordings: Sequence[str | Path] = (),
    card: bool = False,
    purpose: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> str:
    """Denoise mixtures and recordings, and compare the model with standard filters.

    The tables hold how near the results come to the truth, and what they do to the work that follows: triggers, onsets,
    polarities, amplitudes, spectra, and the peaks of recorded events of all kinds. Another table of each band says how
    many errors the standard errors of the model hold.

    Parameters
    ----------
    data
        Folder with events/ and noise/ in the SeisBench format, or a name in the data catalog.
    model
        Name of a shipped model, folder of a model, or a loaded one.
    out
        Folder for results.json, results.md and results.png; None: no files are written.
    n, stations, seed, device, threads, overwrite, recordings, card, purpose
        See `geoae.jobs.evaluate.EvaluateOptions`.
    report
        Called with a line that names band and method, before each is scored.

    Returns
    -------
    str
        Tables in Markdown.

    Raises
    ------
    GeoAEError
        The data or the model cannot be used, or results exist already.
    """
    require_path(data, "The folder of data")
    folder = None if out is None else require_path(out, "The folder of results")
    options = EvaluateOptions(n, stations, seed, device, threads, overwrite, tuple(recordings), card, purpose)
    return evaluate_model(data, model, folder, options, report)
