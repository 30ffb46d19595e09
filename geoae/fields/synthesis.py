"""Synthetic fields: random surfaces, fronts, plates, vortices and others, and their changes in time.

They vary more than the fields of a few archives, so a net trained on them generalises better. Functions take a random
generator; fields have zero mean and unit variance unless stated otherwise.
"""

from collections.abc import Callable

import numpy as np
from scipy import fft
from scipy.ndimage import map_coordinates

from geoae.arrays.types import Array, Generator

Shape = tuple[int, int]


def normalise_field(x: Array) -> Array:
    """Scale to zero mean and unit standard deviation over the last two axes; constant fields become zero."""
    x = x - x.mean(axis=(-1, -2), keepdims=True)
    spread = x.std(axis=(-1, -2), keepdims=True)
    return x / np.where(spread > 0, spread, 1.0)


def draw_power_law(
    shape: tuple[int, ...], slope: float, rng: Generator, stretch: float = 1.0, angle: float = 0.0, part: float = 0.8
) -> Array:
    """Draw Gaussian fields with power proportional to wavenumber^-slope over the last two axes of `shape`.

    In two dimensions, geophysical fields have slopes from about 3 (topography, sea surface temperature) over 4
    (geostrophic turbulence) to 8 (smoothed analyses). `stretch` above 1 elongates the field along `angle`. Fields are
    cut from a larger plane; `part` is their size relative to it along each axis. With a `part` below 0.5, fields keep
    the mean and the gradient of the plane, which has unit variance.
    """
    # on a larger plane, because the transform is periodic and the field must not be
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


