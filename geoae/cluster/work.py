"""Run numbered tasks: in this process, or on the workers of any dask scheduler.

A task is a number. Everything else that a worker needs is plain data, from which each worker process makes its function
once. So only numbers and small results go through the scheduler, and there is no task graph.
"""

import importlib
import json
import queue
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoae import errors
from geoae._version import __version__
from geoae.cluster import schedulers
from geoae.cluster.schedulers import Connection, Say
from geoae.errors import ClusterError, GeoAEError, InputError, one_line

if TYPE_CHECKING:
    from distributed import Future

Work = Callable[[int], Any]
Make = Callable[[dict[str, Any]], Work]
"""Makes the function that does a task from plain data."""
Outcome = tuple[str, Any, str]
"""Kind of error or "", result or message, traceback."""
TASKS_PER_WORKER = 3
"""Submitted tasks for each worker: the next one is ready when it is done, and few are lost if it is killed."""
CHECK_INTERVAL_S = 2.0
"""Time between checks of the scheduler and its number of workers."""
FAILURES_WAIT_S = 0.5
"""Time to wait for further failed tasks after a worker was lost: dask reports them one by one."""
MAX_SUBMISSIONS = 3
"""Failed submissions of jobs, without any worker, before a run gives up."""


def is_distributed(cluster: str | Path | None, workers: int = 1) -> bool:
    """Whether dask workers do the work, and not this process; raises as `geoae.cluster.schedulers.choose_cluster`."""
    return schedulers.choose_cluster(cluster, workers) is not None


def run_tasks(
    numbers: Iterable[int],
    make: str | Make,
    spec: dict[str, Any],
    *,
    cluster: str | Path | None = None,
    workers: int = 1,
    threads: int = 1,
    say: Say = lambda line: None,
) -> Generator[tuple[int, Any]]:
    """Run a function for each of `numbers`, and yield numbers with their results as they are done, in any order.

    A worker that is killed is replaced, and its unfinished tasks are done again, so tasks must be repeatable. To stop
    early, close the iterator (`contextlib.closing`): it stops the workers that it started.

    Parameters
    ----------
    numbers
        Tasks; taken one by one, as workers become free.
    make
        A function at the top of a module, or its name as "module:function". ``make(spec)`` returns the function that
        is called with each number. A worker process calls it once, and does one task at a time.
    spec
        Argument of `make`, of values that JSON can hold: paths as all workers see them, names, options.
    cluster
        None: this process, or processes of this machine if `workers` is above 1; "local": processes of this machine;
        the address of a dask scheduler, which has its own workers; a jobqueue file.
    workers
        Number of processes.
    threads
        Threads that libraries may use in each process.
    say
        Called with lines for the user: the address of the dashboard, waiting for workers.

    Raises
    ------
    GeoAEError
        A task raised an error of geoae; it is raised here again.
    ClusterError
        Workers cannot be started or are lost, a task killed several workers, or a task raised another error.
    InputError, RecipeError
        See `geoae.cluster.schedulers.choose_cluster`.
    """
    chosen = schedulers.choose_cluster(cluster, workers)
    if chosen is None:
        work = (_find_function(make) if isinstance(make, str) else make)(spec)
        for number in numbers:
            yield number, work(number)
        return
    name, text = make if isinstance(make, str) else _name_function(make), json.dumps(spec, sort_keys=True)
    remaining = iter(numbers)
    first = next(remaining, None)
    if first is None:
        return
    with schedulers.connect_workers(chosen, workers, threads, say) as connection:
        yield from _run_on_workers(connection, chain([first], remaining), name, text, say)


def _run_on_workers(
    connection: Connection, numbers: Iterator[int], name: str, spec: str, say: Say
) -> Generator[tuple[int, Any]]:
    client = connection.client
    submitted: dict[Future[Any], int] = {}
    done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    watch = _ClusterWatch(connection, say)

    def submit() -> None:
        while len(submitted) < watch.capacity and (number := next(numbers, None)) is not None:
            future = client.submit(_run_task, name, spec, __version__, int(number), pure=False)
            submitted[future] = int(number)
            future.add_done_callback(done.put)

    try:
        submit()
        while submitted:
            watch.check()
            try:
                future = done.get(timeout=CHECK_INTERVAL_S)
            except queue.Empty:
                continue
            number = submitted[future]
            result = _get_result(future, submitted, watch)
            del submitted[future]
            submit()  # before the caller uses the result: workers stay busy
            yield number, result
    finally:
        if submitted and client.status == "running":
            client.cancel(list(submitted), force=True, reason="geoae stopped")


