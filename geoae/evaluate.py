"""Score a denoiser on recorded events mixed with recorded noise at known signal-to-noise ratios, beside baselines.

SNR is 10 log10 of the variance of the signal over that of the noise, per component, over 20 s from P. An event and its
noise never come from one station, and the stations scored on are kept out of training.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, detrend, resample_poly, sosfiltfilt

from geoae import metrics
from geoae.baselines import band_pass, do_nothing, stft_wiener
from geoae.errors import InputError
from geoae.mixing import is_validation
from geoae.readers.seisbench import SeisBenchSet, open_set
from geoae.recipe import SplitSection

FloatArray = npt.NDArray[np.float64]
Denoiser = Callable[[FloatArray], FloatArray]
"""(n, 3, time) at 100 Hz, components E N Z, to the same shape."""
Stations = Literal["validation", "train", "all"]

RATE_HZ = 100
WINDOW_N = 6000
AFTER_P_N = 2000
SNRS_DB = (-10, -5, 0, 5, 10, 15)
SEED = 20251121
BANDS: dict[str, tuple[float, float] | None] = {"raw": None, "bp1-45": (1.0, 45.0), "bp1-4.5": (1.0, 4.5)}
DEFINITIONS = 1
"""Counts up when a score changes its meaning: compare numbers only where it is equal."""

_MIN_SNR_DB = 20.0
_EVENTS_A_STATION, _NOISES_A_STATION = 8, 40
_TOLD_NOISE_N = 750  # P comes 8 s after the start or later
_BASELINES: dict[str, Denoiser] = {
    "do nothing": do_nothing,
    "band-pass 1-20 Hz": partial(band_pass, rate_hz=RATE_HZ),
    "STFT Wiener, blind": stft_wiener,
    "STFT Wiener, told the noise before P": partial(stft_wiener, noise_n=_TOLD_NOISE_N),
}


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Clean events and the noise to add to them, E N Z at 100 Hz."""

    clean: FloatArray
    """(n, 3, 6000), mean before P removed."""
    noise: FloatArray
    """(n, 3, 6000), scaled to 0 dB on each component."""
    p: npt.NDArray[np.int64]
    """(n,) sample of the P arrival; at least 8 s of noise precede it."""
    band: str
    """A name in `BANDS`."""
    meta: tuple[dict[str, str], ...]
    """Names of the event and noise records and of their stations."""

    def __len__(self) -> int:
        return len(self.p)

    def noisy(self, snr_db: float) -> FloatArray:
        """Return the mixtures at one signal-to-noise ratio, (n, 3, 6000)."""
        return self.clean + self.noise * 10 ** (-snr_db / 20)


def build_mixtures(
    data: Path,
    band: str = "bp1-45",
    n: int = 160,
    seed: int = SEED,
    stations: Stations = "validation",
    validation_modulus: int = 4,
) -> Mixtures:
    """Pair recorded events with recorded noise of other stations; the same arguments give the same mixtures.

    Parameters
    ----------
    data
        Folder with two data sets in the SeisBench form, ``events`` and ``noise``.
    band
        "raw", or the band-pass applied to both: a name in `BANDS`.
    n
        Number of mixtures; events are used again, with other noise, when there are fewer.
    seed
        Of the draw of pairs, shifts and noise windows.
    stations
        "validation" (see `geoae.mixing.is_validation`), "train" (the others) or "all".
    validation_modulus
        One of this many stations is a validation station; as in the training of what is scored.

    Raises
    ------
    InputError
        No such band, or no usable event or noise on these stations.
    """
    if band not in BANDS:
        raise InputError(f"No band is called {band!r}. Choose one of {', '.join(BANDS)}.")
    rng = np.random.default_rng(seed)
    records = partial(_records, band=BANDS[band], stations=stations, split=SplitSection(modulus=validation_modulus))
    events = _load_events(records(data / "events"))
    noises: dict[str, list[_Take]] = defaultdict(list)
    for take in _load_noise(records(data / "noise")):
        noises[take.station].append(take)
    names = sorted(noises)
    if not events or not names or (len(names) == 1 and any(e.station == names[0] for e in events)):
        raise InputError(
            f"{data} holds {len(events)} usable events and noise of {len(names)} stations among its {stations} "
            f"stations. Expected one event or more (three components, P with 9 s before and 21 s after it, "
            f"{_MIN_SNR_DB:g} dB) and noise of another station: add records, or choose other stations."
        )
    order = rng.permutation(len(events))
    clean, noise, p, meta = [], [], [], []
    for i in range(n):
        event = events[order[i % len(order)]]
        name = names[rng.integers(len(names))]
        if name == event.station:
            name = names[(names.index(name) + 1) % len(names)]
        donor = noises[name][rng.integers(len(noises[name]))]
        signal, p_sample = _place(event, rng)
        clean.append(signal)
        noise.append(_match(signal, p_sample, donor, rng))
        p.append(p_sample)
        meta.append({"event": event.name, "station": event.station, "noise": donor.name, "noise_station": name})
    shape = (n, 3, WINDOW_N)
    return Mixtures(np.reshape(clean, shape), np.reshape(noise, shape), np.array(p, np.int64), band, tuple(meta))


