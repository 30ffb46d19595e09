"""Workers as jobs of a batch system: the jobqueue file, and the submission of its jobs."""

import asyncio
import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from geoae.errors import ClusterError, RecipeError, one_line
from geoae.files import yaml_files

CHECK_INTERVAL = "1s"
"""Time between checks that enough jobs run."""
RETRY_S = 1.0
"""Time before a job that could not be submitted is submitted again."""
# kind -> class of dask_jobqueue, command for submission, its option for the account, whether it has resource_spec
_QUEUES = {
    "slurm": ("SLURMCluster", "sbatch", "account", False),
    "pbs": ("PBSCluster", "qsub", "account", True),
    "sge": ("SGECluster", "qsub", "project", True),
    "lsf": ("LSFCluster", "bsub", "project", False),
}
# the thresholds that glibc reaches by itself. dask sets lower ones, so that each array of a block is returned to the
# system and allocated again: the system time of a worker rose from 3 to 16 s for a day of recordings
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 26)}


class JobQueue(BaseModel):
    """A jobqueue file: the jobs that workers run in. Defaults come from the configuration of dask-jobqueue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["slurm", "pbs", "sge", "lsf"]
    """The batch system."""
    memory: str = Field(min_length=1)
    """Memory of a job, such as 8GB."""
    cores: int = Field(1, gt=0)
    """Cores of a job."""
    processes: int | None = Field(None, gt=0)
    """Workers in a job; one for each core if left out."""
    queue: str | None = None
    """Queue or partition."""
    account: str | None = None
    """Account or project."""
    walltime: str | None = None
    """Time limit of a job as the batch system writes it, in quotes."""
    resource_spec: str | None = None
    """Resources of PBS and SGE, such as select=1:ncpus=4:mem=8GB."""
    interface: str | None = None
    """Network interface between workers and scheduler, such as ib0."""
    local_directory: str | None = None
    """Folder for temporary files of workers."""
    log_directory: str | None = None
    """Folder for the output of the jobs."""
    python: str | None = None
    """Python interpreter of the workers; the present one if left out."""
    shebang: str | None = None
    """First line of the job script."""
    job_script_prologue: list[str] = []
    """Commands in the job script before the worker starts, such as module load."""
    job_extra_directives: list[str] = []
    """Additional lines of the header, without #SBATCH, #PBS, ..."""
    worker_extra_args: list[str] = []
    """Additional options of ``dask worker``."""

    @field_validator("walltime", mode="before")
    @classmethod
    def _quoted(cls, value: Any) -> Any:
        if isinstance(value, int):
            raise ValueError('write it in quotes, "12:00:00": YAML reads 12:00:00 as a number of seconds')
        return value

    @field_validator("memory")
    @classmethod
    def _bytes(cls, value: str) -> str:
        from dask.utils import parse_bytes

        try:
            parse_bytes(value)
        except ValueError:
            raise ValueError(f"{value!r} is not an amount of memory; write it as 8GB") from None
        return value

    @property
    def workers(self) -> int:
        """Number of workers in a job."""
        return self.processes or self.cores

    def jobs(self, workers: int) -> int:
        """Number of jobs that hold `workers` workers."""
        return -(-workers // self.workers)

    def options(self) -> dict[str, Any]:
        """Arguments of the class of dask_jobqueue."""
        options = {k: v for k, v in self.model_dump(exclude={"kind", "account"}).items() if v not in (None, [])}
        account = {_QUEUES[self.kind][2]: self.account} if self.account else {}
        prologue = [*(f"export {k}={v}" for k, v in make_environment(1).items()), *self.job_script_prologue]
        return {**options, **account, "processes": self.workers, "job_script_prologue": prologue}


def load_jobqueue(path: Path) -> JobQueue:
    """Read a jobqueue file.

    Raises
    ------
    RecipeError
        The file is missing, is no YAML, or holds unknown keys or invalid values; all of them are named.
    """
    found = yaml_files.validate_yaml(JobQueue, yaml_files.read_yaml(path, "jobqueue file"), path, "jobqueue file")
    if found.resource_spec and not _QUEUES[found.kind][3]:
        raise RecipeError(f"{path.name} is no jobqueue file: resource_spec: {found.kind} has none; leave it out.")
    return found


def make_environment(threads: int) -> dict[str, str]:
    """Environment variables of a worker: limits on the threads of libraries, whose waiting threads do not spin."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "OMP_WAIT_POLICY": "PASSIVE", **_MALLOC}


def submit_jobs(queue: JobQueue, workers: int, failures: list[str]) -> Any:
    """Start a dask cluster whose workers run in jobs.

    Parameters
    ----------
    queue
        Description of a job.
    workers
        Minimum number of workers. A job that ends or is cancelled is submitted again.
    failures
        A line is appended whenever a job could not be submitted.

    Raises
    ------
    ClusterError
        dask-jobqueue is not installed, or the command of the batch system is missing.
    """
    try:
        import dask_jobqueue
    except ImportError as error:
        raise ClusterError(
            'Jobs of a batch system need dask-jobqueue, which is not installed: pip install "geoae[hpc]".'
        ) from error
    name, command, *_ = _QUEUES[queue.kind]
    if shutil.which(command) is None:
        raise ClusterError(f"There is no {command} here: from this machine no job can be submitted to {queue.kind}.")
    kind = getattr(dask_jobqueue, name)
    cluster = kind(
        **queue.options(), job_cls=_retrying_job(kind.job_cls, failures), scheduler_options={"dashboard_address": ":0"}
    )
    # not scale(), which would not replace jobs that were cancelled or reached their walltime
    n = queue.jobs(workers)
    cluster.adapt(minimum_jobs=n, maximum_jobs=n, interval=CHECK_INTERVAL)
    return cluster


def _retrying_job(job: type[Any], failures: list[str]) -> Any:
    """A class of jobs that records failed submissions and submits again; dask would wait for such a job forever."""
    from distributed.core import Status

    class Job(job):  # type: ignore[misc]
        async def start(self) -> None:
            try:
                await super().start()
            except Exception as error:
                self.status = Status.failed
                failures.append(one_line(error))
                asyncio.get_running_loop().call_later(RETRY_S, self._forget)
                raise

        def forget_after(self, seconds: float) -> None:
            """Let the cluster submit another job in place of this one; called from any thread."""
            loop = self._cluster().loop
            loop.add_callback(loop.call_later, seconds, self._forget)

        async def close(self) -> None:
            await super().close()
            self.status = Status.closed  # otherwise closing the cluster would fail

        def _forget(self) -> None:
            cluster = self._cluster()
            for name in [name for name, job in cluster.workers.items() if job is self] if cluster else []:
                del cluster.workers[name]

    return Job
