"""The channels of a slice do not depend on the block that it is read in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.arrays import neighbours
from geoae.arrays.neighbours import N_VALUES


def field(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3, 4))
    x[rng.random(x.shape) < 0.3] = np.nan
    return x


@given(n=st.integers(1, 12), near=st.integers(0, 3), more=st.integers(0, 5), data=st.data())
def test_any_block_that_holds_the_neighbours_gives_the_same(n, near, more, data):
    """Bit by bit, whatever else the block holds."""
    x, far = field(n), near + more
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    read = neighbours.find_halo(start, stop, n, far)
    for index in range(start, stop):
        part = neighbours.make_channels(x[read], index - read.start, near, far, origin=read.start, n=n)
        np.testing.assert_array_equal(part, neighbours.make_channels(x, index, near, far))


def test_means_leave_out_the_slice_and_missing_values():
    """Computed by hand for the middle one of three slices."""
    x = np.array([[[1.0, np.nan]], [[100.0, 5.0]], [[3.0, np.nan]]])
    out = neighbours.make_channels(x, 1, 1, 2)
    np.testing.assert_array_equal(out[:, 0, 0], [100.0, 2.0, 2.0, np.nan, 1.0, 1.0, 0.5, 0.0])
    np.testing.assert_array_equal(out[:, 0, 1], [5.0, np.nan, np.nan, np.nan, 1.0, 0.0, 0.0, 0.0])


def test_a_single_slice_has_no_neighbours():
    """No mean, no weight."""
    out = neighbours.make_channels(np.ones((1, 2, 2)), 0, 2, 16)
    assert np.isnan(out[1:N_VALUES]).all()
    assert (out[N_VALUES + 1 :] == 0).all()


def test_an_overview_is_the_slice_less_its_noise():
    """It is known where the slice is known, and no other channel changes."""
    x = np.array([[[1.0, np.nan]]])
    out = neighbours.add_overview(neighbours.make_channels(x, 0, 2, 16)[None], np.array([[[0.25, 3.0]]]))[0]
    np.testing.assert_array_equal(out[neighbours.OVERVIEW], [[0.75, np.nan]])
    np.testing.assert_array_equal(out[N_VALUES + neighbours.OVERVIEW], [[1.0, 0.0]])
    np.testing.assert_array_equal(out[[0, 1, 2, 4, 5, 6]], neighbours.make_channels(x, 0, 2, 16)[[0, 1, 2, 4, 5, 6]])


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_means_follow_the_scale(scale):
    """Values are multiplied, weights are not."""
    one, other = neighbours.make_channels(field(5), 2, 1, 2), neighbours.make_channels(scale * field(5), 2, 1, 2)
    np.testing.assert_allclose(other[:N_VALUES], scale * one[:N_VALUES], rtol=1e-12)
    np.testing.assert_array_equal(other[N_VALUES:], one[N_VALUES:])


@settings(max_examples=30)
@given(by=st.sampled_from([2, 4]), seed=st.integers(0, 99), gaps=st.floats(0, 0.5))
def test_a_finer_grid_keeps_the_known_points(by, seed, gaps):
    """Every second or fourth point is an old one; known values stay known, and unknown ones unknown."""
    rng = np.random.default_rng(seed)
    planes = rng.normal(size=(2, 2 * N_VALUES, 9, 11))
    planes[:, N_VALUES:] = rng.random((2, N_VALUES, 9, 11)) >= gaps
    planes[:, :N_VALUES][planes[:, N_VALUES:] == 0] = np.nan
    fine = neighbours.enlarge_channels(planes, by)
    assert fine.shape == (2, 2 * N_VALUES, 9 * by, 11 * by)
    np.testing.assert_allclose(fine[..., ::by, ::by], planes, atol=1e-9)
    np.testing.assert_array_equal(np.isfinite(fine[:, :N_VALUES]), fine[:, N_VALUES:] > 0)


def test_a_finer_grid_lies_on_the_smooth_field():
    """New points are those of the field; channels without values stay without."""
    y, x = (np.arange(n) for n in (12, 14))
    smooth = np.sin(y / 5)[:, None] * np.cos(x / 4)
    nothing = np.full_like(smooth, np.nan)
    planes = np.stack([smooth, smooth, nothing, nothing, *np.ones((2, 12, 14)), *np.zeros((2, 12, 14))])
    fine = neighbours.enlarge_channels(planes, 4)
    expected = np.sin(np.arange(45) / 20)[:, None] * np.cos(np.arange(53) / 16)
    np.testing.assert_allclose(fine[0, :45, :53], expected, atol=2e-3)
    assert np.isnan(fine[2]).all()
    assert (fine[6:] == 0).all()
