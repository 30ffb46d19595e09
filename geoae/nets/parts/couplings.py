"""An invertible map between codes as layers have them and codes that are N(0, I): affine couplings.

Dinh et al. (2017, arXiv:1605.08803, equations 7 and 8). Codes of a variational autoencoder are not normal, only their
mean and covariance can be made so by a linear map; what is drawn from N(0, I) then looks like no model of the training.
A map that bends them after the training (as the prior of Chen et al., 2017, arXiv:1611.02731) leaves the layers alone.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

Codes = Float[Tensor, "batch latent"]
STEEPEST = 2.0
"""Logarithm of the factor by which one coupling stretches a number at most."""


class Couplings(nn.Module):
    """`n` couplings of codes of `latent` numbers; none of them, or none fitted: the identity."""

    parts: Tensor
    centre: Tensor
    width: Tensor

    def __init__(self, latent: int, n: int, width: int):
        super().__init__()
        halves = list(_halves(latent, n))
        # models without any are as they were
        self.register_buffer("parts", torch.stack(halves) if halves else torch.zeros(0, latent), persistent=n > 0)
        self.register_buffer("centre", torch.zeros(latent), persistent=n > 0)
        self.register_buffer("width", torch.ones(latent), persistent=n > 0)
        self.nets = nn.ModuleList(_net(latent, width) for _ in range(n))

    def to_normal(self, code: Codes) -> tuple[Codes, Float[Tensor, " batch"]]:
        """Normal codes of the layers' whitened ones, and the logarithm of the determinant of the map there."""
        total = torch.zeros_like(code[..., 0])
        for net, part in zip(self.nets, self.parts, strict=True):
            stretch, shift = _affine(net, part, code)
            code, total = code * stretch.exp() + shift, total + stretch.sum(-1)
        return (code - self.centre) / self.width, total - self.width.log().sum()

    def from_normal(self, code: Codes) -> Codes:
        """The inverse of `to_normal`."""
        code = code * self.width + self.centre
        for net, part in reversed(list(zip(self.nets, self.parts, strict=True))):
            stretch, shift = _affine(net, part, code)
            code = (code - shift) * (-stretch).exp()
        return code

    @torch.no_grad()
    def standardise(self, code: Codes) -> None:
        """Give normal codes of these mean 0 and variance 1: a map fitted to others makes them a little too wide."""
        normal = self.to_normal(code)[0]
        self.centre += normal.mean(0) * self.width
        self.width *= normal.std(0)

    def log_prob(self, code: Codes) -> Float[Tensor, " batch"]:
        """Logarithm of the density that N(0, I) and the map give whitened codes, nat."""
        normal, log_determinant = self.to_normal(code)
        constant = 0.5 * code.shape[-1] * math.log(2 * math.pi)
        return log_determinant - 0.5 * normal.square().sum(-1) - constant

    def surprise(self, code: Codes) -> Float[Tensor, ""]:
        """Mean of -log of the density that N(0, I) and the map give codes, nat, less a constant: what is minimised."""
        normal, log_determinant = self.to_normal(code)
        return (0.5 * normal.square().sum(-1) - log_determinant).mean()


def _affine(net: nn.Module, part: Tensor, code: Codes) -> tuple[Codes, Codes]:
    """Logarithm of the stretch, and the shift, of the numbers outside `part`, from those inside."""
    stretch, shift = net(code * part).chunk(2, -1)
    return STEEPEST * torch.tanh(stretch / STEEPEST) * (1 - part), shift * (1 - part)


def _net(latent: int, width: int) -> nn.Sequential:
    last = nn.Linear(width, 2 * latent)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(latent, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)


def _halves(latent: int, n: int) -> Iterator[Tensor]:
    """Which numbers each coupling leaves alone: a random half, then the other half."""
    generator = torch.Generator().manual_seed(latent)
    part = torch.zeros(latent)
    for i in range(n):
        if i % 2 == 0:
            part = torch.zeros(latent)
            part[torch.randperm(latent, generator=generator)[: latent // 2]] = 1
        else:
            part = 1 - part
        yield part
