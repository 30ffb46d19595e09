"""Share the windows of a batch among threads; the result is the same, bit by bit, for any number of threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 2
"""Windows that one thread takes at a time."""
Function = Callable[[NDArray[Any]], NDArray[Any]]


def map_parts(function: Function, batch: NDArray[Any], size: int, pool: Executor | None) -> NDArray[Any]:
    """Apply `function` to a batch, `size` windows at a time, on the threads of `pool`; None: on this thread.

    Parameters
    ----------
    function
        (size, ...) -> (size, ...), each window independent of the others.
    batch
        (n, ...), any n.
    """
    # threads of torch would split one window and wait for each other; these threads take whole windows
    with use_one_thread():
        # always the same number of windows in a part: the last digits of a result depend on it. Small parts stay in
        # the cache, and a thread that finishes early takes the next one
        parts = [batch[i : i + size] for i in range(0, len(batch), size)]
        if pool is None or len(parts) < 2:
            return (
                np.concatenate([_apply_filled(function, part, size) for part in parts])
                if len(batch)
                else function(batch)
            )
        return np.concatenate(list(pool.map(lambda part: _apply_filled(function, part, size), parts)))


@contextmanager
def use_one_thread() -> Iterator[None]:
    """Let torch use one thread in the ``with`` block, then restore the caller's number of threads.

    The last digits of a sum depend on the number of threads that share it.
    """
    import torch

    callers = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(callers)


def _apply_filled(function: Function, part: NDArray[Any], size: int) -> NDArray[Any]:
    """Apply `function` to a part that is filled up to `size` windows: other shapes may round differently."""
    fill = np.repeat(part[-1:], size - len(part), axis=0)
    return function(np.concatenate([part, fill]) if len(fill) else part)[: len(part)]
