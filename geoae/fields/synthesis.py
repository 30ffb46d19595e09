"""Drawn fields: random surfaces of many slopes, fronts, plates, vortices, coasts, and how they change in time.

A net that has seen these knows what fields can look like, rather than what those of a few archives do. Every function
takes its random generator; fields have zero mean and unit variance unless they say otherwise.
"""

from collections.abc import Callable

import numpy as np
from scipy import fft
from scipy.ndimage import map_coordinates

from geoae.arrays.types import Array, Generator

Shape = tuple[int, int]


def normalise_field(x: Array) -> Array:
    """Zero mean and unit standard deviation over the last two axes; a constant stays zero."""
    x = x - x.mean(axis=(-1, -2), keepdims=True)
    spread = x.std(axis=(-1, -2), keepdims=True)
    return x / np.where(spread > 0, spread, 1.0)


def draw_power_law(
    shape: tuple[int, ...], slope: float, rng: Generator, stretch: float = 1.0, angle: float = 0.0, part: float = 0.8
) -> Array:
    """Gaussian fields whose power falls as wavenumber^-slope, unit variance, over the last two of the axes `shape`.

    On a plane geophysical fields have slopes from about 3 (topography, sea surface temperature) over 4 (geostrophic
    turbulence) to 8 (smoothed analyses). `stretch` above 1 draws the field out along `angle`. They are cut from a plane
    of which they are a `part` along each axis; below a half they keep the mean and the slopes that the larger plane
    gives them, at unit variance there.
    """
    # drawn on a larger plane: the part that is kept does not close on itself
    ny, nx = (fft.next_fast_len(max(round(n / part), n + 8), real=True) for n in shape[-2:])
    ky, kx = np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx)
    along, across = kx * np.cos(angle) + ky * np.sin(angle), ky * np.cos(angle) - kx * np.sin(angle)
    k = np.hypot(along * stretch, across / stretch)
    k[0, 0] = np.inf
    amplitude = (k ** (-slope / 2)).astype(np.float32)
    white = rng.standard_normal((*shape[:-2], ny, nx), dtype=np.float32)
    x = fft.irfft2(fft.rfft2(white) * amplitude, s=(ny, nx))
    if part < 0.5:
        spread = x.std(axis=(-1, -2), keepdims=True)
        return x[..., : shape[-2], : shape[-1]] / np.where(spread > 0, spread, 1.0)
    return normalise_field(x[..., : shape[-2], : shape[-1]])


