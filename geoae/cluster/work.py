"""The same work for many numbers: in this process, or on the workers of any dask scheduler.

A task is a number. What else a worker needs is plain data, from which each worker process makes its function once; so
nothing but numbers, and what little the function gives back, goes through the scheduler, and there is no graph.
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
from geoae.cluster.schedulers import Say, SchedulerLog
from geoae.errors import ClusterError, GeoAEError, InputError, one_line

if TYPE_CHECKING:
    from distributed import Client, Future

Work = Callable[[int], Any]
Make = Callable[[dict[str, Any]], Work]
Outcome = tuple[str, Any, str]
TASKS_PER_WORKER = 3
"""Tasks under way for each worker: it has the next one when it is done, and little is lost when it is killed."""
CHECK_INTERVAL_S = 2.0
"""Between looks at the cluster: whether it is there, and how many workers it has."""
FAILURES_WAIT_S = 0.5
"""To hear of all tasks that a cluster has given up, where it has given up one."""
MAX_SUBMISSIONS = 3
"""Submissions of jobs that fail, one after the other, before a run gives up."""


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
    """Work through `numbers`, and give back each with its result as it is done, in any order.

    A worker that is killed is replaced, and what it had not handed over is done again, so that a task must be one that
    can be done twice. To stop early, close the iterator (`contextlib.closing`): workers that it started are stopped.

    Parameters
    ----------
    numbers
        Tasks; taken one by one as there is room for them.
    make
        A function at the top of a module, or its name as "module:function". ``make(spec)`` gives back what is called
        with each number; a worker process calls it once, and does one task at a time.
    spec
        What JSON can hold: paths as all workers see them, names, options.
    cluster
        None: this process, or processes of this machine if there is more than one worker; "local": processes of this
        machine; the address of a dask scheduler, which has workers of its own; a jobqueue file.
    workers
        Processes.
    threads
        That libraries may take in each.
    say
        Called with a line for a person: where the dashboard is, what is waited for.

    Raises
    ------
    GeoAEError
        What a task raised, if that is one of ours.
    ClusterError
        Workers cannot be had or are lost, one task has cost several of them, or a task raised something else.
    InputError, RecipeError
        See `geoae.cluster.schedulers.choose_cluster`.
    """
    where = schedulers.choose_cluster(cluster, workers)
    if where is None:
        work = (_find(make) if isinstance(make, str) else make)(spec)
        for number in numbers:
            yield number, work(number)
        return
    name, text = make if isinstance(make, str) else _name(make), json.dumps(spec, sort_keys=True)
    waiting = iter(numbers)
    first = next(waiting, None)
    if first is None:
        return
    with schedulers.connect_workers(where, workers, threads, say) as (client, log):
        yield from _run_on_workers(client, log, chain([first], waiting), name, text, say)


def _run_on_workers(
    client: "Client", log: SchedulerLog, numbers: Iterator[int], name: str, spec: str, say: Say
) -> Generator[tuple[int, Any]]:
    under_way: dict[Future[Any], int] = {}
    done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    watch = _Watch(client, log, say)

    def submit() -> None:
        while len(under_way) < watch.capacity and (number := next(numbers, None)) is not None:
            future = client.submit(_work, name, spec, __version__, int(number), pure=False)
            under_way[future] = int(number)
            future.add_done_callback(done.put)

    try:
        submit()
        while under_way:
            watch.check()
            try:
                future = done.get(timeout=CHECK_INTERVAL_S)
            except queue.Empty:
                continue
            number = under_way[future]
            result = _result(future, under_way, watch)
            del under_way[future]
            submit()  # before the caller is busy with this one
            yield number, result
    finally:
        if under_way and client.status == "running":
            client.cancel(list(under_way), force=True, reason="geoae stopped")


class _Watch:
    """Number of workers and state of the scheduler, asked for at most once in `CHECK_INTERVAL_S`."""

    def __init__(self, client: "Client", log: SchedulerLog, say: Say) -> None:
        self._client, self._log, self._say = client, log, say
        self._next = 0.0
        self._empty_since: float | None = None
        self._threads: set[int] = set()
        self.address = str(client.scheduler.address) if client.scheduler else "?"
        self.capacity = TASKS_PER_WORKER
        self.check()

    def check(self) -> None:
        """Count the workers; raise ClusterError if the scheduler is gone or jobs cannot be submitted."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + CHECK_INTERVAL_S
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except Exception as error:  # what a connection that breaks does has many kinds
            raise self.connection_error() from error
        if self._client.status != "running":
            raise self.connection_error()
        self.capacity = TASKS_PER_WORKER * max(len(workers), 1)
        if not workers and len(self._log.failures) >= MAX_SUBMISSIONS:
            raise ClusterError(f"Jobs cannot be submitted: {self._log.failures[-1]}.")
        self._report_missing_workers(bool(workers), now)
        if (most := max((facts["nthreads"] for facts in workers.values()), default=1)) > 1 and not self._threads:
            self._threads.add(most)
            self._say(
                f"workers have {most} threads, and each works on one block at a time: use --nthreads 1, more workers"
            )

    def connection_error(self) -> ClusterError:
        """The error to raise when the scheduler does not answer."""
        return ClusterError(
            f"The dask scheduler at {self.address} is gone. What is done is kept: start a scheduler, and run the same "
            "command again."
        )

    def _report_missing_workers(self, some: bool, now: float) -> None:
        if some:
            self._empty_since = None
        elif self._empty_since is None:
            self._empty_since = now
        elif now - self._empty_since > 30:
            self._empty_since = now + 600  # said again then
            self._say("there are no workers; waiting for them")


