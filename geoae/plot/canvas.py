"""New figures, their colours, and the check of their file names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from geoae.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


COLOURS = ("#1b4965", "#7f7f7f", "#c8963e", "#5fa8a3", "#a44a3f", "#6c5b7b")
"""Colours of lines, in order; the second is for references."""
MARKERS = ("o", "", "s", "^", "v", "D")
"""Markers of lines, in the order of `COLOURS`."""


def check_figure_path(path: Path) -> None:
    """Raise InputError if the ending of a file name is no format of matplotlib."""
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.filetypes)
    if path.suffix.lower().removeprefix(".") not in known:
        raise InputError(f"{path} cannot be drawn: its ending must be one of {', '.join(known)}.")


def new_figure(width: float, height: float) -> Figure:
    """Make a figure with a canvas of its own (Agg); width and height in inches.

    pyplot is not used, so there is no global list of figures and no display is needed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # extra space between the last time label of a panel and the first of the next panel
    figure = Figure(figsize=(width, height), dpi=100, layout=ConstrainedLayoutEngine(wspace=0.04))
    FigureCanvasAgg(figure)
    return figure
