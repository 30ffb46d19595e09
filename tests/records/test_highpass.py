"""The high-pass has zero phase and the gain that it promises, next to gaps too, and any region can be filtered."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.errors import InputError, SamplingRateError
from geoae.records.highpass import check_highpass, extend_into_gaps, highpass_region

RATE = 100.0


def highpass(x: np.ndarray, corner_hz: float, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Filter a part of an array (row, time)."""
    n = x.shape[1]
    return highpass_region(lambda a, b: x[:, a:b], n, RATE, corner_hz, start, n if stop is None else stop)


@pytest.mark.parametrize("corner_hz", [0.01, 1.0, 12.0])
@pytest.mark.parametrize(
    ("ratio", "gain", "tolerance"),
    [(0.3, 0, 1e-4), (0.6, 0, 1e-4), (0.7, 0, 1e-3), (1.0, 0.5, 1e-3), (1.3, 1, 1e-3), (3, 1, 1e-4)],
)
def test_gain_and_phase(corner_hz, ratio, gain, tolerance):
    """Far from the ends a sine comes back with the gain at its frequency, not shifted."""
    n = round(20 * RATE / corner_hz)
    tone = np.sin(2 * np.pi * ratio * corner_hz / RATE * np.arange(n))[None]
    middle = slice(n // 4, 3 * n // 4)
    np.testing.assert_allclose(highpass(tone, corner_hz)[:, middle], gain * tone[:, middle], atol=tolerance)


def test_offsets_and_lines_vanish_beside_gaps_too():
    """A line of a million counts with gaps, at the ends too, leaves rounding error; gaps stay gaps."""
    x = (1e6 + 3.0 * np.arange(9000.0))[None]
    for first, last in ((0, 7), (2000, 2001), (3000, 3300), (4000, 6000), (8990, 9000)):
        x[0, first:last] = np.nan
    high = highpass(x, 1.0)
    np.testing.assert_array_equal(np.isnan(high), np.isnan(x))
    assert np.nanmax(np.abs(high)) < 1e-6


@settings(max_examples=10)
@given(
    corner_hz=st.sampled_from([0.5, 2.0, 45.0]),
    gaps=st.lists(st.tuples(st.integers(0, 3999), st.integers(1, 1500)), max_size=5),
    cuts=st.lists(st.integers(1, 3999), max_size=4),
)
def test_any_regions_are_those_of_the_whole(corner_hz, gaps, cuts):
    """With gaps of any length, the result does not depend on the regions."""
    x = np.random.default_rng(0).normal(size=(2, 4000)).cumsum(1) + 1e4
    for first, length in gaps:
        x[first % 2, first : first + length] = np.nan
    whole = highpass(x, corner_hz)
    regions = pairwise(sorted({0, 4000, *cuts}))
    joined = np.concatenate([highpass(x, corner_hz, a, b) for a, b in regions], axis=1)
    np.testing.assert_allclose(joined, whole, atol=1e-8)
    np.testing.assert_array_equal(np.isfinite(whole), np.isfinite(x))


def test_slow_waves_do_not_ring_beside_gaps():
    """Of a wave at a quarter of the corner frequency less than 3 % is left next to gaps and ends."""
    t = np.arange(12000) / RATE
    left = []
    for phase in np.linspace(0, np.pi, 7):
        x = np.sin(2 * np.pi * 0.25 * t + phase)[None]
        x[0, 4000:4500] = x[0, 7000:9000] = np.nan
        left.append(np.nanmax(np.abs(highpass(x, 1.0))))
    assert max(left) < 0.03


def test_short_pieces_stay_small():
    """Samples between gaps, one or a few, do not become larger than the trace."""
    x = np.full((1, 3000), np.nan)
    x[0, 1000:1700] = np.random.default_rng(1).normal(size=700)
    x[0, [200, 500, 501, 2000]] = 1.0
    x[0, 2500:2990:2] = 1.0
    assert np.nanmax(np.abs(highpass(x, 1.0))) < 2 * np.nanmax(np.abs(x))
    assert np.isnan(highpass(np.full((1, 50), np.nan), 1.0)).all()


def test_infinite_samples_are_gaps():
    """They do not spread."""
    x = np.random.default_rng(2).normal(size=(1, 2000))
    x[0, 900] = np.inf
    high = highpass(x, 2.0)
    assert np.isnan(high[0, 900])
    assert np.abs(np.delete(high, 900)).max() < 10


def test_far_from_samples_gaps_are_zero():
    """Nearer, they are reflected at the end of a parabola."""
    x = np.concatenate([np.arange(50.0) ** 2, np.full(200, np.nan)])
    filled = extend_into_gaps(x, 30, 20)
    np.testing.assert_allclose(filled[50:80], 2 * 49.0**2 - np.arange(48, 18, -1.0) ** 2)
    assert not filled[80:].any()


@pytest.mark.parametrize(
    ("corner_hz", "error", "said"),
    [
        (50.0, SamplingRateError, "XX is sampled at 100 Hz; a high-pass at 50 Hz has to lie below half of that, 50 Hz"),
        (1e-5, InputError, "XX is sampled at 100 Hz; the lowest high-pass is 0.00038 Hz"),
    ],
)
def test_frequencies_that_cannot_be(corner_hz, error, said):
    """From the Nyquist frequency on, and so low that the filter takes hours."""
    with pytest.raises(error, match=said):
        check_highpass(corner_hz, RATE, "XX")
    check_highpass(1.0, RATE, "XX")
