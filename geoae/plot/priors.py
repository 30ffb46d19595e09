"""Figure of a prior: held-out models, their reconstructions, and models drawn from the prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.arrays.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {
    "held_out": "held out",
    "reconstructed": "reconstructed",
    "drawn": "drawn from\nthe prior",
    "worst": "held out,\nlargest errors",
    "worst_reconstructed": "reconstructed",
}


def plot_prior(examples: dict[str, Array], name: str, units: str) -> Figure:
    """Draw models: images in one row for each group, or profiles with their axis downward in one panel for each group.

    Parameters
    ----------
    examples
        Groups of models (n, ...) with keys as in `_TITLES`; empty groups are left out.
    name, units
        Title of the figure, and units of the models; units may be empty.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = {k: v for k, v in examples.items() if len(v)}
    groups = list(shown.values())
    low, high = (float(f([f(v[np.isfinite(v)]) for v in groups if np.isfinite(v).any()])) for f in (np.min, np.max))
    if groups[0].ndim == 2:
        figure = Figure(figsize=(3.0 * len(shown), 4.5), layout="constrained")
        axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axis, (key, models) in zip(axes, shown.items(), strict=True):
            _draw_profiles(axis, models, (low, high))
            axis.set_title(_TITLES[key])
            axis.set_xlabel(units or "value")
        axes[0].set_ylabel("cell")
        axes[0].invert_yaxis()
    else:
        columns = max(len(v) for v in groups)
        aspect = groups[0].shape[1] / groups[0].shape[2]
        height = 1.6 * len(shown) * min(max(aspect, 0.4), 2.5) + 0.5
        figure = Figure(figsize=(1.6 * columns + 1.5, height), layout="constrained")
        grid = figure.subplots(len(shown), columns, squeeze=False)
        image: Any = None
        for row, (key, models) in zip(grid, shown.items(), strict=True):
            for axis, model in zip(row, models, strict=False):
                image = axis.imshow(model, vmin=low, vmax=high, cmap="viridis", interpolation="none", aspect="auto")
            for axis in row:
                axis.set_xticks([])
                axis.set_yticks([])
            for axis in row[len(models) :]:
                axis.axis("off")
            row[0].set_ylabel(_TITLES[key], fontsize=8)
        figure.colorbar(image, ax=grid, label=units or "value", shrink=0.6)
    figure.suptitle(name)
    FigureCanvasAgg(figure)
    return figure


def _draw_profiles(axis: Axes, models: Array, limits: tuple[float, float]) -> None:
    """Draw profiles (model, cell) against their cells, with one range of values."""
    for model in models:
        axis.plot(model, np.arange(len(model)), lw=1.2)
    axis.set_xlim(*limits)
