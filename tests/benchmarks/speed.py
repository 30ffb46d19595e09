"""Time and peak memory of `geoae denoise` on a day of three components, beside what a user would run instead.

Whole processes are measured, from cold start to closed file, by turns, so that a busy minute of the machine meets
all of them. This process stays small: what it holds would count as its children's memory.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

MAKE = Path(__file__).with_name("recording.py")
PEER = Path(__file__).with_name("peer.py")
OBSPY = "import sys, obspy; st = obspy.read(sys.argv[1]); {}st.write(sys.argv[2], format='MSEED')"
Command = list[str]
Run = tuple[float, float]  # wall seconds, peak MB


def main() -> None:
    options = parse()
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "OPENBLAS_NUM_THREADS": "1",
                   "OMP_WAIT_POLICY": "PASSIVE", "PYTHONWARNINGS": "ignore"}  # fmt: skip
    print(about(options), flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        day, gappy, week = (folder / f"{kind}.mseed" for kind in ("day", "gaps", "week"))
        make = [sys.executable, str(MAKE), "--hours", str(options.hours), "--record-length", str(options.record_length)]
        for command in (
            [*make, str(day)],
            [*make, "--gaps", str(round(options.gaps * options.hours / 24)), str(gappy)],
            [*make, "--days", str(options.days), str(week)],
        ):
            subprocess.run(command, check=True)
        out = folder / "out.mseed"
        contestants = commands(options, day, gappy, week, out)
        runs = measure(contestants, options.repeat, environment, out)
    report(runs, options)
    if options.json:
        options.json.write_text(json.dumps({"about": about(options), "runs": runs}, indent=1) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="rounds; best and median are reported [5]")
    parser.add_argument("--hours", type=float, default=24, help="length of a day's file: 1 tries the script out [24]")
    parser.add_argument("--days", type=int, default=7, help="days in the long file, which is measured once [7]")
    parser.add_argument("--gaps", type=int, default=5000, help="gaps of each component in 24 h [5000]")
    parser.add_argument("--threads", type=int, default=2, help="of each process [2]")
    parser.add_argument("--record-length", type=int, default=512, help="of miniSEED, bytes: 512 is an archive's [512]")
    parser.add_argument("--peers", help="a Python with wavedenoiser, obspy and torch, for one more row")
    parser.add_argument("--folder", type=Path, help="where the recordings are made; removed at the end")
    parser.add_argument("--json", type=Path, help="write every run there as well")
    return parser.parse_args()


def commands(options: argparse.Namespace, day: Path, gappy: Path, week: Path, out: Path) -> dict[str, Command]:
    """Name -> command line; the order is that of the table."""
    script = Path(sys.executable).with_name("geoae")
    geoae = [str(script)] if script.exists() else [sys.executable, "-c", "from geoae.cli import main; main()"]
    denoise = [*geoae, "denoise", "--threads", str(options.threads), "--device", "cpu", "-q", "-o", str(out)]
    found = {
        "ObsPy read + write": [sys.executable, "-c", OBSPY.format(""), str(day), str(out)],
        "ObsPy read + bandpass + write": [
            sys.executable, "-c", OBSPY.format("st.filter('bandpass', freqmin=1, freqmax=20); "), str(day), str(out)
        ],
        "geoae denoise": [*denoise, str(day)],
        "geoae denoise, gaps": [*denoise, str(gappy)],
        "geoae denoise, long file": [*denoise, str(week)],
        "geoae --help": [*geoae, "--help"],
    }  # fmt: skip
    if options.peers:
        found["WaveDenoiser, 50 % overlap"] = [options.peers, str(PEER), str(day), str(out), str(options.threads)]
    return found


def measure(
    contestants: dict[str, Command], repeat: int, environment: dict[str, str], out: Path
) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for turn in range(repeat):
        for name, command in contestants.items():
            if name.endswith("long file") and turn:
                continue
            out.unlink(missing_ok=True)
            runs[name].append(run(command, environment))
            if str(out) in command and not out.stat().st_size:
                raise SystemExit(f"{' '.join(command)} wrote nothing")
            print(f"  round {turn + 1}: {name}: {runs[name][-1][0]:.2f} s", file=sys.stderr, flush=True)
    return runs


def run(command: Command, environment: dict[str, str]) -> Run:
    """Wall time and peak memory of a process and its children."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{told.decode()[-2000:]}")
    return wall, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def report(runs: dict[str, list[Run]], options: argparse.Namespace) -> None:
    """Table of times, and each bound with its verdict; ratios are of the best times, the least disturbed ones."""
    best = {name: min(wall for wall, _ in found) for name, found in runs.items()}
    peak = {name: max(mb for _, mb in found) for name, found in runs.items()}
    filtered, denoised = best["ObsPy read + bandpass + write"], best["geoae denoise"]
    print(f"\n| whole process | best s | median s | x bandpass | peak MB |\n|---|{'---:|' * 4}")
    for name, found in runs.items():
        middle = median(wall for wall, _ in found)
        print(f"| {name} | {best[name]:.2f} | {middle:.2f} | {best[name] / filtered:.2f} | {peak[name]:.0f} |")
    bounds = [
        ("time of denoise / read + bandpass + write", denoised / filtered, 3.0),
        ("peak memory of denoise, GB", peak["geoae denoise"] / 1000, 1.5),
        (f"memory of {options.days} days / 1 day", peak["geoae denoise, long file"] / peak["geoae denoise"], 1.3),
        ("time with gaps / without", best["geoae denoise, gaps"] / denoised, 2.0),
        ("time of --help, s", best["geoae --help"], 0.25),
    ]
    if (peer := best.get("WaveDenoiser, 50 % overlap")) is not None:
        bounds.append(("time of denoise / WaveDenoiser", denoised / peer, 0.25))
    print("\n| bound | found | at most | |\n|---|---:|---:|---|")
    for what, found_value, limit in bounds:
        print(f"| {what} | {found_value:.2f} | {limit:g} | {'pass' if found_value <= limit else 'MISS'} |")


def about(options: argparse.Namespace) -> str:
    """What was measured, on which machine, and the load of the machine before."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        names = (line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line)
        cpu = next(names, cpu)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{options.hours:g} h x 3 components x 100 Hz, STEIM2, {options.record_length}-byte records; "
        f"{options.threads} threads, best of {options.repeat}; {cpu}, {os.cpu_count()} cores{load}; "
        f"Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
