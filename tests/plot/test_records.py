"""The figure of a denoised record shows the samples at their times, and odd records do not make it fail."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.plot.records import MAX_TRACES, _density_db, _envelope, find_drift, plot_denoised
from tests.support.figures import to_png

START = np.datetime64("2010-09-01T00:00:00")


@given(n=st.integers(1, 20_000), columns=st.integers(1, 50), seed=st.integers(0, 99))
def test_envelope_loses_no_peak(n, columns, seed):
    """For any length, the line reaches the extremes of the trace, stays within them and runs forwards."""
    trace = np.random.default_rng(seed).normal(size=n)
    sample, value = _envelope(trace, columns)
    assert (value.max(), value.min()) == (trace.max(), trace.min())
    assert (np.diff(sample) > 0).all()
    assert sample[0] >= 0
    assert sample[-1] < n
    assert len(value) <= max(4 * columns, 1)


def test_envelope_leaves_gaps_blank():
    """Columns without samples are NaN; columns with some samples keep their extremes."""
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
    """Before, after and removed have one scale, and span the first to the last sample in days since 1970."""
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
    assert to_png(figure).startswith(b"\x89PNG")


def test_start_may_be_text_or_nanoseconds():
    """A datetime64, text and nanoseconds give the same time axis."""
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
    to_png(plot_denoised(x, x, np.where(np.isfinite(x), 0, np.nan), rate, START, ["A.B..C"]))


def test_the_title_counts_traces_that_are_not_drawn():
    """Of a large array the first traces are drawn; the title states how many there are."""
    x = np.random.default_rng(0).normal(size=(MAX_TRACES + 3, 40))
    figure = plot_denoised(x, x, x, 10.0, START, [str(i) for i in range(len(x))], "array")
    assert figure.get_suptitle() == f"array (first {MAX_TRACES} of {MAX_TRACES + 3} traces)"


DRIFTS = {
    "an hour": (20.0, lambda t: 1e5 * np.sin(t / 600)),
    "a line": (100.0, lambda t: 1e3 * t),
    "a step": (20.0, lambda t: 1e5 * (t > 700)),
    "a long wave": (20.0, lambda t: 1e5 * np.sin(2 * np.pi * t / 30)),
    "noise": (20.0, lambda t: 0 * t),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_is_left_out_where_it_hides_all_else(name):
    """Before and after lose the same drift, which is written into the panel; steps and long waves stay."""
    rate_hz, drift = DRIFTS[name]
    n = int(rate_hz * (100 if name == "a line" else 1800))
    noise = 100 * np.random.default_rng(0).normal(size=(1, n))
    before = noise + drift(np.arange(n) / rate_hz)
    before[0, n // 3 : n // 2] = np.nan
    figure = plot_denoised(before, before - 0.9 * noise, 0.9 * noise, rate_hz, START, ["a"])
    peaks = [np.nanmax(np.abs(axis.lines[0].get_ydata())) for axis in figure.axes[:3]]
    written = [[text.get_text()[:13] for text in axis.texts] for axis in figure.axes[:2]]
    if name in ("an hour", "a line"):
        assert peaks[0] < 1e4
        assert all("without drift" in texts for texts in written)
    else:
        assert peaks[0] == pytest.approx(np.nanmax(np.abs(before - np.nanmean(before))))
        assert not any("without drift" in texts for texts in written)


def test_no_drift_without_samples():
    """A trace of gaps or of one sample has none."""
    assert find_drift(np.full(100, np.nan), 1.0) is None
    assert find_drift(np.ones(1), 1.0) is None


@pytest.mark.parametrize("seconds", [50, 600, 3600])
def test_a_curved_drift_is_found_at_any_length(seconds):
    """What is left is the noise; a drift of less than a minute is a line."""
    t = np.linspace(0, 1, seconds * 20)
    noise = np.random.default_rng(0).normal(size=t.size)
    drift = 1e4 * (t if seconds < 60 else np.sin(2 * t))
    found = find_drift(drift + noise, 20.0)
    assert found is not None
    assert np.std(drift + noise - found) < (1.1 if seconds < 60 else 60)
