"""The linear autoencoder: principal components as a net. The baseline of all priors."""

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
    """Encode models (batch, 1, *shape) as codes (batch, latent), and decode codes, with one matrix each."""

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
        """Length of a code."""
        return self.config.latent

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells of a model along each dimension."""
        return self.config.shape

    @torch.no_grad()
    def fit(self, models: Tensor, counts: Tensor) -> None:
        """Fit principal components to `models` (batch, *shape), whose codes then have mean 0 and variance 1.

        Missing cells (`counts` 0) are filled with their reconstruction, iteratively (Kiers, 1997).
        """
        x, valid = models.flatten(1).double(), counts.flatten(1).double()
        mean = (x * valid).sum(0) / valid.sum(0).clamp(min=1)
        filled = (x - mean) * valid
        for _ in range(1 if bool((valid > 0).all()) else 10):
            u, s, v = _compute_svd(filled, self.latent)
            filled = filled * valid + (1 - valid) * (u * s @ v)
        largest = v.abs().argmax(1)  # makes the signs independent of the linear algebra library
        v = v * v[torch.arange(len(v)), largest].sign()[:, None]
        deviation = (s / math.sqrt(len(x))).clamp(min=1e-12)
        self.to_code.weight.copy_(v / deviation[:, None])
        self.to_code.bias.copy_(-(v / deviation[:, None]) @ mean)
        self.from_code.weight.copy_((v * deviation[:, None]).T)
        self.from_code.bias.copy_(mean)

    def encode(self, x: Float[Tensor, "batch 1 *shape"]) -> Float[Tensor, "batch latent"]:
        """Encode models."""
        return self.to_code(x.flatten(1))

    def decode(self, code: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch 1 *shape"]:
        """Decode codes to models."""
        return self.from_code(code).unflatten(1, (1, *self.config.shape))

    def forward(self, x: Float[Tensor, "batch 1 *shape"]) -> Float[Tensor, "batch 1 *shape"]:
        """Reconstruct models from their codes."""
        return self.decode(self.encode(x))


def _compute_svd(x: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first `n` singular vectors and values, from the eigenvectors of the smaller of x x^T and x^T x."""
    wide = x.shape[0] < x.shape[1]
    values, vectors = torch.linalg.eigh(x @ x.mT if wide else x.mT @ x)
    s, first = values.flip(0)[:n].clamp(min=1e-30).sqrt(), vectors.flip(1)[:, :n]
    return (first, s, (x.mT @ first / s).mT) if wide else (x @ first / s, s, first.mT)
