"""The standard error of cleaned samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.records.sigma import CELL_N, LEVEL, SMALLEST, estimate_sigma, find_local_power, interpolate_cells


def test_a_wiener_filter_knows_its_error():
    """White signal and noise of known powers: the error of the Wiener filter has the variance S N / (S + N)."""
    rng = np.random.default_rng(0)
    signal, noise = 3.0 * rng.normal(size=50_000), rng.normal(size=50_000)
    estimate = (signal + noise) * 0.9
    sigma = estimate_sigma(signal, noise)
    assert np.sqrt(np.square(sigma).mean()) == pytest.approx(np.sqrt(0.9), rel=0.02)
    inside = np.abs(estimate - signal) <= LEVEL * sigma
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


def test_bands_apart_have_no_error():
    """Signal and noise in other frequencies are told apart; in the same ones they are not."""
    t = np.arange(8192)
    slow, fast = np.sin(2 * np.pi * t / 64), np.sin(2 * np.pi * t / 4)
    assert estimate_sigma(slow, fast).max() < 0.05
    assert estimate_sigma(slow, slow).mean() == pytest.approx(0.5, rel=0.1)


def test_sigma_follows_the_signal_in_time():
    """Where there is no signal, there is hardly an error; nowhere is it zero."""
    noise = np.random.default_rng(0).normal(size=4096)
    signal = np.where(np.arange(4096) > 2048, 5 * np.random.default_rng(1).normal(size=4096), 0.0)
    sigma = estimate_sigma(signal, noise)
    assert sigma[:1500].max() < 0.01
    assert sigma[2600:].min() > 0.5
    assert sigma.min() >= SMALLEST * noise.std() * 0.999


@given(n=st.integers(1, 400), unit=st.sampled_from([1e-6, 1.0, 1e5]))
def test_any_length_and_unit(n, unit):
    """Sigma has the shape and the unit of the samples."""
    x = np.random.default_rng(0).normal(size=(2, 3, n))
    sigma = estimate_sigma(x * unit, 0.5 * x * unit)
    assert sigma.shape == x.shape
    np.testing.assert_allclose(sigma, unit * estimate_sigma(x, 0.5 * x), rtol=1e-4)


def test_gaps_do_not_make_samples_beside_them_certain():
    """Cells at the edge of a gap have the variance of their samples."""
    rng = np.random.default_rng(0)
    signal, noise = rng.normal(size=(2, 400, 2048))
    valid = np.ones((400, 2048), bool)
    valid[:, 1000:] = False
    sigma = np.square(estimate_sigma(signal, noise, valid)).mean(0)
    assert sigma[990] == pytest.approx(sigma[200:800].mean(), rel=0.25)
    assert np.isfinite(sigma).all()


def test_local_power_is_the_mean_square():
    """Of a sine it is a half, everywhere."""
    x = np.sin(2 * np.pi * np.arange(2048) / 16)
    np.testing.assert_allclose(find_local_power(x), 0.5, rtol=1e-3)


def test_interpolation_is_linear():
    """Cells lie half of their length apart, from the first sample."""
    values = interpolate_cells(np.array([0.0, 1.0, 3.0]), CELL_N)
    assert values[[0, CELL_N // 4, CELL_N // 2, 3 * CELL_N // 4]].tolist() == [0.0, 0.5, 1.0, 2.0]
