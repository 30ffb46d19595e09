"""The linear autoencoder: what principal components are, as a net. The baseline of every prior."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from geoae.errors import InputError


@dataclass(frozen=True)
class LinearAEConfig:
    """Sizes of the net."""

    shape: tuple[int, ...] = (64,)
    """Cells of a model."""
    latent: int = 8


class LinearAE(nn.Module):
    """Models (batch, 1, *shape) to codes (batch, latent) and back, by one matrix each."""

    Config = LinearAEConfig
    likelihood = "gaussian"
    has_exact_encoder = True

    def __init__(self, config: LinearAEConfig):
        super().__init__()
        n = math.prod(config.shape)
        if config.latent > n:
            raise InputError(f"Setting 'latent' is {config.latent}, more than the {n} cells of a model.")
        self.config = config
        self.to_code = nn.Linear(n, config.latent)
        self.from_code = nn.Linear(config.latent, n)
        nn.init.orthogonal_(self.to_code.weight)
        nn.init.orthogonal_(self.from_code.weight)
        nn.init.zeros_(self.from_code.bias)
        nn.init.zeros_(self.to_code.bias)

    @property
    def latent(self) -> int:
        """Numbers of a code."""
        return self.config.latent

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of a model along each dimension."""
        return self.config.shape

    @torch.no_grad()
    def fit(self, models: Tensor, counts: Tensor) -> None:
        """Take principal components whose codes have mean 0 and variance 1 over `models` (batch, *shape).

        Cells that do not count are filled by the components themselves, round by round (Kiers, 1997).
        """
        x, there = models.flatten(1).double(), counts.flatten(1).double()
        mean = (x * there).sum(0) / there.sum(0).clamp(min=1)
        filled = (x - mean) * there
        for _ in range(1 if bool((there > 0).all()) else 10):
            u, s, v = _components(filled, self.latent)
            filled = filled * there + (1 - there) * (u * s @ v)
        largest = v.abs().argmax(1)  # signs that do not depend on the library
        v = v * v[torch.arange(len(v)), largest].sign()[:, None]
        deviation = (s / math.sqrt(len(x))).clamp(min=1e-12)
        self.to_code.weight.copy_(v / deviation[:, None])
        self.to_code.bias.copy_(-(v / deviation[:, None]) @ mean)
        self.from_code.weight.copy_((v * deviation[:, None]).T)
        self.from_code.bias.copy_(mean)

    def encode(self, x: Float[Tensor, "batch 1 *shape"]) -> Float[Tensor, "batch latent"]:
        """Codes of models."""
        return self.to_code(x.flatten(1))

    def decode(self, code: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch 1 *shape"]:
        """Models of codes."""
        return self.from_code(code).unflatten(1, (1, *self.config.shape))

    def forward(self, x: Float[Tensor, "batch 1 *shape"]) -> Float[Tensor, "batch 1 *shape"]:
        """Models as their codes give them back."""
        return self.decode(self.encode(x))


def _components(x: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first `n` singular values and vectors, by way of the smaller of the two matrices of products."""
    wide = x.shape[0] < x.shape[1]
    values, vectors = torch.linalg.eigh(x @ x.mT if wide else x.mT @ x)
    s, first = values.flip(0)[:n].clamp(min=1e-30).sqrt(), vectors.flip(1)[:, :n]
    return (first, s, (x.mT @ first / s).mT) if wide else (x @ first / s, s, first.mT)
