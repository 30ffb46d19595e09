"""Training windows at long periods: distant events and their surface waves in noise of land, sea floor and sensors.

As in `geoae.records.mixing`, a window depends only on (seed, index). Margins and tapers are in samples at 1 Hz or so.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from geoae.arrays.types import Array
from geoae.readers.records.seisbench import SeisBenchSet
from geoae.records import damage, long_noise, teleseisms
from geoae.records.mixing import (
    LEAST_RATE,
    Mixture,
    RecordMixer,
    WaveformPool,
    cut_or_repeat,
    drop_components,
    fill_components,
    make_pools,
    turn_components,
)
from geoae.records.recipe import RecordMix
from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation

SNR_WINDOW_N = 100
"""The SNR is measured in the loudest part of the signal that is so many samples long."""
LONG_N = 600
"""Samples of recorded noise from which it is used as it is; shorter noise gives its spectrum to Gaussian noise."""
_MARGIN = 256
_SHORTEST_N = 60


@dataclass
class LongMixer(RecordMixer):
    """Draws training windows at long periods; `mixer[index]` depends only on seed and index."""

    _long_noise: WaveformPool | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        rows = [int(i) for i in self.noise.indices if is_long(self.noise, int(i))]
        self._long_noise = WaveformPool(self.noise.data, np.array(rows), self.noise.rate_hz) if rows else None

    def draw(self, index: int) -> Mixture:
        """Draw mixture number `index`, at the scale of its noise."""
        mix, rng = self.mix, np.random.default_rng([self.seed, index])
        n, rate = self.length + 2 * _MARGIN, self.events.rate_hz
        kind, keep = rng.random(), slice(_MARGIN, _MARGIN + self.length)
        signal, present = self._draw_events(n, rng)
        noise = self._draw_noise(n, rng)
        if kind < mix.noise_only:
            signal[:] = 0
        signal, noise = self._filter(signal, noise, rate, rng)
        snr = rng.uniform(*mix.snr_db) if kind < 1 - mix.clean_only else rng.uniform(40, 70)
        loudest = find_loudest(signal[:, keep]) if (signal[:, keep] != 0).any() else slice(0, SNR_WINDOW_N)
        # the components as they were recorded together, or each with the same SNR
        each = damage.noise_factor(signal[:, keep][:, loudest], noise[:, keep], snr + rng.normal(0, 2, size=3))
        power = [float(np.mean(x)) for x in (signal[:, keep][:, loudest] ** 2, noise[:, keep] ** 2)]
        joint = np.full(3, np.sqrt(power[0] / max(power[1], 1e-30)) * 10 ** (-snr / 20))
        factor = each if rng.random() < 0.4 else joint
        noise *= np.where(factor > 0, factor, 1.0)[:, None]
        signal, noisy = signal[:, keep], self._damage((signal + noise)[:, keep], rng)
        if rng.random() < mix.missing_component:
            present = drop_components(present, rng)
        noisy[~present] = np.nan
        if rng.random() < mix.short_record:
            first, last = _draw_span(self.length, rng)
            noisy[:, :first] = noisy[:, last:] = np.nan
        return Mixture(noisy, signal, snr if kind >= mix.noise_only else -np.inf)

    def _draw_events(self, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        """One event or several: samples (3, n), and the components of the first."""
        first, present = self._draw_one(n, rng)
        if rng.random() < self.mix.several_events:
            other, _ = self._draw_one(n, rng)
            level = np.abs(first).max() / max(float(np.abs(other).max()), 1e-30)
            first = first + other * level * 10 ** rng.uniform(-1.5, 0.5)
        return first, present

    def _draw_one(self, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
        """One event (3, n) that begins before or in the window; zero before it, tapered where its record ends."""
        rate, out = self.events.rate_hz, np.zeros((3, n))
        if rng.random() < self.mix.synthetic_events:
            at = round(rng.uniform(-1.0, 0.9) * self.length) + _MARGIN
            first = max(-at, 0)
            x = teleseisms.draw_teleseism(n + first, rate, rng)
            out[:, max(at, 0) :] = x[:, first : first + n - max(at, 0)]
            return out, np.ones(3, dtype=bool)
        x, present, p = self.events.record(self.events.choose(rng))
        x = isolate_event(x.astype(np.float64), p)
        if rng.random() < self.mix.time_stretch:
            x = resample_poly(x, round(100 * 0.65 * (1.6 / 0.65) ** rng.random()), 100, axis=-1)
        x = turn_components(x, present, rng)
        shown = min(x.shape[-1], self.length) // 4  # at least so much of the event lies in the window
        start = round(rng.uniform(shown - x.shape[-1], self.length - shown)) + _MARGIN
        a, b = max(start, 0), min(start + x.shape[-1], n)
        out[:, a:b] = x[:, a - start : b - start]
        return out, present

    def _draw_noise(self, n: int, rng: np.random.Generator) -> Array:
        """Noise (3, n): recorded or synthetic, with additional sources as in the recipe; Z has unit variance."""
        mix = self.mix
        x = self._draw_one_noise(n, rng)
        if rng.random() < mix.noise_pile_up:
            x = x + 10 ** rng.uniform(-1, 0.3) * self._draw_one_noise(n, rng)
        if rng.random() < mix.gusts:
            x = x * damage.draw_noise_level(n, self.noise.rate_hz / 20, rng)
        return x

    def _draw_one_noise(self, n: int, rng: np.random.Generator) -> Array:
        if rng.random() < self.mix.synthetic_noise:
            return long_noise.draw_long_noise(n, self.noise.rate_hz, rng)
        pool = self._long_noise if self._long_noise is not None and rng.random() < 0.6 else self.noise
        x, present, _ = pool.record(pool.choose(rng))
        x = x.astype(np.float64)
        x = cut_or_repeat(x, n, rng) if x.shape[-1] >= LONG_N else long_noise.draw_surrogate(x, n, rng)
        x = fill_components(turn_components(x, present, rng), present, rng)
        return np.asarray(x / max(float(x[2].std()), 1e-30))

    def _filter(self, signal: Array, noise: Array, rate: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Apply random responses to signal and noise, and the sensor's corner and one band limit to both."""
        mix, n = self.mix, signal.shape[-1]
        f = np.fft.rfftfreq(n, 1 / rate)
        both: Array = np.ones(len(f), dtype=complex)
        if rng.random() < mix.band_pass:
            both = both * damage.band_response(n, rate, 10 ** rng.uniform(-2.7, -1.2), rng.uniform(0.1, 0.5) * rate)
        if rng.random() < mix.response:  # a sensor whose response falls below its corner, causal
            corner = rng.choice([1 / 360, 1 / 120, 1 / 60, 1 / 30, 1 / 20, 1.0])
            both = both * (1j * f) ** 2 / (corner**2 - f**2 + 1.414j * f * corner)
        filtered = []
        for x in (signal, noise):
            response = both * damage.draw_response(n, rate, rng) if rng.random() < mix.response else both
            filtered.append(np.fft.irfft(np.fft.rfft(x) * response, n))
        return filtered[0], filtered[1]


