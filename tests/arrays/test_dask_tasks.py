"""Lazy arrays whose blocks come from shared tasks."""

import dask
import dask.array as da
import numpy as np
import pytest

from geoae.arrays.dask_tasks import BlockFunction, map_blocks


def neighbours(axis: int, number: int) -> list[int]:
    """A block and the one before it, along the first axis."""
    return [n for n in (number - 1, number) if n >= 0] if axis == 0 else [number]


def sums(factor: float, index: tuple[int, ...], blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The block of an index in its own size, plus the number of its inputs, and the same times a factor."""
    block = blocks[-1] + len(blocks) + 10 * index[0]
    return block, factor * block


@pytest.fixture
def lazy():
    x = da.from_array(np.arange(24.0).reshape(6, 4), chunks=((2, 3, 1), (4,)))
    return x, map_blocks(x, BlockFunction("add", sums, 2.0, neighbours), ("one", "two"), "t", np.dtype("f8"))


def test_each_block_is_computed_from_its_input_blocks(lazy):
    """Both arrays are what the function returns, block by block."""
    x, (one, two) = lazy
    expected = np.asarray(x) + np.repeat([1, 12, 22], [2, 3, 1])[:, None]
    assert one.chunks == two.chunks == x.chunks
    np.testing.assert_array_equal(one.compute(), expected)
    np.testing.assert_array_equal(two.compute(), 2 * expected)


def test_arrays_computed_together_share_their_tasks(lazy):
    """The function runs once a block for both."""
    counts = []

    def count(shared, index, blocks):
        counts.append(index)
        return sums(shared, index, blocks)

    one, two = map_blocks(lazy[0], BlockFunction("add", count, 2.0, neighbours), ("one", "two"), "u", np.dtype("f8"))
    dask.compute(one, two, scheduler="synchronous")
    assert sorted(counts) == [(0, 0), (1, 0), (2, 0)]


def test_a_region_needs_only_its_own_tasks(lazy):
    """The first rows are computed from the first block alone."""
    counts = []

    def count(shared, index, blocks):
        counts.append(index)
        return sums(shared, index, blocks)

    one, _ = map_blocks(lazy[0], BlockFunction("add", count, 2.0, neighbours), ("one", "two"), "v", np.dtype("f8"))
    np.testing.assert_array_equal(one[:2].compute(scheduler="synchronous"), np.arange(8.0).reshape(2, 4) + 1)
    assert counts == [(0, 0)]
