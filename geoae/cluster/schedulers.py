"""Connect to workers: processes of this machine, a running dask scheduler, or jobs of a batch system."""

import asyncio
import gc
import logging
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geoae._version import __version__
from geoae.cluster import jobqueue
from geoae.cluster.batch_jobs import JobWatch
from geoae.cluster.jobqueue import JobQueue
from geoae.errors import ClusterError, OptionError, one_line

if TYPE_CHECKING:
    from distributed import Client

Say = Callable[[str], None]
"""Takes a line for the user."""
LOCAL = "local"
TIMEOUT_S = 10.0
"""Time that a scheduler has to answer."""
ALLOWED_FAILURES = 5
"""Workers that may die with one task. More than dask's default, because batch systems also kill workers."""
# loggers of libraries that would report expected events on stderr, such as the restart of a killed worker
_LOGGERS = ("distributed", "distributed.client", "dask_jobqueue", "tornado", "tornado.application", "asyncio")
_COMPARED = ("python", "geoae", "dask", "distributed", "numpy")
"""Packages whose versions must be the same here, at the scheduler and on the workers."""

Cluster = str | JobQueue
_kept: ContextVar["tuple[ExitStack, dict[Any, Connection]] | None"] = ContextVar("kept", default=None)


def choose_cluster(cluster: str | Path | None, workers: int) -> Cluster | None:
    """Interpret the option `cluster`: None (this process), "local", the address of a scheduler, or a batch system.

    Raises
    ------
    InputError
        It is none of these, or `workers` is below 1.
    RecipeError
        The jobqueue file holds unknown keys or invalid values; all are named.
    """
    if workers < 1:
        raise OptionError(f"workers is {workers}; it must be at least 1.")
    if cluster is None or str(cluster) == LOCAL:
        return LOCAL if cluster is not None or workers > 1 else None
    text = str(cluster)
    if "://" in text:
        if not re.fullmatch(r"(tcp|tls|ucx|wss?)://[^/\s]+:\d+", text):
            raise OptionError(f"{text!r} is no address of a dask scheduler; an address looks like tcp://host:8786.")
        return text
    if Path(cluster).suffix.lower() in (".yml", ".yaml") or Path(cluster).is_file():
        return jobqueue.load_jobqueue(Path(cluster))
    raise OptionError(
        f"There is no cluster {text!r}; choose local, the address of a dask scheduler (tcp://host:8786), or a jobqueue "
        "file (.yml) that describes the jobs."
    )


@contextmanager
def connect_workers(cluster: Cluster, workers: int, threads: int, say: Say) -> Iterator["Connection"]:
    """Start workers, or connect to those of a scheduler; workers that were started are stopped in the end.

    Within `keep_workers` they are started once, and stopped when that block ends.

    Parameters
    ----------
    cluster
        See `choose_cluster`.
    workers
        Number of processes to start; ignored for an address, which has its own workers.
    threads
        Threads that libraries may use in each worker.
    say
        Called with lines for the user: the link of the dashboard, waiting for workers.

    Raises
    ------
    ClusterError
        No scheduler answers, workers cannot be started, or their versions are not those of this process.
    """
    kept = _kept.get()
    if kept is None:
        with _connect(cluster, workers, threads, say) as connection:
            yield connection
        return
    stack, connections = kept
    key = (repr(cluster), workers, threads)
    if key not in connections or connections[key].client.status != "running":
        connections[key] = stack.enter_context(_connect(cluster, workers, threads, say))
    yield connections[key]


@contextmanager
def keep_workers() -> Iterator[None]:
    """Start workers once for all runs within this block; they are stopped at its end."""
    with ExitStack() as stack:
        token = _kept.set((stack, {}))
        try:
            yield
        finally:
            _kept.reset(token)


@contextmanager
def _connect(cluster: Cluster, workers: int, threads: int, say: Say) -> Iterator["Connection"]:
    from distributed import Client

    with ExitStack() as stack:
        log = stack.enter_context(_redirect_logs(say))
        jobs = None
        try:
            if isinstance(cluster, JobQueue):
                target: Any = stack.enter_context(_closing(jobqueue.submit_jobs(cluster, workers, log.failures)))
                jobs = JobWatch(target, cluster.kind, cluster.log_directory, say)
                say(f"asked {cluster.kind} for {cluster.jobs(workers)} jobs of {cluster.workers} workers each")
            elif cluster == LOCAL:
                target = stack.enter_context(_closing(_start_local(workers, threads)))
            else:
                target = _check_address(cluster)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings about versions: differences that matter are refused below
                client = stack.enter_context(_closing(Client(target, timeout=TIMEOUT_S, set_as_default=False)))
        except ClusterError:
            raise
        except (OSError, TimeoutError, ValueError, RuntimeError, ImportError) as error:
            raise ClusterError(_describe_failure(cluster, error)) from error
        if isinstance(cluster, str) and cluster != LOCAL:
            _check_versions(client, cluster)
            if not client.scheduler_info()["workers"]:
                say(f"the scheduler at {cluster} has no workers yet; waiting for them")
        if find_spec("bokeh") and (link := client.dashboard_link):
            say(f"dashboard: {link}")
        yield Connection(client, log, jobs)


