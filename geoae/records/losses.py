"""The training loss of denoisers of records, on tensors of scaled windows."""

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Bool, Float
from torch import Tensor

from geoae.nets.protocols import Loss
from geoae.training.losses import Batch, log_error_db

FRAME_LENGTHS = (8, 32, 128)
"""Samples in the frames of the spectral error: short frames resolve times, long ones frequencies."""
ENERGY_FRAME, ENERGY_BINS = 64, ((1, 3), (3, 6), (6, 13), (13, 27))
"""Samples in the frames of the energy error, and the bins (first, last + 1) of its bands, about an octave each."""


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


def energy_error(estimate: Batch, target: Batch, bend: float = 1.0) -> Float[Tensor, "batch channel"]:
    """Error of the logarithm of power, in decades, mean over octave bands and frames of `ENERGY_FRAME` samples.

    It is a log-spectral distance: a burst that a quiet part does not hold, and a signal that is lost, count by their
    ratio to what should be there, however weak both are. Beyond `bend` decades the error grows linearly.
    """
    bands = []
    for x in (estimate, target):
        frames = x.unfold(-1, ENERGY_FRAME, ENERGY_FRAME // 2) * torch.hann_window(ENERGY_FRAME, device=x.device)
        power = torch.view_as_real(torch.fft.rfft(frames)).square().sum(-1) * (2 / ENERGY_FRAME)
        octaves = [power[..., a:b].mean(-1) for a, b in ENERGY_BINS]
        bands.append((torch.stack(octaves, -1) + 1e-4).log10())
    return F.smooth_l1_loss(bands[0], bands[1], reduction="none", beta=bend).mean((-1, -2))


def peak_error(estimate: Batch, target: Batch, span: int = 50) -> Float[Tensor, "batch channel"]:
    """Error of the logarithm of the largest power over `span` samples, in decades: the amplitude that is measured."""
    peaks = [(F.avg_pool1d(x.square(), span, span // 2).amax(-1) + 1e-4).log10() for x in (estimate, target)]
    return F.smooth_l1_loss(peaks[0], peaks[1], reduction="none")


def quantile_error(
    log_error: Batch, estimate: Batch, signal: Batch, valid: Bool[Tensor, "batch channel time"], quantile: float = 0.9
) -> Float[Tensor, "batch channel"]:
    """Pinball loss of `log_error` as the logarithm of a quantile of |estimate - signal|.

    Its minimum is the quantile (Koenker & Bassett, 1978, doi:10.2307/1913643); logarithms give weak and strong signals
    the same weight.
    """
    above = ((estimate - signal).abs() + 1e-4).log() - log_error
    loss = torch.maximum(quantile * above, (quantile - 1) * above) * valid
    return loss.sum(-1) / valid.sum(-1).clamp(min=1)


class LossWeights(NamedTuple):
    """Weights of the terms of `denoising_loss`; the weight of the error in dB is 1."""

    spectral: float
    onset: float = 0.0
    energy: float = 0.0
    peak: float = 0.0
    energy_bend: float = 1.0
    """Decades: `bend` of `energy_error`, no weight."""


def denoising_loss(
    estimate: Batch, target: Batch, noisy: Batch, present: Bool[Tensor, "batch channel"], weights: LossWeights
) -> Loss:
    """Error in dB, and the weighted errors of spectra, of spectra at onsets, of energies and of peaks.

    The spectral error is the mean over the `FRAME_LENGTHS`; that at onsets uses the shortest. The loss is summed over
    recorded components and divided by the number of all components. This divisor does not depend on the data, so the
    mean over processes is the loss of the whole batch.

    Returns
    -------
    Loss
        With the term error, and the terms whose weights are not 0.
    """
    parts = {"error": log_error_db(estimate, target, noisy)}
    spectral = []
    for frame in FRAME_LENGTHS if weights.spectral or weights.onset else ():
        e, t = compressed_magnitude(estimate, frame), compressed_magnitude(target, frame)
        spectral.append(relative_error(e, t))
        if frame == FRAME_LENGTHS[0] and weights.onset:
            weight = onset_weight(target, frame // 2)[..., 1 : 1 + t.shape[-2]]
            parts["onset"] = weights.onset * relative_error(e, t, weight)
    if weights.spectral:
        parts["spectral"] = weights.spectral * torch.stack(spectral).mean(0)
    if weights.energy:
        parts["energy"] = weights.energy * energy_error(estimate, target, weights.energy_bend)
    if weights.peak:
        parts["peak"] = weights.peak * peak_error(estimate, target)
    return sum_terms(parts, present)


def sum_terms(parts: dict[str, Float[Tensor, "batch channel"]], present: Bool[Tensor, "batch channel"]) -> Loss:
    """Sum terms over recorded components, divided by the number of all components."""
    terms = {name: (part * present).mean() for name, part in parts.items()}
    return Loss(torch.stack(list(terms.values())).sum(), {name: term.detach() for name, term in terms.items()})
