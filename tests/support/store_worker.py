"""Write small stores in processes that may be killed, and compare them."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.stores import ledger, provenance
from geoae.stores.blocks import Part, Variable
from geoae.stores.ledger import Ledger
from geoae.stores.plan import Chunking, CodeVariables, StorePlan, plan_codes, plan_field
from geoae.stores.schema import FINGERPRINT, PARTS, STARTED
from geoae.stores.write import Origin, begin_store, write_region

EPOCH = "1000000000"
IDENTITY = {"model": "a", "window": [64, 64], "source": "in.nc"}
# calls that change the disk: a process can be killed between any two of them
STEPS = ("rename", "replace", "link", "fsync", "mkdir", "rmdir", "unlink")


def field(start: int, n: int) -> xr.DataArray:
    """Part of an endless field (time, y, x) with gaps and with time steps that are missing completely."""
    time_h = np.arange(start, start + n)
    data = np.sin(time_h[:, None, None] + np.arange(6)[:, None] + 10.0 * np.arange(5)).astype(np.float32)
    data[time_h % 3 == 1] = np.nan
    data[:, 2, 2] = np.nan
    times = np.datetime64("2000-01-01", "ns") + time_h * np.timedelta64(6, "h")
    coords = {"time": times, "y": np.arange(6.0), "x": np.arange(5.0)}
    return xr.DataArray(data, coords, ("time", "y", "x"), "t2m", {"units": "K", "long_name": "temperature"})


def plan(x: xr.DataArray, codes: bool = True, shard_chunks: int = 1) -> StorePlan:
    """Two time steps a chunk and three a block of codes, in a store that grows along time."""
    cleaned = plan_field(x, ["y", "x"], chunking=Chunking({"time": 2}, shard_chunks, "time"))
    if not codes:
        return cleaned
    windows = {"time": x.sizes["time"], "window_y": 2}
    chunking = Chunking({"time": 3, "window_y": 2}, grows="time")
    stored = CodeVariables("t2m", "K")
    return cleaned + plan_codes(windows, 4, coords={"y0": ("window_y", [0, 2])}, stored=stored, chunking=chunking)


def start(target: Path, x: xr.DataArray, codes: bool = True, shard_chunks: int = 1, **changes: Any) -> Ledger:
    """Begin or resume; `changes` are arguments of `begin_store` or fields of `Origin`."""
    facts: dict[str, Any] = {"source": str(x.time.values[0]), "source_hash": str(x.sizes["time"]),
                             "command": "geoae denoise"}  # fmt: skip
    names = {f.name for f in fields(Origin)}
    origin = Origin(**{**facts, **{name: changes.pop(name) for name in names & changes.keys()}})
    os.environ.setdefault("SOURCE_DATE_EPOCH", EPOCH)
    settings = changes.pop("settings", {"model": "m1", "window": (4, 4)})
    return begin_store(target, plan(x, codes, shard_chunks), settings, origin, **changes)


def values(ledger: Ledger, number: int, x: xr.DataArray) -> Mapping[str, np.ndarray]:
    """Samples of a task, in place of those of a model."""
    task = ledger.task(number)
    if task.part.name == "t2m":
        return {"t2m": x.values[task.region] + 1}
    shapes = {
        v.name: (*(s.stop - s.start for s in task.region), *v.shape[task.part.n_axes :]) for v in task.part.variables
    }
    level = np.nan_to_num(x.values[task.region[0], 0, 0])
    return {n: np.ones(s) * level.reshape(-1, *[1] * (len(s) - 1)).astype(int) for n, s in shapes.items()}


def write_all(
    ledger: Ledger, x: xr.DataArray, order: Any = None, pause_s: float = 0.0, log: Path | None = None
) -> None:
    """Write the tasks in `order`, or all pending ones, and log when each begins and is done."""
    for number in ledger.pending() if order is None else order:
        if log:
            note(log, f"begin {number}")
        time.sleep(pause_s)
        block = values(ledger, int(number), x)
        if ledger.task(int(number)).part.name == "code":
            block = {n: v.astype(np.int32) if n == "n_valid" else v for n, v in block.items()}
        write_region(str(ledger.folder), int(number), block)
        if log:
            note(log, f"done {number}")


def note(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(line + "\n")


def run(target: Path, first: int, n: int, pause_s: float, log: Path) -> None:
    """A whole run, as a command does it."""
    x = field(first, n)
    ledger = start(target, x, append=("time",))
    write_all(ledger, x, pause_s=pause_s, log=log)
    ledger.finish()


def write_store(target: Path, x: xr.DataArray, **options: Any) -> Path:
    """Write a whole store in one go; options as of `start`."""
    ledger = start(target, x, **options)
    write_all(ledger, x)
    return ledger.finish()


def open_store(target: Path) -> xr.Dataset:
    """Load a store as any user opens it; warnings are errors."""
    with xr.open_zarr(target) as one, xr.open_dataset(target) as two:
        xr.testing.assert_identical(one.load(), two.load())
        return one


def write_some(folder: Path, n: int, seed: int) -> None:
    """Every task in random order, as after a scheduler lost contact with workers that still run."""
    run = ledger.load_run(folder)
    write_all(run, field(0, n), np.random.default_rng(seed).permutation(run.n_tasks))


def die_at(step: int) -> None:
    """Kill this process right after the call of `STEPS` with number `step`, from 1."""
    taken = 0

    def deadly(call: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal taken
            result = call(*args, **kwargs)
            taken += 1
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for name in STEPS:
        setattr(os, name, deadly(getattr(os, name)))


def run_and_die(target: Path, first: int, n: int, options: dict[str, Any], step: int) -> None:
    """A whole run, killed at a step."""
    die_at(step)
    x = field(first, n)
    ledger = start(target, x, codes=False, **options)
    write_all(ledger, x)
    ledger.finish()


def run_bare_and_die(target: Path, options: dict[str, Any], step: int) -> None:
    """A whole run without zarr, killed at a step."""
    os.environ["SOURCE_DATE_EPOCH"] = EPOCH
    die_at(step)
    run = begin_bare(target, **options)
    write_bare(run, *run.pending())
    run.finish()


def bare_layout(identity: dict[str, Any], n: int) -> Any:
    """Lay out two arrays of `n` blocks as zarr would, without zarr."""

    def lay_out(folder: Path, started: str, base: Path | None) -> tuple[Part, ...]:
        variables = (Variable("u", ("time", "x"), (2 * n, 3), "float32", (2, 3)),
                     Variable("v", ("time",), (2 * n,), "float32", (2,)))  # fmt: skip
        parts = (Part("u", 1, variables),)
        for v in variables:
            (folder / v.name).mkdir(parents=True)
            grid = {"configuration": {"chunk_shape": v.chunks}}
            facts = {"attributes": {}, "shape": v.shape, "chunk_grid": grid, "codecs": [{"name": "bytes"}],
                     "dimension_names": v.dims, "data_type": v.dtype}  # fmt: skip
            (folder / v.name / "zarr.json").write_text(json.dumps(facts))
        attrs = {FINGERPRINT: provenance.make_fingerprint(identity), STARTED: started,
                 PARTS: provenance.format_parts(parts), "geoae_model": identity["model"]}  # fmt: skip
        (folder / "zarr.json").write_text(json.dumps({"attributes": attrs}))
        return parts

    return lay_out


def begin_bare(target: Path, n: int = 5, **changes: Any) -> Ledger:
    options = {k: changes.pop(k) for k in ("overwrite", "append") if k in changes}
    identity = {**IDENTITY, **changes}
    return ledger.begin_run(target, identity, bare_layout(identity, n), **options)


def write_bare(run: Ledger, *numbers: int) -> None:
    for number in numbers:
        one = run.task(number)
        for variable in one.part.variables:
            run.write(one, variable, f"{variable.name}{number}".encode())


def finished_bare(target: Path, **changes: Any) -> Path:
    run = begin_bare(target, **changes)
    write_bare(run, *run.pending())
    return run.finish()


def ready_processes() -> Any:
    """Context that starts processes with the libraries loaded, and nothing else of this process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.store_worker", "zarr", "dask.array"])
    return context


def content(folder: Path) -> dict[str, bytes]:
    """Content of every file by its path, to compare stores byte by byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
