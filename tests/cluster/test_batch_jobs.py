"""Jobs whose workers never connect: told with what the batch system and the log say, and given up with work kept."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from geoae.cluster import batch_jobs, jobqueue
from geoae.cluster.batch_jobs import JobWatch
from geoae.cluster.work import run_tasks
from geoae.errors import ClusterError

# command -> output, for three jobs of which 11 has ended
BATCH_SYSTEMS = {
    "slurm": {"squeue": "12\\n13\\n", "sacct": "FAILED|127:0\\n"},
    "slurm without accounting": {
        "squeue": "12\\n13\\n",
        "scontrol": "JobId=11 JobState=FAILED Requeue=1 ExitCode=127:0\\n",
    },
    "pbs": {
        "qstat": "server:\\nJob ID   Username Queue\\n12.server  me  work\\n13.server  me  work\\n"
        "Exit_status = 127\\n    comment = Job run and failed\\n"
    },
    "sge": {
        "qstat": "job-ID prior\\n-----\\n  12 0.5 dask\\n  13 0.5 dask\\n",
        "qacct": "failed  0\\nexit_status  127\\n",
    },
    "lsf": {"bjobs": "12\\n13\\nEXIT 127 -\\n"},
}


def command(folder: Path, name: str, text: str, code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")
    path.chmod(0o755)


@pytest.fixture
def at_once(tmp_path, monkeypatch):
    """Lists of jobs without a wait between them, and a folder of commands."""
    monkeypatch.setattr(batch_jobs, "LIST_INTERVALS_S", (0.0, 0.0))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def watch(folder: Path, kind: str = "slurm", job_ids: tuple[str, ...] = ("11", "12", "13")):
    """A watch of jobs, those that were submitted again, and the lines that were said."""
    again: list[str] = []
    said: list[str] = []
    jobs = {
        f"dask-{n}": SimpleNamespace(job_id=job_id, forget_after=lambda s, job_id=job_id: again.append(job_id))
        for n, job_id in enumerate(job_ids)
    }
    cluster = SimpleNamespace(workers=jobs)
    return JobWatch(cluster, kind, str(folder / "logs"), said.append), again, said


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_a_job_that_ended_is_told_with_its_end_and_its_log(at_once, kind):
    """Its number, its exit code and the last line of its log; the others wait."""
    for name, text in BATCH_SYSTEMS[kind].items():
        command(at_once, name, text)
    kind = kind.partition(" ")[0]
    (at_once / "logs").mkdir()
    (at_once / "logs" / "dask-worker-11.out").write_text("start\n")
    (at_once / "logs" / "dask-worker-11.err").write_text("loading\nmodule: command not found\n\n")
    (at_once / "logs" / "dask-worker-111.err").write_text("another job\n")
    jobs, again, said = watch(at_once, kind)
    jobs.check([])
    assert not again  # a list may be late
    jobs.check([])
    assert again == ["11"]
    (line,) = said
    assert line.startswith(f"job 11 of {kind} ended before its worker had connected (")
    assert "127" in line
    assert line.endswith("dask-worker-11.err: 'module: command not found'); submitted again")
    jobs.check([])
    assert again == ["11"]


def test_a_job_whose_worker_came_is_not_judged(at_once):
    """Dask replaces workers that it knew; a name is not mistaken for a longer one."""
    command(at_once, "squeue", "")
    jobs, again, _ = watch(at_once, job_ids=("11", "12"))
    for workers in (["dask-0-3", "dask-1"], [], []):
        jobs.check(workers)
    assert not again
    jobs, again, _ = watch(at_once, job_ids=("11",))
    for _ in range(2):
        jobs.check(["dask-01"])
    assert again == ["11"]


@pytest.mark.parametrize("code", [1, None])
def test_nothing_is_concluded_without_an_answer(at_once, code):
    """The batch system may be busy, or its command missing."""
    if code is not None:
        command(at_once, "squeue", "", code)
    jobs, again, _ = watch(at_once)
    for _ in range(3):
        jobs.check([])
    assert not again


def test_no_unfinished_job_is_an_empty_list(at_once):
    """LSF calls this an error."""
    command(at_once, "bjobs", "No unfinished job found\\n", 255)
    jobs, again, said = watch(at_once, "lsf", ("11",))
    for _ in range(2):
        jobs.check([])
    assert again == ["11"]
    assert "it left no log in" in said[0]


def test_many_lost_jobs_do_not_end_a_run_that_has_workers(at_once):
    """Others go on; without any worker, the third lost job ends the run."""
    command(at_once, "squeue", "20\\n")
    jobs, again, _ = watch(at_once, job_ids=("11", "12", "13", "20"))
    for _ in range(4):
        jobs.check(["dask-3"])
    assert again == ["11", "12", "13"]
    jobs, again, _ = watch(at_once)
    jobs.check([])
    with pytest.raises(ClusterError, match=r"^3 jobs of slurm \(11, 12, 13\) ended before a worker had connected\."):
        jobs.check([])
    assert again == ["11", "12"]


def test_a_run_whose_jobs_die_at_once_ends_with_the_reason(at_once, monkeypatch):
    """Through dask-jobqueue: each job is submitted again, then the run gives up."""
    pytest.importorskip("dask_jobqueue")
    monkeypatch.chdir(at_once)
    monkeypatch.setenv("PATH", f"{at_once}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(jobqueue, "CHECK_INTERVAL", "100ms")
    monkeypatch.setattr("geoae.cluster.work.CHECK_INTERVAL_S", 0.1)
    submit = "#!/bin/sh\necho job >> jobs; n=$(wc -l < jobs | tr -d ' ')\n"
    submit += 'echo "no module python/3" > slurm-$n.out; echo "Submitted batch job $n"\n'
    (at_once / "sbatch").write_text(submit)
    (at_once / "sbatch").chmod(0o755)
    for name in ("squeue", "scancel"):
        command(at_once, name, "")
    command(at_once, "sacct", "FAILED|1:0\\n")
    path = at_once / "jobs.yml"
    path.write_text("kind: slurm\nmemory: 1GB\nwalltime: '00:10:00'\ninterface: lo\n")
    with pytest.raises(ClusterError) as caught:
        next(run_tasks([1], "tests.support.cluster_worker:square", {"log": str(at_once)}, cluster=path))
    assert "3 jobs of slurm (1, 2, 3) ended before a worker had connected" in str(caught.value)
    assert "FAILED 1:0; log" in str(caught.value)
    assert "slurm-3.out: 'no module python/3'" in str(caught.value)
    assert (at_once / "jobs").read_text().count("job") == 3
