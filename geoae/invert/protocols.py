"""What an inversion needs of a prior."""

from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.model import Model


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


def as_latent_prior(prior: Any) -> LatentPrior:
    """Return a prior with the functions of a `LatentSpace` as it is, or make the `LatentSpace` of a model or folder.

    Raises
    ------
    InputError
        It is no prior.
    """
    if isinstance(prior, Decodes) and not isinstance(prior, type):
        if missing := [name for name in ("d", "shape") if not hasattr(prior, name)]:
            raise InputError(
                f"The prior, a {type(prior).__name__}, has no {' and no '.join(missing)}. A prior of your own needs "
                "what geoae.invert.protocols.LatentPrior lists."
            )
        return cast(LatentPrior, prior)
    if isinstance(prior, Model | str | Path):
        from geoae.priors.space import LatentSpace

        return LatentSpace(prior)
    shape = f" of shape {tuple(prior.shape)}" if hasattr(prior, "shape") else ""
    raise InputError(
        f"The prior is a {type(prior).__name__}{shape}; give a prior of geoae.fit, its folder, or a LatentSpace. "
        "geoae.fit(models, latent=...) makes a prior of an array of models (n, *cells)."
    )