def evaluate(denoise: Denoiser, mixtures: Mixtures, snrs: Sequence[float] = SNRS_DB, batch: int = 40) -> dict[str, Any]:
    """Score a denoiser on mixtures.

    Parameters
    ----------
    denoise
        Maps (n, 3, 6000) float64 at 100 Hz to the same shape.
    snrs
        Signal-to-noise ratios of the mixtures, dB.
    batch
        Mixtures handed over at a time.

    Returns
    -------
    ``snr``: by SNR, median and quartiles over the mixtures of each score (the mean over the components; the onset is
    that of Z), the share of onsets within 0.1 s and the count of mixtures whose result was not finite (such samples
    are scored as zeros). ``clean_in``: what the clean events become. ``noise_in``: what the noise alone becomes.
    All plain data, ready for JSON.
    """
    by_snr = {}
    for snr in snrs:
        noisy = mixtures.noisy(snr)
        result, n_nonfinite = _run(denoise, noisy, batch)
        scores = _scores(mixtures.clean, noisy, result, mixtures.p)
        by_snr[f"{snr:g}"] = {
            **{name: _quartiles(values) for name, values in scores.items()},
            "onset_within_0.1s": round(float((scores["onset_error_s"] <= 0.1).mean()), 3),
            "n_nonfinite": n_nonfinite,
        }
    result, n_clean = _run(denoise, mixtures.clean, batch)
    scores = _scores(mixtures.clean, mixtures.clean, result, mixtures.p)
    clean_in = {name: _quartiles(scores[name]) for name in ("correlation", "peak_ratio", "onset_error_s")}
    clean_in["sdr_db"] = _quartiles(metrics.sdr_db(mixtures.clean, result).mean(axis=1))
    result, n_noise = _run(denoise, mixtures.noise, batch)
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


def compare(
    denoise: Denoiser,
    data: Path,
    bands: Sequence[str] = ("bp1-45", "raw"),
    n: int = 160,
    seed: int = SEED,
    stations: Stations = "validation",
    validation_modulus: int = 4,
    snrs: Sequence[float] = SNRS_DB,
    name: str = "model",
    on_progress: Callable[[str, str], None] | None = None,
) -> dict[str, Any]:
    """Score a denoiser, called `name`, and the baselines on the same mixtures; see `build_mixtures` and `evaluate`.

    `on_progress` is told the band and the method before each is scored.

    Returns
    -------
    Plain data, ready for JSON: the settings, and under ``bands`` the scores by band and method.
    """
    by_band: dict[str, Any] = {}
    for band in bands:
        mixtures = build_mixtures(data, band, n, seed, stations, validation_modulus)
        methods = {}
        for method, function in {name: denoise, **_BASELINES}.items():
            if on_progress is not None:
                on_progress(band, method)
            methods[method] = evaluate(function, mixtures, snrs)
        counts = {f"n_{key}s": len({m[key] for m in mixtures.meta}) for key in ("event", "station", "noise_station")}
        by_band[band] = {**counts, "methods": methods}
    return {
        "definitions": DEFINITIONS,
        "n": n,
        "seed": seed,
        "stations": stations,
        "validation_modulus": validation_modulus,
        "snrs_db": [float(snr) for snr in snrs],
        "bands": by_band,
    }


