"""Calibrate what a denoiser of records says of its own results, on mixtures of stations that it was not trained on.

Split conformal prediction (Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005): one factor makes
nine tenths of the errors smaller than `LEVEL` standard errors. How the errors of cells of time and frequency depend on
what the model kept of them is found on stations of the training, see `geoae.records.sigma_weights`, so that held-out
stations tell how well that holds.

The mixtures last 60 s, in which a model of long periods does not work. So the factor holds for results of the model of
short periods alone: for records shorter than 200 s, and for models without a partner. In longer records the errors of
the partner are added, whose standard errors have the factor of its own contract.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.model import Model, require_contract
from geoae.records import doubt
from geoae.records.contract import CALIBRATION, RecordContract
from geoae.records.faults import FaultFinder
from geoae.records.mixtures import RATE_HZ, Mixtures, build_mixtures
from geoae.records.recipe import RecordRecipe
from geoae.records.removal import RemovalOptions, find_removal
from geoae.records.scores_sigma import SIGMA_SNRS_DB, Estimate, SigmaErrors, find_quantile
from geoae.records.sigma import estimate_sigma
from geoae.records.sigma_weights import WeightFit

FEWEST_STATIONS = 3
"""Standard errors are not calibrated on events of fewer stations."""
_BANDS = ("raw", "bp1-45")
_QUANTILES = (0.005, 0.995)


def calibrate_model(model: Model, recipe: RecordRecipe, data: Path) -> str:
    """Calibrate a trained model: its contract has weights and factor of its standard errors, and a range of periods.

    The weights are those of mixtures of training stations. The factor is that of `split.n_windows` mixtures of
    validation stations in each band, at several signal-to-noise ratios. The provenance has the numbers of mixtures and
    stations.

    Parameters
    ----------
    model
        A denoiser of records, as trained. Its weights stay.
    recipe
        The recipe of its training.
    data
        Folder with two data sets in the SeisBench format, ``events`` and ``noise``.

    Returns
    -------
    str
        One line: what was found; or why the model is not calibrated, which then is as it was.
    """
    contract, n = require_contract(model, RecordContract), recipe.split.n_windows
    try:
        _check_mixtures_fit(recipe, contract)
        modulus = recipe.split.modulus
        held_out = [build_mixtures(data, band, n, validation_modulus=modulus) for band in _BANDS]
        stations = {m["station"] for one in held_out for m in one.meta}
        if len(stations) < FEWEST_STATIONS:
            raise InputError(
                f"its {n} mixtures hold events of {len(stations)} held-out stations, and {FEWEST_STATIONS} are needed: "
                "add events of other stations, or raise split.n_windows"
            )
        trained_on = [build_mixtures(data, band, n, stations="train", validation_modulus=modulus) for band in _BANDS]
        weights = find_sigma_weights(make_estimator(model, is_of_cells=True), trained_on)
        weighted = replace(model, contract=replace(contract, sigma_factor=1.0, sigma_weights=weights))
        factor = find_sigma_factor(make_estimator(weighted), held_out)
    except InputError as error:
        return f"sigma is not calibrated: {error}"
    if not np.isfinite(factor) or factor <= 0:
        return f"sigma is not calibrated: its factor would be {factor:g}; look at the history of the training"
    facts = {"mixtures": n * len(_BANDS), "stations": len(stations)}
    model.contract = replace(
        contract, sigma_factor=factor, sigma_weights=weights, periods_s=find_period_range(trained_on[0]),
        provenance={**contract.provenance, CALIBRATION: facts},
    )  # fmt: skip
    of = f"{facts['mixtures']} mixtures of {facts['stations']} held-out stations"
    return f"sigma is calibrated: factor {factor:.3g}, found on {of}"


def find_sigma_factor(
    estimate: Estimate, mixtures: Sequence[Mixtures], snrs_db: Sequence[float] = SIGMA_SNRS_DB
) -> float:
    """Factor by which standard errors have to be multiplied, so that they hold on the stations of mixtures.

    It is the 90 % quantile of the absolute error over 1.645 standard errors, in which each station counts alike. The
    mixtures of each band have the signal-to-noise ratios in turn.

    Parameters
    ----------
    estimate
        The denoiser, with the standard errors that are to be calibrated.
    mixtures
        Mixtures of stations that the net was not trained on, one for each band.
    snrs_db
        Signal-to-noise ratios of the mixtures.
    """
    ratios, weights = [], []
    for one in mixtures:
        errors = [SigmaErrors(estimate, part, (snr,)) for part, snr in _take_turns(one, snrs_db)]
        _, numbers, counts = np.unique(
            np.concatenate([found.stations for found in errors]), return_inverse=True, return_counts=True
        )
        ratios += [found.ratio.ravel() for found in errors]
        weights.append(np.repeat(1 / counts[numbers], errors[0].ratio[0].size))
    return find_quantile(np.concatenate(ratios), np.concatenate(weights))


def find_sigma_weights(
    estimate: Estimate, mixtures: Sequence[Mixtures], snrs_db: Sequence[float] = SIGMA_SNRS_DB
) -> tuple[tuple[float, ...], ...]:
    """Weights of the power in standard errors, see `WeightFit`; mixtures have the signal-to-noise ratios in turn."""
    fit = WeightFit()
    for one in mixtures:
        for part, snr in _take_turns(one, snrs_db):
            noisy = part.noisy(snr)
            fit.add(noisy, estimate(noisy)[0], part.clean)
    return tuple(map(tuple, fit.find()))


def _take_turns(mixtures: Mixtures, snrs_db: Sequence[float]) -> Iterator[tuple[Mixtures, float]]:
    """Every so many mixtures with one of the signal-to-noise ratios, without empty sets."""
    for i, snr in enumerate(snrs_db):
        if len(part := mixtures.select(slice(i, None, len(snrs_db)))):
            yield part, snr


def make_estimator(model: Model, share: float = 0.0, is_of_cells: bool = False) -> Estimate:
    """Make a function that gives signal and standard errors of windows (n, 3, time) at 100 Hz, components E N Z.

    Parameters
    ----------
    model
        The denoiser.
    share
        Fraction of the noise that is kept.
    is_of_cells
        Whether the standard errors are those of `estimate_sigma`, without factor, and not those of the model.
    """

    def estimate_one(trace: Float64Array) -> tuple[Float64Array, Float64Array]:
        finder = FaultFinder(lambda a, b: trace[:, a:b], trace.shape[-1], RATE_HZ)
        options = RemovalOptions(sigma=not is_of_cells, dry=share)
        found = find_removal(finder, (0, 1, 2), model, options)(0, trace.shape[-1])
        signal = np.asarray(found.subtract_from(trace, share), dtype=np.float64)
        if found.sigma is None:
            return signal, estimate_sigma(trace - found.noise, found.noise)
        return signal, found.sigma

    def estimate(x: Float64Array) -> tuple[Float64Array, Float64Array]:
        found = [estimate_one(trace) for trace in x]
        return np.stack([signal for signal, _ in found]), np.stack([sigma for _, sigma in found])

    return estimate


def find_period_range(mixtures: Mixtures) -> tuple[float, ...]:
    """Shortest and longest dominant period in s of the events of mixtures, without the outermost hundredth."""
    powers = doubt.measure_bands(mixtures.clean)
    periods = doubt.find_period(powers, doubt.find_levels(powers), RATE_HZ)
    known = periods[np.isfinite(periods)]
    return tuple(float(np.quantile(known, q)) for q in _QUANTILES) if known.size else ()


def _check_mixtures_fit(recipe: RecordRecipe, contract: RecordContract) -> None:
    """Raise InputError if the mixtures are not of the kind that a model was trained on, or not of its split."""
    if recipe.mix.periods == "long":
        raise InputError("the mixtures hold short periods alone")
    if not contract.takes_rate(RATE_HZ):
        raise InputError(f"the mixtures are sampled at {RATE_HZ} Hz, which the model does not take")
    if recipe.split.remainder:
        raise InputError(f"the mixtures are those of split.remainder 0, and the recipe has {recipe.split.remainder}")
