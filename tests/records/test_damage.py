"""Damage has the stated SNRs, spectra, gaps, spikes, steps and counts, and depends on its random generator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, hilbert, sosfreqz

from geoae.records import damage

SEEDS = st.integers(0, 2**32 - 1)


def window(seed: int, n: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, n))


@given(seed=SEEDS, snr=st.floats(-40, 80), scale=st.floats(1e-9, 1e9))
def test_noise_gets_the_stated_snr(seed, snr, scale):
    """10 log10(var signal / var noise) is the SNR, for any units and offsets."""
    signal, noise = window(seed) * scale + 3 * scale, window(seed + 1) - 5
    scaled = noise * damage.noise_factor(signal, noise, snr)[:, None]
    np.testing.assert_allclose(10 * np.log10(signal.var(-1) / scaled.var(-1)), snr, atol=1e-6)


def test_each_component_may_have_its_own_snr():
    """An array of SNRs is taken component by component."""
    signal, noise = window(0), window(1)
    scaled = noise * damage.noise_factor(signal, noise, np.array([-10.0, 0.0, 20.0]))[:, None]
    np.testing.assert_allclose(10 * np.log10(signal.var(-1) / scaled.var(-1)), [-10, 0, 20], atol=1e-9)


def test_silence_has_no_snr():
    """Silent noise or a silent signal gives the factor 0, and no warning."""
    x, silent = window(0), np.zeros((3, 2000))
    assert (damage.noise_factor(silent, x, 10) == 0).all()
    assert (damage.noise_factor(x, silent, 10) == 0).all()


@given(seed=SEEDS, n=st.integers(64, 3000), rate=st.sampled_from([20.0, 100.0, 250.0]))
def test_coloured_noise_has_unit_variance(seed, n, rate):
    """Each component has variance 1, and components differ."""
    x = damage.draw_coloured_noise((3, n), rate, np.random.default_rng(seed))
    np.testing.assert_allclose(x.std(axis=-1), 1)
    assert np.abs(np.corrcoef(x)[np.triu_indices(3, 1)]).max() < 0.9999


@given(seed=SEEDS)
def test_machinery_hums_at_harmonics_of_one_frequency(seed):
    """Unit variance over all components or silence, and finite."""
    x = damage.draw_machinery_noise((3, 1000), 100.0, np.random.default_rng(seed))
    assert np.isfinite(x).all()
    assert x.std() == pytest.approx(1) or not x.any()


@given(seed=SEEDS, most=st.integers(1, 6))
def test_spikes_are_single_samples_of_three_to_three_hundred_rms(seed, most):
    """No more samples than spikes change on a component, each by 3.1 to 317 times its RMS."""
    x = window(seed)
    y = damage.add_spikes(x, np.random.default_rng(seed), most)
    change = np.abs(y - x) / np.sqrt((x * x).mean(-1, keepdims=True))
    hit = change > 0
    assert 1 <= hit.sum(axis=-1).max() <= most
    assert change[hit].min() >= 10**0.5 * 0.999 or hit.sum(axis=-1).max() < most  # spikes on one sample add up
    assert change.max() <= most * 10**2.5 * 1.001


@given(seed=SEEDS)
def test_a_step_begins_once_and_never_grows(seed):
    """One component changes, from one sample on, by 1 to 20 standard deviations that stay or decay."""
    x = window(seed)
    change = damage.add_step(x, np.random.default_rng(seed)) - x
    (row,) = np.flatnonzero(change.any(axis=-1))
    at = np.flatnonzero(change[row])[0]
    size = np.abs(change[row, at:])
    assert 0.999 <= size[0] / x[row].std() <= 10**1.3 * 1.001
    assert (np.diff(size) <= 1e-9 * size[0]).all()


@given(seed=SEEDS, n=st.integers(30, 3000), most=st.integers(1, 4))
def test_gaps_are_missing_and_nothing_else_changes(seed, n, most):
    """At least one and at most `most` runs of NaN a component, none longer than a fifth of the window by itself."""
    x = window(seed, n)
    y = damage.cut_gaps(x, np.random.default_rng(seed), most)
    gone = np.isnan(y)
    np.testing.assert_array_equal(y[~gone], x[~gone])
    assert gone.any()
    assert gone.sum(axis=-1).max() <= most * n / 5
    assert (np.diff(gone.astype(int), prepend=0, axis=-1) == 1).sum(axis=-1).max() <= most


@given(seed=SEEDS)
def test_quantised_values_are_whole_counts(seed):
    """Values are multiples of one count, 0.2 to 2 medians of |x| large, and move by half a count at most."""
    x = window(seed)
    x[2] = 0
    y = damage.quantise(x, np.random.default_rng(seed))
    for before, after in zip(x[:2], y[:2], strict=True):
        count = np.abs(after[after != 0]).min()
        # the smallest value may be several counts where counts are fine; 0.2 medians are fine enough to hold one
        assert 0.199 <= count / np.median(np.abs(before)) <= 2.001
        np.testing.assert_allclose(after / count, np.round(after / count), atol=1e-6)
        assert np.abs(after - before).max() <= count / 2 * 1.001
    assert not y[2].any()


@given(
    low=st.floats(0.05, 5),
    width=st.floats(1.5, 8),
    order=st.integers(1, 8),
    n=st.integers(100, 3000),
)
def test_band_response_is_that_of_filtering_forward_and_backward(low, width, order, n):
    """The factor is the squared magnitude of Butterworth filters, as scipy designs them far below the Nyquist rate."""
    rate, high = 100.0, low * width
    response = damage.band_response(n, rate, low, high, order)
    f = np.fft.rfftfreq(n, 1 / rate)
    expected = np.ones(len(f))
    for edge, kind in ((low, "highpass"), (high, "lowpass")):
        # at a hundred times the rate the bilinear transform bends frequencies by less than a thousandth
        sos = butter(order, edge, kind, fs=100 * rate, output="sos")
        expected *= np.abs(sosfreqz(sos, f, fs=100 * rate)[1]) ** 2
    np.testing.assert_allclose(response, expected, atol=2e-3)
    assert response[0] == 0


def test_open_sides_of_a_band_change_nothing():
    """0 Hz and the Nyquist frequency leave their side open; the corner loses half the amplitude, 6 dB."""
    assert (damage.band_response(1000, 100.0, 0, 50.0) == 1).all()
    response = damage.band_response(1000, 100.0, 5.0, 60.0)
    assert response[-1] == pytest.approx(1)
    assert response[50] == pytest.approx(0.5)


@given(seed=SEEDS, n=st.integers(100, 3000))
def test_a_random_response_is_smooth_and_within_twenty_db(seed, n):
    """A gain on each frequency, within 10 dB either way and 1 at 3 Hz."""
    gain = np.abs(damage.draw_response(n, 100.0, np.random.default_rng(seed)))
    assert len(gain) == n // 2 + 1
    assert 10**-0.5 * 0.999 <= gain.min() <= gain.max() <= 10**0.5 * 1.001
    assert np.interp(3.0, np.fft.rfftfreq(n, 0.01), gain) == pytest.approx(1, abs=0.15)


@given(seed=SEEDS, n=st.integers(1000, 4000), rate=st.sampled_from([80.0, 100.0, 250.0]))
def test_a_random_response_is_causal_and_of_minimum_phase(seed, n, rate):
    """Nothing comes before time 0, and the phase is the Hilbert transform of the log gain, as it is of no other."""
    response = damage.draw_response(n, rate, np.random.default_rng(seed))
    impulse = np.fft.irfft(response, n)
    assert (impulse[n // 2 :] ** 2).sum() < 1e-3 * (impulse**2).sum()
    assert np.abs(impulse).argmax() == 0
    both_sides = np.abs(np.fft.fft(impulse))
    expected = -np.imag(hilbert(np.log(both_sides)))[: len(response)]
    np.testing.assert_allclose(np.angle(response), expected, atol=1e-6)


def test_a_random_response_keeps_an_onset_where_it_is():
    """Energy before a burst is at most a hundredth of that of a zero-phase filter with the same gain."""
    burst = np.zeros(4000)
    burst[2000:2400] = np.random.default_rng(0).normal(size=400)
    causal, acausal = 0.0, 0.0
    for seed in range(50):
        response = damage.draw_response(4000, 100.0, np.random.default_rng(seed))
        for factor in (response, np.abs(response)):
            ahead = np.fft.irfft(np.fft.rfft(burst) * factor, 4000)[1000:2000]
            if factor is response:
                causal += (ahead**2).sum()
            else:
                acausal += (ahead**2).sum()
    assert causal < 0.01 * acausal


@given(seed=SEEDS, n=st.integers(1000, 8000), rate=st.sampled_from([10.0, 20.0, 100.0, 250.0]))
def test_footsteps_have_unit_variance(seed, n, rate):
    """Variance 1 over all components together; each component has footsteps, and components differ."""
    x = damage.draw_footsteps((3, n), rate, np.random.default_rng(seed))
    assert np.isfinite(x).all()
    assert x.std() == pytest.approx(1)
    assert x.any(axis=-1).all()
    assert not np.allclose(x[0], x[1])


def test_footsteps_fall_at_a_walking_pace():
    """The energy repeats after 1 / 2.4 to 1 / 1.4 s, with little between two steps."""
    paces = []
    for seed in range(60):
        x = damage.draw_footsteps((6000,), 100.0, np.random.default_rng(seed))
        energy = np.convolve(x * x, np.hanning(9), mode="same")
        alike = np.correlate(energy, energy, mode="full")[5999:]
        lag = 35 + int(alike[35:80].argmax())
        paces.append(100 / lag)
        assert 0.3 * alike[0] < alike[lag] > 5 * alike[lag // 2]
    assert 1.3 < min(paces) < 1.6
    assert 2.2 < max(paces) < 2.6


def test_footsteps_swell_and_fade():
    """The loudest tenth of three minutes has much of the energy, and its place varies."""
    shares, places = [], []
    for seed in range(40):
        x = damage.draw_footsteps((18000,), 100.0, np.random.default_rng(seed))
        energy = (x**2).reshape(10, -1).sum(axis=-1)
        shares.append(energy.max() / energy.sum())
        places.append(energy.argmax())
    assert np.median(shares) > 0.4
    assert len(set(places)) > 5


def test_no_step_in_a_moment_is_silence():
    """Samples without a step are zero, not NaN."""
    drawn = [damage.draw_footsteps((3, 10), 100.0, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.isfinite(x).all() for x in drawn)
    assert any(not x.any() for x in drawn)


@given(seed=SEEDS, seconds=st.floats(20, 120), rate=st.sampled_from([20.0, 100.0, 200.0]))
def test_gusts_are_a_positive_level_of_rms_one(seed, seconds, rate):
    """Their RMS is 1, and their standard deviation over the window is 1 to 7 dB."""
    level = damage.draw_noise_level(int(seconds * rate), rate, np.random.default_rng(seed))
    assert (level > 0).all()
    assert np.sqrt(np.mean(level**2)) == pytest.approx(1)
    assert 0.999 <= (20 * np.log10(level)).std() <= 7.001


def test_gusts_are_slow():
    """A second changes the level by a fraction of what a minute does."""
    for seed in range(20):
        level_db = 20 * np.log10(damage.draw_noise_level(6000, 100.0, np.random.default_rng(seed)))
        assert np.abs(np.diff(level_db)).max() < 0.2 * level_db.std()


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: damage.draw_footsteps((3, 2000), 100.0, rng),
        lambda rng: damage.draw_noise_level(2000, 100.0, rng),
        lambda rng: damage.draw_response(2000, 100.0, rng),
    ],
    ids=["footsteps", "noise level", "response"],
)
def test_draws_are_repeatable(draw):
    """The same seed draws the same array, another seed another one."""
    first, second, other = (draw(np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "function", [damage.add_spikes, damage.add_step, damage.cut_gaps, damage.quantise], ids=lambda f: f.__name__
)
def test_damage_is_repeatable_and_leaves_its_input(function):
    """The same seed gives the same array, and the input is unchanged."""
    x = window(3)
    kept = x.copy()
    first, second = (function(x, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, kept)
    assert not np.array_equal(first, x)
