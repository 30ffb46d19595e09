"""What an inversion needs of a prior."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Decodes(Protocol):
    """Decoder and encoder with derivatives.

    Every function accepts any leading dimensions; here, n stands for them.
    """

    def decode(self, z: Any) -> Any:
        """Compute the models (n, *shape) of codes (n, d)."""

    def encode(self, m: Any, refine: int = 0) -> Any:
        """Compute the codes (n, d) of models (n, *shape), improved by `refine` Gauss-Newton steps."""

    def jacobian(self, z: Any) -> Any:
        """Compute the derivative (n, *shape, d) of models by codes (n, d)."""

    def vjp(self, z: Any, dm: Any) -> Any:
        """Compute the transposed derivative at codes (n, d) times dm (n, *shape): (n, d)."""


class LatentPrior(Decodes, Protocol):
    """A prior in which codes z are N(0, I); `geoae.LatentSpace` is one.

    It may also have a `transform` of the models' values, the two values of `facies` models, and a `digest` of its
    weights.
    """

    @property
    def d(self) -> int:
        """Length of a code."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one model."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(*shape) whether each cell is modelled; other cells decode to NaN."""

    @property
    def name(self) -> str:
        """Name in tables and messages."""

    @property
    def units(self) -> str:
        """Units of the models' values."""

    @property
    def held_out(self) -> Any:
        """Models (k, *shape) that the decoder was not trained on."""

    @property
    def held_out_codes(self) -> Any:
        """(k, d) codes that represent these models best."""
