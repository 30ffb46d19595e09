"""What a net sees beside a slice does not depend on the block it was read in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae import context


def field(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3, 4))
    x[rng.random(x.shape) < 0.3] = np.nan
    return x


@given(n=st.integers(1, 12), near=st.integers(0, 3), more=st.integers(0, 5), data=st.data())
def test_any_block_that_holds_the_neighbours_gives_the_same(n, near, more, data):
    """Bit by bit, whatever else is in the block."""
    x, far = field(n), near + more
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    read = context.halo(start, stop, n, far)
    for index in range(start, stop):
        part = context.channels(x[read], index - read.start, near, far, origin=read.start, n=n)
        np.testing.assert_array_equal(part, context.channels(x, index, near, far))


def test_means_leave_the_slice_out_and_what_is_missing():
    """By hand: three slices, the middle one asked for."""
    x = np.array([[[1.0, np.nan]], [[100.0, 5.0]], [[3.0, np.nan]]])
    out = context.channels(x, 1, 1, 2)
    np.testing.assert_array_equal(out[:, 0, 0], [100.0, 2.0, 2.0, 1.0, 1.0, 0.5])
    np.testing.assert_array_equal(out[:, 0, 1], [5.0, np.nan, np.nan, 1.0, 0.0, 0.0])


def test_a_slice_alone_has_no_neighbours():
    """No mean, no weight."""
    out = context.channels(np.ones((1, 2, 2)), 0, 2, 16)
    assert np.isnan(out[1:3]).all()
    assert (out[4:] == 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_means_follow_the_scale(scale):
    """Values are multiplied, weights are not."""
    one, other = context.channels(field(5), 2, 1, 2), context.channels(scale * field(5), 2, 1, 2)
    np.testing.assert_allclose(other[:3], scale * one[:3], rtol=1e-12)
    np.testing.assert_array_equal(other[3:], one[3:])
