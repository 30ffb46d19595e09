"""What training makes small, on tensors of scaled windows."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Batch = Float[Tensor, "batch channel time"]


def log_error_db(
    estimate: Batch, target: Batch, noisy: Batch, ceiling_db: float = 30.0
) -> Float[Tensor, "batch channel"]:
    """Error energy of each trace in dB, so that loud and quiet, easy and hard windows weigh the same.

    10 log10(|estimate - target|^2 + a |target|^2 + a |noisy|^2 / 10), a = 10^(-ceiling/10): below the ceiling a better
    estimate gains nothing (after Wisdom et al., 2020, arXiv:2006.12701, equation 2). Where the target is silence, the
    last term says how quiet is quiet enough.
    """
    a = 10 ** (-ceiling_db / 10)
    error = (estimate - target).square().sum(-1)
    return 10 * torch.log10(error + a * target.square().sum(-1) + 0.1 * a * noisy.square().sum(-1) + 1e-9)


def compressed_spectral_error(
    estimate: Batch, target: Batch, frame: int = 32, power: float = 0.3
) -> Float[Tensor, "batch channel"]:
    """Relative error of compressed short-time magnitudes: quiet parts, such as the seconds before an onset, count too.

    mean (|E|^p - |T|^p)^2 / mean (|E|^p + |T|^p)^2, on Hann frames of `frame` samples at 75 % overlap (Braun & Tashev,
    2021, arXiv:2009.12286, section 3).
    """
    window = torch.hann_window(frame, device=estimate.device)

    def magnitude(x: Batch) -> Float[Tensor, "batch channel bin frame"]:
        z = torch.stft(x.flatten(0, 1), frame, frame // 4, window=window, return_complex=True, center=False)
        # the floor keeps the slope of a power below one finite at zero
        return (z.real.square() + z.imag.square() + 1e-4).pow(power / 2).unflatten(0, x.shape[:2])

    e, t = magnitude(estimate), magnitude(target)
    return (e - t).square().mean((-1, -2)) / ((e + t).square().mean((-1, -2)) + 1e-9)


def denoising_loss(
    estimate: Batch, target: Batch, noisy: Batch, present: Bool[Tensor, "batch channel"], spectral_weight: float
) -> Float[Tensor, ""]:
    """Error in dB + `spectral_weight` * compressed spectral error, summed over recorded components / all components.

    The divisor does not depend on the data, so that the mean over processes is the loss of the whole batch.
    """
    loss = log_error_db(estimate, target, noisy)
    if spectral_weight:
        loss = loss + spectral_weight * compressed_spectral_error(estimate, target)
    return (loss * present).mean()
