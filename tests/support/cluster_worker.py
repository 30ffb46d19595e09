"""Tasks for the tests of workers, and functions that find worker processes."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from geoae.errors import InputError


def square(spec: dict[str, Any]) -> Callable[[int], Any]:
    """Squares of numbers; files in the folder `log` record each process and each begun task."""
    log = Path(spec["log"])
    (log / f"made-{os.getpid()}-{time.monotonic_ns()}").touch()

    def work(number: int) -> Any:
        (log / f"begun-{number}-{time.monotonic_ns()}").touch()
        time.sleep(spec.get("sleep_s", 0.0))
        if number in spec.get("deadly", ()) and len(list(log.glob(f"begun-{number}-*"))) <= spec.get("deaths", 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == spec.get("refused"):
            raise InputError(f"number {number} cannot be")
        if number == spec.get("broken"):
            raise ZeroDivisionError("over\nzero")
        if number == spec.get("large"):
            raise MemoryError
        return number**2

    return work


def surroundings(spec: dict[str, Any]) -> Callable[[int], Any]:
    """Process, thread limits and number of threads of a task."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return lambda number: [os.getpid(), [os.environ.get(name) for name in names], threading.active_count()]


def worker_pids(pid: int) -> list[int]:
    """Worker processes that a process has started."""
    try:
        found = psutil.Process(pid).children(recursive=True)
        return sorted(p.pid for p in found if "spawn_main" in " ".join(p.cmdline()))
    except psutil.Error:
        return []


def wait_until(condition: Callable[[], Any], timeout_s: float = 120.0) -> None:
    """Wait until a condition holds; checks every 5 ms."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "this takes too long"
        time.sleep(0.005)


def alive(pids: list[int]) -> list[int]:
    """Processes that still run."""
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]
