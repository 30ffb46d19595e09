"""Between models and the numbers that rests are added in, so that a draw is a model that there may be."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from geoae.latent.space import LatentSpace

Array = NDArray[np.float64]
EDGE = 1e-9
"""Of the range of a transform: what a decoder rounds to its very end lies this much inside."""


@dataclass(frozen=True)
class Values:
    """What values the models of a prior have.

    Rests are differences of transformed models: permeability stays above zero where its logarithm was learnt. Models of
    two facies are drawn as such, and the mean of draws is a probability.
    """

    transform: Any = None
    """Of the prior; None where numbers are taken as they are."""
    facies: tuple[float, float] | None = None
    """The two values that there are, or None."""

    @classmethod
    def of(cls, space: "LatentSpace") -> "Values":
        """Those of a prior."""
        transform = getattr(space, "transform", None)
        linear = transform is None or transform.kind == "affine"
        return cls(None if linear else transform, getattr(space, "facies", None))

    def numbers(self, models: Array) -> Array:
        """Numbers that may be added."""
        if self.transform is None:
            return models
        t = self.transform
        if t.kind == "log":
            models = np.maximum(models, np.finfo(np.float32).tiny)
        elif t.kind == "logit":
            edge = EDGE * (t.high - t.low)
            models = np.clip(models, t.low + edge, t.high - edge)
        return np.asarray(t.apply(models))

    def models(self, numbers: Array) -> Array:
        """Models of numbers: the inverse, and one of two facies in each cell where there are no others."""
        found = numbers if self.transform is None else np.asarray(self.transform.undo(numbers))
        if self.facies is None:
            return found
        low, high = self.facies
        return np.where(np.isnan(found), np.nan, np.where(found > (low + high) / 2, high, low))
