"""Workers in jobs of a batch system: the jobqueue file, and submission."""

import os
import signal
import sys
from pathlib import Path

import pytest

from geoae.cluster import jobqueue
from geoae.cluster.work import is_distributed, run_tasks
from geoae.errors import ClusterError, GeoAEError, RecipeError
from tests.support.cluster_worker import alive, wait_until

SQUARE = "tests.support.cluster_worker:square"
ROOT = Path(__file__).parents[2]
ONE_LINE = r"[^\n]+"
# dask-jobqueue removes the script at once, so the copy is run
SUBMIT = """#!/bin/sh
cp "$1" {log}/script-$$.sh
setsid sh {log}/script-$$.sh > {log}/job-$$.txt 2>&1 &
echo $! >> {log}/jobs
echo "Submitted batch job $!"
"""
CANCEL = """#!/bin/sh
for job in "$@"; do kill -9 -- -"$job"; done
"""


def log(folder: Path, word: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(word))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("kind: slurm\nmemory: 8GB\nnodes: 2\nwaltime: '1'", "nodes: extra inputs are not permitted; waltime: extra"),
        ("kind: slurm\nmemory: 8GB\nwalltime: 12:00:00", 'walltime: write it in quotes, "12:00:00"'),
        ("kind: condor\nmemory: much", "input should be 'slurm', 'pbs', 'sge' or 'lsf', not 'condor'; memory: 'much'"),
        ("kind: slurm\nmemory: 8GB\nresource_spec: select=1", "resource_spec: slurm has none"),
        ("- slurm", "file: input should be"),
        ("kind: [", "cannot be read as YAML"),
        ("", "file: input should be"),
    ],
)  # fmt: skip
def test_faults_of_a_jobqueue_file_are_named(tmp_path, text, faults):
    """All faults are named in one line."""
    path = tmp_path / "jobs.yml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        is_distributed(path)
    assert faults in str(caught.value)
    assert "\n" not in str(caught.value)


def test_jobs_need_a_file_a_package_and_a_batch_system(tmp_path, monkeypatch):
    """An error names what is missing."""
    path = tmp_path / "jobs.yml"
    with pytest.raises(RecipeError, match=r"^There is no jobqueue file \S+jobs\.yml\.$"):
        is_distributed(path)
    path.write_text("kind: lsf\nmemory: 1GB\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dask_jobqueue", None)
        with pytest.raises(ClusterError, match=r'not installed: pip install "geoae\[hpc\]"\.$'):
            next(run_tasks([1], SQUARE, {}, cluster=path))
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(ClusterError, match=r"^There is no bsub here: from this machine no job can be submitted "):
        next(run_tasks([1], SQUARE, {}, cluster=path))


def test_options_are_those_of_dask_jobqueue(tmp_path):
    """One worker for each core by default, enough jobs for all workers, the account under its own name."""
    path = tmp_path / "jobs.yml"
    path.write_text("kind: sge\nmemory: 8GB\ncores: 4\naccount: abc\njob_script_prologue: [module load python]")
    queue = jobqueue.load_jobqueue(path)
    options = queue.options()
    assert (options["cores"], options["processes"], options["project"]) == (4, 4, "abc")
    assert options["job_script_prologue"][0] == "export OMP_NUM_THREADS=1"
    assert options["job_script_prologue"][-1] == "module load python"
    assert [queue.jobs(workers) for workers in (1, 4, 5, 8)] == [1, 1, 2, 2]


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A fake batch system that starts each job at once, and a jobqueue file for it."""
    pytest.importorskip("dask_jobqueue")
    for name, script in (("sbatch", SUBMIT), ("scancel", CANCEL)):
        (tmp_path / name).write_text(script.format(log=tmp_path) if name == "sbatch" else script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = tmp_path / "jobs.yml"
    path.write_text(f"kind: slurm\nmemory: 1GB\nwalltime: '00:10:00'\ninterface: lo\nlocal_directory: {tmp_path}\n")
    return path


def test_a_cancelled_job_is_submitted_again(tmp_path, slurm, monkeypatch, capfd):
    """Workers in jobs give the same results, also if a job is cancelled."""
    import dask

    monkeypatch.setattr(jobqueue, "CHECK_INTERVAL", "100ms")
    said: list[str] = []
    spec = {"log": str(tmp_path), "sleep_s": 0.1}
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "200ms"}):
        results = run_tasks(range(30), SQUARE, spec, cluster=slurm, say=said.append)
        got = dict([next(results)])
        (first,) = (tmp_path / "jobs").read_text().split()
        os.killpg(int(first), signal.SIGKILL)
        got |= dict(results)
    assert got == {number: number**2 for number in range(30)}
    jobs = (tmp_path / "jobs").read_text().split()
    assert len(jobs) == 2
    assert said[0] == "asked slurm for 1 jobs of 1 workers each"
    wait_until(lambda: not alive(list(map(int, jobs))), 120)
    assert "Traceback" not in capfd.readouterr().err


def test_refused_jobs_end_the_run_with_the_reason(tmp_path, slurm, monkeypatch):
    """After a few attempts the message of the batch system is raised."""
    monkeypatch.setattr(jobqueue, "CHECK_INTERVAL", "100ms")
    monkeypatch.setattr(jobqueue, "RETRY_S", 0.1)
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid account' >&2\nexit 1\n")
    with pytest.raises(GeoAEError, match=rf"^Jobs cannot be submitted[^\n]*invalid account{ONE_LINE}$"):
        next(run_tasks([1], SQUARE, {"log": str(tmp_path)}, cluster=slurm))
