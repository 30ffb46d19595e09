"""Scores of the work that follows denoising: triggers, onsets, polarities, amplitudes and spectra.

Each takes arrays of three components E N Z at 100 Hz, before and after denoising.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geoae.arrays.types import Float64Array
from geoae.records.amplitudes import WIDTH_HZ, compare_amplitudes, compare_bands, is_off, measure_peak
from geoae.records.picking import LONG_S, find_triggers, has_polarity, pick_onsets

HIGHEST_HZ = 50.0
"""Energy is compared up to this frequency, Hz."""
RATIOS_ON = (4.0, 8.0)
"""STA/LTA ratios at which triggers begin."""
_AROUND_P_N = 250


def score_triggers(result: Float64Array, rate_hz: float = 100.0) -> dict[str, float]:
    """Count the STA/LTA triggers an hour on the vertical component of denoised noise.

    Parameters
    ----------
    result
        Shape (record, 3, time): what a denoiser makes of noise.

    Returns
    -------
    ``on_4`` and ``on_8``: triggers an hour, by the ratio at which they begin. The first 10 s of a trace do not count.
    """
    hours = len(result) * max(result.shape[-1] / rate_hz - LONG_S, 0) / 3600
    counts = {on: sum(find_triggers(x[2], rate_hz, on).size for x in result) for on in RATIOS_ON}
    return {f"on_{on:g}": round(n / hours, 2) if hours else np.nan for on, n in counts.items()}


def score_following(
    clean: Float64Array, noisy: Float64Array, result: Float64Array, p: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Score what pickers and amplitudes read on denoised mixtures, next to the clean events.

    Parameters
    ----------
    clean, noisy, result
        Shape (record, 3, time) at 100 Hz, components E N Z.
    p
        Samples of the P arrivals, shape (record,); at least 2.5 s before and 20 s after them are needed.

    Returns
    -------
    Plain data, ready for JSON.

    ``onset``: the share of AIC onsets within 0.1 s of those of the clean trace, of those that are earlier and later,
    and the median difference in s (negative: early). ``polarity_kept``: a share. ``p_ratio`` and ``peak_ratio``: median
    and percentiles of amplitude ratios, and the share that is off by more than 0.2 magnitude units. ``peak_kept``: see
    `measure_peak`. ``energy_added``: see `score_spectra`, in the part before P.
    """
    onset_clean, onset = (pick_onsets(x[:, 2], p) for x in (clean, result))
    p_ratio, peak_ratio = compare_amplitudes(clean, result, p)
    kept = np.array([measure_peak(c, y, int(i)).kept for c, y, i in zip(clean, result, p, strict=True)])
    return {
        "onset": score_onsets(onset - onset_clean),
        "polarity_kept": _share(_polarities(clean, result, p)),
        "p_ratio": _summarise_ratios(p_ratio),
        "peak_ratio": _summarise_ratios(peak_ratio),
        "peak_kept": summarise(kept),
        "energy_added": score_spectra(
            [(x[:, : i - 100], y[:, : i - 100], 100.0) for x, y, i in zip(noisy, result, p, strict=True)]
        ),
    }


def score_onsets(difference_s: Float64Array, within_s: float = 0.1) -> dict[str, float]:
    """Shares of onsets within `within_s`, earlier and later, and the median difference in s. NaN: there is no onset."""
    found = difference_s[np.isfinite(difference_s)]
    return {
        f"within_{within_s:g}s": _share(np.abs(np.nan_to_num(difference_s, nan=np.inf)) <= within_s),
        "early": _share(np.nan_to_num(difference_s) < -within_s),
        "late": _share(np.nan_to_num(difference_s) > within_s),
        "median_s": round(float(np.median(found)), 3) if found.size else np.nan,
    }


def score_spectra(pairs: Sequence[tuple[Float64Array, Float64Array, float]]) -> dict[str, float]:
    """Find the band of 2 Hz in which most energy was added.

    Parameters
    ----------
    pairs
        Traces before and after denoising, each of shape (component, time), and their sampling rate in Hz. Silent
        components are left out.

    Returns
    -------
    ``median_db``: the largest of the bands' medians over all traces, of bands up to 50 Hz. ``q90_db``: the largest of
    the bands' 90th percentiles. ``hz``: the lower edge of that band. Negative: energy is removed from every band.
    """
    n_bands = round(HIGHEST_HZ / WIDTH_HZ)
    changes = []
    for before, after, rate_hz in pairs:
        used = np.ptp(before, axis=-1) > 0
        if used.any():
            changes += list(compare_bands(before[used], after[used], rate_hz)[:, :n_bands])
    if not changes:
        return {"median_db": np.nan, "q90_db": np.nan, "hz": np.nan}
    # traces of lower rates lack the upper bands
    table = np.full((len(changes), max(len(change) for change in changes)), np.nan)
    for row, change in zip(table, changes, strict=True):
        row[: len(change)] = change
    median, q90 = np.nanquantile(table, (0.5, 0.9), axis=0)
    return {
        "median_db": round(float(median.max()), 1),
        "q90_db": round(float(q90.max()), 1),
        "hz": WIDTH_HZ * int(q90.argmax()),
    }


def summarise(values: Float64Array) -> dict[str, float]:
    """Median and 10th and 90th percentile of values; NaN is left out."""
    found = values[np.isfinite(values)]
    q10, median, q90 = np.percentile(found, (10, 50, 90)).round(3) if found.size else (np.nan,) * 3
    return {"median": float(median), "q10": float(q10), "q90": float(q90)}


def _summarise_ratios(ratio: Float64Array) -> dict[str, float]:
    return {**summarise(ratio), "off": _share(is_off(ratio[np.isfinite(ratio)]))}


def _polarities(clean: Float64Array, result: Float64Array, p: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the polarity is kept, of those records where it is clear."""
    around = [slice(max(int(i) - _AROUND_P_N, 0), int(i) + _AROUND_P_N) for i in p]
    kept = [has_polarity(c[2, s], y[2, s]) for c, y, s in zip(clean, result, around, strict=True)]
    return np.array([k for k in kept if k is not None], dtype=bool)


def _share(values: npt.NDArray[np.bool_]) -> float:
    return round(float(values.mean()), 3) if values.size else np.nan
