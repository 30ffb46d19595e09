"""Counts and moments of each variable of a run on fields. They are added block by block, in any order."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.jobs.append import find_layout
from geoae.jobs.options import FieldOptions
from geoae.labels.valid import ValidRange, find_valid_range

Counts = dict[str, Any]
"""Numbers of "samples", "missing", "infinite" and "invalid" (outside the valid range); moments [n, mean, sum of squares
about it] "before" and "removed"."""


@dataclass(frozen=True)
class FieldRow:
    """Row of the summary table: one variable."""

    name: str
    dims: str
    """Names and sizes."""
    slices: int
    """Number of slices over the horizontal dimensions."""
    missing: float
    """Fraction of missing samples; nan if none was counted."""
    std: float
    """Standard deviation before denoising, in `units`."""
    std_removed: float
    """Standard deviation of the removed noise, in `units`."""
    units: str


@dataclass
class FieldSummary:
    """Result of one run on fields."""

    rows: list[FieldRow]
    outputs: list[Path]
    problems: list[str]
    notes: list[str]
    model: str
    seconds: float
    is_unchanged: bool = False
    """Whether the outputs were complete before this run, which changed nothing."""

    @property
    def ok(self) -> bool:
        """Whether there were no problems."""
        return not self.problems


def count_block(before: NDArray[Any], removed: NDArray[Any], valid: ValidRange | None = None) -> Counts:
    """Counts of one block: samples before denoising, and the removed noise."""
    finite, invalid = np.isfinite(before), 0
    if valid is not None:
        outside = valid.is_outside(before) & finite
        finite, invalid = finite & ~outside, int(outside.sum())
    return {
        "samples": before.size, "missing": int(np.isnan(before).sum()), "infinite": int(np.isinf(before).sum()),
        "invalid": invalid,
        "before": _moments(before[finite]), "removed": _moments(removed[finite].astype(np.float64)),
    }  # fmt: skip


def pool_counts(first: Counts | None, second: Counts) -> Counts:
    """Counts of two parts together; `first` may be None. Moments after Chan et al. (1979)."""
    if first is None:
        return second
    both: Counts = {key: first[key] + second[key] for key in ("samples", "missing", "infinite", "invalid")}
    for key in ("before", "removed"):
        (n, a, v), (m, b, w) = first[key], second[key]
        # differences of means, so that no digits are lost to a large mean
        both[key] = [n + m, a + (b - a) * m / max(n + m, 1), v + w + (b - a) ** 2 * n * m / max(n + m, 1)]
    return both


def make_field_rows(
    fields: Sequence[xr.DataArray], options: FieldOptions, counts: Mapping[str, Counts]
) -> list[FieldRow]:
    """A row for each variable, with its counts."""
    rows = []
    for x in fields:
        counted = counts.get(str(x.name))
        slices = math.prod(n for d, n in x.sizes.items() if d not in find_layout(x, options.dims).horizontal)
        missing = (counted["missing"] + counted["invalid"]) / counted["samples"] if counted else math.nan
        std, removed = (
            math.sqrt(counted[key][2] / counted[key][0]) if counted and counted[key][0] else math.nan
            for key in ("before", "removed")
        )
        sizes = ", ".join(f"{d} {n}" for d, n in x.sizes.items())
        rows.append(FieldRow(str(x.name), sizes, slices, missing, std, removed, str(x.attrs.get("units", ""))))
    return rows


def note_unused_samples(fields: Sequence[xr.DataArray], counts: Mapping[str, Counts]) -> list[str]:
    """Notes on samples that count as missing although they are numbers."""
    notes = []
    for x in fields:
        counted, valid = counts.get(str(x.name), {}), find_valid_range(x)
        if n := counted.get("infinite"):
            notes.append(f"{x.name}: {n} samples are infinite; they count as missing and stay unchanged")
        if (n := counted.get("invalid")) and valid is not None:
            how_many = "all" if n == counted["samples"] - counted["missing"] else f"{n}"
            notes.append(
                f"{x.name}: {how_many} samples lie outside the valid range, {valid}; they count as missing and stay "
                "unchanged"
            )
    return notes


def _moments(x: NDArray[Any]) -> list[float]:
    """Number, mean, and sum of squares about the mean."""
    if not x.size:
        return [0, 0.0, 0.0]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        mean = float(x.mean())
        return [x.size, mean, float(np.square(x - mean).sum())]
