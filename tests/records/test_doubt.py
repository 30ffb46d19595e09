"""Transients in removed noise are found, and put back into the signal."""

import numpy as np
import pytest

from geoae.records import doubt
from geoae.records.doubt import (
    FRAME_N,
    combine_levels,
    find_levels,
    find_transients,
    limit_transients,
    measure_bands,
    score_transients,
)

N = 12288


def make_noise(seed: int = 0, n: int = N) -> np.ndarray:
    """Noise with a slope towards long periods, of standard deviation one."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.normal(size=n))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** 0.5
    spectrum[0] = 0
    x = np.fft.irfft(spectrum, n)
    return x / x.std()


def make_pulse(amplitude: float, period_n: float = 100.0, at: int = 6000, duration_n: float = 1500.0) -> np.ndarray:
    """A wave train."""
    t = np.arange(N) - at
    return amplitude * np.exp(-np.square(t / duration_n)) * np.sin(2 * np.pi * t / period_n)


@pytest.mark.parametrize(("period_n", "amplitude"), [(12, 8.0), (100, 8.0), (800, 16.0)])
def test_a_removed_wave_train_is_found(period_n, amplitude):
    """Of any period; not when it was kept. The noise has most power at long periods."""
    noise = make_noise()
    x = noise + make_pulse(amplitude, period_n)
    assert find_transients(x, x)
    assert not find_transients(x, noise)


def test_noise_is_no_transient():
    """Stationary noise and a slow rise of its level raise no flag."""
    noise = np.stack([make_noise(seed) for seed in range(20)])
    assert not find_transients(noise, noise).any()
    rising = noise * np.linspace(0.7, 1.4, N)
    assert not find_transients(rising, rising).any()


def test_a_small_part_of_a_kept_event_is_no_transient():
    """An eighth of the amplitude of a loud event may be removed."""
    noise, event = make_noise(), make_pulse(200.0)
    assert not find_transients(noise + event, noise + event / 8)


def test_units_do_not_matter():
    """Scores are the same for counts and for m/s."""
    x = make_noise() + make_pulse(6.0)
    scores = [
        score_transients(powers, powers, find_levels(powers))
        for powers in (measure_bands(x * unit) for unit in (1.0, 1e-12, 1e9))
    ]
    np.testing.assert_allclose(scores[1:], scores[0], rtol=1e-5)


def test_an_event_that_fills_a_window_is_found_by_the_windows_around_it():
    """Levels of other windows show that it is no noise."""
    quiet, loud = measure_bands(make_noise(1)), measure_bands(30 * make_noise(2))
    own = find_levels(loud)
    assert score_transients(loud, loud, own) < doubt.LIMIT
    levels = combine_levels(own, [find_levels(quiet)] * 4 + [own] * 4)
    assert score_transients(loud, loud, levels) > doubt.LIMIT
    np.testing.assert_array_equal(combine_levels(own, []), own)


def test_bands_hold_the_power():
    """The powers of all bands add up to that of white noise, and a sine is in the band of its frequency."""
    white = np.random.default_rng(0).normal(size=N)
    assert measure_bands(white).mean(-1).sum() == pytest.approx(1.0, abs=0.1)
    sine = np.sin(2 * np.pi * 3 / 16 * np.arange(N))
    powers = measure_bands(sine).mean(-1)
    assert powers.argmax() == len(powers) - 2
    assert powers.max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("n", [16, 100, 128, 700, 3000])
def test_short_windows_have_fewer_bands(n):
    """Records of any length can be judged; one frame is no transient."""
    x = make_noise(n=n)
    powers = measure_bands(x)
    assert powers.shape[-1] == -(-n // FRAME_N)
    assert not find_transients(x, x)
    assert limit_transients(x, find_levels(powers)).shape == x.shape


def test_gaps_have_no_level():
    """Frames without samples do not count as quiet ones."""
    x, valid = make_noise(), np.ones(N, bool)
    valid[2000:9000] = False
    powers = measure_bands(np.where(valid, x, 0.0), valid)
    assert np.isnan(powers).any()
    assert np.isfinite(find_levels(powers)).all()
    nothing = measure_bands(np.zeros(N), np.zeros(N, bool))
    assert np.isnan(find_levels(nothing)).all()
    assert score_transients(nothing, nothing, find_levels(nothing)) == 0


def test_silence_is_no_transient():
    """Windows of zeros have neither level nor score."""
    powers = measure_bands(np.zeros((2, N)))
    np.testing.assert_array_equal(score_transients(powers, powers, find_levels(powers)), 0)


def test_limited_noise_leaves_the_transient_in_the_signal():
    """Most of a loud wave train comes back, and noise before it is removed as before."""
    noise, event = make_noise(), make_pulse(30.0)
    x = noise + event
    removed = limit_transients(x, find_levels(measure_bands(x)))
    assert np.abs(x - removed).max() > 0.8 * np.abs(x).max()
    quiet = slice(0, 2000)
    assert np.std((x - removed)[quiet]) < 0.5 * np.std(x[quiet])
    assert np.abs(np.diff(removed)).max() < 1.5 * np.abs(np.diff(noise)).max()


def test_noise_without_transients_is_hardly_limited():
    """Stationary noise is removed as before."""
    noise = np.stack([make_noise(seed) for seed in range(3)])
    removed = limit_transients(noise, find_levels(measure_bands(noise)))
    assert np.std(noise - removed) < 0.4 * np.std(noise)
