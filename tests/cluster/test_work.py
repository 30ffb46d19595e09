"""The same results from this process and from workers; whatever happens to those is one line, or nothing at all."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoae.cluster import jobqueue, schedulers
from geoae.cluster.work import _wait_for_result, is_distributed, run_tasks
from geoae.errors import ClusterError, GeoAEError, InputError, RecipeError
from tests.support.cluster_worker import alive, square, wait_until, worker_pids

SQUARE = "tests.support.cluster_worker:square"
ROOT = Path(__file__).parents[2]
ONE_LINE = r"[^\n]+"
# a client that is still at it when it is stopped
CLIENT = """
import sys
from geoae.cluster.work import each
if __name__ == "__main__":
    spec = {"log": sys.argv[1], "sleep_s": 0.2}
    try:
        for number, _ in each(range(1000), "tests.support.cluster_worker:square", spec, cluster="local", workers=2):
            print(number, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""
# a scheduler with a worker
SCHEDULER = """
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        input()
"""
# who submits removes the script at once
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


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A dask scheduler that is running, with two workers."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster:
        yield cluster.scheduler_address


def test_in_this_process(tmp_path):
    """One after the other, and no sooner than asked for; a function needs no name."""
    results = run_tasks([3, 1, 2], square, {"log": str(tmp_path)})
    assert next(results) == (3, 9)
    assert len(log(tmp_path, "begun")) == 1
    assert list(results) == [(1, 1), (2, 4)]
    assert len(log(tmp_path, "made")) == 1
    with pytest.raises(InputError, match=r"^number 1 cannot be$"):
        dict(run_tasks([0, 1], SQUARE, {"log": str(tmp_path), "refused": 1}))
    assert list(run_tasks([], SQUARE, {}, workers=2)) == []  # and no worker is started for it


def test_workers_give_the_same_and_are_told_once(tmp_path):
    """Each process makes its function once, takes one thread, and is gone in the end."""
    said: list[str] = []
    results = dict(run_tasks(range(50), square, {"log": str(tmp_path), "sleep_s": 0.01}, workers=2, say=said.append))
    assert results == {number: number**2 for number in range(50)}
    makers = [name.split("-")[1] for name in log(tmp_path, "made")]
    assert len(set(makers)) == len(makers) == 2
    assert not alive(list(map(int, makers)))
    around = dict(run_tasks(range(4), "tests.support.cluster_worker:surroundings", {}, cluster="local", threads=3))
    assert {tuple(threads) for _, threads, _ in around.values()} == {("3", "3", "3")}
    assert len({pid for pid, *_ in around.values()} | {os.getpid()}) == 2
    assert all(line.startswith("dashboard: http://") for line in said)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.integers(0, 10**6), max_size=30, unique=True))
def test_any_numbers_in_any_order(tmp_path, address, numbers):
    """Each comes back once, with its own result."""
    results = list(run_tasks(numbers, SQUARE, {"log": str(tmp_path)}, cluster=address))
    assert sorted(results) == sorted((number, number**2) for number in numbers)


def test_work_is_handed_out_as_it_is_done(tmp_path, address):
    """Of 100,000 numbers few are looked at before the first result, so there is nothing to plan."""
    drawn: list[int] = []
    numbers = (drawn.append(number) or number for number in range(100_000))
    with closing(run_tasks(numbers, SQUARE, {"log": str(tmp_path)}, cluster=address)) as results:
        for _ in range(5):
            next(results)
        assert len(drawn) < 20
    assert len(log(tmp_path, "begun")) < 20


def test_a_worker_that_is_killed_is_replaced(tmp_path, capfd):
    """What it had not handed over is done again; nobody needs to hear of it."""
    spec = {"log": str(tmp_path), "deadly": [3, 8], "sleep_s": 0.01}
    assert dict(run_tasks(range(20), SQUARE, spec, workers=2)) == {number: number**2 for number in range(20)}
    assert min(len(log(tmp_path, f"begun-{number}-")) for number in spec["deadly"]) >= 2
    assert capfd.readouterr() == ("", "")


def test_a_result_whose_worker_was_killed_is_waited_for():
    """It was done, and is done again; that may take longer than a scheduler has to answer."""
    answers = iter([TimeoutError, TimeoutError, ("", 9, "")])

    def result(timeout):
        if (answer := next(answers)) is TimeoutError:
            raise answer
        return answer

    looks: list[int] = []
    watch = SimpleNamespace(check=lambda: looks.append(1), connection_error=lambda: ClusterError("gone"))
    assert _wait_for_result(SimpleNamespace(status="pending", result=result), watch) == ("", 9, "")
    assert len(looks) == 2
    with pytest.raises(ClusterError, match=r"^gone$"):
        _wait_for_result(SimpleNamespace(status="cancelled", result=result), watch)


def test_a_task_that_kills_every_worker_is_named(tmp_path, monkeypatch, capfd):
    """One line says which; beside it one that waited on the same workers may be under suspicion."""
    monkeypatch.setattr(schedulers, "ALLOWED_FAILURES", 1)
    spec = {"log": str(tmp_path), "deadly": [4], "deaths": 99}
    given_up = rf"^Block ([0-5] or )?4( or [0-5])? was given up after 2 workers had died with it{ONE_LINE}$"
    with pytest.raises(ClusterError, match=given_up):
        dict(run_tasks(range(6), SQUARE, spec, workers=2))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("word", "kind", "line"),
    [
        ("refused", InputError, r"^number 2 cannot be$"),
        ("broken", ClusterError, r"^Block 2 failed: ZeroDivisionError: over zero\.$"),
        ("large", ClusterError, r"^Block 2: a worker has too little memory\. [^\n]+$"),
    ],
)
def test_errors_come_back_in_a_line(tmp_path, address, capfd, word, kind, line):
    """Ours as themselves, others named with their block; what was not begun is not begun any more."""
    spec = {"log": str(tmp_path), word: 2, "sleep_s": 0.02}
    with pytest.raises(kind, match=line) as caught:
        dict(run_tasks(range(100), SQUARE, spec, cluster=address))
    assert "in work" in str(caught.value.__cause__)  # where, for who looks for it
    assert len(log(tmp_path, "begun")) < 20
    assert capfd.readouterr() == ("", "")


