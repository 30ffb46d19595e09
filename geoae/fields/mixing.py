"""Training windows of fields: slices of files or synthetic slices, with neighbours in time, noise and gaps.

A window depends only on (seed, index), so resumed and distributed trainings use the same windows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays import neighbours, overview
from geoae.arrays.scaling import FieldScaler
from geoae.arrays.types import Array, Generator
from geoae.errors import InputError
from geoae.fields import damage, synthesis
from geoae.fields.recipe import FieldMix, FieldWindow

Cut = Callable[[Array], Array]
"""Maps slices (time, y, x) to a part or another orientation of them."""
CUTS_PER_WIDE_FIELD = 4
"""Windows cut from one wide field, because drawing the field takes most of the time."""


class FieldExample(NamedTuple):
    """Scaled input (8, y, x) and target (1, y, x) of the net, and the points that count in the loss, bool (1, y, x)."""

    shown: NDArray[np.float32]
    target: NDArray[np.float32]
    counts: NDArray[np.bool_]


@dataclass
class FieldMixer:
    """Draws training windows: `mixer[index]` depends only on seed and index."""

    fields: list[Array]
    """Arrays (time, y, x), NaN where samples are missing."""
    mix: FieldMix
    window: FieldWindow
    seed: int
    noise: list[Array] = field(default_factory=list)
    """Recorded noise (time, y, x)."""
    noise_of: Callable[[Array], Array] | None = None
    """Predicts noise (batch, 1, y, x) from channels (batch, 8, y, x), for the overviews of wide fields."""
    scaler: FieldScaler = field(default_factory=lambda: FieldScaler(axes=2, channels=neighbours.N_VALUES))

    def __post_init__(self) -> None:
        if not self.fields and self.mix.drawn < 1:
            raise InputError("There are no fields to train on, and mix.drawn is below 1.")
        shapes = {x.shape for x in self.fields}
        if self.mix.target == "members" and (len(self.fields) < 2 or len(shapes) > 1):
            raise InputError(
                f"mix.target members needs at least two members of one shape; there are {len(self.fields)} arrays of "
                f"shapes {', '.join(map(str, sorted(shapes)))}."
            )
        share = np.array([float(np.isfinite(x).sum()) ** 0.5 for x in self.fields])
        self._share = share / max(share.sum(), 1)
        self._wide: tuple[int, Array, Array, Array] | None = None

    def __getitem__(self, index: int) -> FieldExample:
        rng = np.random.default_rng((self.seed, index))
        group = index // CUTS_PER_WIDE_FIELD
        if self.mix.wide and np.random.default_rng((self.seed, group, 0)).random() < self.mix.wide:
            return self._scale(*self._cut_wide_field(group, rng))
        draw = {"clean": self._draw_clean, "members": self._draw_members, "blind-spot": self._draw_blind_spot}[
            self.mix.target
        ]
        noisy, at, target, counts = draw(rng)
        return self._scale(neighbours.make_channels(noisy, at, self.window.near, self.window.far), target, counts)

    def _scale(self, channels: Array, target: Array, counts: NDArray[np.bool_]) -> FieldExample:
        """Scale channels (8, y, x) and their target (y, x) alike."""
        scaled, stats = self.scaler.apply(channels[None])
        gain = stats.gain[0, 0]
        scaled_target = np.where(counts, (target - stats.offset[0, 0]) / np.where(gain > 0, gain, np.inf), 0.0)
        return FieldExample(scaled[0], scaled_target.astype(np.float32)[None], counts[None])

    def _draw_clean(self, rng: Generator) -> tuple[Array, int, Array, NDArray[np.bool_]]:
        """Noisy slices, the number of the one to be denoised, its clean signal, and where it counts."""
        mix, n = self.mix, self.window.train_length
        is_small = rng.random() < mix.small
        size = _draw_small_size(n, rng) if is_small else (n, n)
        signal, at = self._draw_clean_slices(rng, size)
        if len(signal) > 1 and rng.random() < mix.unrelated:
            others = np.arange(len(signal)) != at
            offset = rng.normal() * 10 ** rng.uniform(-1, 1.3) * float(np.nanstd(signal[at]))
            signal[others] = signal[others][:, ::-1, ::-1] * rng.uniform(-2, 2) + offset
        noisy = self._add_noise(signal, at, rng, is_small)
        return noisy, at, signal[at], np.isfinite(noisy[at])

    def _add_noise(self, signal: Array, at: int, rng: Generator, is_small: bool) -> Array:
        """Add noise, with a level relative to the standard deviation of slice `at`, and gaps."""
        mix, noisy = self.mix, signal.copy()
        if rng.random() >= (max(mix.noiseless, mix.small_noiseless) if is_small else mix.noiseless):
            # small grids are mostly averages of finer ones, so their noise is averaged, too
            low, high = np.log10(
                [min(level, mix.small_noise) for level in mix.noise_level] if is_small else mix.noise_level
            )
            level = 10 ** rng.uniform(low, high) * max(float(np.nanstd(signal[at])), 1e-30)
            noisy += level * (
                self._draw_recorded_noise if self.noise and rng.random() < mix.recorded_noise else damage.draw_noise
            )(signal, rng)
        if rng.random() < mix.missing:
            missing = damage.draw_missing(noisy.shape, rng)
            missing[at] &= bool((np.isfinite(noisy[at]) & ~missing[at]).any())
            noisy[missing] = np.nan
        return noisy

    def _cut_wide_field(self, group: int, rng: Generator) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Channels of a window of a wide field with its overview, its clean signal, and where it counts."""
        if self._wide is None or self._wide[0] != group:
            self._wide = (group, *self._draw_wide_field(np.random.default_rng((self.seed, group, 1))))
        _, noisy, signal, overview_noise = self._wide
        n = self.window.train_length
        # around a point that is not missing: no window is empty
        points = np.argwhere(np.isfinite(noisy))
        middle = points[int(rng.integers(len(points)))]
        corner = [int(np.clip(k - n // 2, 0, length - n)) for k, length in zip(middle, noisy.shape, strict=True)]
        window = tuple(slice(k, k + n) for k in corner)
        planes = neighbours.make_channels(noisy[None, *window], 0, self.window.near, self.window.far)
        return neighbours.add_overview(planes, overview_noise[window]), signal[window], np.isfinite(noisy[window])

    def _draw_wide_field(self, rng: Generator) -> tuple[Array, Array, Array]:
        """Draw a slice several windows wide: noisy, clean, and the noise that the model predicts from its overview."""
        assert self.noise_of is not None
        by, n, near, far = self.window.overview, self.window.train_length, self.window.near, self.window.far
        # most have overviews as large as a window, others fill a part of it
        rows = n if rng.random() < 0.7 else int(rng.integers(-(-n // by), n + 1))
        field_slice = None
        if rng.random() >= self.mix.drawn:
            source = self.fields[int(rng.choice(len(self.fields), p=self._share))]
            field_slice = source[int(rng.integers(len(source)))]
        if field_slice is not None and np.isfinite(field_slice).all():
            signal = self._draw_orientation(rng)(
                _cut_and_enlarge(field_slice, by * rows, self.mix.largest_zoom, rng)[None]
            )
        else:
            signal = synthesis.draw_sequence(1, (by * rows, by * int(rng.integers(-(-n // by), n + 1))), rng)
        noisy = self._add_noise(signal, 0, rng, is_small=False)
        blocks = overview.average_blocks(noisy, by)
        beyond = [(0, 0), *((0, n - length) for length in blocks.shape[1:])]
        planes = neighbours.make_channels(np.pad(blocks, beyond, constant_values=np.nan), 0, near, far)
        overview_noise = self.noise_of(planes[None])[0, 0]
        for axis, length in enumerate(signal.shape[1:]):
            overview_noise = overview.interpolate_blocks(
                overview_noise, axis, 0, length, slice(0, length), by, closed=False
            )
        return noisy[0], signal[0], overview_noise

    def _draw_recorded_noise(self, x: Array, rng: Generator) -> Array:
        """Recorded noise for slices (time, y, x), each from another place and time of one file; unit variance."""
        source, size = self.noise[int(rng.integers(len(self.noise)))], x.shape[1:]
        parts = []
        for _ in range(len(x)):
            plane = source[int(rng.integers(len(source)))]
            corner = [int(rng.integers(0, max(length - n, 0) + 1)) for length, n in zip(plane.shape, size, strict=True)]
            part = plane[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
            # planes that are too small are continued by their mirror image
            beyond = [(0, n - length) for length, n in zip(part.shape, size, strict=True)]
            parts.append(np.pad(part, beyond, mode="symmetric"))
        out = np.nan_to_num(np.stack(parts))
        return (out - out.mean()) / max(float(out.std()), 1e-30)

    def _draw_members(self, rng: Generator) -> tuple[Array, int, Array, NDArray[np.bool_]]:
        """One member is the input, another the target: what they share is signal, internal variability is noise."""
        one, two = rng.choice(len(self.fields), size=2, replace=False)
        cut, orient = self._draw_cut(self.fields[one], rng), self._draw_orientation(rng)
        before, at, after = self._draw_times(len(self.fields[one]), rng)
        shown, target = (orient(cut(self.fields[k][before:after])) for k in (one, two))
        difference = shown - target
        if np.isfinite(difference).any() and rng.random() < self.mix.added:  # a forced change that all members share
            weather = float(np.nanstd(difference)) / 2**0.5
            change = 10 ** rng.uniform(-1, 0.5) * weather * synthesis.draw_drift(len(shown), shown.shape[1:], rng)
            shown, target = shown + change, target + change
        target = target[at - before]
        return shown, at - before, target, np.isfinite(shown[at - before]) & np.isfinite(target)

    def _draw_blind_spot(self, rng: Generator) -> tuple[Array, int, Array, NDArray[np.bool_]]:
        """Hidden points get the value of a point nearby; the target is their true value."""
        x = self.fields[int(rng.choice(len(self.fields), p=self._share))]
        before, at, after = self._draw_times(len(x), rng)
        noisy = self._draw_orientation(rng)(self._draw_cut(x, rng)(x[before:after]))
        target = noisy[at - before]
        hidden = (rng.random(target.shape) < self.mix.hidden) & np.isfinite(target)
        y, x_ = np.nonzero(hidden)
        step = rng.integers(-3, 4, size=(2, len(y)))
        step[1] += (step == 0).all(axis=0)  # a point must not replace itself
        other = target[(y + step[0]) % target.shape[0], (x_ + step[1]) % target.shape[1]]
        shown = noisy.copy()
        shown[at - before][hidden] = np.where(np.isfinite(other), other, np.nanmean(target))
        return shown, at - before, target, hidden

    def _draw_clean_slices(self, rng: Generator, size: tuple[int, ...]) -> tuple[Array, int]:
        """Clean slices of a grid of a size, NaN outside it, and the number of the slice to be denoised."""
        n = self.window.train_length
        beyond = [(0, 0), *((0, n - length) for length in size)]
        if rng.random() < self.mix.drawn:
            before, at, after = self._draw_times(2 * self.window.far + 1, rng)
            step = 1 if size == (n, n) else int(rng.integers(1, min(3, 2 * n // max(size)) + 1))
            fine = synthesis.draw_sequence(after - before, (int(size[0]) * step, int(size[1]) * step), rng)
            return np.pad(_coarsen(fine, step, rng), beyond, constant_values=np.nan), at - before
        x = self.fields[int(rng.choice(len(self.fields), p=self._share))]
        before, at, after = self._draw_times(len(x), rng)
        cut = self._draw_cut(x, rng) if size == (n, n) else _draw_small_cut(x, size, n, rng)
        out = self._draw_orientation(rng)(cut(x[before:after]))
        out = out * rng.choice([-1.0, 1.0])
        if rng.random() < self.mix.added:
            spread = np.nanstd(out[at - before])
            out = out + 10 ** rng.uniform(-1.3, 0.3) * spread * synthesis.draw_sequence(len(out), (n, n), rng)
        return out, at - before

    def _draw_times(self, n: int, rng: Generator) -> tuple[int, int, int]:
        """Draw (first, index, end): the slice to be denoised, and the range of its neighbours in time."""
        at = int(rng.integers(0, n))
        if rng.random() < self.mix.alone:
            return at, at, at + 1
        if rng.random() < 0.3:  # short series
            before, after = (int(rng.integers(0, self.window.far // 2 + 1)) for _ in range(2))
            return max(at - before, 0), at, min(at + after + 1, n)
        first, end = neighbours.find_time_neighbours(at, n, self.window.far)
        return first, at, end

    def _draw_cut(self, x: Array, rng: Generator) -> Cut:
        """Draw the place and the zoom of a training window; returns a function that cuts it, NaN outside the grid."""
        n, mix = self.window.train_length, self.mix
        zoom = 1.0
        if rng.random() < mix.zoomed and np.isfinite(x[0]).all():
            zoom = mix.largest_zoom ** rng.random() if rng.random() < 0.8 else 0.5
        if zoom < 1 and min(x.shape[1:]) < 2 * n:
            zoom = 1.0
        size = min(int(np.ceil(n / zoom)) + 1, 10**9) if zoom != 1 else n
        corner = [int(rng.integers(0, max(length - size, 0) + 1)) for length in x.shape[1:]]
        shift = rng.random(2)

        def cut(slices: Array) -> Array:
            part: Array = slices[:, corner[0] : corner[0] + size, corner[1] : corner[1] + size].astype(np.float64)
            if zoom < 1:
                part = part[:, : 2 * n, : 2 * n]
                part = part.reshape(len(part), n, 2, n, 2).mean(axis=(2, 4))
            elif zoom > 1:
                for axis in (1, 2):
                    part = _interpolate(part, axis, n, zoom, shift[axis - 1])
            beyond = [(0, 0), *((0, n - length) for length in part.shape[1:])]
            return np.pad(part, beyond, constant_values=np.nan)

        return cut

    def _draw_orientation(self, rng: Generator) -> Cut:
        """Draw reflections and a transpose; returns a function that applies them."""
        if rng.random() >= self.mix.turned:
            return lambda x: x
        flip_y, flip_x, transpose = (rng.random() < 0.5 for _ in range(3))

        def orient(x: Array) -> Array:
            x = np.swapaxes(x, 1, 2) if transpose else x
            return x[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1].copy()

        return orient


def _draw_small_size(n: int, rng: Generator) -> tuple[int, int]:
    """Draw rows and columns of a grid that is smaller than n x n along at least one side."""
    rows, columns = (int(k) for k in rng.integers(8, n, 2))
    narrow = rng.random()
    return (n, columns) if narrow < 0.15 else (rows, n) if narrow < 0.3 else (rows, columns)


def _draw_small_cut(x: Array, size: tuple[int, ...], n: int, rng: Generator) -> Cut:
    """Draw the cut of a small grid, coarsened since small grids are mostly coarse; NaN outside it."""
    most = max(min(length // wanted for length, wanted in zip(x.shape[1:], size, strict=True)), 1)
    step = int(rng.integers(1, min(most, 8) + 1))
    spans = []
    for length, wanted in zip(x.shape[1:], size, strict=True):
        first = int(rng.integers(0, max(length - wanted * step, 0) + 1))
        spans.append(slice(first, first + wanted * step))

    def cut(slices: Array) -> Array:
        part = _coarsen(slices[:, spans[0], spans[1]].astype(np.float64), step, rng)
        return np.pad(part, [(0, 0), *((0, n - length) for length in part.shape[1:])], constant_values=np.nan)

    return cut


def _coarsen(x: Array, step: int, rng: Generator) -> Array:
    """Take every `step`-th point of slices (time, y, x), or means over squares of points (NaN if one is missing)."""
    if step == 1 or rng.random() < 0.5:
        return x[:, ::step, ::step]
    whole = x[:, : x.shape[1] // step * step, : x.shape[2] // step * step]
    means: Array = whole.reshape(len(x), whole.shape[1] // step, step, whole.shape[2] // step, step).mean(axis=(2, 4))
    return means


def _cut_and_enlarge(x: Array, n: int, most: float, rng: Generator) -> Array:
    """Cut a part of a slice (y, x) and interpolate it, up to `most` times denser, to at most n x n points."""
    n = min(n, int(most * min(x.shape)))
    least = max(n / min(x.shape), 1.0)
    zoom = least * (max(most, least) / least) ** rng.random()
    size, shift = min(int(np.ceil(n / zoom)) + 1, *x.shape), rng.random(2)
    corner = [int(rng.integers(0, length - size + 1)) for length in x.shape]
    part = x[None, corner[0] : corner[0] + size, corner[1] : corner[1] + size].astype(np.float64)
    wide = _interpolate(_interpolate(part, 1, n, zoom, shift[0]), 2, n, zoom, shift[1])
    return wide[0]


def _interpolate(x: Array, axis: int, n: int, zoom: float, shift: float) -> Array:
    """Interpolate `n` points, `1 / zoom` apart along an axis, with cubic splines."""
    length = x.shape[axis]
    at = np.minimum(np.arange(n) / zoom + shift * max(length - 1 - (n - 1) / zoom, 0), length - 1)
    return np.moveaxis(np.tensordot(x, neighbours.make_spline_weights(length, at), axes=(axis, 1)), -1, axis)
