"""Scores of a denoiser of long periods: recorded events in noise of sea floor and land, at the rate of the model.

Mixtures are those of `geoae.records.long_mixing` without damage. The SNR is that of the loudest 100 samples of the
signal over the noise, on each component or on all together.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from geoae.arrays.types import Array, Float64Array
from geoae.errors import InputError
from geoae.readers.records.seisbench import open_set
from geoae.records.baselines import band_pass, do_nothing
from geoae.records.following import summarise
from geoae.records.long_mixing import SNR_WINDOW_N, LongMixer, find_loudest, is_long, open_long_pools
from geoae.records.metrics import si_sdr_db
from geoae.records.mixing import WaveformPool
from geoae.records.recipe import RecordMix
from geoae.records.resample import to_float64
from geoae.records.scaling import RecordScaler
from geoae.training.recipe import SplitSection

LongFunction = Callable[[Float64Array], Array]
"""Maps a record (3, time) at the rate of the model, components E N Z, NaN in absent ones, to the same shape."""
EVENT_GROUPS = ("whole wave trains", "parts of teleseisms", "local and regional")
NOISE_GROUPS = ("sea floor, as recorded", "other noise, by its spectra")
_NO_DAMAGE = {
    k: 0.0 for k in RecordMix.model_fields if k not in ("snr_db", "min_event_snr_db", "periods")
}  # fmt: skip


def compare_long(
    denoise: LongFunction,
    data: Path,
    split: SplitSection,
    rate_hz: float,
    *,
    stations: bool | None = True,
    n: int = 40,
    snr_db: float = 0.0,
    name: str = "model",
) -> dict[str, Any]:
    """Score a denoiser and band-passes on the same `n` mixtures of each group of events and noise.

    Parameters
    ----------
    denoise
        The denoiser.
    data
        Folder with two data sets in the SeisBench format, ``events`` and ``noise``.
    split
        Which stations were held out from training.
    rate_hz
        Sampling rate of the mixtures.
    stations
        True: held-out stations; False: training stations; None: all.
    n, snr_db
        Mixtures of each group, and their signal-to-noise ratio.
    name
        Name of the denoiser in the results.

    Returns
    -------
    Plain data: for each group and method ``si_sdr_gain_db`` and ``kept``, the amplitude of the loudest part as a share
    of that of the event, with the median and the 10th and 90th percentile.

    Raises
    ------
    InputError
        The stations hold no usable event or no noise.
    """
    mix = RecordMix(**{**_NO_DAMAGE, "periods": "long", "snr_db": (snr_db, snr_db), "min_event_snr_db": 20.0})
    events, noise = open_long_pools(open_set(data / "events"), open_set(data / "noise"), split, mix, rate_hz, stations)
    methods = {name: denoise, "do nothing": do_nothing} | {
        f"band-pass {low:g}-{high:g} Hz": partial(_band_pass, rate_hz=rate_hz, low_hz=low, high_hz=high)
        for low, high in ((0.005, 0.05), (0.02, 0.1), (0.05, 0.4))
    }
    groups: dict[str, Any] = {}
    for event_group in EVENT_GROUPS:
        for noise_group in NOISE_GROUPS:
            pools = _select(events, event_group, _is_in_event_group), _select(noise, noise_group, _is_in_noise_group)
            if all(len(pool.indices) for pool in pools):
                mixer = LongMixer(*pools, mix, 2048, RecordScaler(), seed=len(groups))
                counts = [len({p.data.station(int(i)) for i in p.indices}) for p in pools]
                scores = {method: _score(function, mixer, n) for method, function in methods.items()}
                groups[f"{event_group} ({counts[0]} stations) in {noise_group} ({counts[1]})"] = scores
    if not groups:
        raise InputError(f"{data} holds no group of events and noise that long periods are scored on.")
    return {"n": n, "snr_db": snr_db, "groups": groups}


def format_long_scores(results: dict[str, Any]) -> str:
    """Format the results of `compare_long` as a Markdown table."""
    groups: dict[str, Any] = results["groups"]
    methods = list(next(iter(groups.values())))
    lines = [
        f"## Long periods, {results['n']} mixtures a group at {results['snr_db']:g} dB: SI-SDR improvement dB, "
        "amplitude kept",
        "",
        "| events and noise | " + " | ".join(methods) + " |", "| --- " * (1 + len(methods)) + "|",
    ]  # fmt: skip
    for group, scores in groups.items():
        cells = [
            f"{s['si_sdr_gain_db']['median']:.1f}, {s['kept']['median']:.2f} ({s['kept']['q10']:.2f})"
            for s in scores.values()
        ]
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    lines += ["", f"The SNR is that of the loudest {SNR_WINDOW_N} samples; medians, in brackets the 10th percentile."]
    return "\n".join(lines) + "\n"


def _score(denoise: LongFunction, mixer: LongMixer, n: int) -> dict[str, Any]:
    gains, kept = [], []
    for i in range(n):
        mixture = mixer.draw(i)
        rows = np.flatnonzero(np.isfinite(mixture.noisy).any(-1) & (np.abs(mixture.signal).max(-1) > 0))
        if not rows.size:
            continue
        signal, noisy = to_float64(mixture.signal[rows]), to_float64(mixture.noisy[rows])
        result = to_float64(denoise(to_float64(mixture.noisy))[rows])
        gains.append(float(np.mean(si_sdr_db(signal, result) - si_sdr_db(signal, noisy))))
        loudest = find_loudest(signal)
        part = signal[:, loudest]
        kept.append(float((part * result[:, loudest]).sum() / np.square(part).sum()))
    return {"si_sdr_gain_db": summarise(np.array(gains)), "kept": summarise(np.array(kept))}


def _band_pass(x: Float64Array, rate_hz: float, low_hz: float, high_hz: float) -> Float64Array:
    """Band-pass of all components, two corners, forwards and backwards; absent components stay NaN."""
    return np.where(np.isfinite(x), band_pass(np.nan_to_num(x), rate_hz, low_hz, min(high_hz, 0.45 * rate_hz), 2), x)


def _select(pool: WaveformPool, group: str, belongs: Callable[[WaveformPool, int, str], bool]) -> WaveformPool:
    chosen: Sequence[int] = [int(i) for i in pool.indices if belongs(pool, int(i), group)]
    return WaveformPool(pool.data, np.array(chosen, dtype=np.intp), pool.rate_hz)


def _is_in_event_group(pool: WaveformPool, i: int, group: str) -> bool:
    is_distant = pool.data.rows[i].get("event_kind") == "teleseism"
    return EVENT_GROUPS[0 if is_distant and is_long(pool, i) else 1 if is_distant else 2] == group


def _is_in_noise_group(pool: WaveformPool, i: int, group: str) -> bool:
    is_sea_floor = is_long(pool, i) and "ocean" in pool.data.rows[i].get("noise_kind", "")
    return NOISE_GROUPS[0 if is_sea_floor else 1] == group