def test_what_is_no_cluster_is_refused():
    """What can be asked for is said."""
    assert not is_distributed(None)
    assert is_distributed(None, 2)
    assert is_distributed("local")
    with pytest.raises(InputError, match=r"^workers is 0; it must be at least 1\.$"):
        is_distributed("local", 0)
    with pytest.raises(InputError, match=r"^There is no cluster 'here'; choose local, the address [^\n]+$"):
        is_distributed("here")
    with pytest.raises(InputError, match=r"^'tcp://host' is no address of a dask scheduler; one looks like [^\n]+$"):
        is_distributed("tcp://host")
    with pytest.raises(ValueError, match="not at the top of a module"):
        next(run_tasks([1], lambda spec: square(spec), {}, workers=2))


def test_addresses_where_no_scheduler_is(monkeypatch, address, capfd):
    """Nothing there, something else there, a worker there: one line, soon."""
    with monkeypatch.context() as patch, socket.socket() as mute:
        patch.setattr(schedulers, "TIMEOUT_S", 1.0)
        mute.bind(("127.0.0.1", 0))
        with pytest.raises(ClusterError, match=r"^No dask scheduler answers at tcp://\S+ within 1 s\. [^\n]+$"):
            next(run_tasks([1], SQUARE, {}, cluster=f"tcp://127.0.0.1:{mute.getsockname()[1]}"))
        mute.listen()
        with pytest.raises(ClusterError, match=r"^No dask scheduler answers at"):
            next(run_tasks([1], SQUARE, {}, cluster=f"tcp://127.0.0.1:{mute.getsockname()[1]}"))
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        worker = next(iter(client.scheduler_info()["workers"]))
    with pytest.raises(ClusterError, match=r"is no dask scheduler, but a worker of dask\.$"):
        next(run_tasks([1], SQUARE, {}, cluster=worker))
    assert capfd.readouterr() == ("", "")


def test_workers_with_other_software_are_refused(tmp_path, monkeypatch, address):
    """Their results could differ; what differs is named."""
    monkeypatch.setattr(schedulers, "__version__", "99.0")
    with pytest.raises(
        ClusterError, match=r"^The worker tcp://\S+ at \S+ has other software: geoae \S+ \(here 99\.0\)"
    ):
        next(run_tasks([1], SQUARE, {"log": str(tmp_path)}, cluster=address))


def test_a_scheduler_that_dies_is_one_line(tmp_path, capfd):
    """And soon, whatever was under way."""
    quiet = {"text": True, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", SCHEDULER], cwd=ROOT, **quiet) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        results = run_tasks(range(10_000), SQUARE, {"log": str(tmp_path), "sleep_s": 0.05}, cluster=address)
        next(results)
        process.kill()
        with pytest.raises(ClusterError, match=rf"^The dask scheduler at tcp://\S+ is gone\. {ONE_LINE}$"):
            list(results)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_go_with_their_client(tmp_path, number):
    """Ctrl-C, which all processes of a terminal see, is quiet; after SIGKILL no worker goes on writing."""
    words = [sys.executable, "-c", CLIENT, str(tmp_path)]
    process = subprocess.Popen(words, cwd=ROOT, start_new_session=True, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    workers = worker_pids(process.pid)
    assert len(workers) == 2
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait(120) == (130 if number == signal.SIGINT else -number)
    wait_until(lambda: not alive(workers), 120)
    told = process.stderr.read()
    assert told == "" if number == signal.SIGINT else "Traceback" not in told
    process.stdout.close()
    process.stderr.close()


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
    """All of them, in one line."""
    path = tmp_path / "jobs.yml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        is_distributed(path)
    assert faults in str(caught.value)
    assert "\n" not in str(caught.value)


def test_jobs_that_cannot_be_submitted_from_here(tmp_path, monkeypatch):
    """No file, no package, no batch system."""
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


def test_options_of_jobs(tmp_path):
    """One thread a worker unless told otherwise, as many jobs as hold the workers, an account by each system's name."""
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
    """A batch system that starts each job at once, and a file that asks for its jobs."""
    pytest.importorskip("dask_jobqueue")
    for name, script in (("sbatch", SUBMIT), ("scancel", CANCEL)):
        (tmp_path / name).write_text(script.format(log=tmp_path) if name == "sbatch" else script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = tmp_path / "jobs.yml"
    path.write_text(f"kind: slurm\nmemory: 1GB\nwalltime: '00:10:00'\ninterface: lo\nlocal_directory: {tmp_path}\n")
    return path


def test_jobs_of_a_batch_system(tmp_path, slurm, monkeypatch, capfd):
    """Workers in jobs do the same; a job that is cancelled is submitted again."""
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


def test_jobs_that_are_refused(tmp_path, slurm, monkeypatch):
    """What the batch system says comes through, when it has said it a few times."""
    monkeypatch.setattr(jobqueue, "CHECK_INTERVAL", "100ms")
    monkeypatch.setattr(jobqueue, "RETRY_S", 0.1)
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid account' >&2\nexit 1\n")
    with pytest.raises(GeoAEError, match=rf"^Jobs cannot be submitted[^\n]*invalid account{ONE_LINE}$"):
        next(run_tasks([1], SQUARE, {"log": str(tmp_path)}, cluster=slurm))
