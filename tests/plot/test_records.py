"""Promises of geoae.plot.records: figures hold what they were given, and nothing given makes them fail."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.plot.records import MAX_TRACES, _density_db, _envelope, plot_denoised
from geoae.plot.scores import plot_evaluation
from geoae.plot.training import plot_training

START = np.datetime64("2010-09-01T00:00:00")


def _png(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, dpi=30)
    return file.getvalue()


@given(n=st.integers(1, 20_000), columns=st.integers(1, 50), seed=st.integers(0, 99))
def test_envelope_loses_no_peak(n, columns, seed):
    """However long the trace, the line drawn reaches its extremes, stays within them and runs forwards."""
    trace = np.random.default_rng(seed).normal(size=n)
    sample, value = _envelope(trace, columns)
    assert (value.max(), value.min()) == (trace.max(), trace.min())
    assert (np.diff(sample) > 0).all()
    assert sample[0] >= 0
    assert sample[-1] < n
    assert len(value) <= max(4 * columns, 1)


def test_envelope_leaves_gaps_blank():
    """Columns without a sample are NaN; columns with some keep their extremes."""
    trace = np.arange(1000.0)
    trace[200:400] = np.nan
    trace[405] = np.nan
    _, value = _envelope(trace, 100)
    assert np.isnan(value[40:80]).all()
    assert np.isfinite(value[:40]).all()
    assert np.isfinite(value[80:]).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_density_is_power_per_hertz(scale):
    """White noise of variance s² at rate f has the one-sided density 2 s² / f at every frequency (Parseval)."""
    rate_hz = 50.0
    frames = scale * np.random.default_rng(0).normal(size=(4000, 64))
    density = _density_db(frames, rate_hz, columns=1)[0, 2:-2]
    np.testing.assert_allclose(density, 10 * np.log10(2 / rate_hz) + 20 * np.log10(scale), atol=0.6)


def test_one_amplitude_axis_one_colour_scale_one_time_axis():
    """Before, after and removed are drawn to one scale, from the first to the last sample, in days since 1970."""
    before = np.random.default_rng(0).normal(size=(3, 3000)) * [[1.0], [10.0], [100.0]]
    figure = plot_denoised(before, 0.6 * before, 0.4 * before, 100.0, START, ["a", "b", "c"], "title", "m/s")
    axes = np.array(figure.axes[:18]).reshape(6, 3)
    for row, peak in ((0, 1), (2, 10), (4, 100)):
        limits = {axis.get_ylim() for axis in axes[row]}
        assert len(limits) == 1
        assert peak < limits.pop()[1] < 6 * peak
        np.testing.assert_allclose(
            axes[row, 1].lines[0].get_ydata(), 0.6 * axes[row, 0].lines[0].get_ydata(), rtol=1e-9, atol=1e-12
        )
    assert len({axis.images[0].get_clim() for axis in axes[1::2].ravel()}) == 1
    day = (START - np.datetime64(0, "s")) / np.timedelta64(86400, "s")
    for axis in axes.ravel():
        np.testing.assert_allclose(np.array(axis.get_xlim()) - day, [0, 30 / 86400], atol=1e-9)
    assert axes[-1, 0].get_xlabel() == "UTC, from 2010-09-01 00:00:00"
    assert _png(figure).startswith(b"\x89PNG")


def test_start_may_be_text_or_nanoseconds():
    """The three ways to give the start draw the same time axis."""
    x = np.random.default_rng(0).normal(size=(1, 100))
    starts = (START, "2010-09-01", int(START.astype("datetime64[ns]").astype(np.int64)))
    limits = {plot_denoised(x, x, x, 10.0, start, ["a"]).axes[0].get_xlim() for start in starts}
    assert len(limits) == 1


@settings(max_examples=12)
@given(
    n=st.integers(1, 4000),
    rate=st.sampled_from([1 / 86400, 0.1, 1.0, 100.0, 50_000.0]),
    fill=st.sampled_from(["noise", "dead", "nan", "inf", "gap", "huge", "offset"]),
)
def test_odd_records_are_drawn(n, rate, fill):
    """One sample or many, slow or fast, dead, empty, infinite or huge: a figure and no warning."""
    x = np.random.default_rng(0).normal(size=(1, n)).astype(np.float32)
    if fill == "gap":
        x[:, n // 3 : n // 2] = np.nan
    elif fill == "inf":
        x[:, n // 2] = np.inf
    elif fill == "huge":
        x *= 1e37
    elif fill != "noise":
        x[:] = {"dead": 0.0, "nan": np.nan, "offset": 1e9}[fill]
    _png(plot_denoised(x, x, np.where(np.isfinite(x), 0, np.nan), rate, START, ["A.B..C"]))


def test_many_traces_are_cut_and_said_so():
    """Of a large array the first traces are drawn and the title says how many there are."""
    x = np.random.default_rng(0).normal(size=(MAX_TRACES + 3, 40))
    figure = plot_denoised(x, x, x, 10.0, START, [str(i) for i in range(len(x))], "array")
    assert figure.get_suptitle() == f"array (first {MAX_TRACES} of {MAX_TRACES + 3} traces)"


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
    assert _png(figure)


def test_training_draws_what_is_there():
    """Curves skip rows without a value; the best validation score is named."""
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
    assert _png(figure)


@pytest.mark.parametrize("history", [[], [{"step": 1, "loss": -3.0}]])
def test_training_draws_short_histories(history):
    """No row or one row, and a negative loss, still make a figure."""
    assert _png(plot_training(history))


def test_importing_plot_is_light_and_drawing_leaves_pyplot_alone():
    """Importing the module loads no matplotlib, and making a figure loads no pyplot."""
    code = (
        "import sys, geoae.plot.records as p; light = 'matplotlib' not in sys.modules; "
        "p.plot_training([]); print(light, 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["True", "False"]
