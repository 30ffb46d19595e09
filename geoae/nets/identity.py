"""The net that changes nothing: what every road must return the input for."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class IdentityConfig:
    """Nothing to set but the number of components."""

    channels: int = 3


class Identity(nn.Module):
    """f(x) = x."""

    Config = IdentityConfig

    def __init__(self, config: IdentityConfig):
        super().__init__()
        self.config = config

    def forward(self, x: Float[Tensor, "batch channel *window"]) -> Float[Tensor, "batch channel *window"]:
        """X, as it is."""
        return x
