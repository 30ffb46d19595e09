"""Training windows of records: recorded and synthetic events in noise, at a random signal-to-noise ratio.

A window depends only on (seed, index), so resumed and distributed trainings use the same windows.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import detrend, resample_poly

from geoae.arrays.types import Array
from geoae.errors import InputError
from geoae.readers.records.seisbench import SeisBenchSet
from geoae.records import damage, synthesis
from geoae.records.metrics import aic_onset
from geoae.records.recipe import RecordMix
from geoae.records.resample import resampling_ratio
from geoae.records.scaling import RecordScaler
from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation

SNR_WINDOW_S = 20.0
"""The SNR is measured in this time from the P onset."""
LEAST_RATE = 0.2
"""Records whose rate is a smaller fraction of the pool's are not used: they hold too little of the band."""
_MARGIN = 1024  # samples on either side of a window, so that filters do not wrap around into it


class Mixture(NamedTuple):
    """Noisy record and its signal, (3, time). `noisy` is NaN in gaps and in missing components."""

    noisy: Array
    signal: Array
    snr_db: float


class RecordExample(NamedTuple):
    """Scaled input and target of the net, float32 (3, time), and the samples that count in the loss, bool (3, time)."""

    noisy: NDArray[np.float32]
    target: NDArray[np.float32]
    valid: NDArray[np.bool_]


@dataclass
class WaveformPool:
    """Records of training or validation stations at one sampling rate.

    Draws limit the share of stations and of sources with many records.
    """

    data: SeisBenchSet
    indices: NDArray[np.intp]
    rate_hz: float
    cache_bytes: int = 2_000_000_000
    _cache: dict[int, tuple[Array, NDArray[np.bool_], int]] = field(default_factory=dict, repr=False)
    _used: int = 0

    def __post_init__(self) -> None:
        stations = [self.data.station(int(i)) for i in self.indices]
        # records of one source at many stations are near-twins, too
        sources = [self.data.rows[int(i)].get("source_id") or f"record {i}" for i in self.indices]
        count, twins = Counter(stations), Counter(sources)
        weight = np.array([(count[a] * twins[b]) ** -0.5 for a, b in zip(stations, sources, strict=True)])
        self._cumulative = np.cumsum(weight / weight.sum())

    def choose(self, rng: np.random.Generator) -> int:
        """Draw the index of a record; the shares of stations and sources grow with the root of their records."""
        place = int(np.searchsorted(self._cumulative, rng.random()))
        return int(self.indices[min(place, len(self.indices) - 1)])

    def record(self, i: int) -> tuple[Array, NDArray[np.bool_], int]:
        """Detrended samples (3, n) at the pool's rate, present components (3,), and the sample of P (-1: no pick)."""
        if i in self._cache:
            return self._cache[i]
        rate, p = self.data.rate_hz(i), self.data.p_sample(i)
        x = np.nan_to_num(self.data.waveform(i).astype(float))
        present = np.array(self.data.present(i)) & (np.ptp(x, axis=1) > 0)
        up, down = resampling_ratio(rate, self.rate_hz)
        x = detrend(x, axis=-1)
        if up != down:
            x = resample_poly(x, up, down, axis=-1)
        x = x.astype(np.float32)
        found = (x, present, -1 if p is None else _refine_pick(x, present, round(p * up / down), self.rate_hz))
        if self._used + x.nbytes <= self.cache_bytes:
            self._cache[i], self._used = found, self._used + x.nbytes
        return found


