"""The figure of a training shows its history."""

import pytest

from geoae.plot.training import plot_training
from tests.support.figures import to_png


def test_rows_without_a_value_are_skipped():
    """Missing and NaN values are not drawn; the title names the best validation score."""
    history = [{"step": i, "loss": 1.0 / (i + 1), "lr": 1e-3} for i in range(200)]
    for i in (0, 100, 199):
        history[i]["val_db"] = float("nan") if i == 0 else 8.0 - i / 100
    history[5]["loss"] = None
    figure = plot_training(history)
    loss, score, rate = figure.axes
    assert len(loss.lines[0].get_xdata()) == 199
    assert list(score.lines[0].get_ydata()) == [7.0, 6.01]
    assert "7.00 dB at step 100" in score.get_title(loc="right")
    assert len(rate.lines[0].get_xdata()) == 200
    assert to_png(figure)


@pytest.mark.parametrize("history", [[], [{"step": 1, "loss": -3.0}]])
def test_short_histories_are_drawn(history):
    """Histories without rows, or with one negative loss, make a figure."""
    assert to_png(plot_training(history))


def test_the_score_has_the_name_of_its_kind():
    """The axis of the validation score names the score and its unit."""
    _, score, _ = plot_training([{"step": 1, "val_db": 3.0}], "error reduction").axes
    assert score.get_ylabel().replace("\n", " ") == "validation error reduction (dB)"
    assert plot_training([]).axes[1].get_ylabel() == "validation SI-SDR\nimprovement (dB)"
