"""A new figure, and the check of its file name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from geoae.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_figure_path(path: Path) -> None:
    """Raise InputError for a name whose ending tells no format that matplotlib writes."""
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.filetypes)
    if path.suffix.lower().removeprefix(".") not in known:
        raise InputError(f"{path} cannot be drawn: its ending must be one of {', '.join(known)}.")


def new_figure(width: float, height: float) -> Figure:
    """Return a figure drawn by Agg, without pyplot and its global list of figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # the extra space keeps the last time label of a panel off the first of its neighbour
    figure = Figure(figsize=(width, height), dpi=100, layout=ConstrainedLayoutEngine(wspace=0.04))
    FigureCanvasAgg(figure)
    return figure
