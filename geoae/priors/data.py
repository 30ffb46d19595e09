"""Training and held-out models of a prior: an array of models, or models cut at random out of one large image."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.errors import InputError, MissingFileError, one_line

FEWEST_HELD_OUT = 8
"""Held-out models that an inversion needs, at least, to estimate what a decoder cannot represent."""
_TRIES = 1000


@dataclass(frozen=True)
class ModelPool:
    """Models in memory, repeated endlessly; each pass has a new random order."""

    models: Array
    seed: int = 0
    mirror: tuple[int, ...] = ()
    _order: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False)

    def __getitem__(self, index: int) -> Array:
        round_, i = divmod(index, len(self.models))
        if round_ not in self._order:
            self._order.clear()
            self._order[round_] = np.random.default_rng((self.seed, round_)).permutation(len(self.models))
        model = self.models[self._order[round_][i]]
        return mirror_model(model, self.mirror, np.random.default_rng((self.seed, 2, index))) if self.mirror else model


@dataclass(frozen=True)
class ImageCuts:
    """Models of one shape, cut out of an image at random; `free` marks the allowed positions of their first corner."""

    image: Array
    shape: tuple[int, ...]
    free: NDArray[np.bool_]
    seed: int = 0
    mirror: tuple[int, ...] = ()

    def __getitem__(self, index: int) -> Array:
        rng = np.random.default_rng((self.seed, index))
        for _ in range(_TRIES):
            corner = tuple(rng.integers(self.free.shape).tolist())
            if self.free[corner]:
                break
        else:  # almost no position is free: choose from the list of free ones
            corners = np.argwhere(self.free)
            corner = tuple(int(c) for c in corners[rng.integers(len(corners))])
        model = self.image[tuple(slice(c, c + n) for c, n in zip(corner, self.shape, strict=True))]
        return mirror_model(model, self.mirror, rng)


def mirror_model(model: Array, axes: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Reverse a model along each of `axes` with a probability of one half."""
    flips = rng.random(len(axes)) < 0.5
    return np.flip(model, tuple(axis for axis, flip in zip(axes, flips, strict=True) if flip))


@dataclass(frozen=True)
class PriorModels:
    """The models that `geoae.fit` learns from and validates on."""

    training: ModelPool | ImageCuts
    held_out: Array
    sample: Array
    """A sample of training models (n, *shape), for principal components and statistics."""
    division: dict[str, Any]
    """Counts of training and held-out models, for the model's contract."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of a model."""
        return tuple(self.sample.shape[1:])


def divide_models(
    models: Array, groups: NDArray[Any] | None, share: float, n_held_out: int, seed: int, mirror: Sequence[int] = (),
    fewest: tuple[int, int] = (1, 1),
) -> PriorModels:  # fmt: skip
    """Divide models (n, *shape) into training and held-out models; a group is never split.

    Parameters
    ----------
    models
        Physical units; missing cells are NaN.
    groups
        (n,) labels. None: 20 runs of consecutive models, because neighbours are often alike.
    share
        Share of groups to hold out.
    n_held_out
        Largest number of held-out models to keep.
    seed
        Seed of the choice of groups.
    mirror
        Axes along which training models are reversed at random; held-out models never are.
    fewest
        Held-out and training models, at least. More groups than the share are held out until there are enough
        held-out models, as long as enough training models are left.

    Raises
    ------
    InputError
        There are too few models or groups to hold some out, or `mirror` names an axis that does not exist.
    """
    n, axes = len(models), _check_axes(mirror, models.ndim - 1)
    if n < 4:
        raise InputError(f"{n} models are too few: some have to be held out. Give at least 4.")
    labels = np.arange(n) * min(20, n) // n if groups is None else np.asarray(groups)
    if labels.shape != (n,):
        raise InputError(f"groups have shape {labels.shape}; expected one label for each of the {n} models.")
    names = np.unique(labels)
    if len(names) < 2:
        raise InputError("All models are of one group, so none can be held out. Give more groups, or groups=None.")
    rng = np.random.default_rng(seed)
    order, n_chosen = rng.permutation(names), max(round(share * len(names)), 1)
    out = np.isin(labels, order[:n_chosen])
    while out.sum() < fewest[0] and n_chosen < len(order):
        more = np.isin(labels, order[: n_chosen + 1])
        if n - more.sum() < fewest[1]:
            break
        out, n_chosen = more, n_chosen + 1
    held_out = models[out]
    if len(held_out) > n_held_out:
        held_out = held_out[np.sort(rng.choice(len(held_out), n_held_out, replace=False))]
    training = models[~out]
    sample = training if len(training) <= 4000 else training[np.sort(rng.choice(len(training), 4000, replace=False))]
    if axes:
        rng = np.random.default_rng((seed, 2))
        sample = np.stack([mirror_model(model, axes, rng) for model in sample])
    division = {"n_models": int((~out).sum()), "n_held_out": int(out.sum()), "n_groups": len(names),
            "held_out_groups": n_chosen}  # fmt: skip
    return PriorModels(ModelPool(training, seed, axes), held_out, sample, _add_mirrored(division, axes))


