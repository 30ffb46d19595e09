"""Promises of geoae.records.metrics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.records import metrics


def _pair(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, n)), rng.normal(size=(2, n))


def _at_snr(clean: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise so that the ratio of the standard deviations is 10**(snr/20)."""
    ratio = clean.std(axis=-1, keepdims=True) / noise.std(axis=-1, keepdims=True)
    return clean + noise * ratio / 10 ** (snr_db / 20)


@given(
    seed=st.integers(0, 99),
    exponent=st.floats(-9, 9),
    sign=st.sampled_from([-1, 1]),
    offset=st.floats(-100, 100),
    snr=st.floats(-20, 30),
)
def test_si_sdr_ignores_scale_and_offset(seed, exponent, sign, offset, snr):
    """Neither the size, the sign nor the offset of an estimate changes its SI-SDR."""
    clean, noise = _pair(seed)
    estimate = _at_snr(clean, noise, snr)
    changed = sign * 10.0**exponent * (estimate + offset)
    np.testing.assert_allclose(metrics.si_sdr_db(clean, changed), metrics.si_sdr_db(clean, estimate), atol=1e-6)
    np.testing.assert_allclose(metrics.si_sdr_db(changed, clean), metrics.si_sdr_db(estimate, clean), atol=1e-6)


@given(seed=st.integers(0, 99), snr=st.floats(-20, 40))
def test_si_sdr_follows_from_the_correlation(seed, snr):
    """SI-SDR is r² / (1 - r²) in dB, with r the correlation: the other way to write Le Roux's equation."""
    clean, noise = _pair(seed)
    estimate = _at_snr(clean, noise, snr)
    r = np.array([np.corrcoef(c, e)[0, 1] for c, e in zip(clean, estimate, strict=True)])
    expected = np.maximum(10 * np.log10(r**2 / (1 - r**2)), metrics.FLOOR_DB)
    np.testing.assert_allclose(metrics.si_sdr_db(clean, estimate), expected, atol=1e-6)
    np.testing.assert_allclose(metrics.correlation(clean, estimate), r, atol=1e-12)


@given(seed=st.integers(0, 99), snr=st.floats(-40, 50), gain=st.floats(-40, 50))
def test_snr_of_a_mixture_is_the_snr_it_was_built_at(seed, snr, gain):
    """A mixture built at s dB has an SNR of s dB, and going from one mixture to another gains the difference."""
    clean, noise = _pair(seed)
    noisy, estimate = _at_snr(clean, noise, snr), _at_snr(clean, noise, gain)
    np.testing.assert_allclose(metrics.snr_db(clean, noisy), snr, atol=1e-6)
    np.testing.assert_allclose(metrics.snr_gain_db(clean, noisy, estimate), gain - snr, atol=1e-6)


def test_snr_counts_a_wrong_amplitude_and_si_sdr_does_not():
    """Half the amplitude leaves half the signal as error: 10 log10(1 / 0.25) dB."""
    clean, _ = _pair(0)
    np.testing.assert_allclose(metrics.snr_db(clean, clean / 2), 10 * np.log10(4))
    np.testing.assert_allclose(metrics.sdr_db(clean, clean / 2), 10 * np.log10(4))
    assert (metrics.si_sdr_db(clean, clean / 2) == metrics.CEILING_DB).all()


@pytest.mark.parametrize("flat", [0.0, 3.0])
def test_flat_traces_give_stated_values(flat):
    """Silence neither warns nor divides by zero."""
    clean, _ = _pair(0)
    silent = np.full_like(clean, flat)
    for first, second in ((clean, silent), (silent, clean), (silent, silent)):
        assert (metrics.si_sdr_db(first, second) == metrics.FLOOR_DB).all()
        assert (metrics.correlation(first, second) == 0).all()
    assert (metrics.snr_db(silent, clean) == metrics.FLOOR_DB).all()
    assert (metrics.peak_ratio(clean, silent) == 0).all()
    assert np.isnan(metrics.peak_ratio(silent, clean)).all()
    assert (metrics.power_reduction_db(clean, silent) == 80).all()
    assert (metrics.power_reduction_db(silent, clean) == -80).all()
    assert (metrics.power_reduction_db(silent, silent) == 0).all()
    assert np.isnan(metrics.spectral_misfit_db(silent, clean)).all()
    assert np.isnan(metrics.aic_onset(np.zeros(100)))


@given(seed=st.integers(0, 99), factor=st.floats(1e-3, 1e3), offset=st.floats(-10, 10))
def test_amplitude_scores_follow_the_amplitude(seed, factor, offset):
    """A trace times a has a times the peak, a² of the power and a spectrum 20 log10 a off, whatever its offset."""
    clean, _ = _pair(seed)
    np.testing.assert_allclose(metrics.peak_ratio(clean, factor * clean + offset), factor, rtol=1e-9)
    change_db = 20 * np.log10(factor)
    np.testing.assert_allclose(metrics.power_reduction_db(clean, factor * clean + offset), -change_db, atol=1e-6)
    misfit = metrics.spectral_misfit_db(clean, factor * clean + offset)
    np.testing.assert_allclose(misfit, abs(change_db), atol=1e-5)


def test_spectral_misfit_of_a_weakened_band():
    """Of two bands one is 20 dB weaker in the estimate: the misfit is the root mean square of 0 and 20 dB."""
    n = 6400
    time = np.arange(n)
    low, high = (np.sin(2 * np.pi * f * time) for f in (0.02, 0.41))  # cycles a sample
    misfit = metrics.spectral_misfit_db(low + high, low + 0.1 * high, n_bands=2)
    np.testing.assert_allclose(misfit, np.sqrt(20.0**2 / 2), rtol=1e-3)


@given(seed=st.integers(0, 50), onset=st.integers(60, 440), exponent=st.floats(-9, 9))
def test_aic_finds_a_step_in_variance(seed, onset, exponent):
    """Where weak noise turns into a signal a hundred times as strong the onset is found, at any scale."""
    rng = np.random.default_rng(seed)
    trace = rng.normal(size=500) * np.where(np.arange(500) < onset, 0.01, 1.0)
    trace[onset] = 1.0
    found = metrics.aic_onset(trace * 10.0**exponent)
    assert abs(found - onset) <= 3


def test_aic_is_the_minimum_of_maedas_equation():
    """The onset minimises k log var(before) + (n - k - 1) log var(after), computed one k at a time."""
    rng = np.random.default_rng(3)
    traces = rng.normal(size=(4, 2, 200)) * np.where(np.arange(200) < 120, 0.3, 1.0)
    expected = np.empty((4, 2))
    for i in np.ndindex(4, 2):
        x = traces[i]
        aic = {k: k * np.log(x[:k].var()) + (200 - k - 1) * np.log(x[k:].var()) for k in range(5, 195)}
        expected[i] = min(aic, key=aic.__getitem__)
    np.testing.assert_array_equal(metrics.aic_onset(traces), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_aic_of_a_broken_trace_is_no_onset(bad):
    """A trace that is not finite has no onset, and its neighbours keep theirs."""
    traces = np.random.default_rng(0).normal(size=(2, 300)) * np.where(np.arange(300) < 150, 0.01, 1.0)
    alone = metrics.aic_onset(traces)
    traces[0, 7] = bad
    found = metrics.aic_onset(traces)
    assert np.isnan(found[0])
    assert found[1] == alone[1]
    assert np.isnan(metrics.aic_onset(np.ones(8)))
