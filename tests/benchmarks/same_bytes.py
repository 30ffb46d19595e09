"""Prove that a change of the code changes no byte of any output.

Fixed inputs go through the command line and the public names of geoae; a JSON file takes one SHA-256 for each output:

    python tests/benchmarks/same_bytes.py -o before.json
    python tests/benchmarks/same_bytes.py -o after.json --against before.json

An output that cannot be made has "ERROR: type: message" in its place, and is compared as well. Exit code 0: all is the
same; 1: something differs, is missing or is new. The last digits depend on the processor and on the versions of torch
and numpy: compare only runs on one machine and in one environment.

Two runs of the same code differ in a few things, which are therefore not compared: the folder of the run (WORK stands
for it), seconds in printed lines and in the information on an inversion, CPU minutes and the date of a training. Times
in histories are fixed by SOURCE_DATE_EPOCH. Spaces in printed tables count as one.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import obspy
import same_bytes_files as files
import same_bytes_models as models
import xarray as xr

import geoae

SETTINGS = {
    "SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "Agg", "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip
TEXTS = (".json", ".md", ".txt", ".csv")
GROUPS: dict[str, Callable[[], Iterator[files.Item]]] = {
    "day-file": lambda: files.day(out="day.out.mseed"),
    "day-store": lambda: files.day(out="day.zarr"),
    "day-workers": lambda: files.day("--workers", "2", "--codes", out="day.zarr"),
    "recordings": files.recordings,
    "training": models.training,
    "inversion": models.inversion,
    "fields": files.fields,
    "codes": files.codes,
    "arrays": files.arrays,
    "formats": files.formats,
    "priors": models.priors,
    "hours": files.hours,
    "shipped": files.models,
}


def neutral(text: str) -> str:
    """Text without what differs between two runs of the same code."""
    for folder in (str(Path.cwd()), str(Path.cwd().resolve())):
        text = text.replace(folder, "WORK")
    text = re.sub(r'(\\?"(?:seconds|cpu_minutes)\\?": )[\d.e+-]+', r"\1S", text)
    text = re.sub(r"\b\d+\.\d+ s\b", "S s", text)
    return re.sub(r'("date": |on )"?\d{4}-\d\d-\d\d"?', r"\1DATE", text)


def digests(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of a value, or of each of its parts."""
    if isinstance(value, Path) and value.is_dir():
        for path in sorted(p for p in value.rglob("*") if p.is_file()):
            yield from digests(path, f"{name}/{path.relative_to(value)}")
        return
    if isinstance(value, dict):
        for key, part in value.items():
            yield from digests(part, f"{name}/{key}")
        return
    yield name, hashlib.sha256(content(value)).hexdigest()


def content(value: Any) -> bytes:
    """All that a value says, as bytes."""
    if isinstance(value, Path):
        raw = value.read_bytes()
        return neutral(raw.decode()).encode() if value.suffix in TEXTS else raw
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str} {value.shape} ".encode() + (
            repr(value.tolist()).encode() if value.dtype.kind in "OTU" else np.ascontiguousarray(value).tobytes()
        )
    if isinstance(value, xr.DataTree):
        return b"".join(node.path.encode() + content(node.to_dataset()) for node in value.subtree)
    if isinstance(value, xr.Dataset):
        head = f"{sorted(value.variables)} {list(value.data_vars)} {dict(value.attrs)}".encode()
        return head + b"".join(content(value.variables[k]) for k in sorted(value.variables))
    if isinstance(value, xr.DataArray):
        return f"{value.name} {value.dims}".encode() + content(value.to_dataset(name="array"))
    if isinstance(value, xr.Variable):
        return f"{value.dims} {dict(value.attrs)} ".encode() + content(value.values)
    if isinstance(value, obspy.Stream):
        return b"".join(map(content, value))
    if isinstance(value, obspy.Trace):
        return neutral(repr(sorted(value.stats.items()))).encode() + content(np.ma.getdata(value.data))
    if isinstance(value, tuple | list):
        return f"{len(value)} ".encode() + b"".join(map(content, value))
    if isinstance(value, str):
        return " ".join(re.sub(r"(?m) \d+\.\d\d$", " S", neutral(value)).split()).encode()
    return neutral(repr(value)).encode()


def work(group: str) -> dict[str, str]:
    """All digests of a group, made in the present folder."""
    found: dict[str, str] = {}
    items = GROUPS[group]()
    while True:
        name = "inputs"
        try:
            name, make = next(items)
            found.update(digests(make(), f"{group}/{name}"))
        except StopIteration:
            return found
        except Exception as error:  # goes on with what else there is
            found[f"{group}/{name}"] = f"ERROR: {type(error).__name__}: {neutral(str(error))}"


def in_folder(group: str, folder: Path) -> None:
    """Make the digests of a group, in a process of its own."""
    began, place = time.monotonic(), folder / group
    place.mkdir(parents=True)
    with contextlib.chdir(place):
        found = work(group)
    (folder / f"{group}.json").write_text(json.dumps(found))
    print(f"{group}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def all_of(groups: list[str], folder: Path, n: int) -> dict[str, str]:
    """The digests of groups, of which `n` are at work at once."""
    importlib.import_module("torch")  # once, and not in every process
    context, waiting, at_work = multiprocessing.get_context("fork"), list(groups), []
    while waiting or at_work:
        while waiting and len(at_work) < n:
            at_work.append(context.Process(target=in_folder, args=(waiting.pop(0), folder)))
            at_work[-1].start()
        wait([process.sentinel for process in at_work])
        at_work = [process for process in at_work if process.is_alive()]
    found: dict[str, str] = {}
    for group in groups:
        path = folder / f"{group}.json"
        found |= json.loads(path.read_text()) if path.exists() else {group: "ERROR: its process ended too early"}
    return found


def compare(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each difference."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, "not there"), after.get(name, "not there")
        if old != new:
            lines.append(f"{name}: {old if ' ' in old else old[:12]} -> {new if ' ' in new else new[:12]}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="BEFORE.json", help="print what differs from that run")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write the digests there")
    parser.add_argument("--only", default="*", metavar="PATTERN", help=f"groups: {', '.join(GROUPS)} [all]")
    parser.add_argument("--jobs", type=int, default=2, help="groups at once [2]")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder that keeps inputs and outputs")
    options = parser.parse_args()
    if any(os.environ.get(k) != v for k, v in SETTINGS.items()):  # libraries read them when they are loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **SETTINGS})
    chosen = [name for name in GROUPS if fnmatch(name, options.only)]
    before = json.loads(options.against.read_text()) if options.against else {}
    print(f"geoae of {Path(geoae.__file__).parent}", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = all_of(chosen, folder.absolute(), options.jobs)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    failed = [f"{name}: {sha}" for name, sha in sorted(found.items()) if sha.startswith("ERROR")]
    print(f"{len(found)} outputs, {len(failed)} of them errors", *failed, sep="\n")
    if not options.against:
        return 0
    lines = compare({k: v for k, v in before.items() if k.partition("/")[0] in chosen}, found)
    print(f"{len(lines)} differences", *lines, sep="\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
