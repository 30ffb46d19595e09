"""Noise and gaps of gridded fields: instruments, scan lines, radar speckle, model weather, clouds, coasts.

Functions take a random generator and draw independent noise for each slice (the first axis): noise that repeats in time
cannot be distinguished from signal.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from geoae.arrays.types import Array, Generator
from geoae.fields.synthesis import draw_planes, draw_power_law, normalise_field


def draw_white_noise(x: Array, rng: Generator) -> Array:
    """Draw independent noise at each point, sometimes with long tails, or stronger in some regions."""
    gaussian = rng.random() < 0.8
    noise: Array = rng.standard_normal(x.shape, np.float32) if gaussian else rng.standard_t(3, x.shape)
    if rng.random() < 0.2:
        noise = noise * np.exp(rng.uniform(0.3, 1) * draw_power_law(x.shape[1:], 4.0, rng).astype(noise.dtype))
    return noise


def draw_red_noise(x: Array, rng: Generator) -> Array:
    """Draw noise with power proportional to wavenumber^-slope; slopes are at most 2.4, lower than those of fields.

    Often it is cut from a larger plane, as for a window of a large grid, and keeps its mean and gradient.
    """
    stretch = 1.0 if rng.random() < 0.7 else rng.uniform(1, 3)
    slope, angle = rng.uniform(1.2, 2.4) if rng.random() < 0.7 else rng.uniform(0.3, 1.2), rng.uniform(0, np.pi)
    part = 0.8 if rng.random() < 0.5 else 0.35
    return draw_planes(len(x), lambda k: draw_power_law((k, *x.shape[1:]), slope, rng, stretch, angle, part), rng)


def draw_blurred_noise(x: Array, rng: Generator) -> Array:
    """Draw white noise, smoothed as by an interpolation."""
    size = rng.uniform(0.4, 2.0)
    noise = rng.standard_normal(x.shape, np.float32)
    return normalise_field(gaussian_filter1d(gaussian_filter1d(noise, size, axis=-1), size, axis=-2))


def draw_stripes(x: Array, rng: Generator) -> Array:
    """Draw offsets of scan lines along rows or columns; sometimes of some lines only, or of a part of each line."""
    n, ny, nx = x.shape
    axis = -1 if rng.random() < 0.5 else -2
    lines = rng.standard_normal((n, ny, 1) if axis == -1 else (n, 1, nx))
    kind = rng.random()
    if kind < 0.3:
        lines = lines * (rng.random(lines.shape) < rng.uniform(0.1, 0.7))
    elif kind < 0.5:  # detectors that alternate
        period = int(rng.integers(2, 11))
        pattern = rng.standard_normal((n, period))
        lines = pattern[:, np.arange(lines.size // n) % period].reshape(lines.shape)
    noise = np.broadcast_to(lines, x.shape)
    if rng.random() < 0.4:  # lines that begin and end inside the window
        along = 0.0 if axis == -1 else np.pi / 2
        parts = draw_planes(len(x), lambda k: draw_power_law((k, *x.shape[1:]), 4.0, rng, 3.0, along), rng)
        noise = noise * (parts > rng.uniform(-1, 0.5))
    if rng.random() < 0.4:  # offsets that change along some lines
        first, length = rng.random(lines.shape), rng.uniform(0.1, 1, lines.shape)
        t = np.linspace(0, 1, x.shape[axis])[:, None] if axis == -2 else np.linspace(0, 1, x.shape[axis])
        hit = rng.random(lines.shape) < rng.uniform(0.1, 0.6)
        noise = noise + rng.standard_normal(lines.shape) * (hit & (t >= first) & (t < first + length))
    return noise + rng.uniform(0, 0.3) * rng.standard_normal(x.shape) * (rng.random() < 0.3)


def draw_speckle(x: Array, rng: Generator) -> Array:
    """Draw speckle, as of radar: a random Gaussian or gamma factor at each point times the field above some level."""
    low, spread = np.nanmin(x), np.nanstd(x)
    height = np.abs(x - (low - 10 ** rng.uniform(-2, 0.3) * spread if rng.random() < 0.7 else np.nanmean(x)))
    if rng.random() < 0.5:
        looks = 10 ** rng.uniform(0, 1.5)
        factor: Array = rng.standard_gamma(looks, x.shape, np.float32) / looks - 1
    else:
        factor = rng.standard_normal(x.shape, np.float32)
    return np.where(np.isfinite(x), height, 0.0) * factor


def draw_outliers(x: Array, rng: Generator) -> Array:
    """Draw a few large outliers, as of failed retrievals."""
    hit = rng.random(x.shape) < 10 ** rng.uniform(-3, -1)
    return hit * rng.standard_normal(x.shape) * 10 + rng.uniform(0, 1) * rng.standard_normal(x.shape)


_KINDS: tuple[tuple[float, Callable[[Array, Generator], Array]], ...] = (
    (0.3, draw_white_noise),
    (0.34, draw_red_noise),
    (0.05, draw_blurred_noise),
    (0.2, draw_stripes),
    (0.16, draw_speckle),
    (0.03, draw_outliers),
)


def draw_noise(x: Array, rng: Generator) -> Array:
    """Draw noise of one or two kinds for slices (time, y, x), with unit standard deviation over their finite points."""
    weights = np.array([weight for weight, _ in _KINDS])
    total, is_finite = np.zeros(x.shape), np.isfinite(x)
    for k in rng.choice(len(_KINDS), size=1 if rng.random() < 0.8 else 2, p=weights / weights.sum()):
        part = _KINDS[k][1](x, rng)
        total += 10 ** rng.uniform(-0.7, 0) * part / max(float(part.std(where=is_finite)), 1e-12)
    return total / max(float(total.std(where=is_finite)), 1e-12)


def draw_missing(shape: tuple[int, ...], rng: Generator) -> NDArray[np.bool_]:
    """Draw which points of slices (time, y, x) are missing, bool: clouds, a coast, single points, or swaths."""
    kind = rng.random()
    if kind < 0.5:  # clouds: independent in each slice
        slope = rng.uniform(2, 4)
        clouds = draw_planes(shape[0], lambda k: draw_power_law((k, *shape[1:]), slope, rng), rng)
        return clouds > np.quantile(clouds[:12], 1 - rng.uniform(0.05, 0.7))
    if kind < 0.7:
        land = draw_power_law(shape[1:], rng.uniform(2, 4), rng)
        return np.broadcast_to(land > np.quantile(land, 1 - rng.uniform(0.05, 0.8)), shape).copy()
    if kind < 0.85:
        return rng.random(shape) < 10 ** rng.uniform(-2, -0.3)
    y, x = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    period, duty = rng.uniform(20, 80), rng.uniform(0.5, 0.9)
    place = (x + rng.uniform(-1, 1) * y)[None] + rng.uniform(0, period, size=(shape[0], 1, 1))
    return place % period > duty * period