class Connection(NamedTuple):
    """Workers that are connected, and what is known about those that are not."""

    client: "Client"
    log: "SchedulerLog"
    jobs: JobWatch | None
    """The jobs that workers run in; None without a batch system."""


class SchedulerLog(logging.Handler):
    """Handler of dask's logs: prints nothing, and reports each fact that a user should know once."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self.say = say
        self.failures: list[str] = []
        """Reasons why jobs could not be submitted."""
        self._reported: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Handle one record of a log; called in dask's thread."""
        if record.name == "distributed.nanny.memory":
            self._report_once(
                "a worker exceeded its memory limit and was restarted; its unfinished blocks are computed again"
            )

    def _report_once(self, line: str) -> None:
        if line not in self._reported:
            self._reported.add(line)
            self.say(line)


@contextmanager
def _redirect_logs(say: Say) -> Iterator[SchedulerLog]:
    import distributed  # noqa: F401 - sets up its loggers when it is imported

    log, before = SchedulerLog(say), []
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        before.append((logger, logger.handlers, logger.propagate))
        logger.handlers, logger.propagate = [log], False
    try:
        yield log
    finally:
        gc.collect()  # cancelled tasks log when they are collected: do it now, while nothing is printed
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate


@contextmanager
def _closing(thing: Any) -> Iterator[Any]:
    try:
        yield thing
    finally:
        # errors at closing, such as a lost connection, were reported before
        with suppress(Exception):
            thing.close(timeout=TIMEOUT_S)


def _start_local(workers: int, threads: int) -> Any:
    import dask
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    # a free port for the dashboard: another run on this machine may use the usual one
    settings = {
        "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
        "distributed.nanny.pre-spawn-environ": jobqueue.make_environment(threads),
    }
    with dask.config.set(settings), _interrupts_blocked():
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=MEMORY_LIMIT // workers,
            silence_logs=logging.CRITICAL,
            env=jobqueue.make_environment(threads),
        )


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Hide Ctrl-C from threads and processes that are started here: this process stops them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # otherwise it would unblock signals when the first process is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_address(address: str) -> str:
    """The address, if a scheduler answers there, else ClusterError. A client would wait forever for other servers."""

    async def identify() -> dict[str, Any]:
        from distributed.core import rpc
        from distributed.security import Security

        arguments = Security().get_connection_args("client")
        async with rpc(address, timeout=TIMEOUT_S, connection_args=arguments) as other:
            found: dict[str, Any] = await asyncio.wait_for(other.identity(), TIMEOUT_S)
            return found

    with ThreadPoolExecutor(1) as thread:  # the main thread of a notebook already runs an event loop
        found = thread.submit(asyncio.run, asyncio.wait_for(identify(), TIMEOUT_S)).result()
    if found.get("type") != "Scheduler":
        raise ClusterError(f"At {address} is no dask scheduler, but a {str(found.get('type')).lower()} of dask.")
    return address


def _describe_failure(cluster: Cluster, error: BaseException) -> str:
    if isinstance(cluster, JobQueue):
        return f"Jobs cannot be submitted to {cluster.kind}: {one_line(error)}."
    if cluster == LOCAL:
        return f"Workers cannot be started on this machine: {one_line(error)}."
    return (
        f"No dask scheduler answers at {cluster} within {TIMEOUT_S:g} s. "
        "Start one with `dask scheduler`, and give the address that it prints."
    )


def _check_versions(client: "Client", address: str) -> None:
    """Refuse workers with other versions: results could differ, or messages could not be read."""
    found: Any = client.get_versions(packages=["geoae"])
    local = _versions(found["client"]) | {"geoae": __version__}
    workers = {f"worker {worker}": facts for worker, facts in found["workers"].items()}
    for who, facts in {"scheduler": found["scheduler"], **workers}.items():
        remote = _versions(facts)
        wrong = [
            f"{name} {remote.get(name) or 'is missing'} (here {local[name]})"
            for name in _COMPARED
            # a scheduler passes data on without reading them
            if remote.get(name) != local[name] and not (who == "scheduler" and name in ("geoae", "numpy"))
        ]
        if wrong:
            raise ClusterError(
                f"The {who} at {address} has other software: {', '.join(wrong)}. Start it from the same environment."
            )


def _versions(facts: dict[str, Any]) -> dict[str, str]:
    python = ".".join(str(facts["host"]["python"]).split(".")[:2])
    return {**facts["packages"], "python": python}
