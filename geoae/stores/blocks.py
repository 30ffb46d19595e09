"""Division of the arrays of a store: chunks, shards, and tasks that each write one block.

Arithmetic only: nothing is made for a block before its task is looked up, so the number of blocks costs nothing.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

TARGET_SAMPLES = 1 << 20
"""Samples of a chunk, if the shape allows it."""
MIN_SAMPLES, MAX_SAMPLES = 400_000, 1_500_000
"""Limits of the samples of a chunk; a smaller array is one chunk."""
Region = tuple[slice, ...]


@dataclass(frozen=True)
class Variable:
    """One array of a store. One block is one file: a shard, or a chunk if there are no shards."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    is_checked: bool = True
    """Whether each chunk ends with a check sum (CRC-32C); stores of older versions have none."""

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
        # all blocks lie in one folder: one listing shows what is done, and a block needs no folder of its own
        return ".".join([f"{self.name}/c", *map(str, index), *["0"] * (len(self.shape) - len(index))])


@dataclass(frozen=True)
class Part:
    """Variables that share their first `n_axes` axes and are written together: a task writes one block of each."""

    name: str
    n_axes: int
    variables: tuple[Variable, ...]
    grown: tuple[int, int] | None = None
    """Axis that the run appends along, and samples along it that were written before; None if nothing is appended."""

    def __post_init__(self) -> None:
        for v in self.variables:
            has_whole_axes = all(b >= n for b, n in zip(v.block[self.n_axes :], v.shape[self.n_axes :], strict=True))
            shares_blocks = all(getattr(v, k)[: self.n_axes] == getattr(self, k) for k in ("dims", "shape", "block"))
            if not (has_whole_axes and shares_blocks):
                raise ValueError(
                    f"{v} does not share the blocks of part {self.name!r}, or divides an axis that it does not share"
                )
            if any(s % c for s, c in zip(v.block, v.chunks, strict=True)):
                raise ValueError(f"{v.name}: shards {v.shards} are not whole multiples of chunks {v.chunks}")

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
        """Number of blocks; each is one task."""
        return math.prod(self.counts)


@dataclass(frozen=True)
class Task:
    """What one task computes and writes."""

    part: Part
    index: tuple[int, ...]
    region: Region
    """Samples to compute, counted in the input of the run."""
    block: Region
    """Samples to write, counted in the store. If the last old block was not full, its old samples are included."""


def find_task(parts: Sequence[Part], number: int) -> Task:
    """Task by its number. Tasks of the first part come first; within a part they are in C order.

    Examples
    --------
    >>> u = Variable("u", ("time", "x"), (5, 8), "float32", (2, 8))
    >>> find_task([Part("u", 2, (u,))], 2).region
    (slice(4, 5, None), slice(0, 8, None))
    """
    remaining = number
    for part in parts:
        if 0 <= remaining < part.n_blocks:
            break
        remaining -= part.n_blocks
    else:
        raise IndexError(f"there is no task {number}: there are {sum(part.n_blocks for part in parts)}")
    index = tuple(int(i) for i in np.unravel_index(remaining, part.counts))
    block = tuple(slice(i * b, min((i + 1) * b, n)) for i, b, n in zip(index, part.block, part.shape, strict=True))
    axis, old = part.grown or (0, 0)
    region = tuple(slice(max(s.start - old, 0), max(s.stop - old, 0)) if a == axis else s for a, s in enumerate(block))
    return Task(part, index, region, block)


def choose_chunks(shape: Sequence[int], core: Collection[int] = (), grows: int | None = None) -> tuple[int, ...]:
    """Chunks of 0.4 to 1.5 million samples: whole along the core axes if possible, with few batch entries.

    Parameters
    ----------
    shape
        Samples along each axis.
    core
        Axes that a model works along (y and x, or time). They are halved only if one batch entry is too large.
    grows
        Batch axis that will be appended to: its chunks do not depend on its present length.

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
    """Shards of at most `n_chunks` chunks, filled along the last axes first.

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
