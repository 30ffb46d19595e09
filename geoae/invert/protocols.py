"""What an inversion needs of a prior."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Decodes(Protocol):
    """Models of codes and codes of models, with derivatives.

    Every function takes any leading dimensions, here one of n codes.
    """

    def decode(self, z: Any) -> Any:
        """Models (n, *shape) of codes (n, d)."""

    def encode(self, m: Any, refine: int = 0) -> Any:
        """Codes (n, d) of models (n, *shape), improved by so many Gauss-Newton steps."""

    def jacobian(self, z: Any) -> Any:
        """Derivative (n, *shape, d) of models by codes (n, d)."""

    def vjp(self, z: Any, dm: Any) -> Any:
        """The transposed derivative at codes (n, d), times dm (n, *shape): (n, d)."""


class LatentPrior(Decodes, Protocol):
    """A prior in which codes z are N(0, I); `geoae.LatentSpace` is one.

    It may also have `transform` (of the models' values), `facies` (the two values of facies models) and `digest` (of
    its weights).
    """

    @property
    def d(self) -> int:
        """Numbers of a code."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one model."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(*shape) cells that count; the others decode to NaN."""

    @property
    def name(self) -> str:
        """Shown in tables and messages."""

    @property
    def units(self) -> str:
        """Of the models' values."""

    @property
    def held_out(self) -> Any:
        """Models (k, *shape) that the decoder was not trained on."""

    @property
    def held_out_codes(self) -> Any:
        """(k, d) their best codes."""
