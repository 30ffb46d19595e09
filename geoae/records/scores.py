"""Scores of a denoiser and of baselines, on recorded events in recorded noise at known signal-to-noise ratios.

SI-SDR and correlation say how near a result is to the truth. `geoae.records.following` and
`geoae.records.scores_recorded` say what the result does to the work that follows; neither is reported alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from geoae.arrays.types import Float64Array
from geoae.errors import InputError, OptionError
from geoae.records import metrics
from geoae.records.baselines import band_pass, do_nothing, stft_wiener
from geoae.records.following import score_following
from geoae.records.mixtures import AFTER_P_N, RATE_HZ, SEED, Mixtures, build_mixtures
from geoae.records.recordings import RecordFunction, adapt_to_records, open_recordings
from geoae.records.scores_recorded import score_event_records, score_noise_records
from geoae.records.scores_sigma import Estimate, compare_sigma

DenoiseFunction = Callable[[Float64Array], npt.NDArray[np.floating[Any]]]
"""Maps traces (n, 3, time) at 100 Hz, components E N Z, to denoised traces of the same shape."""

SNRS_DB = (-10, -5, 0, 5, 10, 15, 25)
STATIONS = ("validation", "train", "all")
DEFINITIONS = 2
"""Version of the scores. Results are comparable only if they have the same version."""

_NOISE_BEFORE_P_N = 750  # P comes 8 s after the start or later
_BASELINES: dict[str, DenoiseFunction] = {
    "do nothing": do_nothing,
    "band-pass 1-20 Hz": partial(band_pass, rate_hz=RATE_HZ),
    "STFT Wiener, blind": stft_wiener,
    "STFT Wiener, told the noise before P": partial(stft_wiener, noise_n=_NOISE_BEFORE_P_N),
}


def _band_pass_record(x: Float64Array, rate_hz: float) -> Float64Array:
    """Band-pass from 1 to 20 Hz; below 50 Hz from 0.02 to 0.4 and from 200 Hz on from 0.01 to 0.2 of the rate."""
    scale = rate_hz / 50 if rate_hz < 50 else rate_hz / 100 if rate_hz >= 200 else 1.0
    return band_pass(x, rate_hz, scale, 20 * scale)


def _filter_record(x: Float64Array, rate_hz: float) -> Float64Array:
    """Blind STFT Wiener filter with windows of 1 s, of 100 samples where these are longer."""
    window_n = max(100, 4 * round(rate_hz / 4))
    return stft_wiener(x, window_n=window_n, hop_n=window_n // 4)


_RECORD_BASELINES: dict[str, RecordFunction] = {
    "do nothing": lambda x, rate_hz: x,
    "band-pass 1-20 Hz": _band_pass_record,
    "STFT Wiener, blind": _filter_record,
}


def score_denoiser(
    denoise: DenoiseFunction, mixtures: Mixtures, snrs: Sequence[float] = SNRS_DB, batch: int = 40
) -> dict[str, Any]:
    """Score a denoiser on mixtures.

    Parameters
    ----------
    denoise
        Maps (n, 3, 6000) float64 at 100 Hz to the same shape.
    snrs
        Signal-to-noise ratios of the mixtures, dB.
    batch
        Mixtures per call of `denoise`.

    Returns
    -------
    Plain data, ready for JSON. ``snr``: for each SNR, median and quartiles over the mixtures of each score (the mean
    over the components; the onset on Z), the share of onsets within 0.1 s, the scores of `score_following` under
    ``following``, and the number of mixtures with results that are not finite (these samples are scored as zeros).
    ``clean_in``: scores of the denoised clean events. ``noise_in``: scores of the denoised noise.
    """
    by_snr = {}
    for snr in snrs:
        noisy = mixtures.noisy(snr)
        result, n_nonfinite = _denoise_batches(denoise, noisy, batch)
        scores = _scores(mixtures.clean, noisy, result, mixtures.p)
        by_snr[f"{snr:g}"] = {
            **{name: _quartiles(values) for name, values in scores.items()},
            "onset_within_0.1s": round(float((scores["onset_error_s"] <= 0.1).mean()), 3),
            "following": score_following(mixtures.clean, noisy, result, mixtures.p),
            "n_nonfinite": n_nonfinite,
        }
    result, n_clean = _denoise_batches(denoise, mixtures.clean, batch)
    scores = _scores(mixtures.clean, mixtures.clean, result, mixtures.p)
    clean_in = {name: _quartiles(scores[name]) for name in ("correlation", "peak_ratio", "onset_error_s")}
    clean_in["sdr_db"] = _quartiles(metrics.sdr_db(mixtures.clean, result).mean(axis=1))
    result, n_noise = _denoise_batches(denoise, mixtures.noise, batch)
    noise_in = {
        "reduction_db": _quartiles(metrics.power_reduction_db(mixtures.noise, result).mean(axis=1)),
        "peak_ratio": _quartiles((np.abs(result).max(axis=2) / np.abs(mixtures.noise).max(axis=2)).mean(axis=1)),
    }
    return {
        "n": len(mixtures),
        "snr": by_snr,
        "clean_in": {**clean_in, "n_nonfinite": n_clean},
        "noise_in": {**noise_in, "n_nonfinite": n_noise},
    }


@dataclass(frozen=True)
class Comparison:
    """Settings of the mixtures for a comparison of denoisers; see `build_mixtures`."""

    n: int = 160
    """Number of mixtures for each band and SNR. At most `n` recordings of each kind of event, and 2 n of noise, are
    scored."""
    stations: str = "validation"
    """Stations of the mixtures: validation, train or all."""
    seed: int = SEED
    """Seed of the mixtures."""
    validation_modulus: int = 4
    """One in this many stations is a validation station."""
    bands: tuple[str, ...] = ("bp1-45", "raw")
    """Names in `geoae.records.mixtures.BANDS`."""
    snrs_db: tuple[float, ...] = SNRS_DB
    """Signal-to-noise ratios, dB."""
    recordings: tuple[Path, ...] = ()
    """Further folders like `data`, whose events and noise are scored as they were recorded."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise OptionError(f"n is {self.n}; at least 1 mixture is needed.")
        if self.stations not in STATIONS:
            raise OptionError(f"stations is {self.stations!r}; choose validation, train or all.")
        if not self.bands or not self.snrs_db:
            raise InputError(f"bands are {self.bands}, snrs_db {self.snrs_db}; at least one of each is needed.")