def cut_models(
    image: Array, shape: tuple[int, ...], exclude: Sequence[Sequence[int]], share: float, n_held_out: int, seed: int,
    mirror: Sequence[int] = (),
) -> PriorModels:  # fmt: skip
    """Cut models out of an image. Held-out models lie in a strip at its end that no training model touches.

    Raises
    ------
    InputError
        The image is smaller than a model or has no room for both, or `mirror` names an axis that does not exist.
    """
    if image.ndim != len(shape) or any(n < m for n, m in zip(image.shape, shape, strict=True)):
        raise InputError(f"The image has shape {image.shape}; models of shape {tuple(shape)} cannot be cut out of it.")
    corners = tuple(n - m + 1 for n, m in zip(image.shape, shape, strict=True))
    free = np.ones(corners, bool)
    for box in exclude:
        if len(box) != len(shape):
            raise InputError(f"exclude: {list(box)} is no corner in an image of {len(shape)} dimensions.")
        free[tuple(slice(max(c - m + 1, 0), c + m) for c, m in zip(box, shape, strict=True))] = False
    width = max(round(share * image.shape[-1]), shape[-1])
    first = image.shape[-1] - width  # of the strip
    validation = free.copy()
    validation[..., :first] = False
    free[..., max(first - shape[-1] + 1, 0) :] = False
    if not free.any() or not validation.any():
        raise InputError(
            f"An image of shape {image.shape} has no room for training and held-out models of shape {tuple(shape)}. "
            "Give a larger image, smaller models, or a smaller hold_out."
        )
    axes = _check_axes(mirror, len(shape))
    cuts, held_out_cuts = (
        ImageCuts(image, tuple(shape), free, seed, axes),
        ImageCuts(image, tuple(shape), validation, seed + 1),
    )
    sample = np.stack([cuts[-i - 1 + 2**40] for i in range(1500)])
    division = {"image": list(image.shape), "held_out_from": [0] * (image.ndim - 1) + [first],
            "excluded": [list(map(int, box)) for box in exclude]}  # fmt: skip
    return PriorModels(
        cuts, np.stack([held_out_cuts[i] for i in range(n_held_out)]), sample, _add_mirrored(division, axes)
    )


def _check_axes(mirror: Sequence[int], ndim: int) -> tuple[int, ...]:
    for axis in mirror:
        if not 0 <= axis < ndim:
            raise InputError(f"mirror names axis {axis}; models have axes 0 to {ndim - 1}.")
    return tuple(sorted(set(mirror)))


def _add_mirrored(division: dict[str, Any], axes: tuple[int, ...]) -> dict[str, Any]:
    """`division` with the mirrored axes, if there are any."""
    return division | {"mirrored": list(axes)} if axes else division


def label_blocks(coordinates: Sequence[Array], size: float) -> NDArray[np.int64]:
    """Label n places by the block that contains them; blocks have `size` along each coordinate. Returns (n,)."""
    cells = np.stack([np.floor(np.asarray(c, dtype=np.float64) / size) for c in coordinates], 1)
    return np.array([zlib.crc32(row.tobytes()) for row in cells], dtype=np.int64)


def read_array(folder: Path, name: str) -> NDArray[Any]:
    """Read the array FILE:NAME below a folder, from an npz file, a netCDF file or a zarr store.

    Raises
    ------
    MissingFileError
        The file does not exist.
    InputError
        The file has no array of this name, or cannot be read.
    """
    file, _, key = name.partition(":")
    path = folder / file
    if not path.exists():
        raise MissingFileError(f"There is no {path}. Recipes name files below the folder given with --data.")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as found:
                names = list(found)
                if key in names:
                    return np.asarray(found[key])
        else:
            import xarray as xr

            with xr.open_zarr(path, consolidated=False) if path.is_dir() else xr.open_dataset(path) as data:
                names = [str(n) for n in data.variables]
                if key in names:
                    return np.asarray(data[key].values)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}.") from error
    raise InputError(f"{path} holds no array {key!r}; it has {', '.join(names)}. Name one as FILE:NAME.")
