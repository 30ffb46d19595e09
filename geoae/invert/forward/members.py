"""Run a forward model for many members: one after the other, in processes, or on a dask cluster.

A member that raises, takes too long, or gives no finite data is lost and counted; the others go on.
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
    """What one run gave: data, or why there are none."""

    data: NDArray[np.float64] | None
    problem: str = ""


class OutOfTimeError(Exception):
    """A run took longer than it may."""


@contextlib.contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """Stop what runs inside after some time; only the main thread of a process can be stopped so."""
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
        with at_most(limit_s):
            return Member(np.asarray(function(model), dtype=np.float64))
    except Exception as error:  # whatever a forward model of others raises, the run is lost and the work goes on
        return Member(None, one_line(error) if isinstance(error, OutOfTimeError) else f"{_kind(error)}")


def run_many(
    function: Callable[[Any], Any], models: Sequence[NDArray[np.float64]], limit_s: float | None, workers: Any
) -> list[Member]:
    """The data of each model.

    Parameters
    ----------
    workers
        None: here, one after the other. Or what has `submit`: a pool of `concurrent.futures`, a dask Client.
    """
    if workers is None:
        return [run_one(function, model, limit_s) for model in models]
    import cloudpickle  # comes with dask: functions of notebooks have no module to be imported from

    frozen = cloudpickle.dumps(function)
    waiting = [workers.submit(run_frozen, frozen, model, limit_s) for model in models]
    members, last = [], time.monotonic()
    for future in waiting:
        # a worker stops itself; one that is stuck outside Python cannot, and is not waited for
        patience = None if limit_s is None else 2 * limit_s + 60 - (time.monotonic() - last)
        try:
            members.append(future.result(timeout=patience and max(patience, 0.01)))
            last = time.monotonic()
        except (TimeoutError, LateError):
            members.append(Member(None, f"it ran longer than {limit_s:g} s"))
        except Exception as error:  # a worker died: of memory, of a crash
            members.append(Member(None, f"its worker was lost ({_kind(error)})"))
    return members


def run_frozen(frozen: bytes, model: NDArray[np.float64], limit_s: float | None) -> Member:
    """`run_one` of a pickled function, which is unpickled once in a process."""
    return run_one(_thawed(frozen), model, limit_s)


def open_pool(workers: Any) -> Any:
    """What has `submit`, from a number of processes, None, or such a thing itself.

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
    """End the processes of a pool that `open_pool` opened, those that are stuck too."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


@lru_cache(maxsize=4)
def _thawed(frozen: bytes) -> Callable[[Any], Any]:
    import pickle

    return pickle.loads(frozen)  # from this very process's parent, never from a file


def _kind(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"
