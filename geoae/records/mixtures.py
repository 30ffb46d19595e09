"""The fixed mixtures that denoisers are scored on: recorded events and noise of stations kept out of training.

SNR is 10 log10 of the variance of the signal over that of the noise, per component, over 20 s from P. An event and its
noise never come from one station.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import gcd
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, detrend, resample_poly, sosfiltfilt

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.readers.records.seisbench import SeisBenchSet, open_set
from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation

RATE_HZ = 100
WINDOW_N = 6000
AFTER_P_N = 2000
SEED = 20251121
BANDS: dict[str, tuple[float, float] | None] = {"raw": None, "bp1-45": (1.0, 45.0), "bp1-4.5": (1.0, 4.5)}

_MIN_SNR_DB = 20.0
_EVENTS_A_STATION, _NOISES_A_STATION = 8, 40


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Clean events and the noise to add to them, E N Z at 100 Hz."""

    clean: Float64Array
    """(n, 3, 6000), mean before P removed."""
    noise: Float64Array
    """(n, 3, 6000), scaled to 0 dB on each component."""
    p: npt.NDArray[np.int64]
    """(n,) sample of the P arrival; at least 8 s of noise precede it."""
    band: str
    """A name in `BANDS`."""
    meta: tuple[dict[str, str], ...]
    """Names of the event and noise records and of their stations."""

    def __len__(self) -> int:
        return len(self.p)

    def noisy(self, snr_db: float) -> Float64Array:
        """Return the mixtures at one signal-to-noise ratio, (n, 3, 6000)."""
        return self.clean + self.noise * 10 ** (-snr_db / 20)


def build_mixtures(
    data: Path,
    band: str = "bp1-45",
    n: int = 160,
    seed: int = SEED,
    stations: str = "validation",
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
        "validation" (see `geoae.training.split.is_validation`), "train" (the others) or "all".
    validation_modulus
        One of this many stations is a validation station; as in the training of what is scored.

    Raises
    ------
    InputError
        No such band or stations, or no usable event or noise on these stations.
    """
    if band not in BANDS:
        raise InputError(f"No band is called {band!r}. Choose one of {', '.join(BANDS)}.")
    if stations not in ("validation", "train", "all"):
        raise InputError(f"No stations are called {stations!r}. Choose validation, train or all.")
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


@dataclass(frozen=True, eq=False)
class _Take:
    """One usable record at 100 Hz; p is the sample of the P arrival, -1 where the set gives none."""

    name: str
    station: str
    data: Float64Array
    p: int


def _records(
    folder: Path, band: tuple[float, float] | None, stations: str, split: SplitSection
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
    p = records.p_sample(i)
    return _Take(
        records.rows[i]["trace_name"], records.station(i), x, -1 if p is None else round(p * (RATE_HZ / rate_hz))
    )


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


def _place(event: _Take, rng: np.random.Generator) -> tuple[Float64Array, int]:
    """Cut a window from an event so that P falls on a random sample between 8 and 25 s."""
    latest = min(2500, event.p - 20)
    earliest = max(800, event.p - (event.data.shape[1] - WINDOW_N - 20))
    p = int(rng.integers(earliest, latest + 1)) if latest > earliest else latest
    clean = np.zeros((3, WINDOW_N))
    cut = event.data[:, event.p - p : event.p - p + WINDOW_N]
    clean[:, : cut.shape[1]] = cut
    return clean - clean[:, : p - 50].mean(axis=1, keepdims=True), p


def _match(clean: Float64Array, p: int, donor: _Take, rng: np.random.Generator) -> Float64Array:
    """Cut a random window of noise and scale each component to 0 dB over the 20 s from P."""
    start = int(rng.integers(0, donor.data.shape[1] - WINDOW_N + 1))
    noise = donor.data[:, start : start + WINDOW_N]
    noise = noise - noise.mean(axis=1, keepdims=True)
    span = slice(p, p + AFTER_P_N)
    gain = clean[:, span].std(axis=1, keepdims=True) / noise[:, span].std(axis=1, keepdims=True)
    return np.asarray(noise * gain, dtype=np.float64)
