"""Synthetic distant and regional earthquakes at long periods: body waves, dispersed surface waves, and their codas.

Travel times are those of iasp91 (Kennett & Engdahl, 1991, doi:10.1111/j.1365-246X.1991.tb06724.x) at 15 km depth. Group
velocities vary around curves for continents and oceans (after Oliver, 1962, doi:10.1785/BSSA0520010081). The motion is
what denoisers need: order, polarisation and dispersion of the waves, not the waveform of any place.
"""

from typing import NamedTuple

import numpy as np
from scipy.fft import next_fast_len

from geoae.arrays.types import Array, Generator

_KM_A_DEGREE = 111.19
_DISTANCES = np.array([2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150, 160, 170.0])
# seconds after the origin time at these distances; the first arrival of each type, with core phases far away
_TIMES = {
    "P": [33, 74, 143, 211, 272, 323, 368, 454, 534, 606, 671, 729, 779, 824, 869, 913, 957, 1002, 1046, 1198, 1207],
    "PP": [39, 82, 151, 219, 288, 356, 425, 546, 649, 738, 826, 910, 992, 1069, 1144, 1214, 1281, 1344, 1404, 1460,
           1512],
    "PcP": [509, 510, 513, 519, 527, 538, 550, 579, 613, 652, 693, 736, 780],
    "S": [59, 133, 256, 378, 497, 588, 666, 820, 964, 1099, 1222, 1333, 1409, 1462, 1507, 1545, 1577, 1603, 1934],
    "SS": [68, 145, 269, 392, 515, 638, 760, 998, 1179, 1337, 1492, 1644, 1791, 1933, 2070, 2201, 2327, 2447, 2562,
           2670, 2772],
    "ScS": [931, 933, 940, 951, 966, 984, 1007, 1060, 1124, 1196, 1273, 1353, 1435],
}  # fmt: skip
_PERIODS = np.array([5, 8, 12, 16, 20, 30, 40, 60, 100, 150, 200, 250, 400.0])
# group velocities at these periods, km/s: continent, ocean
_RAYLEIGH = np.array([[2.8, 2.85, 2.9, 2.95, 3.05, 3.35, 3.65, 3.83, 3.82, 3.72, 3.62, 3.58, 3.7],
                      [1.5, 1.6, 2.2, 3.3, 3.8, 4.0, 4.02, 3.98, 3.88, 3.75, 3.63, 3.58, 3.7]])  # fmt: skip
_LOVE = np.array([[2.9, 3.0, 3.15, 3.3, 3.4, 3.65, 3.85, 4.05, 4.25, 4.32, 4.35, 4.36, 4.38],
                  [3.2, 3.8, 4.2, 4.35, 4.4, 4.42, 4.43, 4.44, 4.42, 4.4, 4.38, 4.37, 4.38]])  # fmt: skip
_SLOWEST = 2.2  # km/s: surface waves that arrive later are left out


class _Source(NamedTuple):
    distance: float
    """Degrees."""
    depth: float
    """Kilometres."""
    corner: float
    """Corner frequency, Hz."""
    order: int
    """Derivative of the displacement that is recorded."""
    first: float
    """Travel time of the first arrival, s."""


