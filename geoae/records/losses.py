"""The training loss of denoisers of records, on tensors of scaled windows."""

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Bool, Float
from torch import Tensor

from geoae.nets.protocols import Loss
from geoae.training.losses import Batch, log_error_db

FRAME_LENGTHS = (8, 32, 128)
"""Samples in the frames of the spectral error: short frames resolve times, long ones frequencies."""


def compressed_magnitude(x: Batch, frame: int, power: float = 0.3) -> Float[Tensor, "batch channel frame bin"]:
    """|X|^power on Hann frames of `frame` samples at 50 % overlap; the power gives quiet parts more weight."""
    frames = x.unfold(-1, frame, frame // 2) * torch.hann_window(frame, device=x.device)
    z = torch.view_as_real(torch.fft.rfft(frames))
    # the floor keeps the gradient finite at zero
    return (z.square().sum(-1) + 1e-4).pow(power / 2)


def relative_error(
    estimate: Float[Tensor, "batch channel frame bin"],
    target: Float[Tensor, "batch channel frame bin"],
    weight: Float[Tensor, "batch channel frame"] | None = None,
) -> Float[Tensor, "batch channel"]:
    """Sum w (E - T)^2 / sum w (E + T)^2 of magnitudes, between 0 and 1.

    After Braun & Tashev (2021), arXiv:2009.12286, section 3.
    """
    difference, total = (estimate - target).square().mean(-1), (estimate + target).square().mean(-1)
    if weight is None:
        return difference.mean(-1) / (total.mean(-1) + 1e-9)
    return (weight * difference).sum(-1) / ((weight * total).sum(-1) + 1)  # 0 where there is no onset


def onset_weight(
    target: Batch, step: int, reach_steps: int = 25, floor: float = 1e-3
) -> Float[Tensor, "batch channel step"]:
    """Weight of onsets, every `step` samples: log10 of the energy after over the energy before, clipped to 0-3.

    It is near 0 in silence and in a steady signal, and large from `reach_steps` steps before an onset until half as
    many after it.
    """
    energy = F.avg_pool1d(target.square(), step)
    padded = F.pad(energy, (reach_steps, reach_steps), mode="replicate")
    mean = F.avg_pool1d(padded, reach_steps, stride=1) + floor
    n = energy.shape[-1]
    rise = torch.log10(mean[..., reach_steps : reach_steps + n] / mean[..., :n]).clamp(0, 3)
    return torch.maximum(rise, F.pad(rise, (reach_steps // 2, 0))[..., :n])


def denoising_loss(
    estimate: Batch,
    target: Batch,
    noisy: Batch,
    present: Bool[Tensor, "batch channel"],
    spectral_weight: float,
    onsets: float = 0.0,
) -> Loss:
    """Error in dB + `spectral_weight` * spectral error + `onsets` * spectral error of the shortest frames at onsets.

    The spectral error is the mean over the `FRAME_LENGTHS`. The loss is summed over recorded components and divided by
    the number of all components. This divisor does not depend on the data, so the mean over processes is the loss of
    the whole batch.

    Returns
    -------
    Loss
        With the term error, and spectral and onset if their weights are not 0.
    """
    loss = log_error_db(estimate, target, noisy)
    parts = {"error": [loss]}
    for frame in FRAME_LENGTHS if spectral_weight or onsets else ():
        e, t = compressed_magnitude(estimate, frame), compressed_magnitude(target, frame)
        spectral = spectral_weight / len(FRAME_LENGTHS) * relative_error(e, t)
        loss = loss + spectral
        if spectral_weight:
            parts.setdefault("spectral", []).append(spectral)
        if frame == FRAME_LENGTHS[0] and onsets:
            weight = onset_weight(target, frame // 2)[..., 1 : 1 + t.shape[-2]]
            onset = onsets * relative_error(e, t, weight)
            loss = loss + onset
            parts["onset"] = [onset]
    terms = {name: (torch.stack([x.detach() for x in each]).sum(0) * present).mean() for name, each in parts.items()}
    return Loss((loss * present).mean(), terms)
