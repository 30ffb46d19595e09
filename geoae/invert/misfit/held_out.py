"""Data of held-out models and of their decoded codes.

The representation error, starting points of searches and the distribution of data are estimated from these runs. In a
calibration, some of the held-out models are the truths.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.numbers import read_floats
from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.noise import Noise, thin_svd
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.misfit.runs import Runs
from geoae.invert.misfit.values import Values
from geoae.invert.protocols import LatentPrior

Z_SCORE = 4.0
"""No model of the prior explains a datum that differs from its prediction by more standard deviations."""
REFINE = 3
"""Gauss-Newton steps that improve the codes of a caller's models."""
MAX_OUTLIERS = 50
"""Outlying data that are removed one by one, at most. If there are more, all data disagree with the prior."""


@dataclass(frozen=True, eq=False, repr=False)
class HeldOut:
    """Models that the decoder was not trained on, and their data."""

    models: Float64Array
    """(k, *shape); missing cells hold the decoder's values."""
    codes: Float64Array
    """(k, d) codes that represent the models best."""
    decoded: Float64Array
    """(k, *shape) models that the codes decode to."""
    data: Float64Array
    """(k, data) data of the models."""
    decoded_data: Float64Array
    """(k, data) data of the decoded codes."""
    values: Values = field(default_factory=Values)
    """The values that models can have."""

    def __repr__(self) -> str:
        n, *shape = self.models.shape
        return f"HeldOut({n} models {tuple(shape)}, {self.codes.shape[1]} codes, {self.data.shape[1]} data)"

    def select(self, rows: NDArray[np.intp]) -> "HeldOut":
        """Select some of the models."""
        return HeldOut(
            self.models[rows], self.codes[rows], self.decoded[rows], self.data[rows], self.decoded_data[rows],
            self.values,
        )  # fmt: skip

    def select_data(self, used: NDArray[np.bool_]) -> "HeldOut":
        """Select the data that were measured."""
        return replace(self, data=self.data[:, used], decoded_data=self.decoded_data[:, used])

    @property
    def residuals(self) -> Float64Array:
        """(k, cells) models less their decoded codes, both transformed by `values`; 0 where cells are missing."""
        residuals = self.values.to_numbers(self.models) - self.values.to_numbers(self.decoded)
        return np.nan_to_num(residuals).reshape(len(self.models), -1)

    def estimate_representation(self, noise: Noise) -> Representation:
        """Estimate the representation error."""
        return Representation(self.residuals, self.data - self.decoded_data, noise, self.codes, self.decoded_data)

    def fit_gaussian(self, noise: Noise) -> Representation:
        """Estimate mean and covariance of the whole models, as if all of a model were residual and no code existed."""
        numbers = np.nan_to_num(self.values.to_numbers(self.models))
        return Representation(numbers.reshape(len(self.models), -1), self.data, noise)

    @cached_property
    def runs(self) -> Runs:
        """Codes and the data of their decoded models, from which starting points are estimated."""
        return Runs(self.codes, self.decoded_data)

    def compute_costs(self, total: Noise, noise: Noise) -> Float64Array:
        """Compute the cost (k,) of each model's code for noisy data of the model: -log posterior up to a constant.

        `total` is the noise with the representation error.
        """
        return _compute_costs(self, total, noise)

    def compute_z_scores(self, data: Float64Array, noise: Noise) -> Float64Array:
        """Compute the difference (data,) of each datum from its prediction by all other data, in standard deviations.

        The prediction is that of a Gaussian fitted to the models' data. Outliers are removed one by one, the worst
        first, because they distort the predictions of other data.
        """
        mean, precision, scale = _fit_predictions(self, noise)
        deviation, kept, z_scores = data - mean, np.arange(len(data)), np.zeros(len(data))
        while True:
            scores = precision @ deviation[kept] / np.sqrt(np.diagonal(precision)) / scale[kept]
            worst = int(np.argmax(np.abs(scores)))
            if abs(scores[worst]) <= Z_SCORE or len(data) - len(kept) >= min(len(data) // 2, MAX_OUTLIERS):
                z_scores[kept] = scores
                return z_scores
            z_scores[kept[worst]] = scores[worst]
            column = precision[:, worst]
            precision = precision - np.outer(column, column) / column[worst]
            rest = np.delete(np.arange(len(kept)), worst)
            precision, kept = precision[np.ix_(rest, rest)], kept[rest]

    def compute_distances(self, data: Float64Array, noise: Noise, seed: int) -> tuple[float, Float64Array]:
        """Compute the distance of data from the models' data, and those (k,) of noisy data of the models themselves.

        Distances are squared Mahalanobis distances in the leading directions of whitened data. Mean and covariance are
        fitted to one half of the models and applied to the other half.
        """
        model_distances, halves = _fit_distributions(self, noise, seed)
        measured = noise.whiten(data)
        return float(np.mean([half.squared_distance(measured) for half in halves])), model_distances


class _DataDistribution(NamedTuple):
    """Mean and covariance of the whitened data of half of the models."""

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
def _compute_costs(held: HeldOut, total: Noise, noise: Noise) -> Float64Array:
    noisy = held.data + noise.sample(len(held.data), np.random.default_rng(0))
    white = total.whiten(noisy - held.decoded_data - total.offset)
    costs: Float64Array = 0.5 * (white**2).sum(1) + 0.5 * (held.codes**2).sum(1)
    return costs


@lru_cache(maxsize=2)
def _fit_distributions(held: HeldOut, noise: Noise, seed: int) -> tuple[Float64Array, list[_DataDistribution]]:
    """Fit a distribution to each half of the models' data; also the squared distances (k,) of the other half's data."""
    white = noise.whiten(held.data + noise.sample(len(held.data), np.random.default_rng([seed, 4])))
    even = np.arange(len(white)) % 2 == 0
    halves, distances = [], np.empty(len(white))
    for fit in (even, ~even):
        centre = white[fit].mean(0)
        _, singular, vectors = thin_svd(white[fit] - centre)
        axes = vectors.T
        n = max(min(fit.sum() // 4, len(axes)), 1)
        floor = (singular[n:] ** 2).sum() / max(fit.sum() - 1, 1) / max(white.shape[1] - n, 1)
        half = _DataDistribution(centre, axes[:n], singular[:n] ** 2 / max(fit.sum() - 1, 1), max(float(floor), 1.0))
        distances[~fit] = half.squared_distance(white[~fit])
        halves.append(half)
    return distances, halves


@lru_cache(maxsize=2)
def _fit_predictions(held: HeldOut, noise: Noise) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Fit a Gaussian to noisy data of the models: mean, inverse covariance (data, data), and factors (data,).

    The factors widen the standard deviations, because data have heavier tails than a Gaussian. They are the RMS
    z-scores of one half of the models under the Gaussian of the other half, at least 1.
    """
    total, n = held.fit_gaussian(noise).total, len(held.data)
    noisy = held.data + noise.sample(n, np.random.default_rng(0))
    even, scores = np.arange(n) % 2 == 0, np.zeros((n, noise.n))
    for fit in (even, ~even) if n >= 2 * FEWEST else ():
        half = held.select(np.flatnonzero(fit)).fit_gaussian(noise).total
        scores[~fit] = (noisy[~fit] - half.offset) @ half.precision / np.sqrt(np.diagonal(half.precision))
    return total.offset, total.precision, np.maximum(np.sqrt((scores**2).mean(0)), 1.0)


def run_held_out(space: LatentPrior, forward: Forward, n: int, seed: int, models: Any = None) -> HeldOut:
    """Run the forward model on at most `n` held-out models and their decoded codes; drop pairs with a failed run.

    Parameters
    ----------
    space, forward
        Prior and forward model.
    n, seed
        Number of models, and the seed that chooses them if there are more.
    models
        (k, *shape) that the prior was not trained on; None: those saved with it.

    Raises
    ------
    InputError
        There are no models, they have another shape, or all runs fail.
    """
    saved = models is None
    models = read_floats(space.held_out if saved else models, "The held-out models are")
    if models.shape[1:] != tuple(space.shape):
        raise InputError(
            f"The held-out models have shape {models.shape}; expected (number of models, *{tuple(space.shape)}), as "
            f"prior {space.name!r} has them."
        )
    if not len(models):
        raise InputError(
            f"Prior {space.name!r} has no held-out models to estimate the representation error from. Hold some out "
            "when it is trained, give held_out=models, or give representation=False, which makes intervals too narrow."
        )
    rows = np.arange(len(models))
    if len(models) > n:
        rows = np.sort(np.random.default_rng(seed).choice(len(models), n, replace=False))
    models = models[rows]
    codes = np.asarray(space.held_out_codes)[rows] if saved else np.asarray(space.encode(models, refine=REFINE))
    decoded = space.decode(codes)
    models = np.where(np.isnan(models), decoded, models)
    data, decoded_data = forward.run(models), forward.run(decoded)
    both_ran = np.isfinite(data).all(1) & np.isfinite(decoded_data).all(1)
    if not both_ran.any():
        raise InputError(f"No held-out model could be run: {forward.problems.most_common(1)[0][0]}.")
    return HeldOut(models, codes, decoded, data, decoded_data, Values.of_prior(space)).select(np.flatnonzero(both_ran))
