"""The scaler of records: its inverse, and what its statistics mean."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoae.records.scaling import RecordScaler


@given(seed=st.integers(0, 99), length=st.integers(1, 700), exponent=st.floats(-25, 25), offset=st.floats(-1e6, 1e6))
def test_undo_gives_the_input_back(seed, length, exponent, offset):
    """undo(apply(x)) = x to float32 rounding of what is left of the line, for any length, size and offset."""
    x = (np.random.default_rng(seed).normal(size=(2, 3, length)) + offset) * 10**exponent
    scaled, stats = RecordScaler().apply(x)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(RecordScaler().undo(scaled, stats), x, rtol=0, atol=3e-7 * np.abs(x).max())


@given(slope=st.floats(-1e5, 1e5), offset=st.floats(-1e5, 1e5), share=st.floats(0, 0.6))
def test_a_straight_line_changes_nothing(slope, offset, share):
    """What the net sees does not depend on an offset or a trend, with or without gaps."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1, 2, 640))
    x[rng.random(x.shape) < share] = np.nan
    scaled, _ = RecordScaler().apply(x)
    shifted, _ = RecordScaler().apply(x + offset + slope * np.arange(640) / 640)
    np.testing.assert_allclose(shifted, scaled, atol=1e-5)


def test_the_gain_is_the_noise_level_not_the_event():
    """A loud event in a tenth of the window, or a spike, hardly moves the gain: noise comes out with unit variance."""
    rng = np.random.default_rng(4)
    x = rng.normal(0, 7, size=(1, 1, 6000))
    x[..., 3000:3600] += 7000 * np.sin(np.arange(600) / 3)
    x[..., 100] += 7000
    _, stats = RecordScaler().apply(x)
    assert 6 < float(stats.gain[0, 0, 0]) < 8.5


def test_gaps_are_filled_with_zeros_and_dead_components_stay_dead():
    """NaN is 0 behind the scaler; a constant or missing component is all zeros with gain 1."""
    x = np.random.default_rng(5).normal(size=(1, 3, 500))
    x[0, 0, 100:200], x[0, 1], x[0, 2] = np.nan, np.nan, 4.2e9
    scaled, stats = RecordScaler().apply(x)
    assert (scaled[0, 0, 100:200] == 0).all()
    assert (scaled[0, 1:] == 0).all()
    assert (stats.gain[0, 1:] == 1).all() or stats.gain[0, 2] > 0


def test_a_line_with_gaps_is_the_least_squares_line():
    """Offset and slope agree with numpy's polynomial fit over the samples that are there."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=300) + 5 + 0.02 * np.arange(300)
    x[50:120] = np.nan
    _, stats = RecordScaler().apply(x[None, None])
    t, ok = np.linspace(-1, 1, 300), np.isfinite(x)
    slope, offset = np.polyfit(t[ok], x[ok], 1)
    np.testing.assert_allclose([stats.slope[0, 0, 0], stats.offset[0, 0, 0]], [slope, offset], rtol=1e-9)
