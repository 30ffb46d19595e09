"""Steps are found with their place and height, and earthquakes, spikes and drift are no steps."""

import numpy as np
import pytest

from geoae.records.steps import find_steps
from tests.records.test_fills import noise


@pytest.mark.parametrize("height", [5000.0, -1500.0])
@pytest.mark.parametrize(("rate", "unit"), [(20.0, 1.0), (100.0, 1e-9), (200.0, 1.0)])
def test_a_step_is_found(height, rate, unit):
    """Place and height, with an error of less than twice the rms of the noise."""
    x = noise(12000)
    x[7000:] += height
    ((at, found),) = find_steps(x * unit, rate)
    assert at == 7000
    assert abs(found / unit - height) < 200


def test_steps_are_found_beside_each_other_and_a_gap():
    """Several steps, one of them in a gap of ten seconds."""
    x = noise(12000) + 3000 * (np.arange(12000) >= 3000) + 2000 * (np.arange(12000) >= 6000)
    x[8000:9000] = np.nan
    x[9000:] -= 4000
    assert [at for at, _ in find_steps(x, 100.0)] == [3000, 6000, 9000]
    np.testing.assert_allclose([height for _, height in find_steps(x, 100.0)], [3000, 2000, -4000], atol=200)


@pytest.mark.parametrize("n", [1, 3])
def test_a_step_in_a_short_gap_is_one_step(n):
    """A gap of few samples, as wide as the edge of a step."""
    x = noise(12000) + 5000.0 * (np.arange(12000) >= 7000)
    x[7000 - n : 7000] = np.nan
    assert [at for at, _ in find_steps(x, 100.0)] == [7000]


def test_heights_are_means_of_many_samples():
    """Noise disturbs them by less than the difference of two samples."""
    x = np.random.default_rng(0).normal(0, 100, 12000) + 5000.0 * (np.arange(12000) // 3000)
    np.testing.assert_allclose([height for _, height in find_steps(x, 100.0)], [5000] * 3, atol=40)


def earthquake() -> np.ndarray:
    """An onset within a sample, a thousand times larger than the noise, and a coda."""
    t = np.arange(9000) / 100
    return np.where(t > 0, 1e5 * np.exp(-t / 10) * np.sin(2 * np.pi * 1.3 * t + 1), 0.0)


t = np.arange(12000) / 100
OTHERS = {
    "noise": noise(12000),
    "earthquake": noise(12000) + np.concatenate([np.zeros(3000), earthquake()]),
    "spike": noise(12000) + 1e4 * (np.arange(12000) == 6000),
    "a second": noise(12000) + 1e4 * ((t > 60) & (t < 61)),
    "less than two seconds": noise(12000) + 1e4 * ((t > 60) & (t < 61.8)),
    "a gap of 50 seconds": np.where((t > 40) & (t < 90), np.nan, noise(12000) + 1e4 * (t > 60)),
    "two seconds before a gap": np.where((t > 2) & (t < 7), np.nan, noise(12000) + 1e4 * (t > 5)),
    "a count beside a gap": np.where((t > 58) & (t < 62), np.nan, np.floor(t / 60)),
    "drift": noise(12000) + 100 * t,
    "trend beside a gap": np.where((t > 60) & (t < 80), np.nan, noise(12000, rms=2) + 100 * t),
    "swell": noise(12000, rms=5) + 3000 * np.sin(2 * np.pi * t / 14),
    "stairs of counts": np.floor(t / 10),
    "short": noise(50),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_signals_are_no_steps(name):
    """What oscillates, does not stay, or grows slowly."""
    assert find_steps(OTHERS[name], 100.0) == []