def compare_denoisers(
    denoise: DenoiseFunction,
    data: Path,
    options: Comparison | None = None,
    name: str = "model",
    report: Callable[[str], None] = lambda line: None,
    denoise_record: RecordFunction | None = None,
    estimates: Mapping[str, Estimate] = MappingProxyType({}),
) -> dict[str, Any]:
    """Score a denoiser and the baselines on the same mixtures and on the same recordings.

    See `build_mixtures` and `score_denoiser`, `open_recordings`, `score_event_records` and `score_noise_records`.

    Parameters
    ----------
    denoise
        Maps (n, 3, 6000) float64 at 100 Hz to the same shape.
    data
        Folder with two data sets in the SeisBench format, ``events`` and ``noise``.
    options
        Settings of the mixtures; None: the defaults of `Comparison`.
    name
        Name of the denoiser in the results.
    report
        Called with one line, "band: method" or "recordings: method", before each method is scored.
    denoise_record
        Maps a record (3, time) at its own rate to the same shape; None: `denoise`, with resampling to 100 Hz.
    estimates
        Functions that give standard errors beside the signal, by their names in the results; see `compare_sigma`.

    Returns
    -------
    Plain data, ready for JSON: the settings, under ``bands`` the scores for each band and method, with those of
    standard errors under ``sigma`` if there are any, and under ``recordings`` those of recorded noise and events for
    each method. None: there was nothing to score.
    """
    o = options or Comparison()
    # opened first: a folder that cannot be used is said before minutes of work
    folders = (data, *o.recordings)
    events, noise = (
        open_recordings(folders, side, o.stations, o.validation_modulus, most)
        for side, most in (("events", o.n), ("noise", 2 * o.n))
    )
    by_band: dict[str, Any] = {}
    for band in o.bands:
        mixtures = build_mixtures(data, band, o.n, o.seed, o.stations, o.validation_modulus)
        methods = {}
        for method, function in {name: denoise, **_BASELINES}.items():
            report(f"{band}: {method}")
            methods[method] = score_denoiser(function, mixtures, o.snrs_db)
        counts = {f"n_{key}s": len({m[key] for m in mixtures.meta}) for key in ("event", "station", "noise_station")}
        by_band[band] = {**counts, "methods": methods}
        if estimates:
            report(f"{band}: standard errors")
            by_band[band]["sigma"] = compare_sigma(estimates, mixtures)
    recorded: dict[str, Any] = {}
    for method, at_rate in {name: denoise_record or adapt_to_records(denoise), **_RECORD_BASELINES}.items():
        report(f"recordings: {method}")
        recorded[method] = {
            "noise": score_noise_records(at_rate, noise, o.seed),
            "events": score_event_records(at_rate, events),
        }
    results = {
        "definitions": DEFINITIONS,
        "n": o.n,
        "seed": o.seed,
        "stations": o.stations,
        "validation_modulus": o.validation_modulus,
        "snrs_db": [float(snr) for snr in o.snrs_db],
        "bands": by_band,
        "recordings": {"methods": recorded},
    }
    plain: dict[str, Any] = _replace_nan(results)
    return plain


