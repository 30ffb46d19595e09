"""Runs of the forward model on held-out models and on what the decoder makes of them: they are made once.

They tell the representation error, where to begin, what data the prior leads to expect, and are the truths of a
calibration.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from geoae.errors import InputError
from geoae.invert.forward import Forward
from geoae.invert.noise import Noise
from geoae.invert.representation import Representation
from geoae.invert.starts import Runs

if TYPE_CHECKING:
    from geoae.latent.space import LatentSpace

Array = NDArray[np.float64]
Z_SCORE = 4.0
"""Beyond which a datum is nothing that the prior can make."""


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

    def only(self, rows: NDArray[np.intp]) -> "HeldOut":
        """Some of them."""
        return HeldOut(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def observed(self, used: NDArray[np.bool_]) -> "HeldOut":
        """With the data that were measured."""
        return replace(self, data=self.data[:, used], decoded_data=self.decoded_data[:, used])

    @property
    def rest(self) -> Array:
        """(k, cells) what the decoder leaves of each model; 0 where cells are missing."""
        return np.nan_to_num(self.models - self.decoded).reshape(len(self.models), -1)

    def representation(self, noise: Noise) -> Representation:
        """What the decoder cannot represent, in models and data."""
        return Representation(self.rest, self.data - self.decoded_data, noise)

    def gaussian(self, noise: Noise) -> Representation:
        """The Gaussian with mean and covariance of the models themselves: nothing is decoded, all of it is rest."""
        return Representation(np.nan_to_num(self.models).reshape(len(self.models), -1), self.data, noise)

    def runs(self) -> Runs:
        """Codes with the data of the decoded models, to learn where to begin."""
        return Runs(self.codes, self.decoded_data)

    def surprises(self, data: Array, noise: Noise) -> Array:
        """(data,) how far each datum is from what the models and all other data lead to expect, in its own deviations.

        The worst is taken out before the others are judged, so that they do not look bad for its sake.
        """
        middle, precision = _expected(self, noise)
        left, kept, found = data - middle, np.arange(len(data)), np.zeros(len(data))
        while True:
            scores = precision @ left[kept] / np.sqrt(np.diagonal(precision))
            worst = int(np.argmax(np.abs(scores)))
            if abs(scores[worst]) <= Z_SCORE or len(kept) <= len(data) // 2:
                found[kept] = scores
                return found
            found[kept[worst]] = scores[worst]
            column = precision[:, worst]
            precision = precision - np.outer(column, column) / column[worst]
            rest = np.delete(np.arange(len(kept)), worst)
            precision, kept = precision[np.ix_(rest, rest)], kept[rest]

    def distances(self, data: Array, noise: Noise, rng: np.random.Generator) -> tuple[float, Array]:
        """How far data lie from what the models lead to expect, and how far noisy data of the models themselves do.

        Mahalanobis distances in the leading directions of white data, each with the share of the models it was not
        fitted to.
        """
        white = noise.whiten(self.data + noise.sample(len(self.data), rng))
        measured, even = noise.whiten(data), np.arange(len(white)) % 2 == 0
        found, own = [], np.empty(len(white))
        for fit in (even, ~even):
            centre = white[fit].mean(0)
            _, size, axes = linalg.svd(white[fit] - centre, full_matrices=False)
            n = max(min(fit.sum() // 4, len(axes)), 1)
            variance = size[:n] ** 2 / max(fit.sum() - 1, 1)
            rest = np.maximum((size[n:] ** 2).sum() / max(fit.sum() - 1, 1) / max(white.shape[1] - n, 1), 1.0)

            def far(
                x: Array, c: Array = centre, a: Array = axes[:n], v: Array = variance, r: float = float(rest)
            ) -> Array:
                turned = (x - c) @ a.T
                outside = ((x - c) ** 2).sum(-1) - (turned**2).sum(-1)
                return (turned**2 / v).sum(-1) + outside / r

            own[~fit] = far(white[~fit])
            found.append(float(far(measured)))
        return float(np.mean(found)), own


@lru_cache(maxsize=2)
def _expected(held: HeldOut, noise: Noise) -> tuple[Array, Array]:
    """Mean and inverse covariance (data, data) of noisy data of the models."""
    total = held.gaussian(noise).total
    return total.offset, linalg.inv(total.dense)


def run_held_out(space: "LatentSpace", forward: Forward, n: int, seed: int) -> HeldOut:
    """Run the forward model on at most `n` held-out models and their decoded codes; pairs with a lost run are left out.

    Raises
    ------
    InputError
        The prior has no held-out models, or all runs are lost.
    """
    models, codes = np.asarray(space.held_out), np.asarray(space.held_out_codes)
    if not len(models):
        raise InputError(
            f"Prior {space.name!r} has no held-out models, which tell what it cannot represent. Make it with some held "
            "out, or give representation=False and read intervals that are too narrow."
        )
    if len(models) > n:
        rows = np.sort(np.random.default_rng(seed).choice(len(models), n, replace=False))
        models, codes = models[rows], codes[rows]
    decoded = space.decode(codes)
    models = np.where(np.isnan(models), decoded, models)
    data, decoded_data = forward.run(models), forward.run(decoded)
    there = np.isfinite(data).all(1) & np.isfinite(decoded_data).all(1)
    if not there.any():
        raise InputError(f"No held-out model could be run: {forward.problems.most_common(1)[0][0]}.")
    return HeldOut(models, codes, decoded, data, decoded_data).only(np.flatnonzero(there))
