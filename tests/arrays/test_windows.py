"""Windows cover every sample, and the result for a region does not depend on the division of the array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.arrays.windows import WindowGrid, find_window_starts, join_region


@given(length=st.integers(1, 400), window=st.integers(1, 64), stride=st.integers(1, 64))
def test_windows_cover_every_sample_and_end_flush(length, window, stride):
    """No sample is outside all windows, and no window ends behind the array unless the array is shorter."""
    stride = min(stride, window)
    starts = find_window_starts(length, window, stride)
    covered = np.zeros(max(length, window), bool)
    for s in starts:
        covered[s : s + window] = True
    assert covered[:length].all()
    assert starts[-1] + window == max(length, window)


@given(
    length=st.integers(1, 400),
    window=st.integers(2, 40),
    stride=st.integers(1, 40),
    cut=st.integers(1, 399),
    batch=st.integers(1, 9),
)
def test_any_chunking_gives_the_same_result(length, window, stride, cut, batch):
    """Overlap-add of a region does not depend on how the array was divided, bit for bit."""
    x = np.random.default_rng(0).normal(size=(2, length))
    grid, cut = WindowGrid((length,), (window,), (min(stride, window),)), min(cut, length - 1)
    whole, *parts = (
        join_region(lambda r: x[:, r[0]], np.tanh, grid, (slice(a, b),), n)
        for a, b, n in [(0, length, 16), (0, cut, batch), (cut, length, batch)]
        if b > a
    )
    np.testing.assert_array_equal(np.concatenate(parts, axis=-1), whole)


@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 30)), stride=st.integers(1, 8), cut=st.integers(0, 29))
def test_two_dimensions_are_joined_alike(shape, stride, cut):
    """A function of single samples is reproduced exactly for fields, region by region."""
    x = np.random.default_rng(1).normal(size=shape)
    grid, cut = WindowGrid(shape, (8, 8), (stride, stride)), min(cut, shape[0] - 1)
    rows = [slice(a, b) for a, b in ((0, cut), (cut, shape[0])) if b > a]
    parts = [join_region(x.__getitem__, np.tanh, grid, (r, slice(0, shape[1]))) for r in rows]
    np.testing.assert_allclose(np.concatenate(parts), np.tanh(x), atol=1e-12)


def test_the_result_is_the_weighted_mean_of_the_windows():
    """Two windows with different values are cross-faded by their tapers."""
    grid = WindowGrid((6,), (4,), (2,))
    answers = iter([np.zeros(4), np.ones(4)])
    y = join_region(np.zeros(6).__getitem__, lambda b: np.stack([next(answers) for _ in b]), grid, (slice(0, 6),))
    w = grid.taper(0)
    expected = [0, 0, w[0] / (w[0] + w[2]), w[1] / (w[1] + w[3]), 1, 1]
    np.testing.assert_allclose(y, expected)


@pytest.mark.parametrize(("shape", "window", "stride"), [((0,), (4,), (2,)), ((8,), (4,), (5,)), ((8,), (4, 4), (2,))])
def test_impossible_grids_are_refused(shape, window, stride):
    """A stride beyond the window would skip samples; an empty array has no window."""
    with pytest.raises(ValueError, match=r"stride|shape"):
        WindowGrid(shape, window, stride)