def open_long_pools(
    events: SeisBenchSet,
    noise: SeisBenchSet,
    split: SplitSection,
    mix: RecordMix,
    rate_hz: float,
    validation: bool | None,
) -> tuple[WaveformPool, WaveformPool]:
    """Open pools of events with enough SNR at long periods, with a P pick or without, and of noise.

    `validation` selects validation stations (True), training stations (False) or all stations (None).

    Raises
    ------
    InputError
        The selected stations have no usable event or no noise.
    """

    def list_usable(data: SeisBenchSet) -> NDArray[np.intp]:
        return np.array([
            i for i in range(len(data))
            if data.rate_hz(i) >= LEAST_RATE * rate_hz and _duration_s(data, i) * rate_hz >= _SHORTEST_N
            and (validation is None or is_validation(data.station(i), split) == validation)
        ])  # fmt: skip

    candidates, quiet = WaveformPool(events, list_usable(events), rate_hz), list_usable(noise)
    usable = [
        int(i) for i in candidates.indices if measure_event_snr(*candidates.record(int(i))) >= mix.min_event_snr_db
    ]
    needed = f"SNR above {mix.min_event_snr_db:g} dB at {rate_hz:g} Hz"
    return make_pools((events, usable), (noise, quiet.tolist()), rate_hz, validation, needed)


def is_long(pool: WaveformPool, i: int) -> bool:
    """Whether record `i` has `LONG_N` samples at the rate of the pool, or more."""
    return _duration_s(pool.data, i) * pool.rate_hz >= LONG_N


def measure_event_snr(x: Array, present: NDArray[np.bool_], p: int) -> float:
    """SNR in dB of an event in a record (3, n): its loudest 20 samples over the noise before P, or the quietest part.

    -inf if the noise cannot be measured.
    """
    power = _smooth_power(x[present], 20) if present.any() else np.zeros(0)
    if power.size < 2:
        return -np.inf
    before = power[: max(p - 20, 0)]
    quiet = float(np.median(before)) if before.size >= 5 else float(np.quantile(power, 0.1))
    if before.size < 5 and x.shape[-1] < LONG_N:
        return -np.inf
    return float(10 * np.log10(power.max() / max(quiet, 1e-30))) if power.max() > 0 else -np.inf


def isolate_event(x: Array, p: int) -> Array:
    """Set what precedes an event to zero, and taper the end of its record.

    The event begins with P, or where the power first exceeds four times that of the quietest tenth of the record.
    """
    x, n = x.copy(), x.shape[-1]
    start = p
    if start < 0:
        power = _smooth_power(x, 20)
        start = int(np.argmax(power > 4 * np.quantile(power, 0.1))) if power.size else 0
    rise = min(max(start, 0), 10)
    x[:, : start - rise] = 0
    x[:, start - rise : start] *= np.linspace(0, 1, rise) ** 2
    if start == 0:  # the record begins within the event
        x[:, : n // 10] *= np.sin(np.linspace(0, np.pi / 2, n // 10)) ** 2
    end = n // 6
    x[:, n - end :] *= np.cos(np.linspace(0, np.pi / 2, end)) ** 2
    return x


def _smooth_power(x: Array, span: int) -> Array:
    """Power of records (row, n), summed over the rows, mean over `span` samples."""
    total = np.cumsum(np.square(x, dtype=np.float64).sum(0))
    return np.asarray((total[span:] - total[:-span]) / span)


def find_loudest(x: Array) -> slice:
    """The `SNR_WINDOW_N` samples of a record (3, n) with the most power."""
    start = int(np.argmax(_smooth_power(x, SNR_WINDOW_N)))
    return slice(start, start + SNR_WINDOW_N)


def _draw_span(n: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draw the first and last sample of a record that is shorter than a window."""
    length = round(n * 10 ** rng.uniform(-1, 0))
    return (0, length) if rng.random() < 0.7 else (n - length, n)


def _duration_s(data: SeisBenchSet, i: int) -> float:
    n = float(data.rows[i].get("trace_npts") or 0) or data.waveform(i).shape[1]
    return float(n / data.rate_hz(i))