def draw_planes(n: int, draw: Callable[[int], Array], rng: Generator, n_drawn: int = 12) -> Array:
    """Draw `n` planes (n, y, x) with the cost of `n_drawn`; the others are rolled, mirrored and negated copies.

    Displaced copies average out like independent planes, and the net sees only means over the neighbours in time.
    """
    drawn = draw(min(n, n_drawn))
    if n <= n_drawn:
        return drawn
    out = np.empty((n, *drawn.shape[1:]), drawn.dtype)
    out[:n_drawn] = drawn
    ny, nx = drawn.shape[1:]
    rows, columns = rng.integers(ny // 8, ny, n), rng.integers(nx // 8, nx, n)
    signs, mirrors = rng.choice(np.array([-1, 1], drawn.dtype), n), rng.random(n) < 0.5
    for i in range(n_drawn, n):
        plane = drawn[i % n_drawn, :: -1 if mirrors[i] else 1]
        y, x, sign = rows[i], columns[i], signs[i]
        out[i, y:, x:], out[i, y:, :x] = sign * plane[: ny - y, : nx - x], sign * plane[: ny - y, nx - x :]
        out[i, :y, x:], out[i, :y, :x] = sign * plane[ny - y :, : nx - x], sign * plane[ny - y :, nx - x :]
    return out


def draw_smooth_surface(shape: Shape, slope: tuple[float, float], rng: Generator) -> Array:
    """Draw a random surface, often elongated in one direction."""
    stretch = 1.0 if rng.random() < 0.5 else rng.uniform(1, 3)
    return draw_power_law(
        shape, rng.uniform(*slope), rng, stretch, float(rng.choice([0.0, np.pi / 2, rng.uniform(0, 3)]))
    )


def draw_zonal(shape: Shape, rng: Generator) -> Array:
    """Draw a profile along one axis, as from equator to pole or of narrow jets, with a random surface added."""
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
    """Draw regions of constant value with sharp borders, as of facies, land use or soils."""
    layers = [draw_power_law(shape, rng.uniform(3.4, 5.5), rng) for _ in range(int(rng.integers(1, 4)))]
    x = sum(rng.normal() * np.digitize(layer, np.sort(rng.normal(size=int(rng.integers(1, 4))))) for layer in layers)
    return normalise_field(np.asarray(x, dtype=np.float64))


def draw_fronts(shape: Shape, rng: Generator) -> Array:
    """Draw flat regions with steep transitions between them."""
    sharp = 10 ** rng.uniform(0, 1.3)
    x = np.tanh(sharp * (draw_power_law(shape, rng.uniform(3.4, 6.0), rng) - rng.normal()))
    return normalise_field(x + rng.uniform(0, 0.5) * draw_smooth_surface(shape, (3.2, 6.0), rng))


def draw_vortices(shape: Shape, rng: Generator) -> Array:
    """Draw eddies and jets: a sum of bumps of all sizes."""
    y, x = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    total = rng.uniform(0, 1) * draw_smooth_surface(shape, (3.2, 6.5), rng)
    for _ in range(int(rng.integers(2, 15))):
        size = 2 * 10 ** rng.uniform(0, 1.1)
        a, b = (y - rng.uniform(0, shape[0])) / size, (x - rng.uniform(0, shape[1])) / size / rng.uniform(0.5, 2)
        bump = np.exp(-(a * a + b * b) / 2)
        total = total + rng.normal() * (bump * a if rng.random() < 0.5 else bump)
    return normalise_field(total)


def draw_skewed(shape: Shape, rng: Generator) -> Array:
    """Draw a field with a skewed distribution, as of rain, plankton or hydraulic conductivity."""
    x = draw_smooth_surface(shape, (3.2, 5.5), rng)
    if rng.random() < 0.5:
        return normalise_field(np.exp(rng.uniform(0.5, 1.5) * x))
    return normalise_field(np.maximum(x - rng.uniform(-1, 1), 0) ** rng.uniform(0.7, 1.5))


def draw_ridges(shape: Shape, rng: Generator) -> Array:
    """Draw valleys and crests, as of topography."""
    x = np.abs(draw_power_law(shape, rng.uniform(3.2, 5.0), rng))
    return normalise_field(rng.choice([-1, 1]) * x + rng.uniform(0, 1) * draw_smooth_surface(shape, (3.2, 5.0), rng))


def draw_waves(shape: Shape, rng: Generator) -> Array:
    """Draw wave trains with an envelope, as of gravity waves, dunes or reflections."""
    y, x = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    angle, length = rng.uniform(0, np.pi), rng.uniform(5, 40)
    phase = 2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / length + 2 * draw_power_law(shape, 4.0, rng)
    return normalise_field(
        np.cos(phase) * np.exp(rng.uniform(0, 1) * draw_power_law(shape, 4.0, rng))
        + draw_smooth_surface(shape, (3.0, 5.0), rng)
    )


def draw_winds(shape: Shape, rng: Generator) -> Array:
    """Draw a component of the flow of a stream function, its derivative along one axis."""
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
    """Stretch rows of a field (y, x) towards one edge, as on a grid of latitude and longitude near a pole."""
    ny, nx = x.shape
    latitude = np.linspace(rng.uniform(0, 60), rng.uniform(65, 88), ny)[:: 1 if rng.random() < 0.5 else -1]
    scale = np.cos(np.radians(latitude)) / np.cos(np.radians(latitude)).max()
    origin = rng.uniform(0, nx - 1)
    at = origin + (np.arange(nx) - origin) * scale[:, None]
    out: Array = map_coordinates(x, [np.broadcast_to(np.arange(ny)[:, None], x.shape), at], order=3, mode="nearest")
    return out


def draw_patchy(shape: Shape, rng: Generator) -> Array:
    """Draw a field that is rough in some places and smooth in others, as winds over mountains and over the sea."""
    share = 1 / (1 + np.exp(-rng.uniform(1, 6) * (draw_power_law(shape, rng.uniform(3.5, 6.0), rng) + rng.normal())))
    rough, even = draw_power_law(shape, rng.uniform(3.0, 4.5), rng), draw_power_law(shape, rng.uniform(5.0, 8.0), rng)
    return normalise_field(share * rough + 10 ** rng.uniform(-0.5, 0.5) * even)


def remove_short_waves(x: Array, rng: Generator) -> Array:
    """Remove the shortest waves over the last two axes, as in spectral models and interpolations."""
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
    """Draw a field (y, x) of one kind, or a sum of two."""
    weights = np.array([weight for weight, _ in _KINDS])
    chosen = rng.choice(len(_KINDS), size=1 if rng.random() < 0.6 else 2, p=weights / weights.sum())
    x = sum((10 ** rng.uniform(-0.8, 0) * _KINDS[k][1](shape, rng) for k in chosen), np.zeros(shape))
    return normalise_field(stretch_towards_pole(x, rng) if rng.random() < 0.15 else x)


def draw_sequence(n: int, shape: Shape, rng: Generator) -> Array:
    """Draw `n` fields in time (n, y, x): a constant field, a trend or season, and variable weather."""
    if rng.random() >= 0.3:
        return _draw_full_sequence(n, shape, rng)
    edge = 12  # points that are cut off afterwards, so that the band limit is not exact on the smaller grid
    wide = remove_short_waves(_draw_full_sequence(n, (shape[0] + 2 * edge, shape[1] + 2 * edge), rng), rng)
    return wide[:, edge:-edge, edge:-edge]


def draw_drift(n: int, shape: Shape, rng: Generator) -> Array:
    """Draw slow changes in time (n, y, x), as of forcings: patterns mostly of one sign, each with its own time series.

    Unit variance over all.
    """
    total = np.zeros((n, *shape), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        t = np.arange(n) - rng.uniform(0, n)  # time since the change begins, or since its peak
        width = n * 10 ** rng.uniform(-1.3, 0)
        kind = rng.random()
        course = (
            np.maximum(t, 0) / n if kind < 0.4 else np.exp(-np.abs(t) / width) if kind < 0.6 else np.tanh(t / width)
        )
        pattern = rng.uniform(0, 2) + draw_smooth_surface(shape, (3.2, 6.5), rng)
        total += (rng.normal() * course[:, None, None] * pattern).astype(np.float32)
    spread = float(total.std())
    return total / spread if spread > 0 else total


def _draw_full_sequence(n: int, shape: Shape, rng: Generator) -> Array:
    """Draw a sequence with all its wavelengths; see `draw_sequence`."""
    constant = draw_field(shape, rng)
    t = np.arange(n, dtype=np.float32) - n / 2
    out = np.repeat(constant[None].astype(np.float32), n, axis=0)
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
    if rng.random() < 0.15:  # a moving field: slices are shifted copies
        speed = rng.normal(size=2) * 1.5
        out = np.stack([_shift(field, speed * i) for field, i in zip(out, t, strict=True)])
    return out


def _shift(x: Array, by: Array) -> Array:
    """Roll a field (y, x) by whole points."""
    return np.roll(x, tuple(round(s) for s in by), axis=(0, 1))
