"""Curves of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.arrays.types import Array
from geoae.plot.canvas import new_figure
from geoae.plot.records import _COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_training(history: Sequence[dict[str, Any]]) -> Figure:
    """Draw the curves of a training: loss, validation SI-SDR and learning rate against steps.

    Parameters
    ----------
    history
        One dict a log entry, with ``step`` and any of ``loss``, ``val_db`` and ``lr``; what is missing, None or
        NaN is not drawn.
    """
    figure = new_figure(9, 7.5)
    axes = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [2, 2, 1]})
    step, loss = _series(history, "loss")
    smooth = max(1, len(loss) // 50)
    axes[0].plot(step, loss, color=_COLOURS[0], linewidth=0.8, alpha=0.35 if smooth > 1 else 1)
    if smooth > 1:
        mean = np.convolve(loss, np.ones(smooth) / smooth, mode="valid")
        axes[0].plot(step[smooth - 1 :], mean, color=_COLOURS[0], label=f"mean of {smooth} entries")
        axes[0].legend(frameon=False)
    if loss.size and loss.min() > 0:
        axes[0].set_yscale("log")
    step, score = _series(history, "val_db")
    axes[1].plot(step, score, color=_COLOURS[4], marker="o", markersize=3)
    if score.size:
        best = int(np.argmax(score))
        axes[1].axvline(step[best], color="black", linewidth=0.8, linestyle=":")
        axes[1].set_title(f"best {score[best]:.2f} dB at step {step[best]:.0f}", fontsize=10, loc="right")
    axes[2].plot(*_series(history, "lr"), color=_COLOURS[1])
    for axis, label in zip(axes, ("loss", "validation SI-SDR\nimprovement (dB)", "learning rate"), strict=True):
        axis.set_ylabel(label)
        axis.grid(alpha=0.25)
    axes[2].set_xlabel("step")
    figure.align_ylabels()
    return figure


def _series(history: Sequence[dict[str, Any]], key: str) -> tuple[Array, Array]:
    pairs = [(row["step"], row[key]) for row in history if row.get(key) is not None]
    step, value = np.array(pairs, dtype=float).reshape(-1, 2).T
    some = np.isfinite(value)
    return step[some], value[some]