def draw_teleseism(n: int, rate_hz: float, rng: Generator) -> Array:
    """Draw one event (3, n), components east, north and up, with its P onset at sample 0 and largest amplitude 1.

    Magnitudes are 5 to 8.3, distances 3 to 165 degrees, depths 2 to 650 km; the record is of displacement, velocity or
    acceleration. Surface waves may arrive after sample n.
    """
    magnitude = rng.uniform(5, 8.3)
    distance = 3 * (20 / 3) ** rng.random() if rng.random() < 0.35 else rng.uniform(20, 165)
    depth = rng.uniform(2, 60) if rng.random() < 0.75 else rng.uniform(60, 650)
    corner = 0.6 / 10 ** (0.5 * magnitude - 2.6 + rng.normal(0, 0.15))
    order = int(rng.choice([0, 1, 2], p=[0.15, 0.7, 0.15]))
    source = _Source(distance, depth, corner, order, float(np.interp(distance, _DISTANCES, _TIMES["P"])))
    body = _draw_body_waves(n, rate_hz, source, rng)
    surface = _draw_surface_waves(n, rate_hz, source, rng)
    level = np.abs(body).max() * 10 ** rng.uniform(0.0, 1.5) * np.exp(-depth / 120)
    radial, transverse, up = body + surface * level
    azimuth = rng.uniform(0, 2 * np.pi)
    sine, cosine = np.sin(azimuth), np.cos(azimuth)
    x = np.stack([sine * radial + cosine * transverse, cosine * radial - sine * transverse, up])
    return np.asarray(x / max(float(np.abs(x).max()), 1e-30))


def _draw_body_waves(n: int, rate_hz: float, source: _Source, rng: Generator) -> Array:
    """P and S waves with reflections at the surface and the core, and codas: radial, transverse, up."""
    n_fast = next_fast_len(n + round(200 * rate_hz), real=True)
    spikes = np.zeros((2, 3, n_fast))  # of P, of S
    steep = np.radians(np.interp(source.distance, [0, 20, 90, 180], [70, 40, 18, 3]) + rng.normal(0, 4))
    sh, sv = rng.normal(size=2)
    ray = np.array([np.sin(steep), 0.05 * rng.normal(), np.cos(steep)])
    shear = np.array([sv * np.cos(steep), sh, -sv * np.sin(steep)]) / max(np.hypot(sh, sv), 1e-9)
    for name, low, high in (("P", 1, 1), ("PP", 0.3, 1.2), ("PcP", 0.05, 0.4), ("S", 1, 4), ("SS", 0.7, 4),
                            ("ScS", 0.2, 1.5)):  # fmt: skip
        times = _TIMES[name]
        if source.distance > _DISTANCES[len(times) - 1]:
            continue
        at = float(np.interp(source.distance, _DISTANCES[: len(times)], times)) - source.first
        kind, direction = (0, ray) if name[0] == "P" else (1, shear)
        level = rng.uniform(low, high) * rng.choice([-1, 1])
        coda = 10 ** rng.uniform(0.8, 2.2)
        _add_arrival(spikes[kind], at * rate_hz, level * direction, coda * rate_hz, rng)
        for delay in (0.22, 0.32):  # pP and sP, or sS
            lag = delay * (1 if kind == 0 else 1.7) * source.depth
            _add_arrival(spikes[kind], (at + lag) * rate_hz, level * rng.uniform(-0.9, 0.3) * direction, coda, rng)
    f = np.fft.rfftfreq(n_fast, 1 / rate_hz)
    wave = np.zeros((3, n))
    for x, loss in zip(spikes, (rng.uniform(0.3, 1.2), rng.uniform(1.5, 5)), strict=True):
        response = _source_response(f, source) / (1 + 1j * f * loss / 0.5) ** 2
        wave += np.fft.irfft(np.fft.rfft(x) * response, n_fast)[:, :n]
    return wave


def _add_arrival(spikes: Array, at: float, amplitude: Array, coda: float, rng: Generator) -> None:
    """Add a spike at sample `at`, and random spikes that decay after it."""
    start, n = int(at), spikes.shape[-1]
    if start + 1 >= n:
        return
    part = at - start
    spikes[:, start] += (1 - part) * amplitude
    spikes[:, start + 1] += part * amplitude
    length = min(round(5 * coda), n - start)
    level = rng.uniform(0.02, 0.4) * np.sqrt(np.square(amplitude).sum()) * np.exp(-np.arange(length) / coda)
    spikes[:, start : start + length] += level * rng.normal(size=(3, length)) * np.array([[0.8], [0.6], [1.0]])


