"""Damage to training windows, on plain arrays: noise, hum, spikes, steps, gaps, quantisation, band limits.

Functions that draw take a random generator. All return a new array.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from geoae.arrays.types import Array, Generator


def noise_factor(signal: Array, noise: Array, snr_db: float | Array) -> Array:
    """Factor on `noise` (..., time) so that 10 log10(var signal / var noise) = `snr_db`; 0 if either is silent."""
    s, n = signal.std(axis=-1), noise.std(axis=-1)
    return np.where(n > 0, s / np.where(n > 0, n, 1.0) * 10 ** (-np.asarray(snr_db) / 20), 0.0)


def draw_coloured_noise(shape: tuple[int, ...], rate_hz: float, rng: Generator) -> Array:
    """Draw Gaussian noise whose power is a random power of frequency, sometimes with a microseism peak.

    Unit variance. The peak lies at 0.12-0.4 Hz (Peterson, 1993, USGS Open-File Report 93-322).
    """
    n = shape[-1]
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    f[0] = f[1]
    amplitude = f ** (-rng.uniform(-0.3, 1.3))
    if rng.random() < 0.4:
        centre, width = rng.uniform(0.12, 0.4), rng.uniform(0.15, 0.4)
        amplitude *= 1 + 10 ** rng.uniform(0, 2) * np.exp(-0.5 * (np.log(f / centre) / width) ** 2)
    phase = rng.normal(size=(*shape[:-1], len(f), 2)) @ np.array([1, 1j])
    x = np.fft.irfft(amplitude * phase, n)
    return x / x.std(axis=-1, keepdims=True)


def draw_machinery_noise(shape: tuple[int, ...], rate_hz: float, rng: Generator) -> Array:
    """Draw the hum of a rotating machine: a few harmonics of one slowly varying frequency, unit variance.

    Phases and amplitudes differ between components.
    """
    n = shape[-1]
    t = np.arange(n) / rate_hz
    wander = 1 + 0.01 * np.sin(2 * np.pi * t * rng.uniform(0.005, 0.1) + rng.uniform(0, 7))
    base, x = rng.uniform(1.0, 25.0), np.zeros(shape)
    for k in range(1, int(rng.integers(2, 6))):
        if base * k < 0.45 * rate_hz:
            phase = rng.uniform(0, 2 * np.pi, size=(*shape[:-1], 1))
            x += rng.exponential(size=(*shape[:-1], 1)) * np.sin(
                2 * np.pi * base * k * np.cumsum(wander) / rate_hz + phase
            )
    if rng.random() < 0.3:  # switched on or off inside the window
        at = int(rng.integers(0, n))
        x[..., :at] *= rng.integers(0, 2)
        x[..., at:] *= x[..., :at].any() == 0
    return x / max(float(x.std()), 1e-12)


def draw_footsteps(shape: tuple[int, ...], rate_hz: float, rng: Generator) -> Array:
    """Draw footsteps of a passer-by: equal short pulses, 1.4 to 2.4 per second, that swell and fade; unit variance."""
    n = shape[-1]
    t = np.arange(n) / rate_hz
    train = np.zeros(n)
    steps = np.arange(rng.uniform(0, 1), t[-1], 1 / rng.uniform(1.4, 2.4))
    steps = steps + rng.normal(0, 0.02, size=len(steps))
    nearest, width = rng.uniform(0, t[-1]), rng.uniform(3, 20)  # time of the closest approach, s
    places = np.clip(np.round(steps * rate_hz).astype(int), 0, n - 1)
    np.add.at(train, places, 1 / (1 + ((steps - nearest) / width) ** 2) * rng.uniform(0.6, 1.4, size=len(steps)))
    length = round(0.5 * rate_hz)
    lag = np.arange(length) / rate_hz
    centre, fade = rng.uniform(min(5, 0.2 * rate_hz), 0.4 * rate_hz), rng.uniform(0.03, 0.12)
    x = np.zeros(shape)
    for row in np.ndindex(shape[:-1]):
        pulse = np.exp(-lag / fade) * np.sin(2 * np.pi * centre * lag + rng.uniform(0, 7)) * rng.uniform(0.3, 1)
        x[row] = oaconvolve(train, pulse)[:n]
    return x / max(float(x.std()), 1e-12)


def draw_noise_level(n: int, rate_hz: float, rng: Generator) -> Array:
    """Draw a noise level (n,) that varies by a few dB within seconds to a minute, like wind and traffic; RMS 1."""
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    slow = np.exp(-f * 10 ** rng.uniform(0.3, 1.5))
    slow[0] = 0
    level_db = np.fft.irfft(slow * (rng.normal(size=(len(f), 2)) @ np.array([1, 1j])), n)
    level = 10 ** (level_db / max(float(level_db.std()), 1e-12) * rng.uniform(1, 7) / 20)
    return level / np.sqrt(np.mean(level**2))


def add_spikes(x: Array, rng: Generator, most: int = 4) -> Array:
    """Add up to `most` single-sample spikes of 3 to 300 times the RMS, on one component or all."""
    y, level = x.copy(), np.sqrt((x * x).mean(axis=-1))
    for _ in range(int(rng.integers(1, most + 1))):
        rows = slice(None) if rng.random() < 0.3 else int(rng.integers(0, x.shape[0]))
        y[rows, int(rng.integers(0, x.shape[-1]))] += level[rows] * 10 ** rng.uniform(0.5, 2.5) * rng.choice([-1, 1])
    return y


def add_step(x: Array, rng: Generator) -> Array:
    """Add a step to one component; in half of the cases it decays, like the response of a feedback sensor."""
    y, row, at = x.copy(), int(rng.integers(0, x.shape[0])), int(rng.integers(0, x.shape[-1]))
    decay = np.exp(-np.arange(x.shape[-1] - at) / rng.uniform(50, 5000)) if rng.random() < 0.5 else 1.0
    y[row, at:] += x[row].std() * 10 ** rng.uniform(0, 1.3) * rng.choice([-1, 1]) * decay
    return y


def cut_gaps(x: Array, rng: Generator, most: int = 3) -> Array:
    """Cut up to `most` gaps (NaN) of 1 sample to a fifth of the window, in one component or all."""
    y, n = x.copy(), x.shape[-1]
    for _ in range(int(rng.integers(1, most + 1))):
        rows = slice(None) if rng.random() < 0.5 else int(rng.integers(0, x.shape[0]))
        length = int(np.exp(rng.uniform(0, np.log(n / 5))))
        at = int(rng.integers(0, n - length + 1))
        y[rows, at : at + length] = np.nan
    return y


def quantise(x: Array, rng: Generator) -> Array:
    """Round to whole counts of a digitiser; one count is 0.2 to 2 times the noise level, the median of |x|."""
    count = np.median(np.abs(x), axis=-1, keepdims=True) * rng.uniform(0.2, 2)
    return np.where(count > 0, np.round(x / np.where(count > 0, count, 1)) * count, x)


def band_response(n: int, rate_hz: float, low_hz: float, high_hz: float, order: int = 4) -> Array:
    """Zero-phase Butterworth band-pass as a factor on the `n // 2 + 1` frequencies of a real transform.

    It is the square of the magnitude of one pass, as for filtering forwards and backwards. `low_hz` 0 means no
    high-pass; `high_hz` at or above the Nyquist frequency means no low-pass.
    """
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    response = np.ones(len(f))
    if low_hz > 0:
        with np.errstate(divide="ignore"):
            response /= 1 + (low_hz / f) ** (2 * order)
    if high_hz < rate_hz / 2:
        response /= 1 + (f / high_hz) ** (2 * order)
    return response


def draw_response(n: int, rate_hz: float, rng: Generator) -> NDArray[np.complexfloating[Any]]:
    """Draw a smooth response within +-10 dB over log frequency: site, path attenuation and sensor together.

    It is complex and of minimum phase: a zero-phase filter would ring before an onset.
    """
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    knots = np.log([k * min(rate_hz / 100, 1.0) for k in (0.05, 0.3, 1.0, 3.0, 10.0, 30.0)] + [rate_hz / 2])
    gain_db = np.cumsum(rng.normal(0, 3.0, size=len(knots)))
    gain_db -= gain_db[3]
    log_gain = np.interp(np.log(np.maximum(f, f[1])), knots, np.clip(gain_db, -10, 10)) * (np.log(10) / 20)
    cepstrum = np.fft.irfft(log_gain, n)
    cepstrum[1 : (n + 1) // 2] *= 2  # folded onto positive times (Oppenheim & Schafer, 2010, section 13.5)
    cepstrum[n // 2 + 1 :] = 0
    return np.exp(np.fft.rfft(cepstrum))