class _ClusterWatch:
    """Number of workers and state of the scheduler, checked at most once in `CHECK_INTERVAL_S`."""

    def __init__(self, connection: Connection, say: Say) -> None:
        client = self._client = connection.client
        self._log, self._jobs, self._say = connection.log, connection.jobs, say
        self._next_check = 0.0
        self._empty_since: float | None = None
        self._has_warned_of_threads = False
        self.address = str(client.scheduler.address) if client.scheduler else "?"
        self.capacity = TASKS_PER_WORKER
        self.check()

    def check(self) -> None:
        """Count the workers; raise ClusterError if the scheduler is gone or jobs cannot be submitted."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_INTERVAL_S
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception as error:  # a broken connection raises errors of many kinds
            raise self.connection_error() from error
        if self._client.status != "running":
            raise self.connection_error()
        self.capacity = TASKS_PER_WORKER * max(len(workers), 1)
        if not workers and len(self._log.failures) >= MAX_SUBMISSIONS:
            raise ClusterError(f"Jobs cannot be submitted: {self._log.failures[-1]}.")
        if self._jobs:
            self._jobs.check([str(facts["name"]) for facts in workers.values()])
        self._report_missing_workers(bool(workers), now)
        most = max((facts["nthreads"] for facts in workers.values()), default=1)
        if most > 1 and not self._has_warned_of_threads:
            self._has_warned_of_threads = True
            self._say(
                f"workers have {most} threads, and each works on one block at a time: use --nthreads 1, more workers"
            )

    def connection_error(self) -> ClusterError:
        """The error to raise when the scheduler does not answer."""
        return ClusterError(
            f"The dask scheduler at {self.address} is gone. What is done is kept: start a scheduler, and run the same "
            "command again."
        )

    def _report_missing_workers(self, has_workers: bool, now: float) -> None:
        if has_workers:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        elif now - self._empty_since > 30:
            self._empty_since = now + 600  # reported again in 10 minutes
            self._say("there are no workers; waiting for them")


def _get_result(future: "Future[Any]", submitted: "dict[Future[Any], int]", watch: _ClusterWatch) -> Any:
    """The result of a task; raises the error that it raised."""
    from distributed import KilledWorker

    number = submitted[future]
    try:
        kind, result, trace = _wait_for_result(future, watch)
    except GeoAEError:
        raise
    except KilledWorker as error:
        # dask gives up all tasks that the worker held when it died, and reports them one by one
        time.sleep(FAILURES_WAIT_S)
        blamed = sorted({number, *(n for other, n in submitted.items() if other.status == "error")})
        raise ClusterError(
            f"Block {' or '.join(map(str, blamed))} was given up after "
            f"{error.allowed_failures + 1} workers had died with it, the last at {error.last_worker.address}: they "
            "were killed, or had too little memory. What is done is kept; the same command goes on from there."
        ) from error
    except Exception as error:
        if future.status == "cancelled":
            raise watch.connection_error() from error
        raise ClusterError(
            f"Workers cannot do block {number}: {type(error).__name__}: {one_line(error)}. Is geoae {__version__} "
            "installed where they run?"
        ) from error
    if not kind:
        return result
    error_class = getattr(errors, kind, None)
    cause = RuntimeError(f"on a worker:\n{trace}")
    if isinstance(error_class, type) and issubclass(error_class, GeoAEError):
        raise error_class(result) from cause
    if kind == "MemoryError":
        raise ClusterError(
            f"Block {number}: a worker has too little memory. Start fewer workers on a machine, or ask for more memory."
        ) from cause
    raise ClusterError(f"Block {number} failed: {kind}: {result}.") from cause


def _wait_for_result(future: "Future[Any]", watch: _ClusterWatch) -> Outcome:
    """The outcome of a task. Dask runs the task again if its worker was killed before the outcome arrived."""
    while future.status != "cancelled":
        try:
            return future.result(timeout=schedulers.TIMEOUT_S)
        except TimeoutError:
            watch.check()
    raise watch.connection_error()


_task_lock = threading.Lock()


def _run_task(name: str, spec: str, version: str, number: int) -> Outcome:
    """Do one task on a worker.

    Errors are returned as data: dask would log them, with a traceback, on the stderr that all processes share.
    """
    try:
        if version != __version__:
            raise InputError(
                f"A worker has geoae {__version__}, and this run {version}; start it from the same environment."
            )
        # one task at a time: the number of threads that torch uses is a setting of the whole process
        with _task_lock:
            return "", _make_work(name, spec)(number), ""
    except Exception as error:
        return type(error).__name__, one_line(error), traceback.format_exc()


@lru_cache(maxsize=4)
def _make_work(name: str, spec: str) -> Work:
    return _find_function(name)(json.loads(spec))


def _find_function(name: str) -> Make:
    module, _, function = name.partition(":")
    make: Make = getattr(importlib.import_module(module), function)
    return make


def _name_function(make: Make) -> str:
    name = f"{make.__module__}:{make.__qualname__}"
    if getattr(importlib.import_module(make.__module__), make.__qualname__, None) is not make:
        raise ValueError(f"{name} is not at the top of a module, where workers can import it")
    return name
