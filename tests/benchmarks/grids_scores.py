"""Scores of the cells: scores of baselines are kept in a file, scores of the model are computed each time."""

import contextlib
import fcntl
import json
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from grids_cells import SCORED, SEED, VERSION, Array, Cell, read_clean, slices
from grids_methods import METHODS, Case, signature, tuned

Score = dict[str, Any]
Scores = dict[str, dict[str, Score]]  # cell -> method -> score
Denoise = Callable[[xr.DataArray], xr.DataArray]
LISTED = ("nothing", "gaussian", "eof", "wavelet", "bm3d")  # the baselines of the comparison; others are only shown


class WrongResultError(ValueError):
    """A denoiser did not return a field like its input."""


@cache
def clean_field(folder: Path, variable: str) -> xr.DataArray:
    return read_clean(folder, variable)


@cache
def clean_slices(folder: Path, variable: str) -> Array:
    return slices(clean_field(folder, variable))


class Cache:
    """Scores of baselines in a JSON file; several processes may add to it."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.entries = path, {}
        if path is not None and path.exists():
            self.entries = json.loads(path.read_text())

    def add(self, key: str, score: Score) -> None:
        self.entries[key] = score
        if self.path is None:
            return
        with _locked(self.path.with_suffix(".lock")):
            if self.path.exists():
                self.entries = json.loads(self.path.read_text()) | self.entries
            part = self.path.with_suffix(".part")
            part.write_text(json.dumps(self.entries, indent=0, sort_keys=True))
            part.replace(self.path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def key(name: str, cell: Cell, clean: Array) -> str:
    """Key of everything that the score of a baseline depends on."""
    data = zlib.crc32(np.ascontiguousarray(clean))
    where = f"definitions {VERSION}, seed {SEED}, slices {SCORED[cell.variable]}, data {data:08x}"
    return f"{cell.key} | {name} {signature(METHODS[name])} | {where}"


def baselines(folder: Path, cells: Sequence[Cell], names: Sequence[str], store: Cache, compute: bool = True) -> Scores:
    """Scores of the methods; without `compute`, only those that the store already has."""
    scores: Scores = {cell.key: {} for cell in cells}
    for name in names:
        method = METHODS[name]
        fitting = [cell for cell in cells if method.fits(cell)]
        for i, cell in enumerate(fitting, 1):
            clean = clean_slices(folder, cell.variable)
            entry = key(name, cell, clean)
            if entry not in store.entries and compute:
                score = _tuned_score(name, Case(cell, clean), store)
                store.add(entry, score)
                progress(
                    f"{method.title}: {i} of {len(fitting)}, {cell.key}: {score['score']:.4f} at {score['parameter']}"
                )
            if entry in store.entries:
                scores[cell.key][name] = store.entries[entry]
    return scores


def _tuned_score(name: str, case: Case, store: Cache) -> Score:
    began, method, tried = time.perf_counter(), METHODS[name], 1
    if method.follows and case.cell.clouds:
        twin = replace(case.cell, clouds=False)
        known = store.entries.get(key(name, twin, case.clean))
        parameter = known["parameter"] if known else tuned(method, Case(twin, case.clean))[0]
        estimate = method.apply(case, parameter)
    else:
        parameter, estimate, tried = tuned(method, case)
    seconds = round(time.perf_counter() - began, 2)
    return _scored(case, estimate) | {"parameter": parameter, "tried": tried, "seconds": seconds}


def ours(folder: Path, cells: Sequence[Cell], denoise: Denoise, whole: bool) -> dict[str, Score]:
    """Scores of a function of DataArrays, called slice by slice, or (`whole`) with all slices of the variable."""
    scores = {}
    for i, cell in enumerate(cells, 1):
        began, case = time.perf_counter(), Case(cell, clean_slices(folder, cell.variable))
        scores[cell.key] = _scored(case, our_estimate(folder, case, denoise, whole))
        scores[cell.key]["seconds"] = round(time.perf_counter() - began, 2)
        progress(f"ours: {i} of {len(cells)}, {cell.key}: {scores[cell.key]['score']:.4f}")
    return scores


def our_estimate(folder: Path, case: Case, denoise: Denoise, whole: bool) -> Array:
    """Estimates (slice, lat, lon) of the scored slices; the function gets the labelled field with noise."""
    field = clean_field(folder, case.cell.variable)
    noisy = field.copy(data=case.noisy.reshape(field.shape).astype(field.dtype))
    if whole:
        return slices(_checked(denoise(noisy), noisy))[case.scored]
    places = np.unravel_index(case.scored, field.shape[:-2])
    found = []
    for place in zip(*places, strict=True):
        one = noisy[tuple(int(i) for i in place)]
        found.append(_checked(denoise(one), one).values.astype(float))
    return np.array(found)


def _checked(result: xr.DataArray, given: xr.DataArray) -> xr.DataArray:
    if result.dims != given.dims or result.shape != given.shape:
        raise WrongResultError(f"given {dict(given.sizes)}, the denoiser returned {dict(result.sizes)}")
    if (result.isnull() & given.notnull()).any():
        raise WrongResultError("the denoiser returned NaN where it was given values")
    return result


def _scored(case: Case, estimate: Array) -> Score:
    return {"score": case.score(estimate), "rmse": case.rmse(estimate)}


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def table(cells: Sequence[Cell], scores: Scores, names: Sequence[str]) -> str:
    """Table as Markdown; the best of each row is bold, the last column compares the model with the best baseline."""
    titles = {name: method.title for name, method in METHODS.items()} | {"ours": "ours"}
    lines = [
        "| "
        + " | ".join(["field", "noise", "level", "clouds", *(titles[n] for n in names), "ours / best listed"])
        + " |",
        "|---|---|--:|---|" + "--:|" * (len(names) + 1),
    ]
    for cell in cells:
        row = scores[cell.key]
        best = min((row[n]["score"] for n in names if n in row), default=None)
        shown = [_number(row[n]["score"], best) if n in row else "" for n in names]
        bar = min((row[n]["score"] for n in LISTED if n in row), default=None)
        ratio = f"{row['ours']['score'] / bar:.2f}" if "ours" in row and bar else ""
        cloudy = "30 %" if cell.clouds else "none"
        lines.append("| " + " | ".join([cell.variable, cell.kind, f"{cell.level:g}", cloudy, *shown, ratio]) + " |")
    return "\n".join(lines)


def _number(value: float, best: float | None) -> str:
    return f"**{value:.4f}**" if value == best else f"{value:.4f}"


def summary(cells: Sequence[Cell], scores: Scores) -> tuple[str, float | None]:
    """The best method for each noise, in sentences, and the share of cells in which the model is best."""
    lines, share = [], None
    complete = [c for c in cells if all(n in scores[c.key] for n in LISTED)]
    if len(complete) < len(cells):
        lines.append(
            f"{len(cells) - len(complete)} of {len(cells)} cells lack the score of a baseline and do not count."
        )
    if complete and all("ours" in scores[c.key] for c in complete):
        for title, names in (("all baselines shown", tuple(METHODS)), ("listed baselines", LISTED)):
            won = [c for c in complete if _ahead(scores[c.key], names)]
            share = len(won) / len(complete)
            lines.append(f"Ours is better than the {title} in {len(won)} of {len(complete)} cells ({share:.0%}).")
        lost = [c.key for c in complete if not _ahead(scores[c.key], LISTED)]
        lines += [f"Not in: {', '.join(lost)}."] * bool(lost)
    best = Counter(min(LISTED, key=lambda n: scores[c.key][n]["score"]) for c in complete)
    lines += [f"Best listed baseline in {n} cells: {METHODS[name].title}." for name, n in best.most_common()]
    return "\n".join(lines), share


def _ahead(row: dict[str, Score], names: Sequence[str]) -> bool:
    return all(row["ours"]["score"] < row[n]["score"] for n in names if n in row)
