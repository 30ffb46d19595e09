"""Transforms of models to numbers that residuals can be added to, and back to values that models can have."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.protocols import LatentPrior

EDGE = 1e-9
"""Values at the ends of a logit's range, where it is infinite, are moved inside by this share of the range."""


@dataclass(frozen=True)
class Values:
    """The values that models of a prior can have.

    Residuals are differences of transformed models. With a logarithm as the transform, for example, permeability stays
    above zero. Draws of facies models have two values only, so that their mean is a probability.
    """

    transform: Any = None
    """Transform of the prior; None if values can be added as they are."""
    facies: tuple[float, float] | None = None
    """The two values of facies models; None for other models."""

    @classmethod
    def of_prior(cls, space: LatentPrior) -> "Values":
        """Read transform and facies from a prior."""
        transform = getattr(space, "transform", None)
        linear = transform is None or transform.kind == "affine"
        return cls(None if linear else transform, getattr(space, "facies", None))

    def to_numbers(self, models: Float64Array) -> Float64Array:
        """Transform models to numbers that can be added."""
        if self.transform is None:
            return models
        t = self.transform
        if t.kind == "log":
            models = np.maximum(models, np.finfo(np.float32).tiny)
        elif t.kind == "logit":
            edge = EDGE * (t.high - t.low)
            models = np.clip(models, t.low + edge, t.high - edge)
        return np.asarray(t.apply(models))

    def to_models(self, numbers: Float64Array) -> Float64Array:
        """Undo `to_numbers`; facies models get the nearer of the two values in each cell."""
        found = numbers if self.transform is None else np.asarray(self.transform.undo(numbers))
        if self.facies is None:
            return found
        low, high = self.facies
        return np.where(np.isnan(found), np.nan, np.where(found > (low + high) / 2, high, low))
