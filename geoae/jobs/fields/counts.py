"""What happened to each variable of a run on fields: counted block by block, added up in any order."""

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

Counts = dict[str, Any]
"""Of samples: how many, how many missing and infinite, and the moments of what was there and what was removed."""


@dataclass(frozen=True)
class FieldRow:
    """What became of one variable."""

    name: str
    dims: str
    """Names and sizes."""
    slices: int
    """Over the horizontal dimensions."""
    missing: float
    """Share of samples that are missing; nan where none was looked at."""
    spread: float
    """Standard deviation before."""
    removed: float
    """Standard deviation of what was removed."""
    units: str


@dataclass
class FieldSummary:
    """What one run on fields did."""

    rows: list[FieldRow]
    outputs: list[Path]
    problems: list[str]
    notes: list[str]
    model: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether everything asked for was done."""
        return not self.problems


def count_block(before: NDArray[Any], removed: NDArray[Any]) -> Counts:
    """What there is to count of a block."""
    finite = np.isfinite(before)
    return {
        "samples": before.size, "missing": int(np.isnan(before).sum()), "infinite": int(np.isinf(before).sum()),
        "before": _moments(before[finite]), "removed": _moments(removed[finite].astype(np.float64)),
    }  # fmt: skip


def pool_counts(first: Counts | None, second: Counts) -> Counts:
    """Counts of two parts together."""
    if first is None:
        return second
    both: Counts = {key: first[key] + second[key] for key in ("samples", "missing", "infinite")}
    for key in ("before", "removed"):
        (n, a, v), (m, b, w) = first[key], second[key]
        # after Chan et al. (1979): no digits are lost to a large mean
        both[key] = [n + m, a + (b - a) * m / max(n + m, 1), v + w + (b - a) ** 2 * n * m / max(n + m, 1)]
    return both


def make_field_rows(
    fields: Sequence[xr.DataArray], asked: FieldOptions, counts: Mapping[str, Counts]
) -> list[FieldRow]:
    """A row for each variable, with what was counted of it."""
    rows = []
    for x in fields:
        counted = counts.get(str(x.name))
        slices = math.prod(n for d, n in x.sizes.items() if d not in find_layout(x, asked.dims).horizontal)
        missing = counted["missing"] / counted["samples"] if counted else math.nan
        spread, removed = (
            math.sqrt(counted[key][2] / counted[key][0]) if counted and counted[key][0] else math.nan
            for key in ("before", "removed")
        )
        sizes = ", ".join(f"{d} {n}" for d, n in x.sizes.items())
        rows.append(FieldRow(str(x.name), sizes, slices, missing, spread, removed, str(x.attrs.get("units", ""))))
    return rows


def _moments(x: NDArray[Any]) -> list[float]:
    """Number, mean, and sum of squares about it."""
    if not x.size:
        return [0, 0.0, 0.0]
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        mean = float(x.mean())
        return [x.size, mean, float(np.square(x - mean).sum())]
