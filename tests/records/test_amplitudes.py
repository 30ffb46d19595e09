"""Amplitude ratios, peaks and energy in bands of results whose change is known."""

import numpy as np
import pytest

from geoae.records.amplitudes import compare_amplitudes, compare_bands, is_off, measure_peak
from tests.support.mixtures import draw_event

P = np.array([3000, 3000])


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    return np.stack([draw_event(rng) for _ in P])


def test_ratios_are_those_of_the_band(events):
    """A factor is found as it is; noise outside 1 to 20 Hz does not count; P can be reduced alone."""
    drift = 1e5 * np.sin(2 * np.pi * 0.1 * np.arange(events.shape[-1]) / 100)
    p_ratio, peak_ratio = compare_amplitudes(events, 0.5 * events + drift, P)
    np.testing.assert_allclose(p_ratio, 0.5, rtol=0.02)
    np.testing.assert_allclose(peak_ratio, 0.5, rtol=0.02)
    assert peak_ratio.shape == (2, 3)
    late = events.copy()
    late[..., 3000:3400] *= 0.1
    p_ratio, peak_ratio = compare_amplitudes(events, late, P)
    assert p_ratio.max() < 0.25
    assert peak_ratio.min() > 0.4
    assert np.isnan(compare_amplitudes(np.zeros_like(events), events, P)[0]).all()


def test_a_ratio_is_off_from_a_fifth_of_a_magnitude():
    """10^0.2 is 1.58; silence is off."""
    np.testing.assert_array_equal(is_off(np.array([0.62, 0.64, 1, 1.57, 1.6, 0])), [1, 0, 0, 0, 1, 1])


def test_energy_is_compared_band_by_band():
    """A tone at 25 Hz raises its band alone; half the amplitude is -6 dB everywhere; silence is 0 dB."""
    x = np.random.default_rng(1).normal(size=(3, 1500))
    np.testing.assert_allclose(compare_bands(x, x / 2), -6.02, atol=0.01)
    tone = x + 10 * np.sin(2 * np.pi * 25.1 * np.arange(1500) / 100)
    change = compare_bands(x, tone)
    assert change.shape == (3, 25)
    assert (change.argmax(axis=-1) == 12).all()
    assert change[:, 12].min() > 25
    np.testing.assert_allclose(np.delete(change, (11, 12, 13), axis=-1), 0, atol=1)
    np.testing.assert_array_equal(compare_bands(np.zeros(300), np.zeros(300)), 0)


def test_peak_kept(events):
    """Doing nothing keeps 1; gains are found whether or not P is known; the level of the noise does not count."""
    event = events[0]
    noise = 50 * np.random.default_rng(2).normal(size=event.shape)
    for p in (3000, None, 5):
        assert measure_peak(event + noise, event + noise, p).kept == 1
        np.testing.assert_allclose(measure_peak(event + noise, 0.3 * (event + noise), p).kept, 0.3)
        np.testing.assert_allclose(measure_peak(event + noise, event, p).kept, 1, atol=0.02)
        assert measure_peak(event + noise, np.zeros_like(event), p).kept == 0
    assert 10 < measure_peak(event + noise, event, 3000).snr_db < 30


def test_peaks_of_long_periods_and_of_silence():
    """At 1 Hz the window is 20 s, a period of surface waves. A silent reference has no peak."""
    time = np.arange(1500.0)
    wave = np.sin(2 * np.pi * time / 20) * np.exp(-(((time - 900) / 100) ** 2))
    peak = measure_peak(wave[None], 0.8 * wave[None], 300, 1.0)
    np.testing.assert_allclose(peak.kept, 0.8)
    assert peak.snr_db > 60
    assert np.isnan(measure_peak(np.zeros((3, 500)), np.ones((3, 500)), 100).kept)
