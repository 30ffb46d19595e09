"""Losses that several kinds share."""

import torch
from jaxtyping import Float
from torch import Tensor

Batch = Float[Tensor, "batch channel time"]


def log_error_db(
    estimate: Batch, target: Batch, noisy: Batch, ceiling_db: float = 30.0
) -> Float[Tensor, "batch channel"]:
    """Error energy of each trace in dB, so that loud and quiet, easy and hard windows have the same weight.

    10 log10(|estimate - target|^2 + a |target|^2 + a |noisy|^2 / 10), a = 10^(-ceiling/10). An error more than
    `ceiling_db` below the target improves the loss little (after Wisdom et al., 2020, arXiv:2006.12701, equation 2).
    For a silent target, the last term sets this limit.
    """
    a = 10 ** (-ceiling_db / 10)
    error = (estimate - target).square().sum(-1)
    return 10 * torch.log10(error + a * target.square().sum(-1) + 0.1 * a * noisy.square().sum(-1) + 1e-9)
