"""The figure of a posterior: mean, spread, interval and draws."""

from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.errors import InputError
from geoae.invert.posterior.draws import Draws

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_DRAWS = 3
"""Draws in the figure of images."""


def plot_posterior(posterior: Draws, truth: Any = None) -> "Figure":
    """Plot mean, spread, 90 % interval and draws of images; mean with 50 % and 95 % intervals of profiles.

    Raises
    ------
    InputError
        The models have more than two dimensions, or the truth has another shape.
    """
    shape = posterior.space.shape
    if truth is not None and np.shape(truth) != shape:
        raise InputError(f"The truth has shape {np.shape(truth)}; the prior's models have {shape}.")
    if len(shape) > 2:
        raise InputError(f"Models of shape {shape} cannot be plotted; plot a slice of posterior.mean() instead.")
    return _plot_profile(posterior, truth) if len(shape) == 1 else _plot_images(posterior, truth)


def _plot_profile(p: Draws, truth: Any) -> "Figure":
    figure = _new_figure(4.2, 5.5)
    axis, cell = figure.subplots(), np.arange(p.space.shape[0])
    if len(p.codes) > 1:
        for level, shade in ((0.95, 0.2), (0.5, 0.45)):
            low, high = p.interval(level)
            axis.fill_betweenx(cell, low, high, color="#5fa8a3", alpha=shade, lw=0, label=f"{100 * level:.0f} %")
    axis.plot(p.mean(), cell, color="#1b4965", label="mean" if len(p.codes) > 1 else "most likely")
    if truth is not None:
        axis.plot(truth, cell, color="#a44a3f", lw=1, label="truth")
    axis.invert_yaxis()
    axis.set(xlabel=p.space.units or "value", ylabel="cell", title=p.method)
    axis.legend(frameon=False, fontsize=8)
    return figure


def _plot_images(p: Draws, truth: Any) -> "Figure":
    panels = [] if truth is None else [("truth", np.asarray(truth))]
    panels.append(("mean" if len(p.codes) > 1 else "most likely", p.mean()))
    if len(p.codes) > 1:
        low, high = p.interval()
        panels += [("5 %", low), ("95 %", high)]
        panels += [(f"draw {i + 1}", m) for i, m in enumerate(p.sample(N_DRAWS))]
    n = len(panels) + (len(p.codes) > 1)
    height, width = p.space.shape
    figure = _new_figure(1.9 * n + 0.6, float(np.clip(1.7 * height / width, 1.2, 5)) + 0.8)
    axes = np.atleast_1d(figure.subplots(1, n, sharex=True, sharey=True))
    limits = p.mean() if truth is None else np.stack([truth, p.mean()])
    shown: Any = None
    for axis, (name, values) in zip(axes, panels, strict=False):
        shown = axis.imshow(values, vmin=np.nanmin(limits), vmax=np.nanmax(limits), cmap="viridis", aspect="auto")
        axis.set_title(name, fontsize=9)
    figure.colorbar(shown, ax=list(axes[: len(panels)]), shrink=0.8, label=p.space.units)
    if len(p.codes) > 1:
        spread = axes[-1].imshow(p.std(), cmap="magma", aspect="auto")
        axes[-1].set_title("standard deviation", fontsize=9)
        figure.colorbar(spread, ax=axes[-1], shrink=0.8)
    return figure


def _new_figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
