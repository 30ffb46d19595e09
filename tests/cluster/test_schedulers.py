"""Workers of this machine or of a running scheduler; an unreachable one is an error of one line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from geoae.cluster import schedulers
from geoae.cluster.work import is_distributed, run_tasks
from geoae.errors import ClusterError, InputError
from tests.support.cluster_worker import square

SQUARE = "tests.support.cluster_worker:square"
ROOT = Path(__file__).parents[2]
ONE_LINE = r"[^\n]+"
# a scheduler with one worker
SCHEDULER = """
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        input()
"""


def log(folder: Path, word: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(word))


def test_unknown_clusters_are_refused_with_the_choices():
    """The error lists the possible values."""
    assert not is_distributed(None)
    assert is_distributed(None, 2)
    assert is_distributed("local")
    with pytest.raises(InputError, match=r"^workers is 0; it must be at least 1\.$"):
        is_distributed("local", 0)
    with pytest.raises(InputError, match=r"^There is no cluster 'here'; choose local, the address [^\n]+$"):
        is_distributed("here")
    with pytest.raises(InputError, match=r"^'tcp://host' is no address of a dask scheduler; an address looks like "):
        is_distributed("tcp://host")
    with pytest.raises(ValueError, match="not at the top of a module"):
        next(run_tasks([1], lambda spec: square(spec), {}, workers=2))


def test_addresses_without_a_scheduler_are_refused_soon(monkeypatch, address, capfd):
    """For a closed port, a server that does not answer, and a worker."""
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


def test_workers_with_other_versions_are_refused(tmp_path, monkeypatch, address):
    """The error names the packages that differ."""
    monkeypatch.setattr(schedulers, "__version__", "99.0")
    with pytest.raises(
        ClusterError, match=r"^The worker tcp://\S+ at \S+ has other software: geoae \S+ \(here 99\.0\)"
    ):
        next(run_tasks([1], SQUARE, {"log": str(tmp_path)}, cluster=address))


def test_a_scheduler_that_dies_is_an_error_of_one_line(tmp_path, capfd):
    """It is raised soon, even if tasks are running."""
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
