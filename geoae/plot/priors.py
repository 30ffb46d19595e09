"""Figures of priors: what was held out, what the decoder makes of it, what it draws; as in plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.arrays.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {"held_out": "held out", "reconstructed": "reconstructed", "drawn": "drawn from the prior",
           "worst": "worst held out", "worst_reconstructed": "reconstructed"}  # fmt: skip


def plot_prior(examples: dict[str, Array], name: str, units: str) -> Figure:
    """Rows of models: images side by side, or profiles over each other with the first axis downward."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = {k: v for k, v in examples.items() if len(v)}
    many = [v for v in shown.values()]
    low, high = (float(f([f(v[np.isfinite(v)]) for v in many if np.isfinite(v).any()])) for f in (np.min, np.max))
    if many[0].ndim == 2:
        figure = Figure(figsize=(3.0 * len(shown), 4.5), layout="constrained")
        axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axis, (key, models) in zip(axes, shown.items(), strict=True):
            _profiles(axis, models, (low, high))
            axis.set_title(_TITLES[key])
            axis.set_xlabel(units or "value")
        axes[0].set_ylabel("cell")
        axes[0].invert_yaxis()
    else:
        columns = max(len(v) for v in many)
        tall = many[0].shape[1] / many[0].shape[2]
        height = 1.6 * len(shown) * min(max(tall, 0.4), 2.5) + 0.5
        figure = Figure(figsize=(1.6 * columns + 1.5, height), layout="constrained")
        grid = figure.subplots(len(shown), columns, squeeze=False)
        image: Any = None
        for row, (key, models) in zip(grid, shown.items(), strict=True):
            for axis, model in zip(row, models, strict=False):
                image = axis.imshow(model, vmin=low, vmax=high, cmap="viridis", interpolation="none", aspect="auto")
            for axis in row:
                axis.set_xticks([])
                axis.set_yticks([])
            row[0].set_ylabel(_TITLES[key], fontsize=8)
        figure.colorbar(image, ax=grid, label=units or "value", shrink=0.6)
    figure.suptitle(name)
    FigureCanvasAgg(figure)
    return figure


def _profiles(axis: Axes, models: Array, limits: tuple[float, float]) -> None:
    for model in models:
        axis.plot(model, np.arange(len(model)), lw=1.2)
    axis.set_xlim(*limits)
