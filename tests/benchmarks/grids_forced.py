"""The forced signal in one member of a climate ensemble, measured by other members of the same forcing.

The reference has weather of its own, so no error against it can be expected below a floor, which is estimated from the
spread of the members: with w the rms of a member's weather and n members in the reference, it is w / sqrt(n), and w is
rms(a - b) / sqrt(2) of two members a and b. `beyond` is what an error has beyond the floor, sqrt(rmse**2 - floor**2):
the error against the forced signal itself. An error below the floor says that a model has seen the reference; where
that is a single member, w comes from it and the member itself, so that doing nothing is beyond the floor by w.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from grids_cells import Array, read_member
from scipy.ndimage import gaussian_filter1d

Row = dict[str, Any]
TASKS = ((60, (57, 59)), (67, (66,)))  # the member, and those whose mean is the reference
YEARS = (1, 3, 5, 7, 9, 11, 15, 21, 31, 41, 61, 81, 111, 221)  # of running means; the last is the mean of all
DEVIATIONS_T = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 30)
DEVIATIONS_X = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20)


def forced(folder: Path, ours: Callable[[xr.DataArray], xr.DataArray] | None) -> list[Row]:
    """A row for each member and method: its error in K and the parameter of least error."""
    rows = []
    for number, others in TASKS:
        member = read_member(folder, number)
        x, references = member.values.astype(float), [read_member(folder, n).values.astype(float) for n in others]
        reference = np.mean(references, axis=0)
        pair = references if len(references) == 2 else [references[0], x]
        floor = _rms(pair[0] - pair[1]) / np.sqrt(2 * len(others))
        found: dict[str, Iterable[tuple[Any, Array]]] = {
            "nothing": [(None, x)],
            "running mean": ((n, running_mean(x, n)) for n in YEARS),
            "EOF": eof(x, (1,)),
            "EOF, components smoothed": eof(x, YEARS),
            "Gaussian in time and space": gaussian(x),
        }
        if ours is not None:
            found["ours"] = [(None, ours(member).values.astype(float))]
        task = f"{number} against {' and '.join(map(str, others))}"
        for title, candidates in found.items():
            rmse, parameter = min(((_rms(y - reference), p) for p, y in candidates), key=lambda pair: pair[0])
            beyond = np.sqrt(max(rmse**2 - floor**2, 0))
            rows.append({"task": task, "method": title, "rmse": rmse, "floor": floor, "beyond": beyond,
                         "parameter": parameter})  # fmt: skip
    return rows


def running_mean(x: Array, years: int) -> Array:
    """Centred running mean along the first axis, over the available years."""
    total = np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, axis=0)])
    i = np.arange(len(x))
    first, last = np.maximum(i - years // 2, 0), np.minimum(i + years // 2 + 1, len(x))
    return (total[last] - total[first]) / (last - first).reshape(-1, *[1] * (x.ndim - 1))


def eof(x: Array, years: Iterable[int]) -> Iterator[tuple[Any, Array]]:
    """The mean over time and the leading modes of the rest, their components smoothed over some years."""
    mean = x.mean(axis=0)
    u, s, v = np.linalg.svd((x - mean).reshape(len(x), -1), full_matrices=False)
    for n in years:
        components = running_mean(u * s, n)
        for rank in (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 50, 80, 110):
            yield {"rank": rank, "years": n}, (components[:, :rank] @ v[:rank]).reshape(x.shape) + mean


def gaussian(x: Array) -> Iterator[tuple[Any, Array]]:
    """The mean over time, plus the difference from it smoothed in time and space."""
    mean = x.mean(axis=0)
    ones = np.ones((*x.shape[:2], 1))
    for t in DEVIATIONS_T:
        for s in DEVIATIONS_X:
            smooth, weight = ((_blur(_blur(y, t, 0), s, 1)) for y in (x - mean, ones))
            yield {"years": t, "steps": s}, _blur(smooth / weight, s, 2, "wrap") + mean


def _blur(x: Array, width: float, axis: int, mode: str = "constant") -> Array:
    return gaussian_filter1d(x, width, axis=axis, mode=mode) if width else x


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


def table(rows: list[Row]) -> str:
    lines = [
        "| member against | method | RMSE, K | floor, K | beyond, K | best parameter |",
        "|---|---|--:|--:|--:|---|",
    ]
    for r in rows:
        parameter = "" if r["parameter"] is None else str(r["parameter"]).strip("{}").replace("'", "")
        lines.append(
            f"| {r['task']} | {r['method']} | {r['rmse']:.4f} | {r['floor']:.4f} | {r['beyond']:.4f} | {parameter} |"
        )
    return "\n".join(lines)
