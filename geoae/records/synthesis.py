"""Synthetic earthquakes from a stochastic model, to add events that the training data do not contain.

Each has a P and an S wave of a Brune source, path attenuation, and random scattering coda (Boore, 2003,
doi:10.1007/PL00012553, section 2; coda after Aki & Chouet, 1975, doi:10.1029/JB080i023p03322). They show what events
have in common: sharp onsets, polarised first arrivals, decaying coda.
"""

import numpy as np
from scipy.fft import next_fast_len

from geoae.arrays.types import Array, Generator


def draw_earthquake(n: int, rate_hz: float, rng: Generator) -> Array:
    """Draw one event (3, n), components east, north and up, with its P onset at sample 0 and largest amplitude 1.

    S arrives 0.4 to 40 s after P, so it may lie beyond sample n.
    """
    n_fast = next_fast_len(n, real=True)
    t, f = np.arange(n) / rate_hz, np.fft.rfftfreq(n_fast, 1 / rate_hz)
    delay = 0.4 * 100 ** rng.random()
    corner = min(30.0 * rng.random() ** 2 + 0.7, 0.4 * rate_hz)
    loss = 0.002 + 0.012 * rng.random() + 0.0012 * delay * rng.random()  # kappa and t*, seconds
    order = rng.uniform(0.7, 2.0)  # of differentiation: velocity to acceleration
    spectra = _source_spectrum(f, corner * rng.uniform(1, 1.5), order, loss), _source_spectrum(f, corner, order, loss)
    waves = [_draw_carriers(4, spectrum, n_fast, rng) for spectrum in spectra]  # of P, of S
    quality = rng.uniform(60, 400)  # high frequencies decay faster: the late coda has lower frequencies
    late = _draw_carriers(3, spectra[1] * np.exp(-np.pi * f * 20 / quality), n_fast, rng)

    ray, shear = _draw_directions(rng)
    arrivals = [(0.0, 1.0, ray, 0), (delay, rng.uniform(1.2, 8.0), shear, 1)]
    for _ in range(int(rng.integers(0, 5))):  # converted and reflected phases between P and S
        mixed = ray * rng.normal() + shear * rng.normal()
        arrivals.append((delay * rng.random(), rng.uniform(0.2, 1.0), mixed / np.linalg.norm(mixed), 0))
    x = np.zeros((3, n))
    for at, level, direction, kind in arrivals:
        start = round(at * rate_hz)
        if start >= n:
            continue
        lag = t[: n - start]
        rise = 10 ** rng.uniform(-2.3, -0.7) * (6 if rng.random() < 0.2 else 1)
        decay = 0.1 + delay * rng.uniform(0.05, 0.35) + 0.5 / corner
        wave = _cut(waves[kind], n - start, rng)
        pulse = (1 - np.exp(-((lag / rise) ** 2))) * np.exp(-lag / decay)
        clean = rng.uniform(0.5, 0.95)
        x[:, start:] += level * pulse * (clean * direction[:, None] * wave[:1] + (1 - clean) * wave[1:])
        coda = lag / (rise + lag) * (1 + lag / (0.5 * delay + 0.5)) ** -rng.uniform(1.2, 2.5)
        coda *= np.exp(-lag / rng.uniform(5, 40)) * level * rng.uniform(0.05, 0.4)
        fade = np.exp(-lag / (20 * rng.random() + 3))
        x[:, start:] += coda * (fade * wave[1:] + np.sqrt(1 - fade**2) * _cut(late, n - start, rng))
    return x / max(float(np.abs(x).max()), 1e-30)


def _draw_directions(rng: Generator) -> tuple[Array, Array]:
    """Draw unit vectors of P and S motion at the surface: along a steep ray, and perpendicular to it."""
    azimuth, incidence, turn = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(2, 50)), rng.uniform(0, 2 * np.pi)
    level = np.array([np.sin(azimuth), np.cos(azimuth), 0.0])
    up = np.array([0.0, 0.0, 1.0])
    ray = np.sin(incidence) * level + np.cos(incidence) * up
    sv = np.cos(incidence) * level - np.sin(incidence) * up
    return ray, np.cos(turn) * sv + np.sin(turn) * np.cross(ray, sv)


def _source_spectrum(f: Array, corner: float, order: float, loss: float) -> Array:
    """Amplitude spectrum of Brune (1970, doi:10.1029/JB075i026p04997), differentiated and attenuated."""
    return f**order / (1 + (f / corner) ** 2) * np.exp(-np.pi * loss * f)


def _draw_carriers(rows: int, spectrum: Array, n: int, rng: Generator) -> Array:
    """Draw Gaussian noise (rows, n) with an amplitude spectrum. Envelopes multiply it later, so onsets stay sharp."""
    phase = rng.normal(size=(rows, len(spectrum), 2)).view(np.complex128)[..., 0]
    x = np.fft.irfft(spectrum * phase, n)
    return x / max(float(x.std()), 1e-30)


def _cut(x: Array, n: int, rng: Generator) -> Array:
    """Cut `n` samples from a random position; after the last sample the first follows."""
    return np.roll(x, int(rng.integers(0, x.shape[-1])), axis=-1)[:, :n]
