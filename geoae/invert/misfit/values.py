"""Transform models so that residuals can be added to them, and back, so that every draw is a possible model."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.protocols import LatentPrior

EDGE = 1e-9
"""Share of the range of a logit: values that a decoder rounds to its end are moved inside by this much."""


@dataclass(frozen=True)
class Values:
    """The values that models of a prior may have.

    Residuals are differences of transformed models: permeability stays above zero where the net learned its logarithm.
    Models of two facies are drawn with two values, and the mean of draws is a probability.
    """

    transform: Any = None
    """Of the prior; None where values are added as they are."""
    facies: tuple[float, float] | None = None
    """The two values of facies models; None for other models."""

    @classmethod
    def of(cls, space: LatentPrior) -> "Values":
        """Read transform and facies from a prior."""
        transform = getattr(space, "transform", None)
        linear = transform is None or transform.kind == "affine"
        return cls(None if linear else transform, getattr(space, "facies", None))

    def numbers(self, models: Float64Array) -> Float64Array:
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

    def models(self, numbers: Float64Array) -> Float64Array:
        """Undo `numbers`; facies models get the nearer of the two values in each cell."""
        found = numbers if self.transform is None else np.asarray(self.transform.undo(numbers))
        if self.facies is None:
            return found
        low, high = self.facies
        return np.where(np.isnan(found), np.nan, np.where(found > (low + high) / 2, high, low))
