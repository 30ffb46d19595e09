"""Figure of a training: loss, validation score and learning rate."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.arrays.types import Array
from geoae.plot.canvas import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_training(history: Sequence[dict[str, Any]], score: str = "SI-SDR improvement") -> Figure:
    """Draw the curves of a training: loss, validation score and learning rate against steps.

    Parameters
    ----------
    history
        One dict for each log entry, with ``step`` and any of ``loss``, ``val_db`` and ``lr``. Missing values, None and
        NaN are not drawn.
    score
        Name of the validation score ``val_db``, which is in dB.
    """
    figure = new_figure(9, 7.5)
    axes = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [2, 2, 1]})
    step, loss = _series(history, "loss")
    smooth = max(1, len(loss) // 50)
    axes[0].plot(step, loss, color=COLOURS[0], linewidth=0.8, alpha=0.35 if smooth > 1 else 1)
    if smooth > 1:
        mean = np.convolve(loss, np.ones(smooth) / smooth, mode="valid")
        axes[0].plot(step[smooth - 1 :], mean, color=COLOURS[0], label=f"mean of {smooth} entries")
        axes[0].legend(frameon=False)
    if loss.size and loss.min() > 0:
        axes[0].set_yscale("log")
    step, score_db = _series(history, "val_db")
    axes[1].plot(step, score_db, color=COLOURS[4], marker="o", markersize=3)
    if score_db.size:
        best = int(np.argmax(score_db))
        axes[1].axvline(step[best], color="black", linewidth=0.8, linestyle=":")
        axes[1].set_title(f"best {score_db[best]:.2f} dB at step {step[best]:.0f}", fontsize=10, loc="right")
    axes[2].plot(*_series(history, "lr"), color=COLOURS[1])
    score_label = textwrap.fill(f"validation {score} (dB)", 20)
    for axis, label in zip(axes, ("loss", score_label, "learning rate"), strict=True):
        axis.set_ylabel(label)
        axis.grid(alpha=0.25)
    axes[2].set_xlabel("step")
    figure.align_ylabels()
    return figure


def _series(history: Sequence[dict[str, Any]], key: str) -> tuple[Array, Array]:
    """Steps and values of the log entries with a finite value."""
    pairs = [(row["step"], row[key]) for row in history if row.get(key) is not None]
    step, value = np.array(pairs, dtype=float).reshape(-1, 2).T
    is_finite = np.isfinite(value)
    return step[is_finite], value[is_finite]
