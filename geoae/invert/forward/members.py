"""Run a forward model for many members: one after the other, in processes, or on a dask cluster.

A run that raises, takes too long, or gives no finite data fails; the others go on.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as LateError
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError, one_line


class Member(NamedTuple):
    """The data of one run, or the message of its failure."""

    data: NDArray[np.float64] | None
    problem: str = ""


class OutOfTimeError(Exception):
    """A run took longer than it may."""


@contextlib.contextmanager
def limit_time(seconds: float | None) -> Iterator[None]:
    """Raise `OutOfTimeError` inside the block after some time; works in the main thread of a process only."""
    usable = seconds is not None and hasattr(signal, "setitimer")
    if not usable or threading.current_thread() is not threading.main_thread():
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
    """The data of one model, or of a batch where the function takes those."""
    try:
        with limit_time(limit_s):
            return Member(np.asarray(function(model), dtype=np.float64))
    except Exception as error:  # whatever a forward model raises, its run fails and the others go on
        return Member(None, one_line(error) if isinstance(error, OutOfTimeError) else f"{_describe(error)}")


def run_many(
    function: Callable[[Any], Any], models: Sequence[NDArray[np.float64]], limit_s: float | None, workers: Any
) -> list[Member]:
    """The data of each model.

    Parameters
    ----------
    workers
        None: in this process, one after the other. Or what has `submit`: a pool of `concurrent.futures`, a dask Client.
    """
    if workers is None:
        return [run_one(function, model, limit_s) for model in models]
    import cloudpickle  # comes with dask: functions of notebooks have no module to be imported from

    frozen = cloudpickle.dumps(function)
    waiting = [workers.submit(run_pickled, frozen, model, limit_s) for model in models]
    members, last = [], time.monotonic()
    for future in waiting:
        # a worker stops itself after the limit; one that hangs outside of Python cannot, and is not waited for
        patience = None if limit_s is None else 2 * limit_s + 60 - (time.monotonic() - last)
        try:
            members.append(future.result(timeout=patience and max(patience, 0.01)))
            last = time.monotonic()
        except (TimeoutError, LateError):
            members.append(Member(None, f"it ran longer than {limit_s:g} s"))
        except Exception as error:  # a worker died: of memory, of a crash
            members.append(Member(None, f"its worker was lost ({_describe(error)})"))
    return members


def run_pickled(frozen: bytes, model: NDArray[np.float64], limit_s: float | None) -> Member:
    """`run_one` of a pickled function, which is unpickled once in a process."""
    return run_one(_unpickle(frozen), model, limit_s)


def open_pool(workers: Any) -> Any:
    """Return an object with `submit`: a new pool for a number of processes, or what was given; None without workers.

    Raises
    ------
    InputError
        It is none of these.
    """
    if workers is None or (isinstance(workers, int) and workers == 1):
        return None
    if isinstance(workers, int) and workers > 1:
        from multiprocessing import get_context

        # spawned: a fork of a process that has threads, as torch's, may hang
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    if hasattr(workers, "submit"):
        return workers
    raise InputError(
        f"workers is {workers!r}; give a number of processes, a dask Client, or a pool of concurrent.futures."
    )


def close_pool(pool: Any) -> None:
    """End the processes of a pool that `open_pool` opened, also those that hang."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


@lru_cache(maxsize=4)
def _unpickle(frozen: bytes) -> Callable[[Any], Any]:
    import pickle

    return pickle.loads(frozen)  # from this very process's parent, never from a file


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
