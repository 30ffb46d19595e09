"""Tasks give the same results in this process and on workers; failures of workers are repaired or reported."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geoae.cluster import schedulers
from geoae.cluster.work import _wait_for_result, run_tasks
from geoae.errors import ClusterError, InputError
from tests.support.cluster_worker import alive, square, wait_until, worker_pids

SQUARE = "tests.support.cluster_worker:square"
ROOT = Path(__file__).parents[2]
ONE_LINE = r"[^\n]+"
# a client that is still working when it is stopped
CLIENT = """
import sys
from geoae.cluster.work import run_tasks
if __name__ == "__main__":
    spec = {"log": sys.argv[1], "sleep_s": 0.2}
    try:
        for number, _ in run_tasks(range(1000), "tests.support.cluster_worker:square", spec, workers=2):
            print(number, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def log(folder: Path, word: str) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(word))


def test_tasks_run_one_by_one_in_this_process(tmp_path):
    """One after the other, each when its result is needed; a function needs no name."""
    results = run_tasks([3, 1, 2], square, {"log": str(tmp_path)})
    assert next(results) == (3, 9)
    assert len(log(tmp_path, "begun")) == 1
    assert list(results) == [(1, 1), (2, 4)]
    assert len(log(tmp_path, "made")) == 1
    with pytest.raises(InputError, match=r"^number 1 cannot be$"):
        dict(run_tasks([0, 1], SQUARE, {"log": str(tmp_path), "refused": 1}))
    assert list(run_tasks([], SQUARE, {}, workers=2)) == []  # no worker is started


def test_workers_give_the_same_results_and_make_the_function_once(tmp_path):
    """Each process makes its function once, uses the given number of threads, and stops in the end."""
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
def test_each_number_comes_back_once_with_its_result(tmp_path, address, numbers):
    """For any numbers, in any order."""
    results = list(run_tasks(numbers, SQUARE, {"log": str(tmp_path)}, cluster=address))
    assert sorted(results) == sorted((number, number**2) for number in numbers)


def test_numbers_are_taken_only_as_workers_need_them(tmp_path, address):
    """Of 100,000 numbers few are taken before the first results."""
    drawn: list[int] = []
    numbers = (drawn.append(number) or number for number in range(100_000))
    with closing(run_tasks(numbers, SQUARE, {"log": str(tmp_path)}, cluster=address)) as results:
        for _ in range(5):
            next(results)
        assert len(drawn) < 20
    assert len(log(tmp_path, "begun")) < 20


def test_a_worker_that_is_killed_is_replaced(tmp_path, capfd):
    """Its unfinished tasks are done again, and nothing is printed."""
    spec = {"log": str(tmp_path), "deadly": [3, 8], "sleep_s": 0.01}
    assert dict(run_tasks(range(20), SQUARE, spec, workers=2)) == {number: number**2 for number in range(20)}
    assert min(len(log(tmp_path, f"begun-{number}-")) for number in spec["deadly"]) >= 2
    assert capfd.readouterr() == ("", "")


def test_a_result_is_awaited_when_its_worker_was_killed():
    """The task is done again, which may take longer than the time-out of the scheduler."""
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
    """The error may also name a task that waited on the same workers."""
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
def test_errors_of_tasks_come_back_in_one_line(tmp_path, address, capfd, word, kind, line):
    """Errors of geoae keep their class, others are named with their block; no further tasks begin."""
    spec = {"log": str(tmp_path), word: 2, "sleep_s": 0.02}
    with pytest.raises(kind, match=line) as caught:
        dict(run_tasks(range(100), SQUARE, spec, cluster=address))
    assert "in work" in str(caught.value.__cause__)  # the traceback of the worker
    assert len(log(tmp_path, "begun")) < 20
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_stop_with_their_client(tmp_path, number):
    """After Ctrl-C nothing is printed; after SIGKILL no worker continues."""
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
    printed = process.stderr.read()
    assert printed == "" if number == signal.SIGINT else "Traceback" not in printed
    process.stdout.close()
    process.stderr.close()
