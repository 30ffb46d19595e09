"""Standard errors are calibrated and scored on stations apart."""

import numpy as np
import pytest

from geoae.records.calibrate import find_sigma_factor, score_sigma
from geoae.records.mixtures import Mixtures


def make_mixtures(n: int = 12) -> Mixtures:
    """White events from P on, and white noise."""
    rng = np.random.default_rng(0)
    clean = rng.normal(size=(n, 3, 6000)) * (np.arange(6000) >= 1500)
    meta = tuple({"event": f"{i}", "station": f"XX.S{i % 6}", "noise": "", "noise_station": ""} for i in range(n))
    return Mixtures(clean, rng.normal(size=(n, 3, 6000)), np.full(n, 1500), "raw", meta)


def estimate(x):
    """Nothing is removed: errors are the noise, whose level is told at a half of what it is."""
    noise = x[..., :1500].std(-1, keepdims=True)
    return x, np.broadcast_to(0.5 * noise, x.shape)


def test_the_factor_is_that_of_the_error():
    """Errors of twice the standard error have a factor of two."""
    assert find_sigma_factor(estimate, [make_mixtures()]) == pytest.approx(2.0, rel=0.03)


def test_stations_count_alike():
    """A station with many records does not decide for the others."""
    mixtures = make_mixtures()
    stations = ["XX.A"] * 10 + ["XX.B"] * 2
    mixtures = Mixtures(
        mixtures.clean, mixtures.noise, mixtures.p, "raw",
        tuple({**m, "station": s} for m, s in zip(mixtures.meta, stations, strict=True)),
    )  # fmt: skip

    def worse_at_a(x):
        signal, sigma = estimate(x)
        return signal, np.where((np.arange(len(x)) < 10)[:, None, None], sigma, 100.0 * sigma)

    # half of the weight is at station B, whose errors are all small: the quantile is the 80 % one of station A
    expected = find_sigma_factor(estimate, [mixtures]) * 1.2816 / 1.6449
    assert find_sigma_factor(worse_at_a, [mixtures]) == pytest.approx(expected, rel=0.05)


def test_scores_use_the_factor_of_other_stations():
    """Of right standard errors up to a factor, nine tenths hold in each group."""
    scores = score_sigma(estimate, make_mixtures())
    assert scores["cover"] == pytest.approx(0.9, abs=0.01)
    assert scores["factor"] == pytest.approx(2.0, rel=0.03)
    groups = [*scores["snr"].values(), *scores["span"].values(), *scores["tenth"]]
    assert len(groups) == 6 + 3 + 10
    assert all(0.85 < share < 0.95 for share in groups)
    # at -10 dB the noise has 10 dB more power than the clean record
    assert scores["width"] > 2
