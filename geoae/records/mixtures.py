"""The fixed mixtures for scores of denoisers: recorded events and recorded noise, by default of validation stations.

The SNR is 10 log10 of the variance of the signal over the variance of the noise, per component, in 20 s from P. The
event and the noise of a mixture come from different stations.
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
"""Samples in a mixture."""
AFTER_P_N = 2000
"""Samples from P in which the SNR is measured."""
SEED = 20251121
"""Default seed of the mixtures."""
BANDS: dict[str, tuple[float, float] | None] = {"raw": None, "bp1-45": (1.0, 45.0), "bp1-4.5": (1.0, 4.5)}
"""Name of a band -> corners of its band-pass in Hz; None: no filter."""

_MIN_SNR_DB = 20.0
_EVENTS_A_STATION, _NOISES_A_STATION = 8, 40


@dataclass(frozen=True, eq=False)
class Mixtures:
    """Clean events and the noise to add to them, E N Z at 100 Hz."""

    clean: Float64Array
    """(n, 3, 6000), with the mean before P removed."""
    noise: Float64Array
    """(n, 3, 6000), scaled to 0 dB on each component."""
    p: npt.NDArray[np.int64]
    """(n,) sample of the P arrival, at least 8 s after the start."""
    band: str
    """A name in `BANDS`."""
    meta: tuple[dict[str, str], ...]
    """Names of the event and noise records and of their stations."""

    def __len__(self) -> int:
        return len(self.p)

    def select(self, chosen: slice) -> "Mixtures":
        """Some of the mixtures."""
        return Mixtures(self.clean[chosen], self.noise[chosen], self.p[chosen], self.band, self.meta[chosen])

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
        Folder with two data sets in the SeisBench format, ``events`` and ``noise``.
    band
        "raw", or the band-pass applied to both: a name in `BANDS`.
    n
        Number of mixtures; if there are fewer events, they are used again with other noise.
    seed
        Seed of the draws of pairs, shifts and noise windows.
    stations
        "validation" (see `geoae.training.split.is_validation`), "train" (all others) or "all".
    validation_modulus
        One in this many stations is a validation station; use the value of the training.

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
    records = partial(
        _iterate_records, band=BANDS[band], stations=stations, split=SplitSection(modulus=validation_modulus)
    )
    events = _load_events(records(data / "events"))
    noises: dict[str, list[_Record]] = defaultdict(list)
    for record in _load_noise(records(data / "noise")):
        noises[record.station].append(record)
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
        noise_record = noises[name][rng.integers(len(noises[name]))]
        signal, p_sample = _cut_event(event, rng)
        clean.append(signal)
        noise.append(_cut_noise(signal, p_sample, noise_record, rng))
        p.append(p_sample)
        meta.append({"event": event.name, "station": event.station, "noise": noise_record.name, "noise_station": name})
    shape = (n, 3, WINDOW_N)
    return Mixtures(np.reshape(clean, shape), np.reshape(noise, shape), np.array(p, np.int64), band, tuple(meta))


@dataclass(frozen=True, eq=False)
class _Record:
    """One usable record at 100 Hz; `p` is the sample of the P arrival, -1 without a pick."""

    name: str
    station: str
    data: Float64Array
    p: int


def _iterate_records(
    folder: Path, band: tuple[float, float] | None, stations: str, split: SplitSection
) -> Iterator[tuple[str, Callable[[], _Record | None]]]:
    """Yield the station of each record and a function that reads it; see `_read`."""
    records = open_set(folder)
    for i in range(len(records)):
        station = records.station(i)
        if stations == "all" or is_validation(station, split) == (stations == "validation"):
            yield station, partial(_read, records, i, band)


def _read(records: SeisBenchSet, i: int, band: tuple[float, float] | None) -> _Record | None:
    """Read a record at 100 Hz, band-passed; None if its rate is below 50 Hz or a component is dead or missing."""
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
    return _Record(
        records.rows[i]["trace_name"], records.station(i), x, -1 if p is None else round(p * (RATE_HZ / rate_hz))
    )


def _load_events(records: Iterator[tuple[str, Callable[[], _Record | None]]]) -> list[_Record]:
    """Events with enough samples around P and enough SNR, at most 8 of each station."""
    events: list[_Record] = []
    count: Counter[str] = Counter()
    for station, read in records:
        if count[station] >= _EVENTS_A_STATION or (event := read()) is None:
            continue
        x, p = event.data, event.p
        if p < 830 or x.shape[1] - p < AFTER_P_N + 20:
            continue
        before = x[:, max(20, p - 2600) : p - 50].var(axis=1)
        # compared as a product: a component without noise before P must not divide by zero
        if (x[:, p : p + AFTER_P_N].var(axis=1) <= 10 ** (_MIN_SNR_DB / 10) * before).any():
            continue
        count[station] += 1
        events.append(event)
    return events


def _load_noise(records: Iterator[tuple[str, Callable[[], _Record | None]]]) -> Iterator[_Record]:
    """Noise records without large spikes, repeated to a window's length, at most 40 of each station."""
    count: Counter[str] = Counter()
    for station, read in records:
        if count[station] >= _NOISES_A_STATION or (record := read()) is None:
            continue
        x = record.data
        if x.shape[1] < AFTER_P_N or (np.abs(x).max(axis=1) > 25 * x.std(axis=1)).any():
            continue
        count[station] += 1
        fade_in = np.sin(np.linspace(0, np.pi / 2, 400))
        while x.shape[1] < WINDOW_N:  # repeated with a crossfade: a mirrored record would look stationary
            seam = x[:, -400:] * fade_in[::-1] + x[:, :400] * fade_in
            x = np.concatenate([x[:, :-400], seam, x[:, 400:]], axis=1)
        yield _Record(record.name, station, x, -1)


def _cut_event(event: _Record, rng: np.random.Generator) -> tuple[Float64Array, int]:
    """Cut a window from an event, with P at a random sample between 8 and 25 s."""
    latest = min(2500, event.p - 20)
    earliest = max(800, event.p - (event.data.shape[1] - WINDOW_N - 20))
    p = int(rng.integers(earliest, latest + 1)) if latest > earliest else latest
    clean = np.zeros((3, WINDOW_N))
    cut = event.data[:, event.p - p : event.p - p + WINDOW_N]
    clean[:, : cut.shape[1]] = cut
    return clean - clean[:, : p - 50].mean(axis=1, keepdims=True), p


def _cut_noise(clean: Float64Array, p: int, record: _Record, rng: np.random.Generator) -> Float64Array:
    """Cut a random window of noise and scale each component to an SNR of 0 dB in the 20 s from P."""
    start = int(rng.integers(0, record.data.shape[1] - WINDOW_N + 1))
    noise = record.data[:, start : start + WINDOW_N]
    noise = noise - noise.mean(axis=1, keepdims=True)
    span = slice(p, p + AFTER_P_N)
    gain = clean[:, span].std(axis=1, keepdims=True) / noise[:, span].std(axis=1, keepdims=True)
    return np.asarray(noise * gain, dtype=np.float64)
