"""How the arrays of a store are divided: chunks, shards, and tasks that each write one block of them.

Arithmetic only: a store of a hundred thousand blocks costs as much as one of three.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

TARGET_SAMPLES = 1 << 20
"""Samples that a chunk aims at, between the two below."""
MIN_SAMPLES, MAX_SAMPLES = 400_000, 1_500_000
Region = tuple[slice, ...]


@dataclass(frozen=True)
class Variable:
    """One array of a store. A block, which is a shard or else a chunk, is one file."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None

    @property
    def block(self) -> tuple[int, ...]:
        """Samples of one file along each axis."""
        return self.shards or self.chunks

    def file(self, index: Sequence[int]) -> str:
        """Path of a block inside the store; axes after those of `index` have one block.

        Examples
        --------
        >>> Variable("u", ("time", "y", "x"), (9, 8, 8), "float32", (2, 8, 8)).file((3,))
        'u/c.3.0.0'
        """
        # all in one folder: a look at what is done is one listing, and a block costs one file and no folders
        return ".".join([f"{self.name}/c", *map(str, index), *["0"] * (len(self.shape) - len(index))])


@dataclass(frozen=True)
class Part:
    """Variables that share their first `n_axes` axes and are written together: a task writes one block of each."""

    name: str
    n_axes: int
    variables: tuple[Variable, ...]
    grown: tuple[int, int] | None = None
    """Axis, and samples along it that were written before this run."""

    def __post_init__(self) -> None:
        for v in self.variables:
            whole = all(b >= n for b, n in zip(v.block[self.n_axes :], v.shape[self.n_axes :], strict=True))
            same = all(getattr(v, k)[: self.n_axes] == getattr(self, k) for k in ("dims", "shape", "block"))
            if not (whole and same):
                raise ValueError(f"{v} does not share the blocks of part {self.name!r}, or divides an axis of its own")
            if any(s % c for s, c in zip(v.block, v.chunks, strict=True)):
                raise ValueError(f"{v.name}: shards {v.shards} are no whole multiples of chunks {v.chunks}")

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the shared axes."""
        return self.variables[0].dims[: self.n_axes]

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples along the shared axes."""
        return self.variables[0].shape[: self.n_axes]

    @property
    def block(self) -> tuple[int, ...]:
        """Samples of one block along the shared axes."""
        return self.variables[0].block[: self.n_axes]

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each shared axis."""
        return tuple(-(-n // b) for n, b in zip(self.shape, self.block, strict=True))

    @property
    def n_blocks(self) -> int:
        """Blocks, which are tasks."""
        return math.prod(self.counts)


@dataclass(frozen=True)
class Task:
    """What one task computes and writes; everything follows from its number."""

    part: Part
    index: tuple[int, ...]
    region: Region
    """What is to be computed, counted in the array that the run works on."""
    block: Region
    """What is written, counted in the store; holds samples from before this run where their last block was not full."""


def find_task(parts: Sequence[Part], number: int) -> Task:
    """Task by number; those of the first part come first, each part's in C order.

    Examples
    --------
    >>> u = Variable("u", ("time", "x"), (5, 8), "float32", (2, 8))
    >>> find_task([Part("u", 2, (u,))], 2).region
    (slice(4, 5, None), slice(0, 8, None))
    """
    rest = number
    for part in parts:
        if 0 <= rest < part.n_blocks:
            break
        rest -= part.n_blocks
    else:
        raise IndexError(f"there is no task {number}: there are {sum(part.n_blocks for part in parts)}")
    index = tuple(int(i) for i in np.unravel_index(rest, part.counts))
    block = tuple(slice(i * b, min((i + 1) * b, n)) for i, b, n in zip(index, part.block, part.shape, strict=True))
    axis, old = part.grown or (0, 0)
    region = tuple(slice(max(s.start - old, 0), max(s.stop - old, 0)) if a == axis else s for a, s in enumerate(block))
    return Task(part, index, region, block)


def choose_chunks(shape: Sequence[int], core: Collection[int] = (), grows: int | None = None) -> tuple[int, ...]:
    """Chunks of 0.4 to 1.5 million samples: whole along the core axes where that is not too many, few batch entries.

    Parameters
    ----------
    shape
        Samples along each axis.
    core
        Axes that a model works along (y and x, or time); they are halved only where one batch entry is too large.
    grows
        Batch axis that will be appended to: chunks are as long as if it had no end.

    Examples
    --------
    >>> choose_chunks((744, 241, 480), core=(1, 2)), choose_chunks((3, 8_640_000), core=(1,))
    ((9, 241, 480), (1, 1080000))
    """
    chunks = [n if axis in core else 1 for axis, n in enumerate(shape)]
    while math.prod(chunks) > MAX_SAMPLES:
        longest = max(core, key=lambda axis: chunks[axis])
        chunks[longest] = -(-chunks[longest] // 2)
    for axis in (a for a in reversed(range(len(shape))) if a not in core):
        room = max(round(TARGET_SAMPLES / math.prod(chunks)), 1)
        chunks[axis] = room if axis == grows or shape[axis] > MAX_SAMPLES / math.prod(chunks) else shape[axis]
        if chunks[axis] < shape[axis]:
            break
    return tuple(chunks)


def choose_shards(shape: Sequence[int], chunks: Sequence[int], n_chunks: int) -> tuple[int, ...]:
    """Shards of at most `n_chunks` chunks, which lie side by side along the last axes first.

    Examples
    --------
    >>> choose_shards((744, 721, 1440), (1, 361, 720), 16)
    (4, 722, 1440)
    """
    shards, room = list(chunks), n_chunks
    for axis in reversed(range(len(shape))):
        n = min(-(-shape[axis] // chunks[axis]), room)
        shards[axis], room = n * chunks[axis], room // n
    return tuple(shards)