def open_pools(
    events: SeisBenchSet,
    noise: SeisBenchSet,
    split: SplitSection,
    mix: RecordMix,
    rate_hz: float,
    validation: bool | None,
) -> tuple[WaveformPool, WaveformPool]:
    """Open pools of events (with a P pick and enough SNR) and of noise.

    `validation` selects validation stations (True), training stations (False) or all stations (None).

    Raises
    ------
    InputError
        The selected stations have no usable event or no noise.
    """

    def is_selected(data: SeisBenchSet, i: int) -> bool:
        has_band = data.rate_hz(i) >= LEAST_RATE * rate_hz
        return has_band and (validation is None or is_validation(data.station(i), split) == validation)

    usable = [i for i in range(len(events)) if is_selected(events, i) and _is_usable(events, i, mix.min_event_snr_db)]
    noise_records = [i for i in range(len(noise)) if is_selected(noise, i)]
    needed = f"P pick, SNR above {mix.min_event_snr_db:g} dB"
    return make_pools((events, usable), (noise, noise_records), rate_hz, validation, needed)


@dataclass
class RecordMixer:
    """Draws training windows; `mixer[index]` depends only on seed and index."""

    events: WaveformPool
    noise: WaveformPool
    mix: RecordMix
    length: int
    scaler: RecordScaler
    seed: int

    def __getitem__(self, index: int) -> RecordExample:
        mixture = self.draw(index)
        noisy, stats = self.scaler.apply(mixture.noisy[None])
        signal, signal_stats = self.scaler.apply(mixture.signal[None])
        target = (signal * (signal_stats.gain / stats.gain)).astype(np.float32)
        return RecordExample(noisy[0], target[0], np.isfinite(mixture.noisy))

    def draw(self, index: int) -> Mixture:
        """Draw mixture number `index`, at the scale of its noise."""
        mix, rng = self.mix, np.random.default_rng([self.seed, index])
        n, rate = self.length + 2 * _MARGIN, self.events.rate_hz
        kind = rng.random()
        signal, present, p = self._draw_signal(n, rng)
        noise = self._draw_noise(n, rng)
        if kind < mix.noise_only:
            signal[:] = 0
        signal, noise = self._filter(signal, noise, rate, rng)
        snr = rng.uniform(*mix.snr_db) if kind < 1 - mix.clean_only else rng.uniform(40, 70)
        per_component = snr + (rng.normal(0, 2, size=3) if rng.random() < 0.7 else np.zeros(3))
        window = slice(p, p + round(SNR_WINDOW_S * rate)) if n - p > 200 else slice(None)
        factor = damage.noise_factor(signal[:, window], noise[:, window], per_component)
        noise *= np.where(factor > 0, factor, 1.0)[:, None]
        keep = slice(_MARGIN, _MARGIN + self.length)
        signal, noisy = signal[:, keep], self._damage((signal + noise)[:, keep], rng)
        if rng.random() < mix.missing_component:
            present = drop_components(present, rng)
        noisy[~present] = np.nan
        return Mixture(noisy, signal, snr if kind >= mix.noise_only else -np.inf)

    def _draw_signal(self, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_], int]:
        """One event or several: samples (3, n), components of the first, and the sample of its P."""
        first, present, p = self._draw_event(n, rng, _MARGIN - 0.2 * self.length, _MARGIN + 0.95 * self.length)
        if rng.random() < self.mix.several_events:
            for _ in range(int(rng.integers(1, 3))):
                other, other_present, _ = self._draw_event(n, rng, 0, n)
                level = first[present].std() / max(float(other[other_present].std()), 1e-30)
                first = first + other * level * 10 ** rng.uniform(-1.5, 0.8)
        return first, present, max(p, 0)

    def _draw_event(
        self, n: int, rng: np.random.Generator, low: float, high: float
    ) -> tuple[Array, NDArray[np.bool_], int]:
        """One event (3, n) with P at a random sample from `low` to `high`; zero before P, tapered at its end."""
        rate = self.events.rate_hz
        at, out = int(rng.uniform(low, high)), np.zeros((3, n))
        if rng.random() < self.mix.synthetic_events:
            present = np.ones(3, dtype=bool)
            first = max(-at, 0)
            x = synthesis.draw_earthquake(min(n + first, 3 * n), rate, rng)
            out[:, max(at, 0) :] = x[:, first : first + n - max(at, 0)]
            return out, present, at
        x, present, p = self.events.record(self.events.choose(rng))
        x = x.astype(np.float64)
        quiet = max(p - round(0.05 * rate), 0)
        x[:, :quiet] = 0
        x[:, quiet:p] *= np.linspace(0, 1, p - quiet) ** 2
        end = min(round(2 * rate), x.shape[-1] - p)
        x[:, x.shape[-1] - end :] *= np.cos(np.linspace(0, np.pi / 2, end)) ** 2
        up = 100
        if rng.random() < self.mix.time_stretch:
            up = round(100 * 0.65 * (1.6 / 0.65) ** rng.random())
        if rng.random() < self.mix.distant:
            up = round(100 * 2 * 4 ** rng.random())
        if up != 100:
            x = x[:, max(p - 200, 0) : p + (n + max(-at, 0)) * 100 // up + 1]  # no more than fits into the window
            x, p = resample_poly(x, up, 100, axis=-1), round(min(p, 200) * up / 100)
        x = turn_components(x, present, rng)
        start = at - p
        a, b = max(start, 0), min(start + x.shape[-1], n)
        if b > a:
            out[:, a:b] = x[:, a - start : b - start]
        return out, present, at

    def _draw_noise(self, n: int, rng: np.random.Generator) -> Array:
        """Noise (3, n): recorded or coloured, with additional sources as in the recipe."""
        mix, rate = self.mix, self.noise.rate_hz
        x = (
            damage.draw_coloured_noise((3, n), rate, rng)
            if rng.random() < mix.synthetic_noise
            else self._draw_recorded_noise(n, rng)
        )
        if rng.random() < mix.noise_pile_up:
            x = x + 10 ** rng.uniform(-1, 0.3) * self._draw_recorded_noise(n, rng)
        if rng.random() < mix.machinery:
            x = x + 10 ** rng.uniform(-1, 0.5) * damage.draw_machinery_noise((3, n), rate, rng)
        if rng.random() < mix.footsteps:
            x = x + 10 ** rng.uniform(-0.5, 0.7) * damage.draw_footsteps((3, n), rate, rng)
        if rng.random() < mix.gusts:
            x = x * damage.draw_noise_level(n, rate, rng)
        return x

    def _draw_recorded_noise(self, n: int, rng: np.random.Generator) -> Array:
        """Recorded noise (3, n) of unit variance; missing components get the spectrum of another with random phases."""
        x, present, _ = self.noise.record(self.noise.choose(rng))
        x = cut_or_repeat(x.astype(np.float64), n, rng)
        x = fill_components(turn_components(x, present, rng), present, rng)
        deviation = x.std(axis=-1, keepdims=True)
        return x / np.where(deviation > 0, deviation, 1.0)

    def _filter(self, signal: Array, noise: Array, rate: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Apply random responses to signal and noise, and one band limit to both."""
        mix, n = self.mix, signal.shape[-1]
        signal_response = noise_response = np.ones(n // 2 + 1, dtype=complex)
        if rng.random() < mix.response:
            signal_response = damage.draw_response(n, rate, rng)
        if rng.random() < mix.response:
            noise_response = damage.draw_response(n, rate, rng)
        band = np.ones(n // 2 + 1)
        if rng.random() < mix.band_pass:
            low, high = (1.0, 45.0) if rng.random() < 0.6 else (10 ** rng.uniform(-1.3, 0.7), rng.uniform(8, 50))
            band = damage.band_response(n, rate, low, high)
        if rng.random() < mix.low_rate:
            band = band * damage.band_response(
                n, rate, 0, 0.45 * rng.choice([5, 10, 20, 25, 40, 50, 62.5, 80]), order=16
            )
        if signal_response is noise_response and (band == 1).all():
            return signal, noise
        filtered = (
            np.fft.irfft(np.fft.rfft(x) * response * band, n)
            for x, response in ((signal, signal_response), (noise, noise_response))
        )
        return next(filtered), next(filtered)

    def _damage(self, x: Array, rng: np.random.Generator) -> Array:
        """Quantisation, spikes, steps and gaps, each with its probability."""
        mix = self.mix
        for probability, function in (
            (mix.quantised, damage.quantise),
            (mix.spikes, damage.add_spikes),
            (mix.steps, damage.add_step),
            (mix.gaps, damage.cut_gaps),
        ):
            if rng.random() < probability:
                x = function(x, rng)
        return x.copy()


def _is_usable(events: SeisBenchSet, i: int, min_snr_db: float) -> bool:
    """True for events with a P pick whose SNR, if stated, is at least `min_snr_db`."""
    if events.p_sample(i) is None:
        return False
    text = events.rows[i].get("trace_snr_db", "")  # a number, or in STEAD one per component: "[47.4 49.5 50.1]"
    values = [float(v) for v in re.findall(r"-?\d+\.?\d*(?:[eE][-+]?\d+)?", text)]
    return not values or float(np.mean(values)) >= min_snr_db  # sets without this column are used whole


def _refine_pick(x: Array, present: NDArray[np.bool_], p: int, rate_hz: float) -> int:
    """Move the pick `p` to the onset of the AIC picker if this is within 0.6 s.

    Picks have errors of tenths of a second, and a net learns onsets only as sharp as those in its training data.
    """
    low, high = max(p - round(rate_hz), 0), min(p + round(0.7 * rate_hz), x.shape[-1])
    row = 2 if present[2] else int(np.argmax(present))
    found = low + float(aic_onset(x[row, low:high].astype(float))) if high - low > 40 else np.nan
    return int(found) if np.isfinite(found) and abs(found - p) < 0.6 * rate_hz else p


def turn_components(x: Array, present: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Draw a random polarity and, if both horizontals are present, a random azimuth in half of the cases."""
    x = x * rng.choice([-1.0, 1.0])
    if present[0] and present[1] and rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        x[:2] = turn @ x[:2]
    return x


def fill_components(x: Array, present: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Give missing components of noise (3, n) the spectrum of a recorded one, with random phases."""
    for row in np.flatnonzero(~present):
        if present.any():
            spectrum = np.fft.rfft(x[rng.choice(np.flatnonzero(present))])
            x[row] = np.fft.irfft(np.abs(spectrum) * np.exp(2j * np.pi * rng.random(len(spectrum))), x.shape[-1])
    return x


def drop_components(present: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw one or two components that stay of those present; Z alone if none would."""
    kept = present & (rng.permutation(3) < rng.integers(1, 3))
    return kept if kept.any() else np.array([False, False, True])


def make_pools(
    events: tuple[SeisBenchSet, list[int]],
    noise: tuple[SeisBenchSet, list[int]],
    rate_hz: float,
    validation: bool | None,
    needed: str,
) -> tuple[WaveformPool, WaveformPool]:
    """Make pools of the chosen records of events and of noise; `needed` says what events need.

    Raises
    ------
    InputError
        There is no event or no noise.
    """
    if not events[1] or not noise[1]:
        raise InputError(
            f"The {'validation' if validation else 'training'} stations hold {len(events[1])} usable events ({needed}) "
            f"and {len(noise[1])} noise records; both are needed. Use more data, or another split.modulus in the "
            "recipe."
        )
    chosen = (WaveformPool(data, np.array(rows), rate_hz) for data, rows in (events, noise))
    return next(chosen), next(chosen)


def cut_or_repeat(x: Array, n: int, rng: np.random.Generator, crossfade: int = 400) -> Array:
    """Cut `n` samples from a random position; a shorter record is repeated with a crossfade of equal power."""
    k = min(crossfade, x.shape[-1] // 4)
    rise = np.sin(np.linspace(0, np.pi / 2, k))
    while x.shape[-1] < n:
        seam = x[:, x.shape[-1] - k :] * rise[::-1] + x[:, :k] * rise
        x = np.concatenate([x[:, : x.shape[-1] - k], seam, x[:, k:]], axis=-1)
    start = int(rng.integers(0, x.shape[-1] - n + 1))
    return x[:, start : start + n].copy()