def draw_planes(n: int, draw: Callable[[int], Array], rng: Generator, own: int = 12) -> Array:
    """`n` planes (n, y, x) for the cost of `own`: the others are rolled, mirrored and negated copies of those drawn.

    Copies that lie elsewhere average out as independent planes do, which is all that the mean of neighbours sees.
    """
    drawn = draw(min(n, own))
    if n <= own:
        return drawn
    out = np.empty((n, *drawn.shape[1:]), drawn.dtype)
    out[:own] = drawn
    ny, nx = drawn.shape[1:]
    rows, columns = rng.integers(ny // 8, ny, n), rng.integers(nx // 8, nx, n)
    signs, mirrors = rng.choice(np.array([-1, 1], drawn.dtype), n), rng.random(n) < 0.5
    for i in range(own, n):
        plane = drawn[i % own, :: -1 if mirrors[i] else 1]
        y, x, sign = rows[i], columns[i], signs[i]
        out[i, y:, x:], out[i, y:, :x] = sign * plane[: ny - y, : nx - x], sign * plane[: ny - y, nx - x :]
        out[i, :y, x:], out[i, :y, :x] = sign * plane[ny - y :, : nx - x], sign * plane[ny - y :, nx - x :]
    return out


def draw_smooth_surface(shape: Shape, slope: tuple[float, float], rng: Generator) -> Array:
    """A random surface, often drawn out in one direction."""
    stretch = 1.0 if rng.random() < 0.5 else rng.uniform(1, 3)
    return draw_power_law(
        shape, rng.uniform(*slope), rng, stretch, float(rng.choice([0.0, np.pi / 2, rng.uniform(0, 3)]))
    )


def draw_zonal(shape: Shape, rng: Generator) -> Array:
    """A profile along one axis, as from equator to pole, and a surface on it; jets that are a few points wide."""
    axis = int(rng.random() < 0.3)
    n = shape[axis]
    if rng.random() < 0.5:
        t = np.linspace(-1, 1, n) * rng.uniform(0.2, 1.5) + rng.uniform(-1, 1)
        profile = sum(rng.normal() / k**1.5 * np.cos(np.pi * k * t + rng.uniform(0, 6)) for k in range(1, 6))
    else:
        widths = 1.2 * (max(n / 5, 2) / 1.2) ** rng.random(int(rng.integers(2, 10)))
        profile = sum(rng.normal() * np.exp(-0.5 * ((np.arange(n) - rng.uniform(0, n)) / w) ** 2) for w in widths)
    return normalise_field(
        np.expand_dims(profile, 1 - axis) + rng.uniform(0, 1.2) * draw_smooth_surface(shape, (3.2, 6.5), rng)
    )


def draw_plates(shape: Shape, rng: Generator) -> Array:
    """Regions of constant value with sharp borders, as of facies, land use or soils."""
    layers = [draw_power_law(shape, rng.uniform(3.4, 5.5), rng) for _ in range(int(rng.integers(1, 4)))]
    x = sum(rng.normal() * np.digitize(layer, np.sort(rng.normal(size=int(rng.integers(1, 4))))) for layer in layers)
    return normalise_field(np.asarray(x, dtype=np.float64))


def draw_fronts(shape: Shape, rng: Generator) -> Array:
    """Steep borders between flat regions."""
    sharp = 10 ** rng.uniform(0, 1.3)
    x = np.tanh(sharp * (draw_power_law(shape, rng.uniform(3.4, 6.0), rng) - rng.normal()))
    return normalise_field(x + rng.uniform(0, 0.5) * draw_smooth_surface(shape, (3.2, 6.0), rng))


def draw_vortices(shape: Shape, rng: Generator) -> Array:
    """Eddies and jets: a sum of bumps of all sizes."""
    y, x = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    total = rng.uniform(0, 1) * draw_smooth_surface(shape, (3.2, 6.5), rng)
    for _ in range(int(rng.integers(2, 15))):
        size = 2 * 10 ** rng.uniform(0, 1.1)
        a, b = (y - rng.uniform(0, shape[0])) / size, (x - rng.uniform(0, shape[1])) / size / rng.uniform(0.5, 2)
        bump = np.exp(-(a * a + b * b) / 2)
        total = total + rng.normal() * (bump * a if rng.random() < 0.5 else bump)
    return normalise_field(total)


def draw_skewed(shape: Shape, rng: Generator) -> Array:
    """Non-negative fields with peaks, as rain, plankton or hydraulic conductivity."""
    x = draw_smooth_surface(shape, (3.2, 5.5), rng)
    if rng.random() < 0.5:
        return normalise_field(np.exp(rng.uniform(0.5, 1.5) * x))
    return normalise_field(np.maximum(x - rng.uniform(-1, 1), 0) ** rng.uniform(0.7, 1.5))


def draw_ridges(shape: Shape, rng: Generator) -> Array:
    """Valleys and crests, as of topography."""
    x = np.abs(draw_power_law(shape, rng.uniform(3.2, 5.0), rng))
    return normalise_field(rng.choice([-1, 1]) * x + rng.uniform(0, 1) * draw_smooth_surface(shape, (3.2, 5.0), rng))


def draw_waves(shape: Shape, rng: Generator) -> Array:
    """Trains of waves under an envelope, as of gravity waves, dunes or reflections."""
    y, x = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    angle, length = rng.uniform(0, np.pi), rng.uniform(5, 40)
    phase = 2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / length + 2 * draw_power_law(shape, 4.0, rng)
    return normalise_field(
        np.cos(phase) * np.exp(rng.uniform(0, 1) * draw_power_law(shape, 4.0, rng))
        + draw_smooth_surface(shape, (3.0, 5.0), rng)
    )


def draw_winds(shape: Shape, rng: Generator) -> Array:
    """A component of the flow along the lines of a stream function: rougher than that, and drawn out one way."""
    axis = int(rng.random() < 0.5)
    wide = (shape[0] + (axis == 0), shape[1] + (axis == 1))
    kind = rng.random()
    if kind < 0.4:
        stream = draw_power_law(wide, rng.uniform(5.0, 8.0), rng)
    elif kind < 0.6:
        stream = draw_vortices(wide, rng)
    else:  # storms in some places and none in others
        share = 1 / (1 + np.exp(-rng.uniform(1, 4) * (draw_power_law(wide, rng.uniform(4.0, 6.0), rng) + rng.normal())))
        stream = share * draw_power_law(wide, rng.uniform(4.8, 6.5), rng) + rng.uniform(0, 2) * draw_smooth_surface(
            wide, (6.0, 8.0), rng
        )
    return normalise_field(np.diff(stream, axis=axis))


def stretch_towards_pole(x: Array, rng: Generator) -> Array:
    """The same (y, x) where meridians converge: rows stretched the more the nearer they are to one edge."""
    ny, nx = x.shape
    latitude = np.linspace(rng.uniform(0, 60), rng.uniform(65, 88), ny)[:: 1 if rng.random() < 0.5 else -1]
    scale = np.cos(np.radians(latitude)) / np.cos(np.radians(latitude)).max()
    origin = rng.uniform(0, nx - 1)
    at = origin + (np.arange(nx) - origin) * scale[:, None]
    out: Array = map_coordinates(x, [np.broadcast_to(np.arange(ny)[:, None], x.shape), at], order=3, mode="nearest")
    return out


def draw_patchy(shape: Shape, rng: Generator) -> Array:
    """Rough in some places and smooth in others, as winds are over mountains and over the sea."""
    share = 1 / (1 + np.exp(-rng.uniform(1, 6) * (draw_power_law(shape, rng.uniform(3.5, 6.0), rng) + rng.normal())))
    rough, even = draw_power_law(shape, rng.uniform(3.0, 4.5), rng), draw_power_law(shape, rng.uniform(5.0, 8.0), rng)
    return normalise_field(share * rough + 10 ** rng.uniform(-0.5, 0.5) * even)


def remove_short_waves(x: Array, rng: Generator) -> Array:
    """The same without its shortest waves, as spectral models and interpolations leave them out; over the last axes."""
    waves = fft.dctn(x, axes=(-2, -1))
    k = np.hypot(*np.meshgrid(*(np.arange(n) / (2 * n) for n in x.shape[-2:]), indexing="ij")) / rng.uniform(0.12, 0.5)
    sharp = rng.random() < 0.5
    waves *= (k < 1 if sharp else np.exp(-(k ** rng.uniform(2, 8)))).astype(x.dtype)
    out: Array = fft.idctn(waves, axes=(-2, -1))
    return out


_KINDS: tuple[tuple[float, Callable[[Shape, Generator], Array]], ...] = (
    (0.25, lambda shape, rng: draw_smooth_surface(shape, (3.2, 8.0), rng)),
    (0.3, draw_zonal),
    (0.2, draw_patchy),
    (0.25, draw_winds),
    (0.08, draw_plates),
    (0.12, draw_fronts),
    (0.12, draw_vortices),
    (0.08, draw_skewed),
    (0.1, draw_ridges),
    (0.05, draw_waves),
)


def draw_field(shape: Shape, rng: Generator) -> Array:
    """One field of any kind, or a sum of two."""
    weights = np.array([weight for weight, _ in _KINDS])
    chosen = rng.choice(len(_KINDS), size=1 if rng.random() < 0.6 else 2, p=weights / weights.sum())
    x = sum((10 ** rng.uniform(-0.8, 0) * _KINDS[k][1](shape, rng) for k in chosen), np.zeros(shape))
    return normalise_field(stretch_towards_pole(x, rng) if rng.random() < 0.15 else x)


def draw_sequence(n: int, shape: Shape, rng: Generator) -> Array:
    """`n` fields in time (n, y, x): one that stays, a trend or season of it, and surfaces that come and go."""
    if rng.random() >= 0.3:
        return _sequence(n, shape, rng)
    edge = 12  # what is cut off afterwards: limits are not to be sharp in the window's own waves
    wide = remove_short_waves(_sequence(n, (shape[0] + 2 * edge, shape[1] + 2 * edge), rng), rng)
    return wide[:, edge:-edge, edge:-edge]


def draw_drift(n: int, shape: Shape, rng: Generator) -> Array:
    """Slow changes in time (n, y, x), as forcings make them: patterns mostly of one sign, each with its own course."""
    total = np.zeros((n, *shape), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        t = np.arange(n) - rng.uniform(0, n)  # where something begins, or is over
        width = n * 10 ** rng.uniform(-1.3, 0)
        kind = rng.random()
        course = (
            np.maximum(t, 0) / n if kind < 0.4 else np.exp(-np.abs(t) / width) if kind < 0.6 else np.tanh(t / width)
        )
        pattern = rng.uniform(0, 2) + draw_smooth_surface(shape, (3.2, 6.5), rng)
        total += (rng.normal() * course[:, None, None] * pattern).astype(np.float32)
    spread = float(total.std())
    return total / spread if spread > 0 else total


def _sequence(n: int, shape: Shape, rng: Generator) -> Array:
    lasting = draw_field(shape, rng)
    t = np.arange(n, dtype=np.float32) - n / 2
    out = np.repeat(lasting[None].astype(np.float32), n, axis=0)
    if n == 1:
        return out
    if rng.random() < 0.5:
        course = t / n if rng.random() < 0.5 else np.cos(2 * np.pi * t / rng.uniform(3, 40) + rng.uniform(0, 6))
        out += course[:, None, None] * (10 ** rng.uniform(-1.5, 0) * draw_field(shape, rng)).astype(np.float32)
    if rng.random() < 0.9:
        memory = float(rng.choice([0.0, 0.0, rng.uniform(0, 0.98)]))
        slope = rng.uniform(3.2, 6.5)
        if memory:
            weather = draw_power_law((n, *shape), slope, rng)
            for i in range(1, n):
                weather[i] = memory * weather[i - 1] + (1 - memory**2) ** 0.5 * weather[i]
        else:
            weather = draw_planes(n, lambda k: draw_power_law((k, *shape), slope, rng), rng)
        strength = 10 ** rng.uniform(-2.0, 0.0)
        if rng.random() < 0.5:
            strength = (strength * np.exp(0.5 * draw_power_law(shape, 4.0, rng))).astype(np.float32)
        weather *= strength
        out += weather
    if rng.random() < 0.15:  # what moves: neighbours are shifted copies
        speed = rng.normal(size=2) * 1.5
        out = np.stack([_shifted(one, speed * i) for one, i in zip(out, t, strict=True)])
    return out


def _shifted(x: Array, by: Array) -> Array:
    return np.roll(x, tuple(round(s) for s in by), axis=(0, 1))
