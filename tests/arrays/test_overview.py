"""Overviews of large slices: means of blocks, and interpolation between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.arrays import overview


@given(n=st.integers(1, 40), by=st.integers(1, 5), seed=st.integers(0, 99))
def test_means_ignore_missing_values(n, by, seed):
    """Equal to numpy's means block by block; NaN if a block has no value."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, n, 7))
    x[rng.random(x.shape) < 0.4] = np.nan
    found = overview.average_blocks(x, by)
    assert found.shape == (2, -(-n // by), -(-7 // by))
    for k, i, j in np.ndindex(found.shape):
        block = x[k, i * by : (i + 1) * by, j * by : (j + 1) * by]
        expected = np.nan if np.isnan(block).all() else block[np.isfinite(block)].mean()
        np.testing.assert_allclose(found[k, i, j], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("n", "by"), [(40, 4), (43, 4), (30, 3)])
def test_interpolation_is_exact_for_parabolas(n, by):
    """Also for straight lines and constants, away from the ends."""
    middle = np.arange(overview.count_blocks(n, by)) * by + (by - 1) / 2
    at = np.arange(2 * by, n - 3 * by)
    for power in (0, 1, 2):
        found = overview.interpolate_blocks(middle**power, 0, 0, n, slice(2 * by, n - 3 * by), by, closed=False)
        np.testing.assert_allclose(found, at.astype(float) ** power, rtol=1e-10)


def test_a_periodic_axis_has_no_ends():
    """Points beyond the last are the first ones, and a wave continues across the seam."""
    n, by = 360, 4
    wave = np.cos(2 * np.pi * (np.arange(90) * by + 1.5) / n)
    found = overview.interpolate_blocks(wave, 0, 0, n, slice(-20, n + 20), by, closed=True)
    np.testing.assert_allclose(found, np.cos(2 * np.pi * np.arange(-20, n + 20) / n), atol=1e-4)
    np.testing.assert_array_equal(found[:40], found[n : n + 40])


@given(n=st.integers(8, 90), by=st.integers(2, 5), closed=st.booleans(), data=st.data())
def test_a_region_needs_only_the_blocks_of_its_span(n, by, closed, data):
    """Interpolated from these alone it is the same as in the whole, along any axis."""
    blocks = np.random.default_rng(n).normal(size=(3, overview.count_blocks(n, by)))
    a, b = sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2)))
    whole = overview.interpolate_blocks(blocks, 1, 0, n, slice(0, n), by, closed)
    need = overview.find_block_span(slice(a, b), n, by, closed)
    part = overview.interpolate_blocks(blocks[:, need], -1, need.start, n, slice(a, b), by, closed)
    np.testing.assert_array_equal(part, whole[:, a:b])
