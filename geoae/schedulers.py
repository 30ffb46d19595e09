"""Where workers come from: this machine, a dask scheduler that is running, or the jobs of a batch system."""

import asyncio
import logging
import re
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from geoae._version import __version__
from geoae.errors import ClusterError, InputError, RecipeError, one_line

if TYPE_CHECKING:
    from distributed import Client

Say = Callable[[str], None]
LOCAL = "local"
TIMEOUT_S = 10.0
"""For a scheduler to answer."""
INTERVAL = "1s"
"""Between looks at whether as many jobs run as should."""
ALLOWED_FAILURES = 5
"""Workers that may die with one task; more than dask allows, since a batch system kills the innocent too."""
# kind -> class of dask_jobqueue, command that submits, what it calls the account, whether it has resource_spec
_QUEUES = {
    "slurm": ("SLURMCluster", "sbatch", "account", False),
    "pbs": ("PBSCluster", "qsub", "account", True),
    "sge": ("SGECluster", "qsub", "project", True),
    "lsf": ("LSFCluster", "bsub", "project", False),
}
# of the libraries that would write to stderr of what is expected, such as a worker that was killed and comes back
_LOGGERS = ("distributed", "distributed.client", "dask_jobqueue", "tornado", "tornado.application", "asyncio")
# what glibc settles at by itself. dask has it give back to the system whatever is free, so that each array of a block
# is given back and asked for again: the system's share of a worker's time rose from 3 to 16 s for a day of recordings
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 26)}
_SAME = ("python", "geoae", "dask", "distributed", "numpy")
"""Whose versions have to be the same here, at the scheduler and on the workers."""


