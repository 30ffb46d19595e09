"""A record into a zarr store by workers: the bytes of one process, whoever is killed when."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from geoae.cli import app
from geoae.cluster.work import run_tasks
from geoae.errors import InputError, MissingFileError, ModelFileError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records import plan, worker
from geoae.stores import ledger
from tests.conftest import tiny_model
from tests.jobs.records.test_store import record
from tests.support.cluster_worker import alive, wait_until, worker_pids
from tests.support.denoising import denoise_files
from tests.support.store_worker import EPOCH, content

ROOT = Path(__file__).parents[2]
# what is killed: the command, with blocks that are small enough for something to be under way at any moment
CLIENT = """
import sys
from pathlib import Path
from geoae.jobs.records import plan
from geoae.jobs.denoise import denoise_files
from geoae.jobs.options import DenoiseOptions
if __name__ == "__main__":
    plan.CHUNK_SAMPLES = 1200
    options = DenoiseOptions.from_keywords(out=sys.argv[2], model=sys.argv[3], cluster="local", workers=2)
    denoise_files([Path(sys.argv[1])], options)
"""


@pytest.fixture
def small(monkeypatch):
    """Chunks of 800 samples a channel, and one time for all stores."""
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 2400)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model().save(folder, "# tiny")
    return folder


def damaged(path: Path) -> Path:
    """Some records in the middle of the file cannot be decoded."""
    raw = bytearray(path.read_bytes())
    at = len(raw) // 2 // 4096 * 4096 + 64
    raw[at : at + 300] = bytes(300)
    path.write_bytes(raw)
    return path


def test_workers_write_the_same_bytes(tmp_path, small, saved, capfd):
    """And count the same; also of a recording of which some cannot be decoded, and of a part that was chosen."""
    path, options = damaged(record(tmp_path / "a.mseed", dtype=np.int32)), InferenceOptions(saved, threads=1, dry=0.1)
    chosen = {"ids": ["*E", "*N"], "start_time": "2024-01-01T00:00:03"}
    one = denoise_files([path], tmp_path / "one.zarr", options, **chosen)
    two = denoise_files([path], tmp_path / "two.zarr", options, cluster="local", workers=2, **chosen)
    assert content(tmp_path / "one.zarr") == content(tmp_path / "two.zarr")
    assert [replace(line, seconds=0) for line in one.rows] == [replace(line, seconds=0) for line in two.rows]
    assert (one.problems, one.notes) == (two.problems, two.notes)
    assert any("samples are lost" in problem for problem in one.problems)
    assert capfd.readouterr() == ("", "")


def test_killed_processes_change_no_byte(tmp_path, small, saved, monkeypatch):
    """Client, scheduler (which is in its process) and workers at random moments: in the end, no byte differs."""
    rng, killed = np.random.default_rng(4), {"client": 0, "worker": 0}
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 1200)
    path, target = record(tmp_path / "a.mseed", n=100_000), tmp_path / "a.zarr"
    denoise_files([path], tmp_path / "whole.zarr", InferenceOptions(saved, threads=1))
    words = [sys.executable, "-c", CLIENT, str(path), str(target), str(saved)]
    stderr = b""

    def done() -> int:
        with suppress(MissingFileError):  # it is laid out, or gets its name
            return ledger.read_store_status(target).n_done
        return 0

    for victim in ("client", "worker"):
        process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE)
        goal = done() + int(rng.integers(1, 20))
        wait_until(lambda p=process, n=goal: p.poll() is not None or done() >= n, 120)
        workers = worker_pids(process.pid)
        assert len(workers) == 2
        if victim == "client":
            process.kill()
            wait_until(lambda w=workers: not alive(w), 120)
            assert not target.exists()
            unfinished = done()
            assert 0 < unfinished < 250
        else:
            os.kill(int(rng.choice(workers)), signal.SIGKILL)
            goal = done() + 3
            wait_until(lambda p=process, n=goal: p.poll() is not None or done() >= n, 120)
            process.kill()
        killed[victim] += 1
        stderr += process.communicate()[1]
    summary = denoise_files([path], target, InferenceOptions(saved), cluster="local", workers=2)
    assert content(target) == content(tmp_path / "whole.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mseed", "a.zarr", "whole.zarr"]
    assert any("blocks existed already" in note for note in summary.notes)
    assert killed == {"client": 1, "worker": 1}
    assert b"Traceback" not in stderr


def test_workers_need_a_model_from_a_folder(tmp_path, small, saved):
    """An object that was made here cannot be found there; one that was loaded can."""
    path = record(tmp_path / "a.mseed")
    with pytest.raises(InputError, match=r"^Model 'tiny' was given as an object that comes from no folder, [^\n]+$"):
        denoise_files([path], tmp_path / "a.zarr", InferenceOptions(tiny_model()), workers=2)
    assert not list(tmp_path.glob("*.zarr"))


def test_workers_refuse_changed_files_and_models(tmp_path, small, saved, monkeypatch):
    """Another recording or another model by the same name is refused; nothing of it is written."""
    path, target, specs = record(tmp_path / "a.mseed"), tmp_path / "a.zarr", []

    def stop(numbers, make, spec, **options):
        specs.append(spec)
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as patch:
        patch.setattr("geoae.cluster.work.run_tasks", stop)
        with pytest.raises(KeyboardInterrupt):
            denoise_files([path], target, InferenceOptions(saved), workers=2)
    (spec,) = specs
    assert dict(run_tasks([0], worker.make_record_worker, spec))[0]["losses"] == []
    with pytest.raises(ModelFileError, match=r"has changed: the run was begun with 0000, a worker finds \w{12}\.$"):
        next(run_tasks([1], worker.make_record_worker, {**spec, "digest": "0000"}))
    record(path, n=4000)
    with pytest.raises(InputError, match=r"a worker finds another record there than the run that it works for\."):
        next(run_tasks([1], worker.make_record_worker, spec))
    assert ledger.read_store_status(target).n_done == 1


def test_workers_are_for_stores(tmp_path):
    """Files are written by one process; an unknown cluster is refused."""
    path = record(tmp_path / "a.mseed")
    with pytest.raises(InputError, match=r"^Workers write the blocks of a zarr store; [^\n]+$"):
        denoise_files([path], tmp_path / "b.mseed", workers=2)
    with pytest.raises(InputError, match="There is no cluster 'nowhere'"):
        denoise_files([path], tmp_path / "b.zarr", cluster="nowhere")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mseed"]


def test_the_command_line_takes_workers(tmp_path, small, saved):
    """An unknown cluster is one line; two workers give the usual summary."""
    path = record(tmp_path / "a.mseed")
    words = ["denoise", str(path), "-o", str(tmp_path / "a.zarr"), "--model", str(saved)]
    shown = CliRunner().invoke(app, [*words, "--cluster", "nothing.yml"])
    assert (shown.exit_code, shown.output) == (1, "geoae: There is no jobqueue file nothing.yml.\n")
    shown = CliRunner().invoke(app, [*words, "--cluster", "local", "--workers", "2"])
    assert shown.exit_code == 0, shown.output
    assert ledger.read_store_status(tmp_path / "a.zarr").finished
