"""Runs of a forward model for many members: one after the other, in processes, or on a dask cluster.

A run fails if it raises an error, takes too long, or gives data that are not finite. Other runs are not affected.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.numbers import read_floats
from geoae.errors import InputError, one_line


class Member(NamedTuple):
    """The data of one run, or the message of the error that it failed with."""

    data: NDArray[np.float64] | None
    problem: str = ""


class OutOfTimeError(Exception):
    """A run took longer than its time limit."""


@contextlib.contextmanager
def limit_time(seconds: float | None) -> Iterator[None]:
    """Raise `OutOfTimeError` inside the block after some seconds; has no effect outside of the main thread."""
    can_interrupt = seconds is not None and hasattr(signal, "setitimer")  # not on Windows
    if not can_interrupt or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTimeError(f"it ran longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, float(seconds or 0))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_one(function: Callable[[Any], Any], model: NDArray[np.float64], limit_s: float | None) -> Member:
    """Run the function for one model, or for a batch of models if it takes batches.

    The function gets a copy of the model, and its data are copied: it may change its argument, and return the same
    array from every run.
    """
    try:
        with limit_time(limit_s):
            return Member(read_floats(function(model.copy()), "its data are"))
    except InputError as error:
        return Member(None, one_line(error).rstrip("."))
    except Exception as error:  # a forward model can raise any error; its run fails, and other runs are made
        return Member(None, one_line(error) if isinstance(error, OutOfTimeError) else f"{_describe(error)}")


def run_many(
    function: Callable[[Any], Any], models: Sequence[NDArray[np.float64]], limit_s: float | None, workers: Any
) -> list[Member]:
    """Run the function for each model.

    Parameters
    ----------
    workers
        None: one run after the other in this process. Otherwise an object with `submit`, such as a pool of
        `concurrent.futures` or a dask Client.
    """
    if workers is None:
        return [run_one(function, model, limit_s) for model in models]
    import cloudpickle  # functions of notebooks have no module that other processes could import

    pickled = cloudpickle.dumps(function)
    futures = [workers.submit(run_pickled, pickled, model, limit_s) for model in models]
    members, last_result = [], time.monotonic()
    for future in futures:
        # a worker stops its run after the limit; one that hangs in compiled code cannot, and is given up
        timeout = None if limit_s is None else 2 * limit_s + 60 - (time.monotonic() - last_result)
        try:
            members.append(future.result(timeout=timeout and max(timeout, 0.01)))
            last_result = time.monotonic()
        except (TimeoutError, FutureTimeoutError):
            members.append(Member(None, f"it ran longer than {limit_s:g} s"))
        except Exception as error:  # the worker crashed, or its memory was used up
            members.append(Member(None, f"its worker was lost ({_describe(error)})"))
    return members


def run_pickled(pickled: bytes, model: NDArray[np.float64], limit_s: float | None) -> Member:
    """Run a pickled function for one model; each process unpickles it once."""
    return run_one(_unpickle(pickled), model, limit_s)


def open_pool(workers: Any) -> Any:
    """Return a pool with `submit`: a new one for a number of processes, or `workers` itself; None for 1 or None.

    Raises
    ------
    InputError
        `workers` is neither a number of processes nor a pool.
    """
    if workers is None or (isinstance(workers, int) and workers == 1):
        return None
    if isinstance(workers, int) and workers > 1:
        from multiprocessing import get_context

        # spawned, not forked: a fork of a process with threads, such as torch's, may hang
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    if hasattr(workers, "submit"):
        return workers
    raise InputError(
        f"workers is {workers!r}; give a number of processes, a dask Client, or a pool of concurrent.futures."
    )


def close_pool(pool: Any) -> None:
    """End the processes of a pool that `open_pool` created, including processes that hang."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


@lru_cache(maxsize=4)
def _unpickle(pickled: bytes) -> Callable[[Any], Any]:
    import pickle

    return pickle.loads(pickled)  # sent by the parent process, never read from a file


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
