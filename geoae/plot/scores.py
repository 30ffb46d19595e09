"""Figure of the scores of a denoiser and of baselines, against the signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geoae.plot.canvas import COLOURS, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_evaluation(results: dict[str, Any]) -> Figure:
    """Draw the results of `geoae.records.scores.compare_denoisers`: scores against SNR, one row of panels a band.

    Lines are medians over the mixtures; shading shows the quartiles of the first method, the model.
    """
    snrs = results["snrs_db"]
    panels = {
        "si_sdr_gain_db": "SI-SDR improvement (dB)",
        "onset_within_0.1s": "onsets within 0.1 s (%)",
        "peak_ratio": "peak ratio, denoised / clean",
    }
    figure = new_figure(14, 0.8 + 3.7 * len(results["bands"]))
    axes = figure.subplots(len(results["bands"]), len(panels), sharex="all", sharey="col", squeeze=False)
    for row, (band, scored) in zip(axes, results["bands"].items(), strict=True):
        for axis, (score, label) in zip(row, panels.items(), strict=True):
            for i, (method, scores) in enumerate(scored["methods"].items()):
                values = [scores["snr"][f"{snr:g}"][score] for snr in snrs]
                _draw_score(axis, snrs, values, method, i)
            axis.set_ylabel(label)
            axis.set_title(band, fontsize=10, loc="left")
            axis.grid(alpha=0.25)
        row[2].axhline(1, color="black", linewidth=0.8, linestyle=":")
    for axis in axes[-1]:
        axis.set_xlabel("SNR of the mixture (dB)")
        axis.set_xticks(snrs)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    counts = "; ".join(
        f"{band}: {scored['n_events']} events, {scored['n_stations']} stations"
        for band, scored in results["bands"].items()
    )
    title = f"{results['n']} mixtures per SNR, {results['stations']} stations ({counts}); medians, quartiles shaded"
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_score(axis: Axes, snrs: Sequence[float], values: list[Any], method: str, i: int) -> None:
    """Draw the line of the `i`-th method; values are quartiles or shares."""
    colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
    style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "label": method, "linewidth": 1.3}
    if i == 0:
        style |= {"linewidth": 2.2, "zorder": 3}
    elif i == 1:  # doing nothing, a reference: visible also where a method equals it
        style |= {"linestyle": "--", "zorder": 4}
    if isinstance(values[0], dict):
        if i == 0:
            axis.fill_between(snrs, [v["q25"] for v in values], [v["q75"] for v in values], color=colour, alpha=0.15)
        axis.plot(snrs, [v["median"] for v in values], **style)
    else:
        axis.plot(snrs, [100 * v for v in values], **style)
