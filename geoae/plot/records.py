"""Figure of a denoised record: before, after and removed, with spectrograms.

It takes plain arrays and returns a matplotlib Figure with a canvas of its own: ``figure.savefig(path)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geoae.arrays.types import Array
from geoae.plot.canvas import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


MAX_TRACES = 6
"""Most channels in one figure."""
_COLUMNS_WAVEFORM, _COLUMNS_SPECTROGRAM = 1500, 500
_RANGE_DB = 80.0
_DAY_S = 86400.0
_DRIFT_S = 300.0
_LINE_S = 60.0


def plot_denoised(
    before: Array,
    after: Array,
    removed: Array,
    rate_hz: float,
    start: np.datetime64 | str | int,
    ids: Sequence[str],
    title: str = "",
    units: str = "",
) -> Figure:
    """Draw a record before and after denoising, and what was removed: waveforms above their spectrograms.

    The three waveforms of a trace share one amplitude axis, all spectrograms one colour scale, all panels the time
    axis. Waveforms are drawn without their mean; a large mean is written into the panel. A drift that would hide all
    else is left out of before and after, and its size is written there. Long records are drawn as envelopes, so that no
    peak is lost. Gaps (NaN, Inf) stay blank.

    Parameters
    ----------
    before, after, removed
        Shape (channel, time), same units. At most the first `MAX_TRACES` channels are drawn; the title then states how
        many there are.
    rate_hz
        Sampling rate.
    start
        Time of the first sample, UTC; a whole number counts ns since 1970-01-01.
    ids
        One label for each channel.
    title, units
        Title of the figure, and units of the samples; may be empty.
    """
    n_traces, n = before.shape
    shown = min(n_traces, MAX_TRACES)
    if shown < n_traces:
        title = f"{title} (first {shown} of {n_traces} traces)".lstrip()
    figure = new_figure(17, 0.9 + 3.7 * shown)
    axes = figure.subplots(
        2 * shown, 3, sharex="all", sharey="row", squeeze=False, gridspec_kw={"height_ratios": [1, 1.15] * shown}
    )
    start_ns = start if isinstance(start, int) else int(np.datetime64(start).astype("datetime64[ns]").astype(np.int64))
    first_day = start_ns / (1e9 * _DAY_S)
    images, colours = [], ("#333333", COLOURS[0], COLOURS[4])
    for row in range(shown):
        peaks = []
        drift = find_drift(_gaps_as_nan(before[row]), rate_hz)
        for column, traces in enumerate((before, after, removed)):
            trace = _gaps_as_nan(traces[row])
            if drift is not None and column < 2:
                trace = trace - drift
            peaks.append(_draw_waveform(axes[2 * row, column], trace, rate_hz, first_day, colours[column]))
            images.append(_draw_spectrogram(axes[2 * row + 1, column], trace, rate_hz, first_day))
        if max(peaks) > 0:
            axes[2 * row, 0].set_ylim(-1.08 * max(peaks), 1.08 * max(peaks))
        if drift is not None:
            for axis in axes[2 * row, :2]:
                _write(axis, f"without drift of {np.ptp(drift):.2g}", 0.05, "bottom")
        axes[2 * row, 0].ticklabel_format(axis="y", style="sci", scilimits=(-3, 4), useMathText=True)
        axes[2 * row, 0].set_ylabel(f"{ids[row]}\n{units}".strip())
        axes[2 * row + 1, 0].set_ylabel("frequency (Hz)")
    for axis, name in zip(axes[0], ("before", "after", "removed"), strict=True):
        axis.set_title(name, fontsize=11, fontweight="bold")
    _label_time(axes, first_day, n, rate_hz)
    _share_colours(figure, axes, [image for image in images if image is not None], units)
    figure.suptitle(title, fontsize=12)
    return figure


def _gaps_as_nan(trace: Array) -> Array:
    """Replace samples that are not finite by NaN."""
    finite = np.isfinite(trace)
    return trace if finite.all() else np.where(finite, trace, np.nan)


def _draw_waveform(axis: Axes, trace: Array, rate_hz: float, first_day: float, colour: str) -> float:
    """Draw a trace without its mean; returns its largest deviation from the mean."""
    sample, value = _envelope(trace, _COLUMNS_WAVEFORM)
    has_samples = np.isfinite(value).any()
    mean = float(np.nanmean(trace, dtype=np.float64)) if has_samples else 0.0
    value = value.astype(np.float64) - mean
    peak = float(np.nanmax(np.abs(value))) if has_samples else 0.0
    days = first_day + sample / (rate_hz * _DAY_S)
    axis.plot(days, value, color=colour, linewidth=0.6, marker="o" if len(trace) == 1 else "", markersize=3)
    if abs(mean) > 0.1 * peak:
        _write(axis, f"mean {mean:.4g}", 0.95, "top")
    return peak


def _write(axis: Axes, text: str, height: float, side: str) -> None:
    """Write into a panel, at the right."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    axis.text(0.99, height, text, transform=axis.transAxes, ha="right", va=side, fontsize=8, bbox=box)


