"""A model is calibrated on the stations that it was not trained on."""

from dataclasses import replace

import numpy as np
import pytest

from geoae.records.calibrate import calibrate_model, find_period_range, find_sigma_factor, make_estimator
from geoae.records.mixtures import Mixtures, build_mixtures
from geoae.records.sigma import estimate_sigma
from tests.conftest import tiny_model, tiny_recipe
from tests.support.mixtures import make_white_mixtures


def estimate(x):
    """Nothing is removed: errors are the noise, whose level is told at a half of what it is."""
    noise = x[..., :1500].std(-1, keepdims=True)
    return x, np.broadcast_to(0.5 * noise, x.shape)


def test_the_factor_is_that_of_the_error():
    """Errors of twice the standard error have a factor of two."""
    assert find_sigma_factor(estimate, [make_white_mixtures()]) == pytest.approx(2.0, rel=0.03)


def test_mixtures_have_the_ratios_in_turn():
    """Each one is denoised once, whatever the number of signal-to-noise ratios."""
    mixtures, seen = make_white_mixtures(5), []

    def noted(x):
        seen.extend(x)
        return estimate(x)

    find_sigma_factor(noted, [mixtures, mixtures], (-10, 0, 10))
    assert len(seen) == 2 * 5
    for found, i, snr in zip(seen, (0, 3, 1, 4, 2), (-10, -10, 0, 0, 10), strict=False):
        np.testing.assert_array_equal(found, mixtures.noisy(snr)[i])


def test_stations_count_alike():
    """A station with many records does not decide for the others."""
    mixtures = make_white_mixtures()
    stations = ["XX.A"] * 10 + ["XX.B"] * 2
    mixtures = Mixtures(
        mixtures.clean, mixtures.noise, mixtures.p, "raw",
        tuple({**m, "station": s} for m, s in zip(mixtures.meta, stations, strict=True)),
    )  # fmt: skip

    def worse_at_a(x):
        signal, sigma = estimate(x)
        return signal, np.where((np.arange(len(x)) < 10)[:, None, None], sigma, 100.0 * sigma)

    # half of the weight is at station B, whose errors are all small: the quantile is the 80 % one of station A
    expected = find_sigma_factor(estimate, [mixtures], (0,)) * 1.2816 / 1.6449
    assert find_sigma_factor(worse_at_a, [mixtures], (0,)) == pytest.approx(expected, rel=0.05)


def test_the_contract_has_factor_periods_and_counts(data):
    """Sigma is multiplied by the factor and has weights; a model that has them gets the same again."""
    model, recipe = tiny_model(6144, 5632), tiny_recipe(split={"n_windows": 4})
    x = np.random.default_rng(0).normal(size=(1, 3, 6000))
    said = calibrate_model(model, recipe, data)
    contract = model.contract
    assert contract.has_calibrated_sigma
    counts = contract.provenance["calibration"]
    assert counts["mixtures"] == 2 * 4
    assert said == (
        f"sigma is calibrated: factor {contract.sigma_factor:.3g}, found on 8 mixtures of {counts['stations']} "
        "held-out stations"
    )
    assert 0 < contract.periods_s[0] <= contract.periods_s[1] < 60
    sigma, of_cells, weighted = (
        make_estimator(replace(model, contract=replace(contract, sigma_factor=factor, sigma_weights=weights)))(x)[1]
        for factor, weights in (
            (contract.sigma_factor, contract.sigma_weights), (1.0, ()), (1.0, contract.sigma_weights)
        )
    )  # fmt: skip
    np.testing.assert_allclose(sigma / weighted, contract.sigma_factor, rtol=1e-6)
    assert not np.allclose(of_cells, weighted, rtol=0.01)
    calibrate_model(model, recipe, data)
    assert model.contract == contract


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": {"n_windows": 1}}, "its 1 mixtures hold events of 1 held-out stations, and 3 are needed"),
        ({"split": {"modulus": 4, "remainder": 1}}, "the recipe has 1"),
        ({"mix": {"periods": "long"}}, "short periods alone"),
    ],
)
def test_a_model_that_cannot_be_calibrated_stays(data, changes, said):
    """One line gives the reason; the contract is as it was."""
    model = tiny_model()
    contract = model.contract
    line = calibrate_model(model, tiny_recipe(**changes), data)
    assert line.startswith("sigma is not calibrated: ")
    assert said in line
    assert "\n" not in line
    assert model.contract is contract
    assert not contract.has_calibrated_sigma


def test_estimates_are_those_of_the_model_or_of_cells(model):
    """The signal is the same; what is kept of the noise stays in it."""
    x = np.random.default_rng(0).normal(size=(2, 3, 1000))
    (signal, sigma), (same, cells), (kept, _) = (
        make_estimator(model)(x), make_estimator(model, is_of_cells=True)(x), make_estimator(model, 0.5)(x),
    )  # fmt: skip
    np.testing.assert_array_equal(signal, same)
    np.testing.assert_allclose(cells, estimate_sigma(signal, x - signal), rtol=1e-6)
    assert sigma.shape == cells.shape == x.shape
    np.testing.assert_allclose(kept - signal, 0.5 * (x - signal), atol=1e-9)


def test_periods_are_those_of_the_events(data):
    """The range holds the periods of most events, and is empty without events."""
    shortest, longest = find_period_range(build_mixtures(data, "raw", 4, stations="all"))
    assert 0 < shortest <= longest < 60
