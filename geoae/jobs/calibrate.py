"""Calibrate what a model of records says of its own results, and write it into model.json."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.jobs.evaluate import validation_modulus
from geoae.model import Model, load_model, require_contract
from geoae.model.card import README
from geoae.readers import catalog
from geoae.records import doubt
from geoae.records.calibrate import find_sigma_factor, score_sigma
from geoae.records.contract import RecordContract
from geoae.records.faults import FaultFinder
from geoae.records.mixtures import RATE_HZ, Mixtures, build_mixtures
from geoae.records.removal import RemovalOptions, find_removal

_BANDS = ("raw", "bp1-45")
_QUANTILES = (0.005, 0.995)


def calibrate_model(
    folder: Path, data: str | Path, n: int = 56, stations: tuple[str, str] = ("validation", "train")
) -> dict[str, Any]:
    """Calibrate the model of short periods in a folder; its model.json is written anew, with the same weights.

    Parameters
    ----------
    folder
        The model folder.
    data
        Data with recorded events and noise, as for `geoae evaluate`.
    n
        Number of mixtures for each band and signal-to-noise ratio.
    stations
        Those on which the standard error is calibrated, and those whose events tell the range of periods.

    Returns
    -------
    dict
        "sigma_factor" and "periods_s", the fields of the contract; "scores" of the standard errors in each band, before
        the factor, see `score_sigma`.
    """
    model, place = load_model(folder), catalog.locate_data(data)
    modulus = validation_modulus(model)
    held_out = [build_mixtures(place, band, n, stations=stations[0], validation_modulus=modulus) for band in _BANDS]
    estimate = make_estimator(model)
    contract = require_contract(model, RecordContract)
    factor = contract.sigma_factor * find_sigma_factor(estimate, held_out)
    periods_s = find_period_range(build_mixtures(place, "raw", 4 * n, stations=stations[1], validation_modulus=modulus))
    scores = {one.band: score_sigma(estimate, one) for one in held_out}
    model.contract = replace(contract, sigma_factor=factor, periods_s=periods_s)
    model.save(folder, (folder / README).read_text(encoding="utf-8"))
    return {"sigma_factor": factor, "periods_s": periods_s, "scores": scores}


def make_estimator(model: Model) -> Callable[[Float64Array], tuple[Float64Array, Float64Array]]:
    """Make a function that gives signal and standard errors of windows (n, 3, time) at 100 Hz, components E N Z."""

    def estimate(x: Float64Array) -> tuple[Float64Array, Float64Array]:
        found = [_estimate_one(model, trace) for trace in x]
        return np.stack([signal for signal, _ in found]), np.stack([sigma for _, sigma in found])

    return estimate


def find_period_range(mixtures: Mixtures) -> tuple[float, ...]:
    """Shortest and longest dominant period in s of the events of mixtures, without the outermost hundredth."""
    powers = doubt.measure_bands(mixtures.clean)
    periods = doubt.find_period(powers, doubt.find_levels(powers), RATE_HZ)
    known = periods[np.isfinite(periods)]
    return tuple(float(np.quantile(known, q)) for q in _QUANTILES) if known.size else ()


def _estimate_one(model: Model, trace: Float64Array) -> tuple[Float64Array, Float64Array]:
    finder = FaultFinder(lambda a, b: trace[:, a:b], trace.shape[-1], RATE_HZ)
    found = find_removal(finder, (0, 1, 2), model, RemovalOptions(sigma=True))(0, trace.shape[-1])
    assert found.sigma is not None  # it was asked for
    return trace - found.noise, found.sigma
