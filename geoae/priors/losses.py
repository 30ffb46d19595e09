"""The terms of the evidence lower bound (Kingma & Welling, 2014, arXiv:1312.6114)."""

import math

import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor

Codes = Float[Tensor, "*batch latent"]
PerModel = Float[Tensor, "*batch"]


def kl_normal(mean: Codes, log_variance: Codes) -> Codes:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) of each element of a code, in nat: 0.5 for mean 1 and variance 1."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def free_bits(kl: Float[Tensor, "batch latent"], bits: float) -> Float[Tensor, ""]:
    """Sum over code elements of the mean KL of the batch; each term is at least `bits` nat.

    Kingma et al. (2016, arXiv:1606.04934), equation 15.
    """
    return kl.mean(0).clamp(min=bits).sum()


def log_bernoulli(x: Tensor, logits: Tensor, counts: Tensor) -> PerModel:
    """Bernoulli log-likelihood of values between 0 and 1, summed over the last dimension with weights `counts`."""
    return -(F.binary_cross_entropy_with_logits(logits, x, reduction="none") * counts).sum(-1)


def log_gaussian(x: Tensor, mean: Tensor, log_variance: Tensor, counts: Tensor) -> PerModel:
    """Gaussian log-likelihood, summed over the last dimension with weights `counts`: 1 for valid cells, else 0."""
    left = (x - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi)
    return -0.5 * (left * counts).sum(-1)