def find_drift(trace: Array, rate_hz: float) -> Array | None:
    """Drift of a trace, if it hides all else: a curve through means of `_DRIFT_S`, a cubic, or below `_LINE_S` a line.

    None if what is left without it is not much smaller than the trace: steps and signals are no drift.
    """
    finite = np.isfinite(trace)
    if finite.sum() < 3:
        return None
    at, value = np.flatnonzero(finite), trace[finite].astype(np.float64)
    bins, all_samples = int(len(trace) / (_DRIFT_S * rate_hz)), np.arange(len(trace))
    number = (at * max(bins, 1)) // len(trace)
    count = np.bincount(number)
    if (count > 0).sum() < 3:
        degree = 3 if len(trace) > _LINE_S * rate_hz else 1
        drift = np.polynomial.Polynomial.fit(at, value, degree)(all_samples)
    else:
        from scipy.interpolate import Akima1DInterpolator

        knots, levels = (np.bincount(number, part)[count > 0] / count[count > 0] for part in (at, value))
        drift = Akima1DInterpolator(knots, levels)(all_samples, extrapolate=True)
    rest, whole = (float(np.abs(part - part.mean()).max()) for part in (value - drift[at], value))
    return drift if rest < whole / 3 else None


def _envelope(trace: Array, columns: int) -> tuple[Array, Array]:
    """Positions and values to draw: all samples, or minimum and maximum of each column of a long trace."""
    n = len(trace)
    if n <= 4 * columns:
        return np.arange(n, dtype=float), trace
    edges = np.linspace(0, n, columns + 1).astype(np.int64)[:-1]
    low, high = np.fmin.reduceat(trace, edges), np.fmax.reduceat(trace, edges)
    # two points for each column, at different abscissae, so that gaps break the line
    return np.repeat(edges, 2) + np.tile([0.0, n / columns / 2], columns), np.column_stack([low, high]).ravel()


def _draw_spectrogram(axis: Axes, trace: Array, rate_hz: float, first_day: float) -> AxesImage | None:
    """Draw the power spectral density in dB; returns None if the trace is too short."""
    window_n = min(256 if len(trace) > 60_000 else 128, len(trace) // 4 * 2)
    if window_n < 16:
        axis.set_ylim(0.0, rate_hz / 2)
        axis.text(0.5, 0.5, "too short for a spectrogram", transform=axis.transAxes, ha="center", va="center")
        return None
    # frames overlap in short records and do not in long ones; all samples are used
    hop = min(max(1, len(trace) // _COLUMNS_SPECTROGRAM), window_n)
    frames = np.lib.stride_tricks.sliding_window_view(trace, window_n)[::hop]
    density = _density_db(frames, rate_hz, min(_COLUMNS_SPECTROGRAM, len(frames)))
    # a frame is drawn at its centre; at its start, onsets would appear half a frame early
    first = (window_n - hop) / 2
    days = [first_day + n / (rate_hz * _DAY_S) for n in (first, first + len(frames) * hop)]
    extent = (days[0], days[1], 0.0, rate_hz / 2)
    return axis.imshow(density.T, aspect="auto", origin="lower", extent=extent, interpolation="nearest", cmap="magma")


def _density_db(frames: Array, rate_hz: float, columns: int) -> Array:
    """Power spectral density in dB (column, frequency), a mean over frames; NaN if all frames of a column have gaps."""
    from scipy.fft import rfft

    window = np.hanning(frames.shape[1]).astype(np.float32)
    # single precision is twice as fast; the scale keeps squares within its range
    extremes = float(np.fmax.reduce(frames, axis=None)), -float(np.fmin.reduce(frames, axis=None))
    scale = max((x for x in extremes if np.isfinite(x)), default=0.0) or 1.0
    power = np.full((columns, frames.shape[1] // 2 + 1), np.nan)
    edges = np.linspace(0, len(frames), columns + 1).astype(np.int64)
    for column, (first, last) in enumerate(pairwise(edges)):
        block = frames[first:last]
        block = (block[np.isfinite(block).all(axis=1)] / scale).astype(np.float32)
        if len(block):
            block = (block - block.mean(axis=1, keepdims=True)) * window
            power[column] = (np.abs(rfft(block, axis=1)) ** 2).mean(axis=0)
    level_db = 20 * np.log10(abs(scale)) - 10 * np.log10(rate_hz / 2 * float((window**2).sum()))
    # silence gets the lowest colour, because blank means a gap
    return np.asarray(10 * np.log10(np.maximum(power, np.finfo(np.float32).tiny)) + level_db, dtype=np.float64)


def _label_time(axes: npt.NDArray[Any], first_day: float, n: int, rate_hz: float) -> None:
    """Set limits, ticks and labels of the time axes."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    length = n / (rate_hz * _DAY_S)
    # one sample, or a few at a high rate, still get an axis of 1 ms
    spare = max(0.0, 1e-3 / _DAY_S - length) / 2
    start = np.datetime64(round(first_day * _DAY_S * 1e3), "ms").item()
    for axis in axes[-1]:
        locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
        # no offset of the formatter: it is the date of the last tick, often the next day
        formatter = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
        if length > 4 / _DAY_S:
            formatter.formats[5] = formatter.zero_formats[5] = "%H:%M:%S"
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(formatter)
        axis.set_xlim(first_day - spare, first_day + length + spare)
        axis.set_xlabel(f"UTC, from {start:%Y-%m-%d %H:%M:%S}")


def _share_colours(figure: Figure, axes: npt.NDArray[Any], images: list[AxesImage], units: str) -> None:
    """Set one colour scale for all spectrograms and draw its colour bar."""
    levels = [np.asarray(image.get_array())[np.isfinite(np.asarray(image.get_array()))] for image in images]
    highest = max((float(np.percentile(level, 99.8)) for level in levels if level.size), default=None)
    if highest is None:
        return
    for image in images:
        image.set_clim(highest - _RANGE_DB, highest)
    label = f"dB re ({units})²/Hz" if units else "power density (dB)"
    figure.colorbar(
        images[0], ax=axes[1::2].ravel().tolist(), label=label, pad=0.01, aspect=40, extend="both", extendfrac=0.02
    )