def _result(future: "Future[Any]", under_way: "dict[Future[Any], int]", watch: _Watch) -> Any:
    """The result of a task; raises the error that it raised."""
    from distributed import KilledWorker

    number = under_way[future]
    try:
        kind, result, trace = _wait_for_result(future, watch)
    except GeoAEError:
        raise
    except KilledWorker as error:
        # dask blames all that a worker had in hand when it died, and tells of them one by one
        time.sleep(FAILURES_WAIT_S)
        blamed = sorted({number, *(n for one, n in under_way.items() if one.status == "error")})
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
    ours = getattr(errors, kind, None)
    cause = RuntimeError(f"on a worker:\n{trace}")
    if isinstance(ours, type) and issubclass(ours, GeoAEError):
        raise ours(result) from cause
    if kind == "MemoryError":
        raise ClusterError(
            f"Block {number}: a worker has too little memory. Start fewer workers on a machine, or ask for more memory."
        ) from cause
    raise ClusterError(f"Block {number} failed: {kind}: {result}.") from cause


def _wait_for_result(future: "Future[Any]", watch: _Watch) -> Outcome:
    """The result of a finished task. Dask runs the task again if its worker was killed before the result arrived."""
    while future.status != "cancelled":
        try:
            return future.result(timeout=schedulers.TIMEOUT_S)
        except TimeoutError:
            watch.check()
    raise watch.connection_error()


_one_at_a_time = threading.Lock()


def _work(name: str, spec: str, version: str, number: int) -> Outcome:
    """Do one task on a worker: kind of error or "", result or message, traceback.

    Errors come back as data: dask would log them, with a traceback, on the stderr that all processes here share.
    """
    try:
        if version != __version__:
            raise InputError(
                f"A worker has geoae {__version__}, and this run {version}; start it from the same software."
            )
        # a worker may have threads, but how many torch uses is a setting of the whole process
        with _one_at_a_time:
            return "", _made(name, spec)(number), ""
    except Exception as error:
        return type(error).__name__, one_line(error), traceback.format_exc()


@lru_cache(maxsize=4)
def _made(name: str, spec: str) -> Work:
    return _find(name)(json.loads(spec))


def _find(name: str) -> Make:
    module, _, function = name.partition(":")
    make: Make = getattr(importlib.import_module(module), function)
    return make


def _name(make: Make) -> str:
    name = f"{make.__module__}:{make.__qualname__}"
    if getattr(importlib.import_module(make.__module__), make.__qualname__, None) is not make:
        raise ValueError(f"{name} is not at the top of a module, where workers could find it")
    return name
