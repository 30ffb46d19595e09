"""Runs of the forward model on held-out models and on what the decoder makes of them: they are made once.

They tell the representation error, where to begin, what data the prior leads to expect, and are the truths of a
calibration.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.noise import Noise, decomposed
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.misfit.values import Values
from geoae.invert.search.starts import Runs

if TYPE_CHECKING:
    from geoae.latent.space import LatentSpace

Array = NDArray[np.float64]
Z_SCORE = 4.0
"""Beyond which a datum is nothing that the prior can make."""
REFINE = 3
"""Gauss-Newton steps to the codes of models that a caller holds out."""
MOST_ODD = 50
"""Data that are taken out one by one; where there are more, it is the whole that is wrong."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Models that the decoder was not trained on, and their data."""

    models: Array
    """(k, *shape), what was missing filled by the decoder."""
    codes: Array
    """(k, d) their best codes."""
    decoded: Array
    """(k, *shape) models of the codes."""
    data: Array
    """(k, data) of the models."""
    decoded_data: Array
    """(k, data) of the decoded codes."""
    values: Values = field(default_factory=Values)
    """What values models have."""

    def only(self, rows: NDArray[np.intp]) -> "HeldOut":
        """Some of them."""
        return HeldOut(
            self.models[rows], self.codes[rows], self.decoded[rows], self.data[rows], self.decoded_data[rows],
            self.values,
        )  # fmt: skip

    def observed(self, used: NDArray[np.bool_]) -> "HeldOut":
        """With the data that were measured."""
        return replace(self, data=self.data[:, used], decoded_data=self.decoded_data[:, used])

    @property
    def rest(self) -> Array:
        """(k, cells) what the decoder leaves of each model, in `values`; 0 where cells are missing."""
        rest = self.values.numbers(self.models) - self.values.numbers(self.decoded)
        return np.nan_to_num(rest).reshape(len(self.models), -1)

    def representation(self, noise: Noise) -> Representation:
        """What the decoder cannot represent, in models and data."""
        return Representation(self.rest, self.data - self.decoded_data, noise, self.codes, self.decoded_data)

    def gaussian(self, noise: Noise) -> Representation:
        """The Gaussian with mean and covariance of the models themselves: nothing is decoded, all of it is rest."""
        numbers = np.nan_to_num(self.values.numbers(self.models))
        return Representation(numbers.reshape(len(self.models), -1), self.data, noise)

    @cached_property
    def runs(self) -> Runs:
        """Codes with the data of the decoded models, to learn where to begin."""
        return Runs(self.codes, self.decoded_data)

    def costs(self, total: Noise, noise: Noise) -> Array:
        """(k,) of the models' own codes, for their noisy data: half the squared misfit, and half the squared code.

        `total` is the noise with the representation error, which misfits are weighed by.
        """
        return _costs(self, total, noise)

    def surprises(self, data: Array, noise: Noise) -> Array:
        """(data,) how far each datum is from what the models and all other data lead to expect, in its own deviations.

        The worst is taken out before the others are judged, so that they do not look bad for its sake.
        """
        middle, precision, scale = _expected(self, noise)
        left, kept, found = data - middle, np.arange(len(data)), np.zeros(len(data))
        while True:
            scores = precision @ left[kept] / np.sqrt(np.diagonal(precision)) / scale[kept]
            worst = int(np.argmax(np.abs(scores)))
            if abs(scores[worst]) <= Z_SCORE or len(data) - len(kept) >= min(len(data) // 2, MOST_ODD):
                found[kept] = scores
                return found
            found[kept[worst]] = scores[worst]
            column = precision[:, worst]
            precision = precision - np.outer(column, column) / column[worst]
            rest = np.delete(np.arange(len(kept)), worst)
            precision, kept = precision[np.ix_(rest, rest)], kept[rest]

    def distances(self, data: Array, noise: Noise, seed: int) -> tuple[float, Array]:
        """How far data lie from what the models lead to expect, and how far noisy data of the models themselves do.

        Mahalanobis distances in the leading directions of white data, each with the share of the models it was not
        fitted to.
        """
        own, halves = _directions(self, noise, seed)
        measured = noise.whiten(data)
        return float(np.mean([half.far(measured) for half in halves])), own


class _Half(NamedTuple):
    """What half of the models lead to expect of white data."""

    centre: Array
    axes: Array
    variance: Array
    rest: float
    """Variance in each direction that is no axis."""

    def far(self, x: Array) -> Array:
        """Squared distance of white data (..., data)."""
        turned = (x - self.centre) @ self.axes.T
        outside = ((x - self.centre) ** 2).sum(-1) - (turned**2).sum(-1)
        return (turned**2 / self.variance).sum(-1) + outside / self.rest


@lru_cache(maxsize=2)
def _costs(held: HeldOut, total: Noise, noise: Noise) -> Array:
    noisy = held.data + noise.sample(len(held.data), np.random.default_rng(0))
    white = total.whiten(noisy - held.decoded_data - total.offset)
    found: Array = 0.5 * (white**2).sum(1) + 0.5 * (held.codes**2).sum(1)
    return found


@lru_cache(maxsize=2)
def _directions(held: HeldOut, noise: Noise, seed: int) -> tuple[Array, list[_Half]]:
    """Distances of the models' own data, and the halves that tell them."""
    white = noise.whiten(held.data + noise.sample(len(held.data), np.random.default_rng([seed, 4])))
    even = np.arange(len(white)) % 2 == 0
    halves, own = [], np.empty(len(white))
    for fit in (even, ~even):
        centre = white[fit].mean(0)
        _, size, vectors = decomposed(white[fit] - centre)
        axes = vectors.T
        n = max(min(fit.sum() // 4, len(axes)), 1)
        rest = (size[n:] ** 2).sum() / max(fit.sum() - 1, 1) / max(white.shape[1] - n, 1)
        half = _Half(centre, axes[:n], size[:n] ** 2 / max(fit.sum() - 1, 1), max(float(rest), 1.0))
        own[~fit] = half.far(white[~fit])
        halves.append(half)
    return own, halves


@lru_cache(maxsize=2)
def _expected(held: HeldOut, noise: Noise) -> tuple[Array, Array, Array]:
    """Mean and inverse covariance (data, data) of noisy data of the models, and by how much those judge too hard.

    The last is the RMS (data,) of what half of the models say of the others, 1 at least: tails are no Gaussian's.
    """
    total, n = held.gaussian(noise).total, len(held.data)
    noisy = held.data + noise.sample(n, np.random.default_rng(0))
    even, scores = np.arange(n) % 2 == 0, np.zeros((n, noise.n))
    for fit in (even, ~even) if n >= 2 * FEWEST else ():
        one = held.only(np.flatnonzero(fit)).gaussian(noise).total
        scores[~fit] = (noisy[~fit] - one.offset) @ one.precision / np.sqrt(np.diagonal(one.precision))
    return total.offset, total.precision, np.maximum(np.sqrt((scores**2).mean(0)), 1.0)


def run_held_out(space: "LatentSpace", forward: Forward, n: int, seed: int, models: Any = None) -> HeldOut:
    """Run the forward model on at most `n` held-out models and their decoded codes; pairs with a lost run are left out.

    Parameters
    ----------
    space, forward
        The prior, and the forward model.
    n, seed
        How many, and which where there are more.
    models
        (k, *shape) that the prior was not trained on; None: those it brings along.

    Raises
    ------
    InputError
        There are none, they have another shape, or all runs are lost.
    """
    own = models is None
    try:
        models = np.asarray(space.held_out if own else models, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The held-out models are a {type(models).__name__} that is no array of numbers.") from error
    if models.shape[1:] != tuple(space.shape):
        raise InputError(
            f"The held-out models have shape {models.shape}; expected (number of models, *{tuple(space.shape)}), as "
            f"prior {space.name!r} has them."
        )
    if not len(models):
        raise InputError(
            f"Prior {space.name!r} has no held-out models, which tell what it cannot represent. Make it with some held "
            "out, give held_out=models, or give representation=False and read intervals that are too narrow."
        )
    rows = np.arange(len(models))
    if len(models) > n:
        rows = np.sort(np.random.default_rng(seed).choice(len(models), n, replace=False))
    models = models[rows]
    codes = np.asarray(space.held_out_codes)[rows] if own else np.asarray(space.encode(models, refine=REFINE))
    decoded = space.decode(codes)
    models = np.where(np.isnan(models), decoded, models)
    data, decoded_data = forward.run(models), forward.run(decoded)
    there = np.isfinite(data).all(1) & np.isfinite(decoded_data).all(1)
    if not there.any():
        raise InputError(f"No held-out model could be run: {forward.problems.most_common(1)[0][0]}.")
    return HeldOut(models, codes, decoded, data, decoded_data, Values.of(space)).only(np.flatnonzero(there))
