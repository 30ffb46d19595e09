"""Synthetic noise of long periods: finite, of unit variance on Z, with the spectra that it is made for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.records.long_noise import draw_long_noise, draw_surrogate


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(300, 3000))
def test_noise_is_finite_with_unit_variance_on_the_vertical(seed, n):
    """The same seed gives the same noise."""
    x = draw_long_noise(n, 1.0, np.random.default_rng(seed))
    assert x.shape == (3, n)
    assert np.isfinite(x).all()
    assert x[2].std() == pytest.approx(1)
    np.testing.assert_array_equal(x, draw_long_noise(n, 1.0, np.random.default_rng(seed)))


def band(x: np.ndarray, low: float, high: float) -> np.ndarray:
    f = np.fft.rfftfreq(x.shape[-1])
    return (np.abs(np.fft.rfft(x * np.hanning(x.shape[-1]))) ** 2)[..., (f >= low) & (f < high)].sum(-1)


def test_the_vertical_holds_microseism_and_the_horizontals_tilt():
    """In the median, most power of Z lies at 0.04 to 0.35 Hz, and horizontals have more below 0.02 Hz than Z."""
    drawn = [draw_long_noise(2048, 1.0, np.random.default_rng(i)) for i in range(40)]
    assert np.median([band(x[2], 0.04, 0.35) / band(x[2], 0, 0.5) for x in drawn]) > 0.5
    assert np.median([band(x[0], 0.001, 0.02) / band(x[2], 0.001, 0.02) for x in drawn]) > 2


def test_a_surrogate_has_the_spectrum_of_its_original():
    """A peak stays where it is, within a factor of two in power; rows that are zero stay near zero."""
    rng = np.random.default_rng(0)
    spectrum = np.exp(-0.5 * (np.log(np.maximum(np.fft.rfftfreq(120), 1e-3) / 0.2) / 0.2) ** 2)
    x = np.fft.irfft(np.fft.rfft(rng.normal(size=(3, 120))) * spectrum, 120)
    x[1] = 0
    shares = []
    for seed in range(20):
        y = draw_surrogate(x, 2000, np.random.default_rng(seed))
        assert y.shape == (3, 2000)
        assert np.abs(y[1]).max() < 1e-6
        shares.append(band(y[2], 0.12, 0.3) / band(y[2], 0.03, 0.5))
    assert np.median(shares) > 0.5 * band(x[2], 0.12, 0.3) / band(x[2], 0.03, 0.5)