def table_rows(results: dict[str, Any], band: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of one band, as text: medians over the mixtures."""
    snrs = [f"{snr:g}" for snr in results["snrs_db"]]
    # correlation and peak are quoted at 0 dB and the onset at 5 dB, or at the scored SNR nearest to that
    at_0, at_5 = (min(snrs, key=lambda snr: abs(float(snr) - wanted)) for wanted in (0, 5))
    header = ["SI-SDR improvement dB at SNR", *snrs, f"CC at {at_0} dB", f"peak at {at_0} dB"]
    header += [f"onset <=0.1 s at {at_5} dB", "clean-in SDR dB", "noise-in red dB"]
    rows = []
    for name, scores in results["bands"][band]["methods"].items():
        by_snr = scores["snr"]
        cells = [f"{by_snr[snr]['si_sdr_gain_db']['median']:.1f}" for snr in snrs]
        cells += [f"{by_snr[at_0]['correlation']['median']:.3f}", f"{by_snr[at_0]['peak_ratio']['median']:.2f}"]
        cells += [f"{100 * by_snr[at_5]['onset_within_0.1s']:.0f}%", f"{scores['clean_in']['sdr_db']['median']:.1f}"]
        rows.append([name, *cells, f"{scores['noise_in']['reduction_db']['median']:.1f}"])
    return header, rows


def table(results: dict[str, Any]) -> str:
    """Write what `compare` returned as Markdown, one table a band."""
    lines = []
    for band, scored in results["bands"].items():
        header, rows = table_rows(results, band)
        lines += [
            f"## `{band}` (n={results['n']} mixtures per SNR of {scored['n_events']} events at {scored['n_stations']} "
            f"stations with noise of {scored['n_noise_stations']} stations, {results['stations']} stations; medians)",
            "",
            *("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)),
            "",
        ]
    lines.append("The row told the noise before P knows where the noise is; the others do not.")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, eq=False)
class _Take:
    """One usable record at 100 Hz; p is the sample of the P arrival, -1 where the set gives none."""

    name: str
    station: str
    data: FloatArray
    p: int


def _records(
    folder: Path, band: tuple[float, float] | None, stations: Stations, split: SplitSection
) -> Iterator[tuple[str, Callable[[], _Take | None]]]:
    """Yield the station of each record, and a function that reads it: None if it has no three live components."""
    records = open_set(folder)
    for i in range(len(records)):
        station = records.station(i)
        if stations == "all" or is_validation(station, split) == (stations == "validation"):
            yield station, partial(_read, records, i, band)


def _read(records: SeisBenchSet, i: int, band: tuple[float, float] | None) -> _Take | None:
    rate_hz = records.rate_hz(i)
    if rate_hz < RATE_HZ / 2 or not all(records.present(i)):
        return None
    x = records.waveform(i).astype(np.float64)
    if not np.isfinite(x).all() or (np.ptp(x, axis=1) == 0).any():
        return None
    x = detrend(x, axis=-1)
    if rate_hz != RATE_HZ:
        up, down = RATE_HZ * 4, round(rate_hz * 4)  # quarters of a hertz
        x = resample_poly(x, up // gcd(up, down), down // gcd(up, down), axis=-1)
    if band is not None:
        x = sosfiltfilt(butter(4, band, "bandpass", fs=RATE_HZ, output="sos"), x, axis=-1)
    row = records.rows[i]
    # STEAD writes the phase in lower case, INSTANCE in upper case
    arrival = float(row.get("trace_p_arrival_sample") or row.get("trace_P_arrival_sample") or "nan")
    p = round(arrival * (RATE_HZ / rate_hz)) if np.isfinite(arrival) else -1
    return _Take(row["trace_name"], records.station(i), x, p)


def _load_events(records: Iterator[tuple[str, Callable[[], _Take | None]]]) -> list[_Take]:
    events: list[_Take] = []
    count: Counter[str] = Counter()
    for station, read in records:
        if count[station] >= _EVENTS_A_STATION or (event := read()) is None:
            continue
        x, p = event.data, event.p
        if p < 830 or x.shape[1] - p < AFTER_P_N + 20:
            continue
        before = x[:, max(20, p - 2600) : p - 50].var(axis=1)
        # a component without any noise before P is as good as it gets; it must not divide by zero
        if (x[:, p : p + AFTER_P_N].var(axis=1) <= 10 ** (_MIN_SNR_DB / 10) * before).any():
            continue
        count[station] += 1
        events.append(event)
    return events


def _load_noise(records: Iterator[tuple[str, Callable[[], _Take | None]]]) -> Iterator[_Take]:
    count: Counter[str] = Counter()
    for station, read in records:
        if count[station] >= _NOISES_A_STATION or (take := read()) is None:
            continue
        x = take.data
        if x.shape[1] < AFTER_P_N or (np.abs(x).max(axis=1) > 25 * x.std(axis=1)).any():
            continue
        count[station] += 1
        fade_in = np.sin(np.linspace(0, np.pi / 2, 400))
        while x.shape[1] < WINDOW_N:  # repeated with a cross-fade: a mirrored record would look stationary
            seam = x[:, -400:] * fade_in[::-1] + x[:, :400] * fade_in
            x = np.concatenate([x[:, :-400], seam, x[:, 400:]], axis=1)
        yield _Take(take.name, station, x, -1)


def _place(event: _Take, rng: np.random.Generator) -> tuple[FloatArray, int]:
    """Cut a window from an event so that P falls on a random sample between 8 and 25 s."""
    latest = min(2500, event.p - 20)
    earliest = max(800, event.p - (event.data.shape[1] - WINDOW_N - 20))
    p = int(rng.integers(earliest, latest + 1)) if latest > earliest else latest
    clean = np.zeros((3, WINDOW_N))
    cut = event.data[:, event.p - p : event.p - p + WINDOW_N]
    clean[:, : cut.shape[1]] = cut
    return clean - clean[:, : p - 50].mean(axis=1, keepdims=True), p


def _match(clean: FloatArray, p: int, donor: _Take, rng: np.random.Generator) -> FloatArray:
    """Cut a random window of noise and scale each component to 0 dB over the 20 s from P."""
    start = int(rng.integers(0, donor.data.shape[1] - WINDOW_N + 1))
    noise = donor.data[:, start : start + WINDOW_N]
    noise = noise - noise.mean(axis=1, keepdims=True)
    span = slice(p, p + AFTER_P_N)
    gain = clean[:, span].std(axis=1, keepdims=True) / noise[:, span].std(axis=1, keepdims=True)
    return np.asarray(noise * gain, dtype=np.float64)


def _run(denoise: Denoiser, traces: FloatArray, batch: int) -> tuple[FloatArray, int]:
    """Denoise in batches; samples that are not finite become zero, and the mixtures that hold any are counted."""
    parts = [denoise(traces[i : i + batch].copy()) for i in range(0, len(traces), batch)]
    result = np.concatenate(parts).astype(np.float64)
    if result.shape != traces.shape:
        raise InputError(f"The denoiser made {result.shape} from {traces.shape}; it must keep the shape.")
    n_nonfinite = int((~np.isfinite(result)).any(axis=(1, 2)).sum())
    return np.nan_to_num(result, nan=0.0, posinf=0.0, neginf=0.0), n_nonfinite


def _scores(clean: FloatArray, noisy: FloatArray, result: FloatArray, p: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return each score of each mixture: the mean over the components, the onset on Z."""
    event_clean, event_noisy, event_result = (_windows(x, p, AFTER_P_N) for x in (clean, noisy, result))
    before = [
        metrics.power_reduction_db(x[:, : q - 100], y[:, : q - 100]) for x, y, q in zip(noisy, result, p, strict=True)
    ]
    onset_clean, onset_result = (metrics.aic_onset(_windows(x[:, 2:], p - 250, 500))[:, 0] for x in (clean, result))
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
    # no onset at all is as wrong as the window allows
    return {**scores, "onset_error_s": np.nan_to_num(onset_error_s, nan=2.5)}


def _windows(traces: FloatArray, start: npt.NDArray[np.int64], n: int) -> FloatArray:
    return np.stack([x[:, i : i + n] for x, i in zip(traces, start, strict=True)])


def _quartiles(values: FloatArray) -> dict[str, float]:
    lower, median, upper = (round(float(v), 3) for v in np.nanpercentile(values, [25, 50, 75]))
    return {"median": median, "q25": lower, "q75": upper}
