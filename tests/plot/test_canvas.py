"""Figures need no display, and their file names are checked before work begins."""

import subprocess
import sys
from pathlib import Path

import pytest

from geoae.errors import InputError
from geoae.plot.canvas import COLOURS, MARKERS, check_figure_path, new_figure
from tests.support.figures import to_png


@pytest.mark.parametrize("name", ["a.png", "a.PDF", "a.b.svg"])
def test_formats_of_matplotlib_are_accepted(name):
    """The ending decides, in any case."""
    check_figure_path(Path(name))


@pytest.mark.parametrize("name", ["a", "a.mseed", "png"])
def test_other_endings_are_refused(name):
    """The message names the file and the formats."""
    with pytest.raises(InputError, match=rf"{name} cannot be drawn.*pdf, .*png"):
        check_figure_path(Path(name))


def test_a_figure_has_its_size_and_is_drawn_by_agg():
    """Width and height are in inches."""
    figure = new_figure(4, 3)
    assert tuple(figure.get_size_inches()) == (4, 3)
    assert type(figure.canvas).__name__ == "FigureCanvasAgg"
    assert to_png(figure).startswith(b"\x89PNG")


def test_each_colour_has_a_marker():
    """Lines are told apart without colours, too."""
    assert len(COLOURS) == len(MARKERS) == len(set(COLOURS)) == len(set(MARKERS))


def test_importing_is_light_and_drawing_leaves_pyplot_alone():
    """Importing the modules loads no matplotlib, and making figures loads no pyplot."""
    code = (
        "import sys, geoae.plot.canvas, geoae.plot.records, geoae.plot.scores, geoae.plot.training, geoae.plot.priors; "
        "light = 'matplotlib' not in sys.modules; geoae.plot.training.plot_training([]); "
        "print(light, 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["True", "False"]
