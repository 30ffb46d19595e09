"""Draw the training and validation windows of a model with codes from fields or records."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.scaling import FieldScaler
from geoae.arrays.types import Array, Generator
from geoae.arrays.windows import find_window_starts
from geoae.codes.recipe import CodeRecipe, DrawSection
from geoae.errors import InputError
from geoae.fields import synthesis
from geoae.fields.data import load_slices
from geoae.readers.records.seisbench import open_set
from geoae.training.loop import Example
from geoae.training.recipe import SplitSection
from geoae.training.split import is_validation

_SHIFT = 7919  # a prime: in each pass over the windows, different windows share a batch


@dataclass
class WindowPool:
    """Windows in memory, repeated endlessly; each pass shifts their order."""

    windows: NDArray[np.float32]

    def __getitem__(self, index: int) -> Example:
        n = len(self.windows)
        return (self.windows[(index + index // n * _SHIFT) % n],)


def draw_windows(recipe: CodeRecipe, data: Path, window: tuple[int, ...]) -> tuple[Array, Array]:
    """Draw training and validation windows (batch, *window), unscaled; the recipe determines them."""
    rng = np.random.default_rng(recipe.optimize.seed)
    if recipe.data.records:
        pools = read_record_pools(data, recipe.data.records, recipe.split, window[0])
        return tuple(draw_record_windows(pool, n, window[0], recipe.draw, rng)
                     for pool, n in zip(pools, (recipe.draw.n, recipe.draw.n_validation), strict=True))  # type: ignore[return-value]  # fmt: skip
    found = [x.values for x in load_slices(data, recipe.data.files, recipe.data.exclude)]
    large = [x for x in found if all(n >= w for n, w in zip(x.shape[1:], window, strict=True))]
    if not large:
        raise InputError(f"No field of the recipe is as large as a window, {' x '.join(map(str, window))} points.")
    # a field of a single time has no slice to hold out
    split = [_choose_held_out(len(x), recipe.split) for x in large]
    training = [x[~out] for x, out in zip(large, split, strict=True)]
    validation = [x[out] for x, out in zip(large, split, strict=True) if out.any()] or training
    return (draw_field_windows(training, recipe.draw.n, window[0], recipe.draw, rng),
            draw_field_windows(validation, recipe.draw.n_validation, window[0], recipe.draw, rng))  # fmt: skip


def draw_field_windows(fields: list[Array], n: int, size: int, draw: DrawSection, rng: Generator) -> Array:
    """Draw windows (n, size, size) of fields (time, y, x), at least half of each valid, or of synthetic fields."""
    out = np.empty((n, size, size), np.float32)
    weights = np.sqrt([x.size for x in fields])  # an archive a hundred times larger counts ten times as much
    weights /= weights.sum()
    for i in range(n):
        if rng.random() < draw.drawn:
            out[i] = synthesis.draw_field((size, size), rng)
            continue
        for _ in range(100):
            window = _draw_field_window(fields[rng.choice(len(fields), p=weights)], size, draw, rng)
            if 2 * np.isfinite(window).sum() >= window.size:
                break
        out[i] = window
    return out


def _draw_field_window(x: Array, size: int, draw: DrawSection, rng: Generator) -> Array:
    plane = x[rng.integers(len(x))]
    if rng.random() < draw.aligned:
        y, x_ = (int(rng.choice(find_window_starts(m, size, size))) for m in plane.shape)
        return plane[y : y + size, x_ : x_ + size]
    factor = _draw_thinning(min(plane.shape) // size, draw, rng)
    y, x_ = (int(rng.integers(m - size * factor + 1)) for m in plane.shape)
    part = plane[y : y + size * factor, x_ : x_ + size * factor].reshape(size, factor, size, factor).mean((1, 3))
    return part[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


def read_record_pools(
    data: Path, names: tuple[str, ...], split: SplitSection, size: int
) -> tuple[list[Array], list[Array]]:
    """Read recorded components of at least `size` samples, of training and of validation stations."""
    pools: tuple[list[Array], list[Array]] = ([], [])
    for name in names:
        found = open_set(data / name)
        for i in range(len(found)):
            x = found.waveform(i)[list(found.present(i))].astype(np.float32)
            if x.shape[-1] >= size:
                pools[is_validation(found.station(i), split)].extend(x)
    if not pools[0] or not pools[1]:
        raise InputError(f"{data} holds no record of {size} samples for {'validation' if pools[0] else 'training'}.")
    return pools


def draw_record_windows(pool: list[Array], n: int, size: int, draw: DrawSection, rng: Generator) -> Array:
    """Draw windows (n, size) of records, of random polarity; constant windows are drawn again, up to 20 times."""
    out = np.zeros((n, size), np.float32)
    for i in range(n):
        for _ in range(20):
            x = pool[rng.integers(len(pool))]
            factor = _draw_thinning(len(x) // size, draw, rng)
            start = int(rng.integers(len(x) - size * factor + 1))
            out[i] = rng.choice([-1, 1]) * x[start : start + size * factor].reshape(size, factor).mean(1)
            if out[i].std() > 0:
                break
    return out


def _draw_thinning(most: int, draw: DrawSection, rng: Generator) -> int:
    """Number of samples that are averaged to one: 1, 2 or 4, and at most `most`."""
    return int(rng.choice([factor for factor in (2, 4) if factor <= most] or [1])) if rng.random() < draw.thinned else 1


def _choose_held_out(n: int, split: SplitSection) -> NDArray[np.bool_]:
    """Which of `n` time slices validate: every `modulus`-th, if there are as many as that."""
    out: NDArray[np.bool_] = (np.arange(n) % split.modulus == split.remainder) & (n >= split.modulus)
    return out


def scale_windows(windows: Array) -> NDArray[np.float32]:
    """Windows (batch, *window) as the net sees them: (batch, 1, *window), each scaled by itself."""
    scaler = FieldScaler(windows.ndim - 1, 1)
    return np.concatenate(list(_scale_parts(scaler, windows)))


def _scale_parts(scaler: FieldScaler, windows: Array) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(windows), 1024):  # in parts, because scaling works in float64
        yield scaler.apply(windows[start : start + 1024, None])[0]