def _denoise_batches(denoise: DenoiseFunction, traces: Float64Array, batch: int) -> tuple[Float64Array, int]:
    """Denoise in batches. Samples that are not finite become zero; also returns the number of mixtures with any."""
    parts = [denoise(traces[i : i + batch].copy()) for i in range(0, len(traces), batch)]
    result = np.concatenate(parts).astype(np.float64)
    if result.shape != traces.shape:
        raise InputError(f"The denoiser returned shape {result.shape} for {traces.shape}; it must keep the shape.")
    n_nonfinite = int((~np.isfinite(result)).any(axis=(1, 2)).sum())
    return np.nan_to_num(result, nan=0.0, posinf=0.0, neginf=0.0), n_nonfinite


def _scores(clean: Float64Array, noisy: Float64Array, result: Float64Array, p: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Scores of each mixture: means over the components; the onset on Z."""
    event_clean, event_noisy, event_result = (_cut_windows(x, p, AFTER_P_N) for x in (clean, noisy, result))
    before = [
        metrics.power_reduction_db(x[:, : q - 100], y[:, : q - 100]) for x, y, q in zip(noisy, result, p, strict=True)
    ]
    onset_clean, onset_result = (metrics.aic_onset(_cut_windows(x[:, 2:], p - 250, 500))[:, 0] for x in (clean, result))
    onset_error_s = np.abs(onset_clean - onset_result) / RATE_HZ
    by_component = {
        "si_sdr_gain_db": metrics.si_sdr_db(clean, result) - metrics.si_sdr_db(clean, noisy),
        "snr_gain_db": metrics.snr_gain_db(event_clean, event_noisy, event_result),
        "correlation": metrics.correlation(event_clean, event_result),
        "peak_ratio": metrics.peak_ratio(event_clean, event_result),
        "spectral_misfit_db": metrics.spectral_misfit_db(event_clean, event_result),
        "before_p_reduction_db": np.array(before),
    }
    scores = {name: values.mean(axis=1) for name, values in by_component.items()}
    # a missing onset counts as the largest error in the window
    return {**scores, "onset_error_s": np.nan_to_num(onset_error_s, nan=2.5)}


def _cut_windows(traces: Float64Array, start: npt.NDArray[np.int64], n: int) -> Float64Array:
    """`n` samples of each mixture (mixture, component, time) from its own start."""
    return np.stack([x[:, i : i + n] for x, i in zip(traces, start, strict=True)])


def _quartiles(values: Float64Array) -> dict[str, float]:
    lower, median, upper = (round(float(v), 3) for v in np.nanpercentile(values, [25, 50, 75]))
    return {"median": median, "q25": lower, "q75": upper}


def _replace_nan(value: Any) -> Any:
    """Replace NaN by None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _replace_nan(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_replace_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
