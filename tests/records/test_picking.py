"""Triggers, onsets and first motions of traces whose arrivals are known."""

import numpy as np
import pytest

from geoae.records.picking import find_triggers, has_polarity, pick_onsets, randomise_phases

RATE_HZ, P = 100.0, 3000


def draw_arrival(rng, noise=0.01, rate_hz=RATE_HZ):
    """A pulse train that begins 30 s after the start with an upward motion, in white noise; (time,)."""
    time = np.arange(int(60 * rate_hz)) / rate_hz - 30
    pulse = np.where(time >= 0, np.sin(2 * np.pi * 5 * time) * np.exp(-np.clip(time, 0, None) / 3), 0)
    return pulse + noise * rng.normal(size=time.size)


def test_an_arrival_is_one_trigger_and_noise_is_none():
    """The trigger begins within STA of the arrival; its ratio is below 8 if the noise is strong."""
    rng = np.random.default_rng(0)
    for rate_hz in (50.0, 100.0, 500.0):
        (found,) = find_triggers(draw_arrival(rng, rate_hz=rate_hz), rate_hz)
        assert 0 <= found / rate_hz - 30 < 0.5
    assert find_triggers(rng.normal(size=6000)).size == 0
    weak = draw_arrival(rng, noise=0.3)
    assert find_triggers(weak, on=3.0).size == 1
    assert find_triggers(weak, on=8.0).size == 0


def test_triggers_do_not_depend_on_scale_or_offset():
    """Counts or m/s, with or without an offset."""
    x = draw_arrival(np.random.default_rng(1))
    np.testing.assert_array_equal(find_triggers(x), find_triggers(1e-9 * x))
    np.testing.assert_array_equal(find_triggers(x), find_triggers(x + 1e4))


@pytest.mark.parametrize("trace", [np.zeros(6000), np.full(6000, 7.0), np.ones(3), np.zeros(0)])
def test_silent_and_short_traces_have_no_trigger(trace):
    """No warning, no error."""
    assert find_triggers(trace).size == 0


def test_surrogates_keep_spectrum_and_coherence_and_lose_bursts():
    """The spectra are equal, a burst is spread, and one component stays a multiple of another."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 3, 6000))
    x[:, :, 3000:3100] *= 20
    x[:, 1] = -2 * x[:, 0]
    surrogate = randomise_phases(x, rng)
    spectrum, expected = (np.abs(np.fft.rfft(y - y.mean(-1, keepdims=True)))[..., 1:-1] for y in (surrogate, x))
    np.testing.assert_allclose(spectrum, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(surrogate[:, 1], -2 * surrogate[:, 0], atol=1e-9)
    assert np.abs(surrogate[:, 2]).max() < 0.5 * np.abs(x[:, 2]).max()


def test_onsets_are_signed():
    """A trace that is late by 0.2 s has an onset 0.2 s after the arrival; a silent one has none."""
    x = draw_arrival(np.random.default_rng(3), noise=1e-3)
    traces = np.stack([x, np.roll(x, 20), np.roll(x, -20), np.zeros_like(x)])
    onsets = pick_onsets(traces, np.full(4, P))
    np.testing.assert_allclose(onsets[:3], [0, 0.2, -0.2], atol=0.03)
    assert np.isnan(onsets[3])


def test_polarity_is_that_of_the_first_motion():
    """A smaller trace keeps it; a reversed one, a silent one and one that is half a period late do not."""
    x = draw_arrival(np.random.default_rng(4), noise=1e-4)[P - 250 : P + 250]
    assert has_polarity(x, 0.01 * x)
    for wrong in (-x, np.zeros_like(x), np.roll(x, 10)):
        assert not has_polarity(x, wrong)
    assert has_polarity(np.zeros(500), x[:500]) is None
