"""Levels above the drift: drift and steps do not count, and blocks make no difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.jobs.records.levels import LevelSums

N = 1000
NOISE = np.random.default_rng(0).normal(size=N)
DRIFT = 1e4 * np.sin(np.arange(N) / 500)
STEPS = ((333, 4e4), (777, -2e4))
VALID = np.ones(N, bool)
VALID[400:450] = VALID[900:905] = False
X = NOISE + DRIFT + sum(height * (np.arange(N) >= at) for at, height in STEPS)
X[~VALID] = np.nan
SIGNAL = X - 0.9 * NOISE


def add(sums: LevelSums, a: int, b: int) -> None:
    """Add a block of the trace."""
    steps = [(at - a, height, height) for at, height in STEPS if a <= at < b]
    sums.add(0, a, X[a:b], SIGNAL[a:b], VALID[a:b], steps)


def test_drift_and_steps_do_not_count():
    """The levels are those of the noise, under a drift and steps that are ten thousand times larger."""
    sums = LevelSums(100)
    add(sums, 0, N)
    n, before, after = sums.total()
    assert n == VALID.sum()
    assert before / np.sqrt(n) == pytest.approx(NOISE[VALID].std(), rel=0.1)
    assert 20 * np.log10(before / after) == pytest.approx(20, abs=0.5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, N - 1), max_size=8, unique=True).map(sorted), st.randoms())
def test_blocks_make_no_difference(cuts, random):
    """Blocks in this process and from others, in any order, have the sums of the whole."""
    whole, others = LevelSums(100), LevelSums(100)
    add(whole, 0, N)
    blocks = list(zip([0, *cuts], [*cuts, N], strict=True))
    random.shuffle(blocks)
    for a, b in blocks:
        part = LevelSums(100)
        add(part, a, b)
        others.merge(part.export())
    assert others.total() == pytest.approx(whole.total(), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_any_unit(scale):
    """Squares that are zero or infinite in float64 do no harm."""
    sums = LevelSums(100)
    sums.add(0, 0, NOISE * scale, NOISE * scale, np.ones(N, bool))
    assert sums.total()[1] / scale == pytest.approx(np.sqrt(N), rel=0.1)


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_short_traces(n):
    """What is shorter than a quarter of a frame is compared about its mean."""
    sums = LevelSums(100)
    sums.add(0, 0, NOISE[:n] + 7, NOISE[:n], np.ones(n, bool))
    assert sums.total() == pytest.approx((n, *[NOISE[:n].std() * np.sqrt(n)] * 2))


@pytest.mark.parametrize("power", [0, 1, 2])
def test_a_drift_alone_has_no_level(power):
    """Rounding errors of the computation are no noise."""
    sums, drift = LevelSums(100), 1e7 / 3 + 1e4 * (np.arange(N) / 70) ** power
    sums.add(0, 0, drift, drift, np.ones(N, bool))
    assert sums.total() == (N, 0.0, 0.0)


def test_steps_that_were_removed_do_not_count_either():
    """The level after denoising is that of a signal without them."""
    kept, removed = LevelSums(100), LevelSums(100)
    add(kept, 0, N)
    flat = SIGNAL - sum(height * (np.arange(N) >= at) for at, height in STEPS)
    removed.add(0, 0, X, flat, VALID, [(at, height, 0.0) for at, height in STEPS])
    np.testing.assert_allclose(removed.total(), kept.total(), rtol=1e-6)
