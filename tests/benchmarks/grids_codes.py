"""Compression of a member that was not used for training: principal components against codes of a model.

The ratio is pixels / numbers of the code. All bases come from the four other members, and their means with them.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from grids_cells import HELD_OUT, Array, read_member

Row = dict[str, Any]
TRAINING = (57, 59, 66, 67)
RATIOS = (16, 64, 256)
WINDOW = 32  # rows and columns, side by side without overlap, counted from the first row and column

Round = Callable[[xr.DataArray], tuple[int, xr.DataArray]]  # numbers in the code, and what comes back


def codes(folder: Path, ours: Sequence[tuple[str, Round]]) -> list[Row]:
    """A row for each method and ratio: RMSE of the member in K over all years and pixels."""
    train = np.concatenate([read_member(folder, n).values.astype(float) for n in TRAINING])
    member = read_member(folder, HELD_OUT)
    x = member.values.astype(float)
    rows = [_row("mean of the training years, no code", None, 0, x, np.broadcast_to(train.mean(axis=0), x.shape))]
    for ratio in RATIOS:
        for title, n, y in [
            ("PCA of whole fields", *whole_fields(train, x, x[0].size // ratio)),
            ("PCA of windows, one basis", *windows(train, x, ratio, each_place=False, scaled=False)),
            ("PCA of windows, one basis, scaled", *windows(train, x, ratio, each_place=False, scaled=True)),
            ("PCA of windows, a basis for each place", *windows(train, x, ratio, each_place=True, scaled=False)),
        ]:
            rows.append(_row(title, ratio, n, x, y))
    for title, there_and_back in ours:
        n, result = there_and_back(member)
        rows.append(_row(title, member.size / n, n // len(x), x, result.values.astype(float)))
    return rows


def _row(title: str, ratio: float | None, n: int, x: Array, y: Array) -> Row:
    """A row of the table; `n` is the number of numbers in the code of one field."""
    return {"method": title, "ratio": ratio, "numbers": n, "rmse": float(np.sqrt(np.mean((y - x) ** 2)))}


def whole_fields(train: Array, x: Array, n: int) -> tuple[int, Array]:
    """Project whole fields; there are at most as many components as training fields, less one for their mean."""
    n = min(n, len(train) - 1)
    return n, _project(train.reshape(len(train), -1), x.reshape(len(x), -1), n).reshape(x.shape)


def windows(train: Array, x: Array, ratio: int, *, each_place: bool, scaled: bool) -> tuple[int, Array]:
    """Project windows; with `scaled`, offset and gain of each window are stored beside the code and not counted."""
    n = WINDOW**2 // ratio
    cut_train, cut_x = _cut(train), _cut(x)  # (place, time, pixel)
    stats = [(0.0, 1.0), (0.0, 1.0)]
    if scaled:
        stats = [(w.mean(axis=2, keepdims=True), w.std(axis=2, keepdims=True)) for w in (cut_train, cut_x)]
    a, b = ((w - offset) / gain for w, (offset, gain) in zip((cut_train, cut_x), stats, strict=True))
    if each_place:
        y = np.array([_project(p, q, n) for p, q in zip(a, b, strict=True)])
    else:
        y = _project(a.reshape(-1, a.shape[2]), b.reshape(-1, b.shape[2]), n).reshape(b.shape)
    return n * len(cut_x), _join(y * stats[1][1] + stats[1][0], x.shape)


def _project(train: Array, x: Array, n: int) -> Array:
    """Project `x` (sample, pixel) on the mean and the `n` leading components of `train`."""
    mean = train.mean(axis=0)
    basis = np.linalg.svd(train - mean, full_matrices=False)[2][:n]
    return (x - mean) @ basis.T @ basis + mean


def _cut(x: Array) -> Array:
    return np.array([x[:, i, j].reshape(len(x), -1) for i, j in _places(x.shape)])


def _join(cut: Array, shape: tuple[int, ...]) -> Array:
    out = np.empty(shape)
    for w, (i, j) in zip(cut, _places(shape), strict=True):
        out[:, i, j] = w.reshape(shape[0], WINDOW, WINDOW)
    return out


def _places(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    for i in range(0, shape[1], WINDOW):
        for j in range(0, shape[2], WINDOW):
            yield slice(i, i + WINDOW), slice(j, j + WINDOW)


def table(rows: list[Row]) -> str:
    lines = ["| method | ratio | numbers a field | RMSE, K |", "|---|--:|--:|--:|"]
    for r in sorted(rows, key=lambda r: r["ratio"] or np.inf):
        ratio = "" if r["ratio"] is None else f"{r['ratio']:.0f}"
        lines.append(f"| {r['method']} | {ratio} | {r['numbers']} | {r['rmse']:.4f} |")
    return "\n".join(lines)
