"""How the windows of a batch are shared among threads, such that their number changes no digit of the result."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 2
"""Windows that one thread takes at a time."""
Work = Callable[[NDArray[Any]], NDArray[Any]]


def map_parts(work: Work, batch: NDArray[Any], size: int, pool: Executor | None) -> NDArray[Any]:
    """`work` on a batch, `size` windows at a time, on the threads of `pool`; None: on this one.

    Parameters
    ----------
    work
        (size, ...) -> (size, ...), each window independent of the others.
    batch
        (n, ...), any n.
    """
    # torch's own threads would split one window among them, and wait for each other; ours take whole windows
    with use_one_thread():
        # always the same few windows a part: what the net's kernels make of a part depends on its size in the last
        # digits. Threads that finish early find more to do, and a part stays in the cache
        parts = [batch[i : i + size] for i in range(0, len(batch), size)]
        if pool is None or len(parts) < 2:
            return np.concatenate([_fill(work, part, size) for part in parts]) if len(batch) else work(batch)
        return np.concatenate(list(pool.map(lambda part: _fill(work, part, size), parts)))


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Work on one thread of torch: sums that several threads share differ in their last digits with their number.

    The caller's setting is put back.
    """
    import torch

    callers = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(callers)


def _fill(work: Work, part: NDArray[Any], size: int) -> NDArray[Any]:
    """`work` on a part that is filled up to `size` windows: products of other shapes may round otherwise."""
    fill = np.repeat(part[-1:], size - len(part), axis=0)
    return work(np.concatenate([part, fill]) if len(fill) else part)[: len(part)]
