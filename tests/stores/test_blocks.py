"""Chunks have the documented size, and tasks cover a store once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.stores.blocks import MAX_SAMPLES, MIN_SAMPLES, Part, Variable, choose_chunks, choose_shards, find_task

SHAPES = st.lists(st.integers(1, 5000), min_size=1, max_size=4).map(tuple)


@given(shape=SHAPES, data=st.data())
def test_chunks_have_half_a_million_to_one_and_a_half_million_samples(shape, data):
    """For any shape and any axes of the model, unless the whole array is smaller."""
    core = data.draw(st.sets(st.sampled_from(range(len(shape)))))
    chunks = choose_chunks(shape, core)
    assert all(1 <= c <= n for c, n in zip(chunks, shape, strict=True))
    assert min(MIN_SAMPLES, math.prod(shape)) <= math.prod(chunks) <= MAX_SAMPLES


@given(shape=SHAPES, data=st.data())
def test_batch_entries_are_divided_before_the_models_axes(shape, data):
    """The model's axes are whole unless one batch entry alone is too large."""
    core = data.draw(st.sets(st.sampled_from(range(len(shape))), min_size=1))
    chunks = choose_chunks(shape, core)
    if math.prod(shape[a] for a in core) <= MAX_SAMPLES:
        assert all(chunks[a] == shape[a] for a in core)
    else:
        assert all(c == 1 for a, c in enumerate(chunks) if a not in core)


@given(n=st.integers(1, 10_000))
def test_chunks_of_a_growing_store_do_not_depend_on_its_length(n):
    """A store that begins with one time step does not have small chunks."""
    assert choose_chunks((n, 64, 64), (1, 2), grows=0) == (256, 64, 64)


@given(shape=SHAPES, n=st.integers(1, 64), data=st.data())
def test_shards_hold_whole_chunks_up_to_a_limit(shape, n, data):
    """Also where the limit does not divide the number of chunks."""
    chunks = tuple(data.draw(st.integers(1, size)) for size in shape)
    shards = choose_shards(shape, chunks, n)
    counts = [s / c for s, c in zip(shards, chunks, strict=True)]
    assert all(count.is_integer() for count in counts)
    assert math.prod(counts) <= n
    assert all(s < size + c for s, c, size in zip(shards, chunks, shape, strict=True))


@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple), data=st.data())
def test_tasks_cover_new_samples_once_and_write_whole_blocks(shape, data):
    """For new stores and for appending: regions do not overlap, and no block is written in part."""
    block = tuple(data.draw(st.integers(1, 6)) for _ in shape)
    axis = data.draw(st.sampled_from(range(len(shape))))
    old = data.draw(st.integers(0, shape[axis] - 1))
    dims = tuple("abc"[: len(shape)])
    part = Part("u", len(shape), (Variable("u", dims, shape, "float32", block),), (axis, old) if old else None)
    new = np.zeros([n - old * (a == axis) for a, n in enumerate(shape)], int)
    written = np.zeros(shape, int)
    for number in range(part.n_blocks):
        one = find_task([part], number)
        new[one.region] += 1
        written[one.block] += 1
        assert all(s.start % b == 0 and (s.stop % b == 0 or s.stop == n)
                   for s, b, n in zip(one.block, block, shape, strict=True))  # fmt: skip
    assert (new == 1).all()
    assert (written == 1).all()


def test_a_part_of_many_blocks_costs_nothing():
    """Nothing is made for a task before it is looked up."""
    u = Variable("u", ("time", "y", "x"), (10**9, 1000, 1000), "float32", (1, 1000, 1000))
    part = Part("u", 3, (u,))
    assert part.n_blocks == 10**9
    assert find_task([part], 123_456_789).region[0] == slice(123_456_789, 123_456_790)
    with pytest.raises(IndexError):
        find_task([part], 10**9)


def test_variables_of_a_part_share_its_blocks():
    """Parts in which two tasks would write one file are refused."""
    code = Variable("code", ("window", "latent"), (100, 8), "float32", (10, 8))
    Part("code", 1, (code, Variable("gain", ("window",), (100,), "float64", (10,))))
    for wrong in (
        Variable("gain", ("window",), (100,), "float64", (20,)),
        Variable("gain", ("window", "component"), (100, 3), "float64", (10, 1)),
        Variable("gain", ("other",), (100,), "float64", (10,)),
        Variable("gain", ("window",), (100,), "float64", (4,), (10,)),
    ):
        with pytest.raises(ValueError, match=r"does not share|whole multiples"):
            Part("code", 1, (code, wrong))
