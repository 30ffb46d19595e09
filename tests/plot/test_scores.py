"""The figure of scores shows each method in each band."""

import numpy as np

from geoae.plot.scores import plot_evaluation
from tests.support.figures import to_png


def _results() -> dict:
    def scored(value):
        quartiles = {"median": value, "q25": value - 1, "q75": value + 1}
        return {
            "snr": {s: {"si_sdr_gain_db": quartiles, "peak_ratio": quartiles, "onset_within_0.1s": 0.5} for s in "05"}
        }

    methods = {"mine": scored(5.0), "do nothing": scored(0.0)}
    band = {"n_events": 3, "n_stations": 2, "methods": methods}
    return {"n": 7, "stations": "all", "snrs_db": [0.0, 5.0], "bands": {"raw": band, "bp1-45": band}}


def test_evaluation_draws_every_method_in_every_band():
    """Each panel holds a line a method, at the scored values, and the legend names the methods."""
    figure = plot_evaluation(_results())
    assert len(figure.axes) == 6
    for axis in figure.axes:
        lines = {line.get_label(): line for line in axis.lines}
        assert {"mine", "do nothing"} <= set(lines)
        np.testing.assert_array_equal(lines["mine"].get_xdata(), [0, 5])
    assert list(figure.axes[0].lines[0].get_ydata()) == [5, 5]
    assert list(figure.axes[1].lines[0].get_ydata()) == [50, 50]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mine", "do nothing"]
    assert to_png(figure)
