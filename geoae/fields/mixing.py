"""Training windows of fields: read and drawn slices with their neighbours in time, under noise and clouds.

A window depends on (seed, index) alone, so a resumed or distributed training sees the same windows.
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
CUTS_PER_WIDE_FIELD = 4
"""Windows that are cut out of one wide field, because drawing one takes longer than all else."""


class FieldExample(NamedTuple):
    """What the net is shown (6, y, x) and should answer (1, y, x), scaled; and where the answer counts (1, y, x)."""

    shown: NDArray[np.float32]
    target: NDArray[np.float32]
    counts: NDArray[np.bool_]


@dataclass
class FieldMixer:
    """Window number i of a training; `fields` are arrays (time, y, x) with NaN where there is nothing."""

    fields: list[Array]
    mix: FieldMix
    window: FieldWindow
    seed: int
    noise: list[Array] = field(default_factory=list)
    """Recorded noise (time, y, x)."""
    noise_of: Callable[[Array], Array] | None = None
    """Noise (batch, 1, y, x) that a model finds in channels (batch, 8, y, x): what overviews of wide fields show."""
    scaler: FieldScaler = field(default_factory=lambda: FieldScaler(axes=2, channels=neighbours.VALUES))

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
            return self._example(*self._cut_wide_field(group, rng))
        make = {"clean": self._clean, "members": self._members, "blind-spot": self._blind_spot}[self.mix.target]
        noisy, at, target, counts = make(rng)
        return self._example(neighbours.channels(noisy, at, self.window.near, self.window.far), target, counts)

    def _example(self, stack: Array, target: Array, counts: NDArray[np.bool_]) -> FieldExample:
        scaled, stats = self.scaler.apply(stack[None])
        gain = stats.gain[0, 0]
        wanted = np.where(counts, (target - stats.offset[0, 0]) / np.where(gain > 0, gain, np.inf), 0.0)
        return FieldExample(scaled[0], wanted.astype(np.float32)[None], counts[None])

    def _clean(self, rng: Generator) -> tuple[Array, int, Array, NDArray[np.bool_]]:
        mix, n = self.mix, self.window.train_length
        small = rng.random() < mix.small
        size = _small(n, rng) if small else (n, n)
        signal, at = self._sequence(rng, size)
        if len(signal) > 1 and rng.random() < mix.unrelated:
            others = np.arange(len(signal)) != at
            away = rng.normal() * 10 ** rng.uniform(-1, 1.3) * float(np.nanstd(signal[at]))
            signal[others] = signal[others][:, ::-1, ::-1] * rng.uniform(-2, 2) + away
        noisy = self._noisy(signal, at, rng, small)
        return noisy, at, signal[at], np.isfinite(noisy[at])

    def _noisy(self, signal: Array, at: int, rng: Generator, small: bool) -> Array:
        """Slices under noise, whose level is in terms of slice `at`, and with gaps."""
        mix, noisy = self.mix, signal.copy()
        if rng.random() >= (max(mix.noiseless, mix.small_noiseless) if small else mix.noiseless):
            # small grids are mostly averages of finer ones, and so is their noise
            low, high = np.log10(
                [min(level, mix.small_noise) for level in mix.noise_level] if small else mix.noise_level
            )
            level = 10 ** rng.uniform(low, high) * max(float(np.nanstd(signal[at])), 1e-30)
            noisy += level * (
                self._recorded if self.noise and rng.random() < mix.recorded_noise else damage.draw_noise
            )(signal, rng)
        if rng.random() < mix.missing:
            gone = damage.draw_missing(noisy.shape, rng)
            gone[at] &= bool((np.isfinite(noisy[at]) & ~gone[at]).any())
            noisy[gone] = np.nan
        return noisy

    def _cut_wide_field(self, group: int, rng: Generator) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Channels of a window of a wide field beside its overview, what it should be, and where that counts."""
        if self._wide is None or self._wide[0] != group:
            self._wide = (group, *self._draw_wide_field(np.random.default_rng((self.seed, group, 1))))
        _, noisy, signal, shown = self._wide
        n = self.window.train_length
        # around a point that is there: windows hold something
        points = np.argwhere(np.isfinite(noisy))
        middle = points[int(rng.integers(len(points)))]
        corner = [int(np.clip(k - n // 2, 0, length - n)) for k, length in zip(middle, noisy.shape, strict=True)]
        here = tuple(slice(k, k + n) for k in corner)
        planes = neighbours.channels(noisy[None, *here], 0, self.window.near, self.window.far)
        return neighbours.with_overview(planes, shown[here]), signal[here], np.isfinite(noisy[here])

    def _draw_wide_field(self, rng: Generator) -> tuple[Array, Array, Array]:
        """Draw a slice some windows wide, with and without noise, and the noise that a model finds in its overview."""
        assert self.noise_of is not None
        by, n, near, far = self.window.overview, self.window.train_length, self.window.near, self.window.far
        # most are as large as an overview's window, others fill a part of it
        rows = n if rng.random() < 0.7 else int(rng.integers(-(-n // by), n + 1))
        one = None
        if rng.random() >= self.mix.drawn:
            source = self.fields[int(rng.choice(len(self.fields), p=self._share))]
            one = source[int(rng.integers(len(source)))]
        if one is not None and np.isfinite(one).all():
            signal = self._draw_orientation(rng)(_stretched(one, by * rows, self.mix.largest_zoom, rng)[None])
        else:
            signal = synthesis.draw_sequence(1, (by * rows, by * int(rng.integers(-(-n // by), n + 1))), rng)
        noisy = self._noisy(signal, 0, rng, small=False)
        blocks = overview.means(noisy, by)
        beyond = [(0, 0), *((0, n - length) for length in blocks.shape[1:])]
        planes = neighbours.channels(np.pad(blocks, beyond, constant_values=np.nan), 0, near, far)
        shown = self.noise_of(planes[None])[0, 0]
        for axis, length in enumerate(signal.shape[1:]):
            shown = overview.between(shown, axis, 0, length, slice(0, length), by, closed=False)
        return noisy[0], signal[0], shown

    def _recorded(self, x: Array, rng: Generator) -> Array:
        """Recorded noise for slices (time, y, x): each from another place and time of one file, unit spread."""
        source, size = self.noise[int(rng.integers(len(self.noise)))], x.shape[1:]
        parts = []
        for _ in range(len(x)):
            one = source[int(rng.integers(len(source)))]
            corner = [int(rng.integers(0, max(length - n, 0) + 1)) for length, n in zip(one.shape, size, strict=True)]
            part = one[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
            # what is too small is continued by its mirror image
            beyond = [(0, n - length) for length, n in zip(part.shape, size, strict=True)]
            parts.append(np.pad(part, beyond, mode="symmetric"))
        out = np.nan_to_num(np.stack(parts))
        return (out - out.mean()) / max(float(out.std()), 1e-30)

    def _members(self, rng: Generator) -> tuple[Array, int, Array, NDArray[np.bool_]]:
        """One member is the input and another the target: what they share is signal, internal variability is noise."""
        one, two = rng.choice(len(self.fields), size=2, replace=False)
        place, view = self._draw_cut(self.fields[one], rng), self._draw_orientation(rng)
        before, at, after = self._draw_times(len(self.fields[one]), rng)
        shown, target = (view(place(self.fields[k][before:after])) for k in (one, two))
        differ = shown - target
        if np.isfinite(differ).any() and rng.random() < self.mix.added:  # a forcing that no member has seen
            weather = float(np.nanstd(differ)) / 2**0.5
            more = 10 ** rng.uniform(-1, 0.5) * weather * synthesis.draw_drift(len(shown), shown.shape[1:], rng)
            shown, target = shown + more, target + more
        target = target[at - before]
        return shown, at - before, target, np.isfinite(shown[at - before]) & np.isfinite(target)

    def _blind_spot(self, rng: Generator) -> tuple[Array, int, Array, NDArray[np.bool_]]:
        """Some points get the value of a point nearby; the target is their own value, predicted from all others."""
        x = self.fields[int(rng.choice(len(self.fields), p=self._share))]
        before, at, after = self._draw_times(len(x), rng)
        noisy = self._draw_orientation(rng)(self._draw_cut(x, rng)(x[before:after]))
        target = noisy[at - before]
        hidden = (rng.random(target.shape) < self.mix.hidden) & np.isfinite(target)
        y, x_ = np.nonzero(hidden)
        step = rng.integers(-3, 4, size=(2, len(y)))
        step[1] += (step == 0).all(axis=0)  # a point must not stand in for itself
        other = target[(y + step[0]) % target.shape[0], (x_ + step[1]) % target.shape[1]]
        shown = noisy.copy()
        shown[at - before][hidden] = np.where(np.isfinite(other), other, np.nanmean(target))
        return shown, at - before, target, hidden

    def _sequence(self, rng: Generator, size: tuple[int, ...]) -> tuple[Array, int]:
        """Clean slices of a grid of a size, NaN beyond it, and which of them is to be denoised."""
        n = self.window.train_length
        beyond = [(0, 0), *((0, n - length) for length in size)]
        if rng.random() < self.mix.drawn:
            before, at, after = self._draw_times(2 * self.window.far + 1, rng)
            step = 1 if size == (n, n) else int(rng.integers(1, min(3, 2 * n // max(size)) + 1))
            fine = synthesis.draw_sequence(after - before, (int(size[0]) * step, int(size[1]) * step), rng)
            return np.pad(_coarse(fine, step, rng), beyond, constant_values=np.nan), at - before
        x = self.fields[int(rng.choice(len(self.fields), p=self._share))]
        before, at, after = self._draw_times(len(x), rng)
        place = self._draw_cut(x, rng) if size == (n, n) else _thinned(x, size, n, rng)
        out = self._draw_orientation(rng)(place(x[before:after]))
        out = out * rng.choice([-1.0, 1.0])
        if rng.random() < self.mix.added:
            spread = np.nanstd(out[at - before])
            out = out + 10 ** rng.uniform(-1.3, 0.3) * spread * synthesis.draw_sequence(len(out), (n, n), rng)
        return out, at - before

    def _draw_times(self, n: int, rng: Generator) -> tuple[int, int, int]:
        """Draw (first, index, end): the slice to be denoised, and the range of its neighbours."""
        at = int(rng.integers(0, n))
        if rng.random() < self.mix.alone:
            return at, at, at + 1
        if rng.random() < 0.3:  # short series
            before, after = (int(rng.integers(0, self.window.far // 2 + 1)) for _ in range(2))
            return max(at - before, 0), at, min(at + after + 1, n)
        first, end = neighbours.time_neighbours(at, n, self.window.far)
        return first, at, end

    def _draw_cut(self, x: Array, rng: Generator) -> Cut:
        """Draw how the training window is cut out of slices, enlarged or thinned; NaN beyond the grid."""
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
                    part = _enlarged(part, axis, n, zoom, shift[axis - 1])
            beyond = [(0, 0), *((0, n - length) for length in part.shape[1:])]
            return np.pad(part, beyond, constant_values=np.nan)

        return cut

    def _draw_orientation(self, rng: Generator) -> Cut:
        """Draw reflections and a transpose: most fields have no preferred direction."""
        if rng.random() >= self.mix.turned:
            return lambda x: x
        up, right, turn = (rng.random() < 0.5 for _ in range(3))

        def view(x: Array) -> Array:
            x = np.swapaxes(x, 1, 2) if turn else x
            return x[:, :: -1 if up else 1, :: -1 if right else 1].copy()

        return view


def _small(n: int, rng: Generator) -> tuple[int, int]:
    """Rows and columns of a grid that does not fill a window of n x n along one of its sides at least."""
    rows, columns = (int(k) for k in rng.integers(8, n, 2))
    narrow = rng.random()
    return (n, columns) if narrow < 0.15 else (rows, n) if narrow < 0.3 else (rows, columns)


def _thinned(x: Array, size: tuple[int, ...], n: int, rng: Generator) -> Cut:
    """Cut of a small grid, of few of its points or of means: small grids are mostly coarse. Beyond it is nothing."""
    most = max(min(length // wanted for length, wanted in zip(x.shape[1:], size, strict=True)), 1)
    step = int(rng.integers(1, min(most, 8) + 1))
    spans = []
    for length, wanted in zip(x.shape[1:], size, strict=True):
        first = int(rng.integers(0, max(length - wanted * step, 0) + 1))
        spans.append(slice(first, first + wanted * step))

    def cut(slices: Array) -> Array:
        part = _coarse(slices[:, spans[0], spans[1]].astype(np.float64), step, rng)
        return np.pad(part, [(0, 0), *((0, n - length) for length in part.shape[1:])], constant_values=np.nan)

    return cut


def _coarse(x: Array, step: int, rng: Generator) -> Array:
    """Every so many points of slices (time, y, x), or the means over as many; NaN where one of them is missing."""
    if step == 1 or rng.random() < 0.5:
        return x[:, ::step, ::step]
    whole = x[:, : x.shape[1] // step * step, : x.shape[2] // step * step]
    means: Array = whole.reshape(len(x), whole.shape[1] // step, step, whole.shape[2] // step, step).mean(axis=(2, 4))
    return means


def _stretched(x: Array, n: int, most: float, rng: Generator) -> Array:
    """A part of n x n points, or fewer, of a slice (y, x) whose points are made up to `most` times denser."""
    n = min(n, int(most * min(x.shape)))
    least = max(n / min(x.shape), 1.0)
    zoom = least * (max(most, least) / least) ** rng.random()
    size, shift = min(int(np.ceil(n / zoom)) + 1, *x.shape), rng.random(2)
    corner = [int(rng.integers(0, length - size + 1)) for length in x.shape]
    part = x[None, corner[0] : corner[0] + size, corner[1] : corner[1] + size].astype(np.float64)
    wide = _enlarged(_enlarged(part, 1, n, zoom, shift[0]), 2, n, zoom, shift[1])
    return wide[0]


def _enlarged(x: Array, axis: int, n: int, zoom: float, shift: float) -> Array:
    """`n` points `1 / zoom` apart along an axis, by cubic splines."""
    length = x.shape[axis]
    at = np.minimum(np.arange(n) / zoom + shift * max(length - 1 - (n - 1) / zoom, 0), length - 1)
    return np.moveaxis(np.tensordot(x, neighbours.spline(length, at), axes=(axis, 1)), -1, axis)
