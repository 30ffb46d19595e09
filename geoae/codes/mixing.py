"""Windows of fields and records that a model with codes is trained on."""

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

_SHIFT = 7919  # a prime: each time around, other windows share a batch


@dataclass
class WindowPool:
    """Windows in memory, taken around and around."""

    windows: NDArray[np.float32]

    def __getitem__(self, index: int) -> Example:
        n = len(self.windows)
        return (self.windows[(index + index // n * _SHIFT) % n],)


def draw_windows(recipe: CodeRecipe, data: Path, window: tuple[int, ...]) -> tuple[Array, Array]:
    """Training and validation windows (batch, *window), as they are in the data; they follow from the recipe."""
    rng = np.random.default_rng(recipe.optimize.seed)
    if recipe.data.records:
        pools = read_record_pools(data, recipe.data.records, recipe.split, window[0])
        return tuple(draw_record_windows(pool, n, window[0], recipe.draw, rng)
                     for pool, n in zip(pools, (recipe.draw.n, recipe.draw.n_validation), strict=True))  # type: ignore[return-value]  # fmt: skip
    found = [x.values for x in load_slices(data, recipe.data.files, recipe.data.exclude)]
    large = [x for x in found if all(n >= w for n, w in zip(x.shape[1:], window, strict=True))]
    if not large:
        raise InputError(f"No field of the recipe is as large as a window, {' x '.join(map(str, window))} points.")
    # a field of one moment has nothing to leave out
    split = [_held_out(len(x), recipe.split) for x in large]
    training = [x[~out] for x, out in zip(large, split, strict=True)]
    others = [x[out] for x, out in zip(large, split, strict=True) if out.any()] or training
    return (draw_field_windows(training, recipe.draw.n, window[0], recipe.draw, rng),
            draw_field_windows(others, recipe.draw.n_validation, window[0], recipe.draw, rng))  # fmt: skip


def draw_field_windows(fields: list[Array], n: int, size: int, how: DrawSection, rng: Generator) -> Array:
    """Windows (n, size, size) of fields (time, y, x), at least half of each there, or drawn."""
    out = np.empty((n, size, size), np.float32)
    share = np.sqrt([x.size for x in fields])  # an archive a hundred times larger counts ten times as much
    share /= share.sum()
    for i in range(n):
        if rng.random() < how.drawn:
            out[i] = synthesis.draw_field((size, size), rng)
            continue
        for _ in range(100):
            one = _field_window(fields[rng.choice(len(fields), p=share)], size, how, rng)
            if 2 * np.isfinite(one).sum() >= one.size:
                break
        out[i] = one
    return out


def _field_window(x: Array, size: int, how: DrawSection, rng: Generator) -> Array:
    plane = x[rng.integers(len(x))]
    if rng.random() < how.aligned:
        y, x_ = (int(rng.choice(find_window_starts(m, size, size))) for m in plane.shape)
        return plane[y : y + size, x_ : x_ + size]
    by = _thinning(min(plane.shape) // size, how, rng)
    y, x_ = (int(rng.integers(m - size * by + 1)) for m in plane.shape)
    part = plane[y : y + size * by, x_ : x_ + size * by].reshape(size, by, size, by).mean((1, 3))
    return part[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


def read_record_pools(
    data: Path, names: tuple[str, ...], split: SplitSection, size: int
) -> tuple[list[Array], list[Array]]:
    """Components of at least `size` samples that were recorded, of training and of validation stations."""
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


def draw_record_windows(pool: list[Array], n: int, size: int, how: DrawSection, rng: Generator) -> Array:
    """Windows (n, size) of records, of either polarity, in which something happens."""
    out = np.zeros((n, size), np.float32)
    for i in range(n):
        for _ in range(20):
            x = pool[rng.integers(len(pool))]
            by = _thinning(len(x) // size, how, rng)
            start = int(rng.integers(len(x) - size * by + 1))
            out[i] = rng.choice([-1, 1]) * x[start : start + size * by].reshape(size, by).mean(1)
            if out[i].std() > 0:
                break
    return out


def _thinning(most: int, how: DrawSection, rng: Generator) -> int:
    return int(rng.choice([by for by in (2, 4) if by <= most] or [1])) if rng.random() < how.thinned else 1


def _held_out(n: int, split: SplitSection) -> NDArray[np.bool_]:
    out: NDArray[np.bool_] = (np.arange(n) % split.modulus == split.remainder) & (n >= split.modulus)
    return out


def scale_windows(windows: Array) -> NDArray[np.float32]:
    """Windows (batch, *window) as the net sees them: (batch, 1, *window), each scaled by itself."""
    scaler = FieldScaler(windows.ndim - 1, 1)
    return np.concatenate(list(_each(scaler, windows)))


def _each(scaler: FieldScaler, windows: Array) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(windows), 1024):  # scaling works in float64
        yield scaler.apply(windows[start : start + 1024, None])[0]