class JobQueue(BaseModel):
    """A jobqueue file: the jobs that workers run in. What is left out, the configuration of dask-jobqueue may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["slurm", "pbs", "sge", "lsf"]
    """The batch system."""
    memory: str = Field(min_length=1)
    """Of a job, such as 8GB."""
    cores: int = Field(1, gt=0)
    """Of a job."""
    processes: int | None = Field(None, gt=0)
    """Workers in a job; one for each core if left out."""
    queue: str | None = None
    """Or partition."""
    account: str | None = None
    """Or project."""
    walltime: str | None = None
    """As the batch system writes it, in quotes."""
    resource_spec: str | None = None
    """Of PBS and SGE, such as select=1:ncpus=4:mem=8GB."""
    interface: str | None = None
    """Network interface that workers and scheduler meet on, such as ib0."""
    local_directory: str | None = None
    """For what workers write for themselves."""
    log_directory: str | None = None
    """For the jobs' own output."""
    python: str | None = None
    """Interpreter of the workers; this one if left out."""
    shebang: str | None = None
    """First line of the job script."""
    job_script_prologue: list[str] = []
    """Commands that come before the worker in the job script, such as module load."""
    job_extra_directives: list[str] = []
    """More lines of the header, without #SBATCH, #PBS, ..."""
    worker_extra_args: list[str] = []
    """More options of ``dask worker``."""

    @field_validator("walltime", mode="before")
    @classmethod
    def _quoted(cls, value: Any) -> Any:
        if isinstance(value, int):
            raise ValueError('write it in quotes, "12:00:00": YAML takes 12:00:00 for a number of seconds')
        return value

    @field_validator("memory")
    @classmethod
    def _bytes(cls, value: str) -> str:
        from dask.utils import parse_bytes

        try:
            parse_bytes(value)
        except ValueError:
            raise ValueError(f"{value!r} is no amount of memory; write it as 8GB") from None
        return value

    @property
    def workers(self) -> int:
        """Of a job."""
        return self.processes or self.cores

    def jobs(self, workers: int) -> int:
        """How many jobs have so many workers."""
        return -(-workers // self.workers)

    def options(self) -> dict[str, Any]:
        """What dask_jobqueue calls all of it."""
        given = {k: v for k, v in self.model_dump(exclude={"kind", "account"}).items() if v not in (None, [])}
        account = {_QUEUES[self.kind][2]: self.account} if self.account else {}
        prologue = [*(f"export {k}={v}" for k, v in environment(1).items()), *self.job_script_prologue]
        return {**given, **account, "processes": self.workers, "job_script_prologue": prologue}


Where = str | JobQueue


def choose(cluster: str | Path | None, workers: int) -> Where | None:
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
        return load_jobqueue(Path(cluster))
    raise InputError(
        f"There is no cluster {text!r}; choose local, the address of a dask scheduler (tcp://host:8786), or a jobqueue "
        "file (.yml) that says how jobs are submitted."
    )


def load_jobqueue(path: Path) -> JobQueue:
    """Read a jobqueue file.

    Raises
    ------
    RecipeError
        The file is missing, is no YAML, or holds an unknown key or a value that cannot be: all of them are named.
    """
    try:
        found = JobQueue.model_validate(yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        raise RecipeError(f"There is no jobqueue file {path}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read as YAML: {one_line(error)}") from error
    except ValidationError as error:
        told = [(e["loc"] or ["file"], e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        faults = "; ".join(f"{'.'.join(map(str, where))}: {message}" for where, message in told)
        raise RecipeError(f"{path.name} is no jobqueue file: {faults}.") from error
    if found.resource_spec and not _QUEUES[found.kind][3]:
        raise RecipeError(f"{path.name} is no jobqueue file: resource_spec: {found.kind} has none; leave it out.")
    return found


def environment(threads: int) -> dict[str, str]:
    """Variables of a worker: libraries take no more threads than it has, and those that wait do not spin."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "OMP_WAIT_POLICY": "PASSIVE", **_MALLOC}


@contextmanager
def connect(where: Where, workers: int, threads: int, say: Say) -> Iterator["tuple[Client, Heard]"]:
    """Start workers, or find those that are there, and stop in the end what was started.

    Parameters
    ----------
    where
        See `choose`.
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
        heard = stack.enter_context(_listening(say))
        try:
            if isinstance(where, JobQueue):
                target: Any = stack.enter_context(_closing(_jobs(where, workers)))
                say(f"asked {where.kind} for {where.jobs(workers)} jobs of {where.workers} workers each")
            elif where == LOCAL:
                target = stack.enter_context(_closing(_local(workers, threads)))
            else:
                target = _knocked(where)
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
        yield client, heard


class Heard(logging.Handler):
    """What the logs of dask say: nothing of it is printed, but what a person should know is said once."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self.say = say
        self.failures: list[str] = []
        """Why jobs could not be submitted."""
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record; called in dask's thread."""
        if record.name == "distributed.nanny.memory":
            self._tell(
                "a worker used more memory than it may and was restarted; what it had not finished is done again"
            )
        if record.name == "distributed.deploy.adaptive" and record.exc_info and record.exc_info[1]:
            self.failures.append(one_line(record.exc_info[1]))

    def _tell(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.say(line)


@contextmanager
def _listening(say: Say) -> Iterator[Heard]:
    import distributed  # noqa: F401 - sets its loggers up when it is imported

    heard, before = Heard(say), []
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        before.append((logger, logger.handlers, logger.propagate))
        logger.handlers, logger.propagate = [heard], False
    try:
        yield heard
    finally:
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
        "distributed.nanny.pre-spawn-environ": environment(threads),
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
            env=environment(threads),
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


def _jobs(queue: JobQueue, workers: int) -> Any:
    try:
        import dask_jobqueue
    except ImportError as error:
        raise ClusterError(
            'Jobs of a batch system need dask-jobqueue, which is not installed: pip install "geoae[hpc]".'
        ) from error
    name, command, *_ = _QUEUES[queue.kind]
    if shutil.which(command) is None:
        raise ClusterError(f"There is no {command} here: from this machine no job can be submitted to {queue.kind}.")
    cluster = getattr(dask_jobqueue, name)(**queue.options(), scheduler_options={"dashboard_address": ":0"})
    # not scale(), which does not submit again what was cancelled or has come to its walltime
    n = queue.jobs(workers)
    cluster.adapt(minimum_jobs=n, maximum_jobs=n, interval=INTERVAL)
    return cluster


def _knocked(address: str) -> str:
    """The address, where a scheduler answers there; a client would wait for ever for whatever else listens."""

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


def _unreachable(where: Where, error: BaseException) -> str:
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
