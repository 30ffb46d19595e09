"""What dask costs and gains on a gridded field: in memory, in one process, on one worker and on two.

Whole commands are measured, from cold start to finished store, by turns. The peak is that of the largest single process
(client, scheduler or worker). Bounds: one worker at most 1.15 times the time in memory, two at least 1.8 times faster
than one, 2 GB a worker. Exit code 1: a bound is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import psutil

IN_MEMORY = (
    "import sys, xarray as xr, geoae; field = xr.open_zarr(sys.argv[1])['t'].load(); "
    "geoae.denoise(field, device='cpu', threads=1).to_dataset(name='t').to_zarr(sys.argv[2], consolidated=False)"
)
Run = tuple[float, float]  # wall seconds, peak GB of the largest process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shape", type=int, nargs=3, default=(96, 512, 1024), help="slices, rows, columns [96 512 1024]"
    )
    parser.add_argument("--repeat", type=int, default=3, help="rounds; the median counts [3]")
    parser.add_argument("--limit", type=float, help="seconds after which a command is stopped, for its memory alone")
    parser.add_argument("--only", nargs="+", default=["memory", "process", "1", "2"], help="of memory, process, 1, 2")
    parser.add_argument("--folder", type=Path, help="where the field and the stores go [a temporary folder]")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        field = make(folder / "field.zarr", args.shape)
        runs: dict[str, list[Run]] = {kind: [] for kind in args.only}
        for _ in range(args.repeat):
            for kind in args.only:
                runs[kind].append(measure(command(kind, field, folder / f"{kind}.zarr"), args.limit))
                print(f"{kind:8s} {runs[kind][-1][0]:8.1f} s {runs[kind][-1][1]:6.2f} GB", flush=True)
        return report({kind: (median(t for t, _ in found), max(gb for _, gb in found)) for kind, found in runs.items()})


def make(path: Path, shape: tuple[int, int, int]) -> Path:
    """Write a smooth field that drifts, with white noise, block by block."""
    import xarray as xr
    import zarr

    n, ny, nx = shape
    rng = np.random.default_rng(0)
    y, x = np.linspace(0, 9, ny)[:, None], np.linspace(0, 15, nx)
    coords = {"time": ("time", np.arange(n), {"units": "days since 2000-01-01", "axis": "T"}),
              "y": ("y", np.arange(ny) * 1e3, {"axis": "Y", "units": "m"}),
              "x": ("x", np.arange(nx) * 1e3, {"axis": "X", "units": "m"})}  # fmt: skip
    xr.Dataset(coords=coords).to_zarr(path, consolidated=False)
    root = zarr.open_group(path, mode="a")
    chunk = (1, min(ny, 512), min(nx, 1024))
    store = root.create_array("t", shape=shape, chunks=chunk, dtype="float32", dimension_names=("time", "y", "x"))
    store.attrs["units"] = "K"
    for k in range(n):
        store[k] = np.sin(y + 0.1 * k) * np.cos(x) + 0.3 * rng.standard_normal((ny, nx), dtype=np.float32)
    return path


def command(kind: str, field: Path, out: Path) -> list[str]:
    subprocess.run(["rm", "-rf", str(out)], check=True)
    if kind == "memory":
        return [sys.executable, "-c", IN_MEMORY, str(field), str(out)]
    words = ["denoise", str(field), "-o", str(out), "--threads", "1", "-q"]
    words += [] if kind == "process" else ["--cluster", "local", "--workers", kind]
    return [str(Path(sys.executable).with_name("geoae")), *words]


def measure(words: list[str], limit: float | None) -> Run:
    """Run a command; returns its wall time, and the peak memory of its largest process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(words, env=environment)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            for one in (root, *root.children(recursive=True)):
                peak = max(peak, one.memory_info().rss)
        except psutil.NoSuchProcess:
            continue
        time.sleep(1.0)  # reading the memory takes time, too
        if limit and time.perf_counter() - began > limit:
            process.terminate()
            process.wait(60)
            return limit, peak / 1e9
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return time.perf_counter() - began, peak / 1e9


def report(found: dict[str, Run]) -> int:
    missed = 0
    bounds = [("1", "memory", 1.15, "one worker / in memory"), ("2", "1", 1 / 1.8, "two workers / one")]
    for above, below, most, what in bounds:
        if above in found and below in found:
            ratio = found[above][0] / found[below][0]
            missed += ratio > most
            print(f"{what}: {ratio:.2f} (at most {most:.2f}) {'MISS' if ratio > most else 'ok'}")
    largest = max((found[k][1] for k in ("1", "2") if k in found), default=0.0)
    missed += largest > 2
    print(f"largest process: {largest:.2f} GB (at most 2) {'MISS' if largest > 2 else 'ok'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