def _draw_surface_waves(n: int, rate_hz: float, source: _Source, rng: Generator) -> Array:
    """Rayleigh and Love waves on several paths, Lg at regional distances, and their codas; largest amplitude 1."""
    km = source.distance * _KM_A_DEGREE
    last = km / _SLOWEST - source.first
    n_fast = next_fast_len(max(n, round((last + 300) * rate_hz)), real=True)
    f = np.fft.rfftfreq(n_fast, 1 / rate_hz)
    period = 1 / np.maximum(f, f[1])
    quality = rng.uniform(80, 250) * np.interp(period, [5, 30, 400], [0.8, 1.0, 1.0])
    decay = np.exp(-np.pi * f * km / (3.6 * quality) - 0.8 * 2 * np.pi * f * source.depth / 3.8)
    spectrum = _source_response(f, source) * decay * (f > 0)
    oceanic, x = rng.random(), np.zeros((3, n_fast))
    love = 10 ** rng.uniform(-0.7, 0.5)
    ellipticity = rng.uniform(0.55, 1.0)
    for path in range(int(rng.integers(1, 4))):
        level, turn = (1.0, rng.normal(0, 0.05)) if path == 0 else (rng.uniform(0.15, 0.6), rng.normal(0, 0.25))
        waves = []
        for curves, gain in ((_RAYLEIGH, 1.0), (_LOVE, love)):
            delay = km / _draw_velocities(period, curves, oceanic, rng) - source.first
            phase = np.exp(-2j * np.pi * np.cumsum(delay) * f[1]) * ((delay > 0) & (delay < last))
            waves.append(gain * level * spectrum * phase)
        rayleigh, transverse = waves
        ahead, up, across = np.fft.irfft(np.stack([1j * ellipticity * rayleigh, rayleigh, transverse]), n_fast)
        x += np.stack([np.cos(turn) * ahead - np.sin(turn) * across, np.sin(turn) * ahead + np.cos(turn) * across, up])
    x /= max(float(np.abs(x).max()), 1e-30)
    x += _draw_scattered(f, np.abs(spectrum), n_fast, source, rng)
    return np.asarray(x[:, :n] / max(float(np.abs(x).max()), 1e-30))


def _draw_velocities(period: Array, curves: Array, oceanic: float, rng: Generator) -> Array:
    """Draw a smooth group velocity curve, km/s, at the periods: between continent and ocean, and a few percent off."""
    curve = (1 - oceanic) * curves[0] + oceanic * curves[1]
    knots = np.linspace(np.log(4), np.log(500), 6)
    wander = 1 + rng.normal(0, 0.012) + np.interp(np.log(_PERIODS), knots, rng.normal(0, 0.012, size=6))
    return np.interp(np.log(period), np.log(_PERIODS), curve * wander)


def _draw_scattered(f: Array, amplitude: Array, n: int, source: _Source, rng: Generator) -> Array:
    """Scattered waves: at regional distances Lg, between 3.6 and 2.8 km/s, and everywhere a coda."""
    km, rate = source.distance * _KM_A_DEGREE, 2 * f[-1]
    t = np.arange(n) / rate + source.first
    start = km / rng.uniform(3.3, 3.7)
    fall = km / 15 + rng.uniform(30, 400)
    lag = np.maximum(t - start, 0)
    envelope = (1 - np.exp(-lag / (0.1 * fall))) * np.exp(-lag / fall)
    level = rng.uniform(0.1, 1.5) if source.distance < 20 and rng.random() < 0.7 else rng.uniform(0.01, 0.15)
    phase = rng.normal(size=(3, len(f), 2)).view(np.complex128)[..., 0]
    x = np.fft.irfft(phase * amplitude * np.sqrt(f), n)
    return np.asarray(level * envelope * x / max(float(np.abs(x).max()) / 2, 1e-30))


def _source_response(f: Array, source: _Source) -> Array:
    """Response of a source of omega-square shape, causal, as displacement, velocity or acceleration."""
    return np.asarray((2j * np.pi * f) ** source.order / (1 + 1j * f / source.corner) ** 2)
