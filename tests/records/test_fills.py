"""Filled gaps are found in recordings of any kind, and nothing else is taken for one."""

import numpy as np
import pytest
from scipy.signal import lfilter

from geoae.records.fills import find_fills, find_quantum


def noise(n: int = 6000, seed: int = 0, rms: float = 100.0) -> np.ndarray:
    """Coloured noise in whole numbers."""
    x = lfilter([1], [1, -0.95], np.random.default_rng(seed).normal(size=n))
    return np.round(rms * x / x.std())


@pytest.mark.parametrize("value", [-(2.0**31), 2.0**31 - 1, -999999.0, 1e20, 9.96921e36])
@pytest.mark.parametrize("n", [1, 3, 200, 3000])
def test_impossible_values_are_found(value, n):
    """Values far from all others are fills, however many they are."""
    x = noise()
    x[2000 : 2000 + n] = value
    np.testing.assert_array_equal(np.flatnonzero(find_fills(x, 100.0)), np.arange(2000, 2000 + n))


@pytest.mark.parametrize("offset", [0.0, 400.0, 5000.0])
@pytest.mark.parametrize("at", [0, 2000, 5700])
@pytest.mark.parametrize("scale", [1.0, -1e-9])
def test_constant_values_are_found(offset, at, scale):
    """A second or more of one value is a fill, among the values of the recording and beside them, in any unit."""
    x = (noise() + offset) * scale
    x[at : at + 300] = 0.0
    np.testing.assert_array_equal(np.flatnonzero(find_fills(x, 100.0)), np.arange(at, at + 300))


def test_the_last_value_repeated_is_found():
    """Some recorders repeat the last sample."""
    x = noise()
    x[2000:2250] = x[1999]
    np.testing.assert_array_equal(np.flatnonzero(find_fills(x, 100.0)), np.arange(1999, 2250))


def test_many_short_fills_close_to_each_other_are_found():
    """Fills between fills are compared with samples, not with other fills."""
    x = noise() + 5000
    places = np.concatenate([np.arange(a, a + 10) for a in range(2000, 3000, 25)])
    x[places] = 0.0
    np.testing.assert_array_equal(np.flatnonzero(find_fills(x, 100.0)), places)


@pytest.mark.parametrize(("n", "is_fill"), [(4, False), (30, True)])
def test_a_value_that_stays_needs_less_distance(n, is_fill):
    """Five times the range of the samples around is far for a third of a second, and not for a few samples."""
    x = noise()
    x[3000 : 3000 + n] = 5 * np.ptp(x)
    assert find_fills(x, 100.0).sum() == n * is_fill


@pytest.mark.parametrize(("seconds", "is_fill"), [(40, False), (62, True)])
def test_a_minute_of_one_value_is_a_fill_in_any_recording(seconds, is_fill):
    """Also among few counts, where a shorter time may be a quiet one."""
    x = np.round(np.random.default_rng(1).normal(size=1800))
    x[300 : 300 + 20 * seconds] = 0.0
    assert find_fills(x, 20.0)[310 : 290 + 20 * seconds].all() == is_fill
    assert find_fills(x, 20.0).any() == is_fill


QUIET = {
    "noise": noise(),
    "noise of 0.3 counts": np.round(np.random.default_rng(1).normal(size=6000) * 0.3),
    "noise of one count": np.round(np.random.default_rng(1).normal(size=6000)),
    "slow and smooth": np.round(30 * np.sin(np.arange(6000) / 600)),
    "clipped": np.clip(noise(), -150, 150),
    "clipped sine": np.clip(np.round(1000 * np.sin(np.arange(6000) / 200) + noise(rms=3)), -300, 300),
    "clipped on one side": np.minimum(np.round(1000 * np.sin(np.arange(6000) / 200) + noise(rms=3)), 700),
    "few samples beside a constant": np.concatenate([noise()[:100], np.zeros(300)]),
    "stairs of counts": np.round(np.arange(6000) / 150),
    "spike": np.where(np.arange(6000) == 3000, 20_000, noise()),
    "onset": noise() * np.where(np.arange(6000) < 3000, 1, 1000),
    "dead": np.full(5000, 7.0),
    "one sample": np.ones(1),
    "gaps": np.where(np.arange(6000) % 1000 < 500, noise(), np.nan),
}


@pytest.mark.parametrize("name", QUIET)
def test_recordings_are_no_fills(name):
    """Quiet recordings of few counts, clipped peaks, spikes and onsets are recordings."""
    assert not find_fills(QUIET[name], 100.0).any()


def test_quantum():
    """The step of whole numbers times a factor; 0 for a constant."""
    assert find_quantum(np.array([0.0, 5.0, 5.0, 15.0, np.nan, 10.0])) == 5.0
    assert find_quantum(np.ones(4)) == 0.0
