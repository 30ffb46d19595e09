"""Each kind of harm of a denoiser lowers the score that names it; doing nothing is perfect."""

import numpy as np
import pytest

from geoae.records.following import score_following, score_onsets, score_spectra, score_triggers, summarise
from geoae.records.picking import randomise_phases
from tests.support.mixtures import draw_event

P = 2000


@pytest.fixture(scope="module")
def mixtures():
    """Clean events, noisy ones and samples of P."""
    rng = np.random.default_rng(0)
    clean = np.stack([draw_event(rng, noise=1e-4)[:, 1000:7000] for _ in range(8)])
    return clean, clean + 5 * rng.normal(size=clean.shape), np.full(8, P)


def score(mixtures, harm):
    clean, noisy, p = mixtures
    return score_following(clean, noisy, harm(noisy), p)


def test_the_truth_is_perfect(mixtures):
    """The clean event as the result: every share is 1, every ratio is 1, nothing is added."""
    clean, _, _ = mixtures
    scores = score(mixtures, lambda x: clean)
    assert scores["onset"] == {"within_0.1s": 1, "early": 0, "late": 0, "median_s": 0}
    assert scores["polarity_kept"] == 1
    for name in ("p_ratio", "peak_ratio"):
        assert scores[name] == {"median": 1, "q10": 1, "q90": 1, "off": 0}
    assert scores["peak_kept"] == {"median": 1, "q10": 1, "q90": 1}
    assert scores["energy_added"]["median_db"] < 0


def test_doing_nothing_adds_nothing(mixtures):
    """Energy before P stays, and clear onsets are found."""
    scores = score(mixtures, lambda x: x)
    assert scores["energy_added"]["median_db"] == scores["energy_added"]["q90_db"] == 0
    assert scores["onset"]["within_0.1s"] == 1
    assert scores["peak_ratio"]["off"] == 0


def test_a_delay_is_seen_by_onsets_and_polarity(mixtures):
    """Traces that are late by 0.3 s have late onsets and lost first motions; amplitudes stay."""
    scores = score(mixtures, lambda x: np.roll(x, 30, axis=-1))
    assert scores["onset"]["late"] == 1
    np.testing.assert_allclose(scores["onset"]["median_s"], 0.3, atol=0.03)
    assert scores["polarity_kept"] < 0.9  # by chance, half of them keep it
    assert scores["peak_ratio"]["off"] == 0
    assert score(mixtures, lambda x: np.roll(x, -30, axis=-1))["onset"]["early"] == 1


def test_a_reversal_is_seen_by_polarity(mixtures):
    """Only the polarity sees the sign."""
    scores = score(mixtures, lambda x: -x)
    assert scores["polarity_kept"] == 0
    assert scores["onset"]["within_0.1s"] == 1


def test_smaller_peaks_are_seen_by_ratios(mixtures):
    """Clipped peaks are off by more than 0.2 magnitude units, and the peak is not kept."""
    scores = score(mixtures, lambda x: np.clip(x, -300, 300))
    assert scores["peak_ratio"]["off"] == scores["p_ratio"]["off"] == 1
    assert scores["peak_ratio"]["median"] < 0.6
    assert scores["peak_kept"]["median"] < 0.6

    def weaken_p(x):
        return np.concatenate([x[..., :P], 0.3 * x[..., P : P + 200], x[..., P + 200 :]], axis=-1)

    scores = score(mixtures, weaken_p)
    assert scores["p_ratio"]["off"] == 1
    assert scores["p_ratio"]["median"] < 0.4 < 0.6 < scores["peak_ratio"]["median"]


def test_an_image_is_seen_by_spectra(mixtures):
    """A copy of the noise at 25 Hz adds energy there, and the band is named."""
    carrier = np.cos(2 * np.pi * 25 * np.arange(6000) / 100)
    drift = 1000 * np.sin(2 * np.pi * 0.3 * np.arange(6000) / 100)
    clean, noisy, p = mixtures
    scores = score_following(clean, noisy + drift, noisy + drift + 0.1 * drift * carrier, p)
    assert scores["energy_added"]["median_db"] > 10
    assert scores["energy_added"]["hz"] == 24


def test_a_gate_is_seen_by_triggers():
    """Noise that is let through in bursts triggers; the noise itself and its surrogate do not."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(10, 3, 6000))
    gate = np.repeat(rng.uniform(size=(10, 1, 60)) < 0.1, 100, axis=-1)
    assert score_triggers(noise)["on_4"] == score_triggers(randomise_phases(noise, rng))["on_4"] == 0
    gated = score_triggers(noise * (gate + 0.01))
    assert gated["on_4"] > 200
    assert gated["on_8"] > 100
    assert np.isnan(score_triggers(np.zeros((2, 3, 500)))["on_4"])


def test_missing_values_are_left_out_and_missing_onsets_are_counted():
    """No onset is not within 0.1 s; a ratio without truth does not count; no traces give NaN."""
    onsets = score_onsets(np.array([0.05, 0.2, -0.3, np.nan]))
    assert onsets == {"within_0.1s": 0.25, "early": 0.25, "late": 0.25, "median_s": 0.05}
    assert summarise(np.array([np.nan, 2.0])) == {"median": 2, "q10": 2, "q90": 2}
    assert np.isnan(summarise(np.array([np.nan]))["median"])
    silent = np.zeros((3, 500))
    assert np.isnan(score_spectra([(silent, silent, 100.0)])["median_db"])
