"""Kill `geoae denoise ... -o x.zarr` by SIGKILL at random moments, start it again until it is done, compare the bytes.

Two layouts by turns: with ``--cluster local`` the scheduler is in the client, and client or a worker is killed; with
the address of a scheduler there are processes of their own to kill: client, scheduler or a worker.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

MAKE = Path(__file__).with_name("recording.py")
# the command, with blocks of so many samples
GEOAE = """import sys
from geoae.cli import main
from geoae.jobs.records import plan
plan.CHUNK_SAMPLES = int(sys.argv.pop(1))
main()"""
# nothing else may be written to stderr; the last is Python's own, of a process whose parent was killed
EXPECTED = ("geoae: note:", "geoae: The dask scheduler at", "geoae: No dask scheduler answers", "geoae: Block",
            "resource_tracker", "warnings.warn")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="at least so many [20]")
    parser.add_argument("--hours", type=float, default=1, help="length of the recording [1]")
    parser.add_argument("--samples", type=int, default=1 << 16, help="of a block [65536, of which an hour has 17]")
    parser.add_argument("--model", default="seismic")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layout", choices=["local", "address", "both"], default="both")
    parser.add_argument("--folder", type=Path, help="where all of it is made; removed at the end")
    options = parser.parse_args()
    rng, killed, stores = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make = [sys.executable, str(MAKE), "--hours", str(options.hours), str(folder / "x.mseed")]
        subprocess.run(make, check=True)
        layouts = {"local": [Local], "address": [Address], "both": [Local, Address]}[options.layout]
        for layout in layouts:
            whole, unharmed_s = uninterrupted(layout, folder, options)
            print(f"{layout.__name__}: {len(whole)} files, {unharmed_s:.1f} s when nothing is killed", flush=True)
            share = -(-options.kills // len(layouts))
            before = killed.total()
            while killed.total() - before < share:
                run = layout(folder / f"{stores}", folder, options)
                began = time.perf_counter()
                killed += (met := run.harass(rng, unharmed_s))
                if not met:  # the machine is less busy than it was
                    unharmed_s = time.perf_counter() - began
                found, stores = content(run.folder / "x.zarr"), stores + 1
                differ = sorted(k for k in whole.keys() | found.keys() if whole.get(k) != found.get(k))
                if differ or sorted(p.name for p in run.folder.iterdir()) != ["x.mseed", "x.zarr"]:
                    raise SystemExit(f"DIFFERENT after {run.story}: {differ}, {list(run.folder.iterdir())}")
                print(f"  store {stores}: same bytes after {', '.join(run.story) or 'nothing'}", flush=True)
    print(f"{killed.total()} kills ({dict(killed)}), {stores} stores, each byte-identical to the uninterrupted one")


class Local:
    """The command with its own workers."""

    def __init__(self, folder: Path, source: Path, options: argparse.Namespace) -> None:
        self.folder, self.options, self.story = folder, options, []
        folder.mkdir()
        (folder / "x.mseed").symlink_to(source / "x.mseed")
        self.where = "local"
        self.victims = ["client", "worker"]

    def start(self) -> subprocess.Popen[str]:
        # the history of the store holds the command, so that it is the same in all folders
        words = ["denoise", "x.mseed", "-o", "x.zarr", "--model", self.options.model, "--threads", "1", "-q"]
        words += ["--cluster", self.where, "--workers", str(self.options.workers)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1000000000", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", GEOAE, str(self.options.samples), *words]
        return subprocess.Popen(command, cwd=self.folder, env=environment, text=True, stderr=subprocess.PIPE)

    def pids(self, victim: str, client: subprocess.Popen[str]) -> list[int]:
        return [client.pid] if victim == "client" else spawned(client.pid)

    def clean_up(self) -> None:
        """Nothing runs after the client has ended."""

    def repair(self, client: subprocess.Popen[str]) -> None:
        """Start again the processes that the client needs, if they were killed."""

    def harass(self, rng: random.Random, unharmed_s: float) -> Counter[str]:
        """Run the command until it is done, and kill it several times before that."""
        killed: Counter[str] = Counter()
        n = rng.randint(2, 4)
        try:
            while True:
                client = self.start()
                while n and client.poll() is None:
                    self.wait(client, rng, unharmed_s)
                    victim = rng.choice(self.victims)
                    if client.poll() is None and (pids := self.pids(victim, client)):
                        workers = spawned(client.pid)
                        os.kill(rng.choice(pids), signal.SIGKILL)
                        killed[victim] += 1
                        self.story.append(f"{victim} at {self.done()} blocks")
                        n -= 1
                        if victim == "client":
                            gone_within(workers, 120)
                            break
                        if victim == "scheduler":
                            break
                self.check(client.communicate(timeout=300 + 20 * unharmed_s)[1])
                if client.returncode == 0:
                    return killed
                self.repair(client)
        finally:
            self.clean_up()

    def wait(self, client: subprocess.Popen[str], rng: random.Random, unharmed_s: float) -> None:
        """Wait until a random moment of the whole run, or of the time in which blocks are written."""
        end = time.monotonic() + rng.uniform(0, unharmed_s)
        if rng.random() < 0.5:
            goal, end = self.done() + rng.randint(1, 6), end + 2 * unharmed_s
            while client.poll() is None and self.done() < goal and time.monotonic() < end:
                time.sleep(0.01)
            end = time.monotonic() + rng.uniform(0, 0.2)
        with suppress(subprocess.TimeoutExpired):
            client.wait(max(end - time.monotonic(), 0))

    def done(self) -> int:
        """Number of written blocks."""
        return len(list(self.folder.glob(".x.zarr.part/*/store/trace/c.*")))

    def check(self, told: str) -> None:
        wrong = [line for line in told.splitlines() if line.strip() and not any(word in line for word in EXPECTED)]
        if wrong:
            raise SystemExit(f"unexpected on stderr after {self.story}:\n{told}")


class Address(Local):
    """The command with a running scheduler and its workers."""

    def __init__(self, folder: Path, source: Path, options: argparse.Namespace) -> None:
        super().__init__(folder, source, options)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = PORT.setdefault("port", free.getsockname()[1])
        self.where = f"tcp://127.0.0.1:{self.port}"
        self.victims = ["client", "worker", "scheduler"]
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.nanny: subprocess.Popen[bytes] | None = None
        self.repair(None)

    def repair(self, client: subprocess.Popen[str] | None) -> None:
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.clean_up()
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            dask = [sys.executable, "-m", "dask"]
            words = [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"]
            self.scheduler = subprocess.Popen(words, **quiet)
            words = [
                *dask,
                "worker",
                self.where,
                "--nworkers",
                str(self.options.workers),
                "--nthreads",
                "1",
                "--no-dashboard",
            ]
            self.nanny = subprocess.Popen(words, **quiet)
            while True:  # wait until the scheduler answers
                try:
                    socket.create_connection(("127.0.0.1", self.port)).close()
                    return
                except OSError:
                    time.sleep(0.1)

    def pids(self, victim: str, client: subprocess.Popen[str]) -> list[int]:
        assert self.scheduler is not None
        assert self.nanny is not None
        if victim == "worker":
            return spawned(self.nanny.pid)
        return [client.pid if victim == "client" else self.scheduler.pid]

    def clean_up(self) -> None:
        for process in (self.nanny, self.scheduler):
            if process is not None:
                workers = spawned(process.pid)
                process.kill()
                process.wait()
                gone_within(workers, 120)


PORT: dict[str, int] = {}


def uninterrupted(layout: type[Local], folder: Path, options: argparse.Namespace) -> tuple[dict[str, bytes], float]:
    """Files of a store that was written without kills, and the time that it took, s."""
    run = layout(folder / f"whole-{layout.__name__}", folder, options)
    began = time.perf_counter()
    client = run.start()
    told = client.communicate()[1]
    took = time.perf_counter() - began
    run.clean_up()
    if client.returncode or told.strip():
        raise SystemExit(f"the uninterrupted run ended with {client.returncode}: {told}")
    return content(run.folder / "x.zarr"), took


def content(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}


def spawned(pid: int) -> list[int]:
    """Process numbers of the workers of a process."""
    try:
        found = psutil.Process(pid).children(recursive=True)
        return [p.pid for p in found if "spawn_main" in " ".join(p.cmdline())]
    except psutil.Error:
        return []


def gone_within(pids: list[int], seconds: float) -> None:
    """Workers must end with their client: otherwise they write into a store that is resumed."""
    end = time.monotonic() + seconds
    while left := [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > end:
            raise SystemExit(f"workers {left} are still there {seconds} s after their client was killed")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
