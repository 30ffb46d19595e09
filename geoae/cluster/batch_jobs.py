"""Jobs of a batch system whose workers never connect: found, reported, submitted again, and given up."""

import getpass
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from geoae.errors import ClusterError

LIST_INTERVALS_S = (5.0, 30.0)
"""Time between two lists of jobs, in the first minutes and later: batch systems do not like to be asked often."""
FIRST_MINUTES_S = 300.0
MAX_LOST_JOBS = 3
"""Jobs in a row that may end without any worker before a run gives up."""
COMMAND_TIMEOUT_S = 20.0
# kind -> command that lists the waiting and running jobs of a user, one line each, the number first
_LISTS = {
    "slurm": "squeue --noheader --format %i --user {user}",
    "pbs": "qstat -u {user}",
    "sge": "qstat -u {user}",
    "lsf": "bjobs -u {user} -noheader -o jobid",
}
# kind -> commands that say how a job ended, and what is read from their output; the first that answers is used
_ENDS = {
    "slurm": [
        ("sacct --noheader --allocations --parsable2 --format State,ExitCode --jobs {job}", r"^(.+)\|(.+)$"),
        ("scontrol --oneliner show job {job}", r"JobState=(\S+) .*ExitCode=(\S+)"),  # where there is no accounting
    ],
    "pbs": [("qstat -x -f {job}", r"(?:Exit_status|comment) = (.+)")],
    "sge": [("qacct -j {job}", r"^(?:failed|exit_status)\s+(.*\S)")],
    "lsf": [("bjobs -noheader -o 'stat exit_code exit_reason' {job}", r"^(.*\S)")],
}


class JobWatch:
    """Finds jobs that ended before a worker of theirs connected. dask itself would wait for such a job forever.

    Parameters
    ----------
    cluster
        Cluster of dask-jobqueue; its jobs have `job_id` and `forget_after`.
    kind
        Batch system: "slurm", "pbs", "sge" or "lsf".
    log_directory
        Folder for the output of the jobs; None: the present folder.
    say
        Called with a line about each job that was lost.
    """

    def __init__(self, cluster: Any, kind: str, log_directory: str | None, say: Callable[[str], None]) -> None:
        self._cluster, self._kind, self._say = cluster, kind, say
        self._logs = Path(log_directory or ".")
        self._began = self._next_list = time.monotonic()
        self._connected: set[str] = set()
        self._unlisted: set[str] = set()
        self._reported: set[str] = set()
        self._in_a_row: list[str] = []

    def check(self, workers: Collection[str]) -> None:
        """Compare jobs with workers, at most once in an interval.

        Parameters
        ----------
        workers
            Names of the workers that are connected now.

        Raises
        ------
        ClusterError
            Several jobs in a row ended, and there is no worker at all. The message holds what is known about the last.
        """
        waiting = {}
        for name, job in list(self._cluster.workers.items()):
            job_id = getattr(job, "job_id", None)
            if job_id and any(worker == name or worker.startswith(f"{name}-") for worker in workers):
                self._connected.add(job_id)
            elif job_id and job_id not in self._connected and job_id not in self._reported:
                waiting[job_id] = job
        if workers:
            self._in_a_row = []
        now = time.monotonic()
        if not waiting or now < self._next_list:
            return
        self._next_list = now + LIST_INTERVALS_S[now - self._began > FIRST_MINUTES_S]
        listed = _list_jobs(self._kind)
        if listed is None:
            return
        unlisted = {job_id for job_id in waiting if job_id not in listed}
        # a job may be missing from the list for a moment after it was submitted
        for job_id in sorted(unlisted & self._unlisted):
            self._report_lost(job_id, waiting[job_id], bool(workers))
        self._unlisted = unlisted

    def _report_lost(self, job_id: str, job: Any, has_workers: bool) -> None:
        self._reported.add(job_id)
        self._in_a_row.append(job_id)
        reason = self._describe_end(job_id)
        if not has_workers and len(self._in_a_row) >= MAX_LOST_JOBS:
            raise ClusterError(
                f"{len(self._in_a_row)} jobs of {self._kind} ({', '.join(self._in_a_row)}) ended before a worker had "
                f"connected. The last: {reason}. What is done is kept: correct the jobqueue file (python, "
                "job_script_prologue, memory, queue), and run the same command again."
            )
        self._say(f"job {job_id} of {self._kind} ended before its worker had connected ({reason}); submitted again")
        job.forget_after(0.1 if len(self._in_a_row) < MAX_LOST_JOBS else LIST_INTERVALS_S[1])

    def _describe_end(self, job_id: str) -> str:
        """What the batch system and the log say of a job that ended."""
        found: list[Any] = []
        for command, pattern in _ENDS[self._kind]:
            found = found or re.findall(pattern, _run(command.format(job=job_id)) or "", re.MULTILINE)
        parts = [" ".join(part) if isinstance(part, tuple) else part for part in found]
        state = ", ".join(dict.fromkeys(part.strip() for part in parts)) or f"{self._kind} does not say how it ended"
        log = self._find_log(job_id)
        if log is None:
            return f"{state}; it left no log in {self._logs.resolve()}"
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return f"{state}; log {log}: {lines[-1][:300]!r}" if lines else f"{state}; log {log} is empty"

    def _find_log(self, job_id: str) -> Path | None:
        """The output file of a job; of several, that of the errors, or the longest."""
        is_log = re.compile(rf"(?<!\d){re.escape(job_id)}(\.(out|err|log|OU|ER))?$").search
        try:
            found = [path for path in self._logs.iterdir() if is_log(path.name) and path.is_file()]
            return max(
                found, key=lambda path: (path.stat().st_size > 0, ".e" in path.name.lower(), path.name), default=None
            )
        except OSError:
            return None


def _list_jobs(kind: str) -> set[str] | None:
    """Numbers of this user's jobs that wait or run; None if the batch system does not answer."""
    text = _run(_LISTS[kind].format(user=shlex.quote(getpass.getuser())))
    return None if text is None else set(re.findall(r"^\s*(\d+)", text, re.MULTILINE))


def _run(command: str) -> str | None:
    """The output of a command; None if it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            shlex.split(command), capture_output=True, text=True, errors="replace", timeout=COMMAND_TIMEOUT_S,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    is_empty_list = "no unfinished job" in (done.stdout + done.stderr).lower()  # an error for LSF
    return done.stdout if done.returncode == 0 or is_empty_list else None
