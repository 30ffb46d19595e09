"""Baselines are the filters of their equations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.records.baselines import band_pass, do_nothing, stft_wiener
from geoae.records.metrics import si_sdr_db


def _event(seed: int, snr_db: float, n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """A decaying 5 Hz oscillation from 20 s on, without and with white noise; (3, n) at 100 Hz."""
    rng = np.random.default_rng(seed)
    time = np.arange(n) / 100 - 20
    clean = np.where(time > 0, np.exp(-np.clip(time, 0, None) / 4), 0) * np.sin(2 * np.pi * 5 * time)
    clean = clean * rng.uniform(0.5, 2, (3, 1))
    noise = rng.normal(size=(3, n))
    noise *= clean[:, 2000:4000].std(axis=1, keepdims=True) / 10 ** (snr_db / 20)
    return clean, clean + noise


def test_do_nothing_does_nothing():
    """The traces are unchanged."""
    traces = np.random.default_rng(0).normal(size=(2, 3, 50))
    np.testing.assert_array_equal(do_nothing(traces), traces)


@pytest.mark.filterwarnings("ignore:SelectableGroups:DeprecationWarning")  # ObsPy's own import, on Python 3.11
def test_band_pass_is_obspys_zero_phase_filter():
    """It equals ObsPy's bandpass with four corners and zero phase."""
    from obspy.signal.filter import bandpass

    traces = np.random.default_rng(0).normal(size=(2, 3, 900))
    expected = [[bandpass(t, 1, 20, 100, corners=4, zerophase=True) for t in rows] for rows in traces]
    np.testing.assert_allclose(band_pass(traces), expected, atol=1e-12)


@pytest.mark.parametrize(("hz", "kept"), [(0.1, 0.0), (5.0, 1.0), (45.0, 0.0)])
def test_band_pass_keeps_what_lies_between_its_corners(hz, kept):
    """A sinusoid far inside the band keeps amplitude and phase; far outside, it is removed."""
    trace = np.sin(2 * np.pi * hz * np.arange(6000) / 100)
    np.testing.assert_allclose(band_pass(trace)[2500:3500], kept * trace[2500:3500], atol=5e-3)


def _wiener(trace: np.ndarray, noise_n: int | None) -> np.ndarray:
    """The filter of one trace, written as its equations, frame by frame."""
    n, length, hop = len(trace), 100, 25
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    padded = np.zeros(n + 2 * length)
    padded[length // 2 : length // 2 + n] = trace
    starts = range(0, n + hop, hop) if n % hop else range(0, n + 1, hop)
    spectra = [np.fft.rfft(window * padded[start : start + length]) for start in starts]
    power = np.abs(spectra) ** 2
    if noise_n is None:
        noise = np.quantile(power, 0.3, axis=0) / 0.3567  # -log(1 - 0.3)
    else:
        noise = power[[start + length // 2 <= noise_n for start in starts]].mean(axis=0)
    out, weight, last = np.zeros_like(padded), np.zeros_like(padded), 0.0
    for start, spectrum, p in zip(starts, spectra, power, strict=True):
        prior = 0.9 * last + 0.1 * np.maximum(p / noise - 1, 0)
        gain = np.maximum(prior / (1 + prior), 0.05)
        last = gain**2 * p / noise
        out[start : start + length] += window * np.fft.irfft(gain * spectrum)
        weight[start : start + length] += window**2
    inside = slice(length // 2, length // 2 + n)
    return out[inside] / weight[inside]


@pytest.mark.parametrize("noise_n", [None, 60])
@given(n=st.integers(60, 700), seed=st.integers(0, 99))
def test_wiener_filter_follows_its_equations(noise_n, n, seed):
    """For any length, including the first and last samples, where fewer frames overlap."""
    traces = np.random.default_rng(seed).normal(size=(2, n))
    expected = [_wiener(trace, noise_n) for trace in traces]
    np.testing.assert_allclose(stft_wiener(traces, noise_n), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("noise_n", [None, 750])
@pytest.mark.parametrize("snr", [-5, 0, 5, 10])
def test_wiener_filter_finds_an_event_in_white_noise(noise_n, snr):
    """With or without a noise sample, it gains more than 3 dB of SI-SDR on a simple event in stationary noise."""
    clean, noisy = _event(1, snr)
    gain = si_sdr_db(clean, stft_wiener(noisy, noise_n)) - si_sdr_db(clean, noisy)
    assert (gain > 3).all()


@pytest.mark.parametrize("noise_n", [None, 750])
@given(exponent=st.floats(-9, 9), sign=st.sampled_from([-1, 1]))
def test_wiener_filter_is_proportional_and_odd(noise_n, exponent, sign):
    """f(a x) = a f(x), also for negative a; each trace is filtered by itself."""
    _, noisy = _event(2, 5, n=2600)
    factor = sign * 10.0**exponent
    result = stft_wiener(noisy, noise_n)
    np.testing.assert_allclose(stft_wiener(factor * noisy, noise_n) / factor, result, atol=1e-9)
    np.testing.assert_allclose(stft_wiener(noisy[1], noise_n), result[1], atol=1e-12)


@pytest.mark.parametrize("noise_n", [None, 750])
def test_wiener_filter_handles_silence(noise_n):
    """Zeros stay zeros, and a trace that starts with exact zeros keeps its signal: without warnings or infinities."""
    _, noisy = _event(3, 10)
    noisy[0] = 0
    noisy[1, :3000] = 0
    result = stft_wiener(noisy, noise_n)
    assert np.isfinite(result).all()
    assert not result[0].any()
    np.testing.assert_allclose(result[1, 3100:], noisy[1, 3100:], atol=1e-6)


def test_the_noise_sample_alone_sets_the_noise_spectrum():
    """With a noise sample, the gain does not depend on samples more than a window later."""
    _, noisy = _event(4, 5)
    longer = np.concatenate([noisy, 100 * noisy], axis=1)
    early = slice(0, 6000 - 200)
    np.testing.assert_allclose(stft_wiener(longer, 750)[:, early], stft_wiener(noisy, 750)[:, early], atol=1e-12)
