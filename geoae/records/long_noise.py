"""Synthetic noise at long periods: microseism, tilt, infragravity waves, drifts, and glitches of sensors.

Spectra follow Peterson (1993, USGS open-file report 93-322) on land, and Webb & Crawford (1999,
doi:10.1785/BSSA0890061535) and Crawford & Webb (2000, doi:10.1785/0119990121) on the sea floor.
"""

import numpy as np

from geoae.arrays.types import Array, Generator


def draw_long_noise(n: int, rate_hz: float, rng: Generator) -> Array:
    """Draw noise (3, n), components east, north and up; the vertical component has unit variance."""
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    f[0] = f[1]
    x = _draw_microseism(f, n, rate_hz, rng)
    floor = 10 ** rng.uniform(-1.5, -0.3) * (f / 0.1) ** -rng.uniform(0, 1.0)
    x += _draw_gaussian(floor, n, 3, rng) * np.array([[1.2], [1.2], [1.0]])
    if rng.random() < 0.7:
        x += _draw_tilt(f, n, rate_hz, rng)
    if rng.random() < 0.3:  # infragravity waves: a hump below a depth-dependent frequency
        top = 10 ** rng.uniform(-2.1, -1.4)
        x[2] += 10 ** rng.uniform(-1.5, 0.5) * _draw_gaussian((f / top) ** -0.5 / (1 + (f / top) ** 8), n, 1, rng)[0]
    if rng.random() < 0.3:
        x += _draw_glitches(n, rate_hz, rng) * x.std(-1, keepdims=True)
    if rng.random() < 0.3:
        x += _draw_drift(n, rng) * x.std(-1, keepdims=True) * 10 ** rng.uniform(-0.5, 1, size=(3, 1))
    return np.asarray(x / max(float(x[2].std()), 1e-30))


def draw_surrogate(x: Array, n: int, rng: Generator) -> Array:
    """Draw Gaussian noise (rows, n) with the smoothed spectra of short recorded noise `x` (rows, time).

    Below the lowest frequency that `x` resolves, the amplitude grows with the period to a random power.
    """
    k = x.shape[-1]
    spectrum = np.abs(np.fft.rfft(x * np.hanning(k)[None]))[:, 1:]
    known = np.arange(1, spectrum.shape[-1] + 1) / k
    edges = np.unique(np.round(np.geomspace(1, spectrum.shape[-1], 14)).astype(int) - 1)
    power = np.add.reduceat(spectrum**2, edges, axis=-1) / np.diff([*edges, spectrum.shape[-1]])
    centres = np.log(np.add.reduceat(known, edges) / np.diff([*edges, spectrum.shape[-1]]))
    f = np.fft.rfftfreq(n)
    f[0] = f[1]
    slope = np.minimum(np.log(f) - centres[0], 0) * -rng.uniform(0, 1.2)
    amplitude = [np.exp(np.interp(np.log(f), centres, 0.5 * np.log(row + 1e-30)) + slope) for row in power]
    return np.concatenate([_draw_gaussian(row, n, 1, rng) for row in amplitude])


def _draw_microseism(f: Array, n: int, rate_hz: float, rng: Generator) -> Array:
    """Two peaks whose level varies as storms pass and wave groups arrive, as Rayleigh and Love waves."""
    x = np.zeros((3, n))
    t = np.arange(n) / rate_hz
    for centre, level in (
        (rng.uniform(0.04, 0.09), 10 ** rng.uniform(-1.5, 0)),
        (0.11 * 3 ** rng.random(), 1.0),
        (0.11 * 3 ** rng.random(), rng.random() * (rng.random() < 0.5)),
    ):
        width = rng.uniform(0.08, 0.35)
        amplitude = level * np.exp(-0.5 * (np.log(f / centre) / width) ** 2)
        for _ in range(2):  # two directions at once
            up, across = _draw_gaussian(amplitude, n, 2, rng)
            turned = np.fft.irfft(1j * np.fft.rfft(up), n)
            azimuth, ratio, love = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2), rng.uniform(0.2, 1.2)
            wave = np.stack([np.sin(azimuth) * ratio * turned + np.cos(azimuth) * love * across,
                             np.cos(azimuth) * ratio * turned - np.sin(azimuth) * love * across, up])  # fmt: skip
            groups = np.exp(rng.uniform(0, 0.5) * np.sin(2 * np.pi * t / rng.uniform(150, 2000) + rng.uniform(0, 7)))
            x += groups * wave
    return x


def _draw_tilt(f: Array, n: int, rate_hz: float, rng: Generator) -> Array:
    """Tilt on the horizontal components, mostly in one direction, and a small share of it on the vertical one."""
    amplitude = np.minimum(f / 0.02, 5) ** -rng.uniform(0.5, 2.0) / (1 + (0.001 / f) ** 2)
    main, aside = _draw_gaussian(amplitude, n, 2, rng)
    main, aside = main / main.std(), aside / aside.std()
    if rng.random() < 0.5:  # currents, wind, and work at the site come and go
        level = _draw_gaussian(np.exp(-((f * rng.uniform(100, 800)) ** 2)), n, 1, rng)[0]
        main, aside = (part * np.exp(rng.uniform(0.3, 1.2) * level) for part in (main, aside))
    azimuth, level = rng.uniform(0, 2 * np.pi), 10 ** rng.uniform(-0.7, 1.5)
    aside = aside * 10 ** rng.uniform(-1, 0)
    east, north = np.sin(azimuth), np.cos(azimuth)
    coupling = 10 ** rng.uniform(-2.5, -0.3) * rng.choice([-1, 1])
    return np.asarray(
        level * np.stack([east * main + north * aside, north * main - east * aside, coupling * (main + 0.3 * aside)])
    )


def _draw_glitches(n: int, rate_hz: float, rng: Generator) -> Array:
    """Responses of a feedback sensor to small steps of tilt or mass position, on one component or all."""
    x = np.zeros((3, n))
    for _ in range(int(rng.integers(1, 4))):
        at, fall = int(rng.integers(0, n)), 10 ** rng.uniform(0.7, 2.5) * rate_hz
        lag = np.arange(n - at)
        pulse = np.exp(-lag / fall) * (1 - lag / fall * rng.random())
        rows = rng.normal(size=3) * (rng.random(3) < 0.6)
        x[:, at:] += 10 ** rng.uniform(0.3, 1.5) * rows[:, None] * pulse
    return x


def _draw_drift(n: int, rng: Generator) -> Array:
    """Drift of temperature and mass position, part of a day's cycle: smooth curves of unit size."""
    t = np.linspace(-1, 1, n)
    drift = np.polynomial.legendre.legval(t, rng.normal(size=(4, 3)) * np.array([[0.0], [1.0], [0.7], [0.4]]))
    return np.asarray(drift + np.exp(-(t + 1) * rng.uniform(1, 10)) * rng.normal(size=(3, 1)))


def _draw_gaussian(amplitude: Array, n: int, rows: int, rng: Generator) -> Array:
    """Gaussian noise (rows, n) with an amplitude spectrum, unit variance where the spectrum is 1 everywhere."""
    phase = rng.normal(size=(rows, len(amplitude), 2)).view(np.complex128)[..., 0]
    return np.fft.irfft(amplitude * phase, n) * np.sqrt(n / 4)
