"""Where workers come from: this machine, a dask scheduler that is running, or the jobs of a batch system."""

import asyncio
import gc
import logging
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoae._version import __version__
from geoae.cluster import jobqueue
from geoae.cluster.jobqueue import JobQueue
from geoae.errors import ClusterError, InputError, one_line

if TYPE_CHECKING:
    from distributed import Client

Say = Callable[[str], None]
LOCAL = "local"
TIMEOUT_S = 10.0
"""For a scheduler to answer."""
ALLOWED_FAILURES = 5
"""Workers that may die with one task; more than dask allows, since a batch system kills the innocent too."""
# of the libraries that would write to stderr of what is expected, such as a worker that was killed and comes back
_LOGGERS = ("distributed", "distributed.client", "dask_jobqueue", "tornado", "tornado.application", "asyncio")
_SAME = ("python", "geoae", "dask", "distributed", "numpy")
"""Whose versions have to be the same here, at the scheduler and on the workers."""


Cluster = str | JobQueue


def choose_cluster(cluster: str | Path | None, workers: int) -> Cluster | None:
    """Tell what is meant: None (this process), "local", the address of a scheduler, or a batch system.

    Raises
    ------
    InputError
        It is none of these, or there are no workers.
    RecipeError
        The jobqueue file holds an unknown key or a value that cannot be; all are named.
    """
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1.")
    if cluster is None or str(cluster) == LOCAL:
        return LOCAL if cluster is not None or workers > 1 else None
    text = str(cluster)
    if "://" in text:
        if not re.fullmatch(r"(tcp|tls|ucx|wss?)://[^/\s]+:\d+", text):
            raise InputError(f"{text!r} is no address of a dask scheduler; one looks like tcp://host:8786.")
        return text
    if Path(cluster).suffix.lower() in (".yml", ".yaml") or Path(cluster).is_file():
        return jobqueue.load_jobqueue(Path(cluster))
    raise InputError(
        f"There is no cluster {text!r}; choose local, the address of a dask scheduler (tcp://host:8786), or a jobqueue "
        "file (.yml) that says how jobs are submitted."
    )


@contextmanager
def connect_workers(where: Cluster, workers: int, threads: int, say: Say) -> Iterator["tuple[Client, SchedulerLog]"]:
    """Start workers, or find those that are there, and stop in the end what was started.

    Parameters
    ----------
    where
        See `choose_cluster`.
    workers
        Processes to start; an address has its own.
    threads
        That a worker's libraries may take.
    say
        Called with a line for a person: the link of the dashboard, what is waited for.

    Raises
    ------
    ClusterError
        No scheduler answers, the workers cannot be started, or their software is not that of this process.
    """
    from distributed import Client

    with ExitStack() as stack:
        log = stack.enter_context(_redirect_logs(say))
        try:
            if isinstance(where, JobQueue):
                target: Any = stack.enter_context(_closing(jobqueue.submit_jobs(where, workers, log.failures)))
                say(f"asked {where.kind} for {where.jobs(workers)} jobs of {where.workers} workers each")
            elif where == LOCAL:
                target = stack.enter_context(_closing(_local(workers, threads)))
            else:
                target = _reachable_address(where)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other versions: those that matter are refused below
                client = stack.enter_context(_closing(Client(target, timeout=TIMEOUT_S, set_as_default=False)))
        except ClusterError:
            raise
        except (OSError, TimeoutError, ValueError, RuntimeError, ImportError) as error:
            raise ClusterError(_unreachable(where, error)) from error
        if isinstance(where, str) and where != LOCAL:
            _check_versions(client, where)
            if not client.scheduler_info()["workers"]:
                say(f"the scheduler at {where} has no workers yet; waiting for them")
        if find_spec("bokeh") and (link := client.dashboard_link):
            say(f"dashboard: {link}")
        yield client, log


class SchedulerLog(logging.Handler):
    """Handler of dask's logs: prints nothing, and reports once what a user should know."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self.say = say
        self.failures: list[str] = []
        """Why jobs could not be submitted."""
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record; called in dask's thread."""
        if record.name == "distributed.nanny.memory":
            self._report_once(
                "a worker used more memory than it may and was restarted; what it had not finished is done again"
            )

    def _report_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.say(line)


@contextmanager
def _redirect_logs(say: Say) -> Iterator[SchedulerLog]:
    import distributed  # noqa: F401 - sets its loggers up when it is imported

    log, before = SchedulerLog(say), []
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        before.append((logger, logger.handlers, logger.propagate))
        logger.handlers, logger.propagate = [log], False
    try:
        yield log
    finally:
        gc.collect()  # tasks that broke off tell so when they are collected: now, while nothing is printed
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate


@contextmanager
def _closing(thing: Any) -> Iterator[Any]:
    try:
        yield thing
    finally:
        # whatever it says when it is closed, such as that it was lost: who works with it has said so
        with suppress(Exception):
            thing.close(timeout=TIMEOUT_S)


def _local(workers: int, threads: int) -> Any:
    import dask
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    # a free port: another run on this machine has taken the usual one
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
    """Have threads, and the processes that they start, never see Ctrl-C: it is this process that stops them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would unblock them when the first process is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reachable_address(address: str) -> str:
    """The address, if a scheduler answers there. A client would wait for ever for any other server."""

    async def ask() -> dict[str, Any]:
        from distributed.core import rpc
        from distributed.security import Security

        arguments = Security().get_connection_args("client")
        async with rpc(address, timeout=TIMEOUT_S, connection_args=arguments) as other:
            found: dict[str, Any] = await asyncio.wait_for(other.identity(), TIMEOUT_S)
            return found

    with ThreadPoolExecutor(1) as thread:  # a notebook has a loop of its own in this one
        found = thread.submit(asyncio.run, asyncio.wait_for(ask(), TIMEOUT_S)).result()
    if found.get("type") != "Scheduler":
        raise ClusterError(f"At {address} is no dask scheduler, but a {str(found.get('type')).lower()} of dask.")
    return address


def _unreachable(where: Cluster, error: BaseException) -> str:
    if isinstance(where, JobQueue):
        return f"Jobs cannot be submitted to {where.kind}: {one_line(error)}."
    if where == LOCAL:
        return f"Workers cannot be started on this machine: {one_line(error)}."
    return (
        f"No dask scheduler answers at {where} within {TIMEOUT_S:g} s. "
        "Start one with `dask scheduler`, and give the address that it prints."
    )


def _check_versions(client: "Client", where: str) -> None:
    """Refuse workers whose results could differ, or that cannot read what is sent to them."""
    found: Any = client.get_versions(packages=["geoae"])
    here = _versions(found["client"]) | {"geoae": __version__}
    others = {f"worker {address}": facts for address, facts in found["workers"].items()}
    for who, facts in {"scheduler": found["scheduler"], **others}.items():
        there = _versions(facts)
        wrong = [
            f"{name} {there.get(name) or 'is missing'} (here {here[name]})"
            for name in _SAME
            # a scheduler passes on what it does not look at
            if there.get(name) != here[name] and not (who == "scheduler" and name in ("geoae", "numpy"))
        ]
        if wrong:
            raise ClusterError(
                f"The {who} at {where} has other software: {', '.join(wrong)}. Start it from the same environment."
            )


def _versions(facts: dict[str, Any]) -> dict[str, str]:
    python = ".".join(str(facts["host"]["python"]).split(".")[:2])
    return {**facts["packages"], "python": python}
