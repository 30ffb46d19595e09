"""Affine couplings: an invertible map from whitened codes to codes distributed as N(0, I).

Dinh et al. (2017, arXiv:1605.08803, equations 7 and 8). Codes of a variational autoencoder are not normal, and a linear
map corrects only their mean and covariance; models drawn from N(0, I) may then look unlike training models. A nonlinear
map, fitted after training (as the prior of Chen et al., 2017, arXiv:1611.02731), does not change the layers.
"""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

Codes = Float[Tensor, "batch latent"]
STEEPEST = 2.0
"""Largest logarithm of the factor by which one coupling stretches a code element."""


class Couplings(nn.Module):
    """`n` couplings of codes with `latent` elements; the identity if n is 0 or before they are fitted."""

    parts: Tensor
    centre: Tensor
    width: Tensor

    def __init__(self, latent: int, n: int, width: int):
        super().__init__()
        halves = list(_halves(latent, n))
        # without couplings there are no buffers: older weights files load unchanged
        self.register_buffer("parts", torch.stack(halves) if halves else torch.zeros(0, latent), persistent=n > 0)
        self.register_buffer("centre", torch.zeros(latent), persistent=n > 0)
        self.register_buffer("width", torch.ones(latent), persistent=n > 0)
        self.nets = nn.ModuleList(_make_net(latent, width) for _ in range(n))

    def to_normal(self, code: Codes) -> tuple[Codes, Float[Tensor, " batch"]]:
        """Map whitened codes to normal codes; also returns the logarithm of the determinant of the map."""
        total = torch.zeros_like(code[..., 0])
        for net, part in zip(self.nets, self.parts, strict=True):
            stretch, shift = _affine(net, part, code)
            code, total = code * stretch.exp() + shift, total + stretch.sum(-1)
        return (code - self.centre) / self.width, total - self.width.log().sum()

    def from_normal(self, code: Codes) -> Codes:
        """Map normal codes to whitened codes: the inverse of `to_normal`."""
        code = code * self.width + self.centre
        for net, part in reversed(list(zip(self.nets, self.parts, strict=True))):
            stretch, shift = _affine(net, part, code)
            code = (code - shift) * (-stretch).exp()
        return code

    @torch.no_grad()
    def standardise(self, code: Codes) -> None:
        """Shift and scale the map so that normal codes of `code` have mean 0 and variance 1.

        `code` are validation codes, whose normal codes are a little too wide after fitting to other codes.
        """
        normal = self.to_normal(code)[0]
        self.centre += normal.mean(0) * self.width
        self.width *= normal.std(0)

    def log_prob(self, code: Codes) -> Float[Tensor, " batch"]:
        """Logarithm of the density of whitened codes under N(0, I) and the map, in nat."""
        normal, log_determinant = self.to_normal(code)
        constant = 0.5 * code.shape[-1] * math.log(2 * math.pi)
        return log_determinant - 0.5 * normal.square().sum(-1) - constant

    def surprise(self, code: Codes) -> Float[Tensor, ""]:
        """Mean negative log density of whitened codes, in nat, without a constant: the loss of fitting the map."""
        normal, log_determinant = self.to_normal(code)
        return (0.5 * normal.square().sum(-1) - log_determinant).mean()


def _affine(net: nn.Module, part: Tensor, code: Codes) -> tuple[Codes, Codes]:
    """Logarithm of the stretch, and the shift, of the elements outside `part`, computed from those inside."""
    stretch, shift = net(code * part).chunk(2, -1)
    return STEEPEST * torch.tanh(stretch / STEEPEST) * (1 - part), shift * (1 - part)


def _make_net(latent: int, width: int) -> nn.Sequential:
    """A perceptron whose last layer is zero, so that a new coupling is the identity."""
    last = nn.Linear(width, 2 * latent)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(latent, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)


def _halves(latent: int, n: int) -> Iterator[Tensor]:
    """Masks of the elements that each coupling leaves unchanged: a random half, then the other half."""
    generator = torch.Generator().manual_seed(latent)
    part = torch.zeros(latent)
    for i in range(n):
        if i % 2 == 0:
            part = torch.zeros(latent)
            part[torch.randperm(latent, generator=generator)[: latent // 2]] = 1
        else:
            part = 1 - part
        yield part
