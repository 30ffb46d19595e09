"""Held-out models and their decoded codes, run through the forward model once.

The representation error is estimated from these runs; so are starting points of searches and the data that the prior
predicts. In a calibration, some of the held-out models are the truths.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.noise import Noise, thin_svd
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.misfit.runs import Runs
from geoae.invert.misfit.values import Values
from geoae.invert.protocols import LatentPrior

Z_SCORE = 4.0
"""Standard deviations beyond which no model of the prior explains a datum."""
REFINE = 3
"""Gauss-Newton steps that improve the codes of models given by a caller."""
MAX_OUTLIERS = 50
"""Outlying data that are removed one by one, at most; with more, all data disagree with the prior."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Models that the decoder was not trained on, and their data."""

    models: Float64Array
    """(k, *shape); missing cells hold the decoder's values."""
    codes: Float64Array
    """(k, d) their best codes."""
    decoded: Float64Array
    """(k, *shape) models of the codes."""
    data: Float64Array
    """(k, data) of the models."""
    decoded_data: Float64Array
    """(k, data) of the decoded codes."""
    values: Values = field(default_factory=Values)
    """The values that models may have."""

    def select(self, rows: NDArray[np.intp]) -> "HeldOut":
        """Take some of the models."""
        return HeldOut(
            self.models[rows], self.codes[rows], self.decoded[rows], self.data[rows], self.decoded_data[rows],
            self.values,
        )  # fmt: skip

    def select_data(self, used: NDArray[np.bool_]) -> "HeldOut":
        """Take the data that were measured."""
        return replace(self, data=self.data[:, used], decoded_data=self.decoded_data[:, used])

    @property
    def residuals(self) -> Float64Array:
        """(k, cells) models less their decoded codes, as `values` adds them; 0 where cells are missing."""
        residuals = self.values.numbers(self.models) - self.values.numbers(self.decoded)
        return np.nan_to_num(residuals).reshape(len(self.models), -1)

    def representation(self, noise: Noise) -> Representation:
        """Estimate the representation error."""
        return Representation(self.residuals, self.data - self.decoded_data, noise, self.codes, self.decoded_data)

    def gaussian(self, noise: Noise) -> Representation:
        """Describe the models by mean and covariance alone: nothing is decoded, and the whole model is residual."""
        numbers = np.nan_to_num(self.values.numbers(self.models))
        return Representation(numbers.reshape(len(self.models), -1), self.data, noise)

    @cached_property
    def runs(self) -> Runs:
        """Codes and the data of their decoded models, from which starting points are estimated."""
        return Runs(self.codes, self.decoded_data)

    def costs(self, total: Noise, noise: Noise) -> Float64Array:
        """Compute the cost (k,) of each model's own code for its noisy data: -log posterior up to a constant.

        `total` is noise and representation error together.
        """
        return _costs(self, total, noise)

    def z_scores(self, data: Float64Array, noise: Noise) -> Float64Array:
        """Compare each datum with its prediction from the models and all other data, in standard deviations: (data,).

        The worst outlier is removed before the others are compared, because it would distort their predictions.
        """
        mean, precision, scale = _predicted_data(self, noise)
        left, kept, found = data - mean, np.arange(len(data)), np.zeros(len(data))
        while True:
            scores = precision @ left[kept] / np.sqrt(np.diagonal(precision)) / scale[kept]
            worst = int(np.argmax(np.abs(scores)))
            if abs(scores[worst]) <= Z_SCORE or len(data) - len(kept) >= min(len(data) // 2, MAX_OUTLIERS):
                found[kept] = scores
                return found
            found[kept[worst]] = scores[worst]
            column = precision[:, worst]
            precision = precision - np.outer(column, column) / column[worst]
            others = np.delete(np.arange(len(kept)), worst)
            precision, kept = precision[np.ix_(others, others)], kept[others]

    def distances(self, data: Float64Array, noise: Noise, seed: int) -> tuple[float, Float64Array]:
        """Compute how far data lie from those of the models, and how far noisy data of the models themselves do: (k,).

        Squared Mahalanobis distances in the leading directions of whitened data. Mean and covariance are fitted to one
        half of the models and applied to the other.
        """
        own, halves = _data_distributions(self, noise, seed)
        measured = noise.whiten(data)
        return float(np.mean([half.squared_distance(measured) for half in halves])), own


class _DataDistribution(NamedTuple):
    """Mean and covariance of whitened data of half of the models."""

    centre: Float64Array
    axes: Float64Array
    variance: Float64Array
    floor: float
    """Variance in each direction outside of the axes."""

    def squared_distance(self, x: Float64Array) -> Float64Array:
        """Squared Mahalanobis distance of whitened data (..., data)."""
        scores = (x - self.centre) @ self.axes.T
        outside = ((x - self.centre) ** 2).sum(-1) - (scores**2).sum(-1)
        return (scores**2 / self.variance).sum(-1) + outside / self.floor


@lru_cache(maxsize=2)
def _costs(held: HeldOut, total: Noise, noise: Noise) -> Float64Array:
    noisy = held.data + noise.sample(len(held.data), np.random.default_rng(0))
    white = total.whiten(noisy - held.decoded_data - total.offset)
    found: Float64Array = 0.5 * (white**2).sum(1) + 0.5 * (held.codes**2).sum(1)
    return found


@lru_cache(maxsize=2)
def _data_distributions(held: HeldOut, noise: Noise, seed: int) -> tuple[Float64Array, list[_DataDistribution]]:
    """Squared distances (k,) of the models' own data, and the two distributions they come from."""
    white = noise.whiten(held.data + noise.sample(len(held.data), np.random.default_rng([seed, 4])))
    even = np.arange(len(white)) % 2 == 0
    halves, own = [], np.empty(len(white))
    for fit in (even, ~even):
        centre = white[fit].mean(0)
        _, size, vectors = thin_svd(white[fit] - centre)
        axes = vectors.T
        n = max(min(fit.sum() // 4, len(axes)), 1)
        floor = (size[n:] ** 2).sum() / max(fit.sum() - 1, 1) / max(white.shape[1] - n, 1)
        half = _DataDistribution(centre, axes[:n], size[:n] ** 2 / max(fit.sum() - 1, 1), max(float(floor), 1.0))
        own[~fit] = half.squared_distance(white[~fit])
        halves.append(half)
    return own, halves


@lru_cache(maxsize=2)
def _predicted_data(held: HeldOut, noise: Noise) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Mean and inverse covariance (data, data) of noisy data of the models, and factors of their standard deviations.

    The factors (data,) are the RMS z-scores of one half of the models under the Gaussian of the other, at least 1: data
    have heavier tails than a Gaussian.
    """
    total, n = held.gaussian(noise).total, len(held.data)
    noisy = held.data + noise.sample(n, np.random.default_rng(0))
    even, scores = np.arange(n) % 2 == 0, np.zeros((n, noise.n))
    for fit in (even, ~even) if n >= 2 * FEWEST else ():
        one = held.select(np.flatnonzero(fit)).gaussian(noise).total
        scores[~fit] = (noisy[~fit] - one.offset) @ one.precision / np.sqrt(np.diagonal(one.precision))
    return total.offset, total.precision, np.maximum(np.sqrt((scores**2).mean(0)), 1.0)


def run_held_out(space: LatentPrior, forward: Forward, n: int, seed: int, models: Any = None) -> HeldOut:
    """Run the forward model on at most `n` held-out models and their decoded codes; failed pairs are dropped.

    Parameters
    ----------
    space, forward
        Prior and forward model.
    n, seed
        How many, and the seed that chooses them where there are more.
    models
        (k, *shape) that the prior was not trained on; None: those it brings along.

    Raises
    ------
    InputError
        There are no models, they have another shape, or all runs fail.
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
    return HeldOut(models, codes, decoded, data, decoded_data, Values.of(space)).select(np.flatnonzero(there))
