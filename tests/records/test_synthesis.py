"""Drawn earthquakes have what events have in common: a sharp onset, a stronger S wave, and a coda."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.records.synthesis import draw_earthquake

SEEDS = st.integers(0, 2**32 - 1)
RATES = st.floats(20, 200)


def draw(seed: int, n: int = 6000, rate_hz: float = 100.0) -> np.ndarray:
    return draw_earthquake(n, rate_hz, np.random.default_rng(seed))


@given(seed=SEEDS, n=st.integers(2, 5000), rate=RATES)
def test_an_event_is_finite_with_a_peak_of_one(seed, n, rate):
    """Any length at any rate gives three components whose largest amplitude is 1."""
    x = draw(seed, n, rate)
    assert x.shape == (3, n)
    assert np.isfinite(x).all()
    assert np.abs(x).max() == pytest.approx(1)


def test_one_sample_is_silence():
    """Sample 0 is the last before anything moves, so one sample shows nothing."""
    assert not draw(0, n=1).any()


@given(seed=SEEDS, n=st.integers(2, 3000), rate=RATES)
def test_an_event_depends_on_its_generator_alone(seed, n, rate):
    """The same seed gives the same event, another seed another one."""
    np.testing.assert_array_equal(draw(seed, n, rate), draw(seed, n, rate))
    assert not np.array_equal(draw(seed, n, rate), draw(seed + 1, n, rate))


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0, 200.0])
def test_the_onset_is_sharp(rate):
    """P begins at sample 0, from zero: a fifth of the early P wave is reached within 0.2 s in 19 of 20 events."""
    times = []
    for seed in range(100):
        x = np.abs(draw(seed, round(20 * rate), rate)).max(axis=0)
        assert x[0] == 0
        assert x[1] > 0
        early = x[: round(0.4 * rate)]  # the earliest S comes after that
        times.append(np.argmax(early > 0.2 * early.max()) / rate)
    assert np.median(times) <= 0.1
    assert np.quantile(times, 0.95) <= 0.2


def test_the_first_arrival_is_polarised():
    """0.4 s of P lie nearer to one line than the coda does, and that line is steep in two of three events."""

    def line(x: np.ndarray) -> tuple[float, float]:
        """Share of the energy on the principal axis, and how upright that axis is."""
        values, vectors = np.linalg.eigh(x @ x.T)
        return values[-1] / values.sum(), abs(vectors[2, -1])

    events = [draw(seed) for seed in range(200)]
    share, upright = np.array([line(x[:, :40]) for x in events]).T
    assert np.median(share) > np.median([line(x[:, -500:])[0] for x in events]) + 0.15
    assert np.mean(upright > np.sqrt(0.5)) > 0.65


def test_s_is_stronger_than_p_and_its_coda_fades():
    """What comes after the earliest S has the peak and most of the energy; later minutes have ever less."""
    x = np.array([draw(seed, 12000) for seed in range(200)])
    p, rest = x[..., :40], x[..., 40:]
    assert np.mean(np.abs(rest).max((1, 2)) > np.abs(p).max((1, 2))) > 0.95
    assert np.median(np.abs(p).max((1, 2))) < 0.5
    assert np.median((rest**2).sum((1, 2)) / (p**2).sum((1, 2))) > 10
    level = np.median((x**2).sum(1).reshape(200, 4, -1).mean(-1), axis=0)  # of each half minute
    assert (level[1:] < 0.5 * level[:-1]).all()


@given(seed=SEEDS)
def test_an_event_may_be_longer_than_its_window(seed):
    """Half a second, before S of most events, is an event too."""
    assert np.abs(draw(seed, 50)).max() == pytest.approx(1)
