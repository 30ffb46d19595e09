"""Resampling is anchored to the whole array, keeps what lies in the band, and stays local around gaps."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import upfirdn

from geoae.records import resample
from geoae.records.resample import resample_region, resampled_length, resampling_ratio, to_float64

RATIOS = [(1, 2), (2, 1), (8, 5), (5, 8), (5, 1), (1, 5), (1, 1)]


def whole(x, up, down):
    n = x.shape[-1]
    return resample_region(lambda a, b: x[..., a:b], n, up, down, 0, resampled_length(n, up, down))


@pytest.mark.parametrize(("up", "down"), RATIOS)
def test_a_sine_below_both_nyquist_frequencies_is_kept(up, down):
    """Output sample k is the input at k * down / up, to 1e-4, away from the ends."""
    n, f = 4000, 0.3 * min(1, up / down)  # cycles a sample of the input, 60 % of the lower Nyquist frequency
    y = whole(np.sin(2 * np.pi * f * np.arange(n)), up, down)
    k = np.arange(len(y))
    inner = (k * down / up > 200) & (k * down / up < n - 200)
    np.testing.assert_allclose(y[inner], np.sin(2 * np.pi * f * k * down / up)[inner], atol=2e-4)


@pytest.mark.parametrize(("up", "down"), RATIOS)
def test_a_constant_is_kept(up, down):
    """Every phase of the filter has gain one, also at the ends and next to gaps."""
    x = np.full(700, 1e9)
    x[300:310], x[500:650] = np.nan, np.nan
    y = whole(x, up, down)
    np.testing.assert_allclose(y[np.isfinite(y)], 1e9, rtol=1e-12)


@settings(max_examples=60)
@given(
    pair=st.sampled_from(RATIOS),
    n=st.integers(1, 900),
    cut=st.floats(0, 1),
    gap=st.tuples(st.floats(0, 1), st.integers(0, 400)),
)
def test_any_division_gives_the_same_samples(pair, n, cut, gap):
    """Two adjacent regions have the samples of the whole, with gaps of any length."""
    x = np.random.default_rng(0).normal(size=(2, n)) + 100
    at = int(gap[0] * n)
    x[:, at : at + gap[1]] = np.nan
    read = partial(lambda a, b: x[:, a:b])
    m = resampled_length(n, *pair)
    c = min(max(int(cut * m), 1), m)
    parts = [resample_region(read, n, *pair, a, b) for a, b in ((0, c), (c, m)) if b > a]
    np.testing.assert_allclose(np.concatenate(parts, -1), whole(x, *pair), rtol=1e-12, atol=1e-10)


def test_a_gap_stays_a_gap_of_its_length():
    """The gap's length in seconds survives, and nothing changes further away than the filter reaches."""
    x = np.random.default_rng(1).normal(size=2000)
    y = x.copy()
    y[900:1000] = np.nan
    a, b = whole(x, 1, 2), whole(y, 1, 2)
    assert abs(np.isnan(b).sum() - 50) <= 1
    far = np.r_[0:400, 560:1000]
    np.testing.assert_allclose(b[far], a[far], atol=1e-12)


@pytest.mark.parametrize(
    ("native", "expected"),
    [(100, (1, 1)), (99.98, (1, 1)), (200, (1, 2)), (62.5, (8, 5)), (40, (5, 2)), (31.25, (16, 5)), (1000, (1, 10))],
)
def test_ratios_are_small_and_close(native, expected):
    """The smallest whole numbers within a hundredth."""
    up, down = resampling_ratio(native, 100.0)
    assert (up, down) == expected
    assert abs(native * up / down / 100 - 1) <= 0.01


def test_signalling_nan_is_nan_without_a_warning():
    """Damaged files hold any bytes; warnings are errors here."""
    x = np.array([0x7F800001, 0x3F800000], dtype=np.uint32).view(np.float32)
    found = to_float64(x)
    assert np.isnan(found[0])
    assert found[1] == 1


@pytest.mark.parametrize(("up", "down"), [(1, 100), (1, 9), (100, 1), (9, 1)])
def test_large_ratios_filter_as_upfirdn_does(up, down):
    """The products of blocks give the samples of the convolution."""
    x = np.random.default_rng(0).normal(size=(2, 4000 * down // 10 + 200))
    taps, half = resample._design_filter(up, down)
    reach = half // up + 1
    zeros = np.pad(x, ((0, 0), (4 * reach, 4 * reach)))
    n = zeros.shape[-1] * up // down
    start, stop = 2 * reach * up // down, n - 3 * reach * up // down
    found = resample.resample_region(lambda a, b: zeros[:, a:b], zeros.shape[-1], up, down, start, stop)
    expected = upfirdn(taps, zeros, up, down, axis=-1)[:, start + half // down : stop + half // down]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_kept_block_is_read_once():
    """Regions inside the last block need no second reading."""
    calls = []

    def read(start, stop):
        calls.append((start, stop))
        return np.arange(start, stop)

    kept = resample.keep_last_block(read)
    np.testing.assert_array_equal(kept(0, 100), np.arange(100))
    np.testing.assert_array_equal(kept(20, 30), np.arange(20, 30))
    np.testing.assert_array_equal(kept(90, 110), np.arange(90, 110))
    assert calls == [(0, 100), (90, 110)]
