"""The scaler of fields: its inverse, missing values, constants and units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.arrays.scaling import FieldScaler


def windows(seed: int, share: float = 0.0) -> np.ndarray:
    """Three windows (batch, channel, y, x) with a share of missing values, but with some values each."""
    rng = np.random.default_rng(seed)
    x = rng.normal(5, 2, size=(3, 1, 6, 7))
    x[rng.random(x.shape) < share] = np.nan
    x[..., 0, :2] = 1.0, 9.0
    return x


@given(seed=st.integers(0, 99), share=st.floats(0, 0.9), exponent=st.integers(-200, 200))
def test_undo_returns_the_input_in_any_units(seed, share, exponent):
    """undo(apply(x)) = x to the rounding of float32; missing values are the mean of their window."""
    x = windows(seed, share) * 10.0**exponent
    scaled, stats = FieldScaler().apply(x)
    expected = np.where(np.isfinite(x), x, np.nanmean(x, (2, 3), keepdims=True))
    np.testing.assert_allclose(FieldScaler().undo(scaled, stats), expected, rtol=0, atol=3e-7 * np.nanmax(np.abs(x)))


@given(seed=st.integers(0, 99), share=st.floats(0, 0.9))
def test_statistics_are_mean_and_standard_deviation(seed, share):
    """Of the values that are not missing, so scaled windows have mean 0 and variance 1."""
    x = windows(seed, share)
    scaled, stats = FieldScaler().apply(x)
    np.testing.assert_allclose(stats.offset[:, 0, 0, 0], np.nanmean(x, (1, 2, 3)))
    np.testing.assert_allclose(stats.gain[:, 0, 0, 0], np.nanstd(x, (1, 2, 3)))
    assert (scaled[np.isnan(x)] == 0).all()
    assert (stats.slope == 0).all()


def test_all_value_channels_share_one_scale_and_weights_stay():
    """Offset and gain are those of the first channel."""
    x = np.random.default_rng(0).normal(3, 2, size=(2, 4, 8, 8))
    scaled, stats = FieldScaler(channels=2).apply(x)
    np.testing.assert_allclose(scaled[:, :2], (x[:, :2] - stats.offset) / stats.gain, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(scaled[:, 2:], x[:, 2:].astype(np.float32))


@pytest.mark.parametrize("level", [0.0, 273.15, -1e30])
def test_a_constant_window_has_no_gain(level):
    """Its scaled values are 0, and undo gives the constant whatever a net returns."""
    scaled, stats = FieldScaler().apply(np.full((1, 1, 5, 5), level))
    assert (scaled == 0).all()
    assert (stats.gain == 0).all()
    np.testing.assert_allclose(FieldScaler().undo(scaled + 3, stats), level)
