"""Synthetic teleseisms have what distant events have in common: order, polarisation and dispersion of their waves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.records import teleseisms
from geoae.records.teleseisms import draw_teleseism


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 4000), rate=st.sampled_from([0.5, 1.0, 2.0]))
def test_an_event_is_finite_with_a_peak_of_one(seed, n, rate):
    """Any length at any rate; the same seed gives the same event."""
    x = draw_teleseism(n, rate, rng(seed))
    assert x.shape == (3, n)
    assert np.isfinite(x).all()
    assert np.abs(x).max() == pytest.approx(1)
    np.testing.assert_array_equal(x, draw_teleseism(n, rate, rng(seed)))


def shallow(distance: float, order: int = 1) -> teleseisms._Source:
    first = float(np.interp(distance, teleseisms._DISTANCES, teleseisms._TIMES["P"]))
    return teleseisms._Source(distance, 10.0, 0.05, order, first)


@pytest.mark.parametrize("distance", [30.0, 60.0, 100.0])
def test_surface_waves_arrive_with_their_group_velocities(distance):
    """Their largest amplitude comes at 2.7 to 4.6 km/s, and long periods come before short ones."""
    source, late = shallow(distance), []
    for seed in range(10):
        x = teleseisms._draw_surface_waves(6000, 1.0, source, rng(seed))
        peak = np.abs(x).max(0).argmax() + source.first
        assert 2.7 < distance * 111.19 / peak < 4.6
        f = np.fft.rfftfreq(6000)
        times = []
        for low, high in ((0.01, 0.02), (0.04, 0.08)):
            band = np.fft.irfft(np.fft.rfft(x[2]) * ((f > low) & (f < high)), 6000)
            times.append(np.average(np.arange(6000), weights=band**2))
        late.append(times[1] - times[0])
    assert np.median(late) > 60


def test_rayleigh_waves_are_elliptical():
    """The vertical component follows the radial one by a quarter of a period: a transform by 90 degrees joins them."""
    values = []
    for seed in range(10):
        x = teleseisms._draw_surface_waves(5000, 1.0, shallow(60), rng(seed))
        turned = np.fft.irfft(1j * np.fft.rfft(x[2]), 5000)
        values.append([abs(np.corrcoef(x[0], turned)[0, 1]), abs(np.corrcoef(x[0], x[2])[0, 1])])
    joined, unshifted = np.median(values, axis=0)
    assert joined > 0.7
    assert unshifted < 0.3


def test_p_comes_first_and_s_is_stronger():
    """Nothing comes before sample 0, P is there from it on, and S has more energy than P in the median."""
    ratios = []
    for seed in range(20):
        source = shallow(50)
        x = teleseisms._draw_body_waves(1500, 1.0, source, rng(seed))
        s = 964 - 534
        assert np.abs(x[:, :30]).max() > 0.01 * np.abs(x).max()
        ratios.append(np.abs(x[:, s : s + 60]).max() / np.abs(x[:, :60]).max())
    assert np.median(ratios) > 1
