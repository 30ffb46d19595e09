"""What is done with the signal that masks let through: remains of noise are closed, and a floor of noise is left."""

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor, nn

from geoae.nets.parts.frames import Frames

_FRAME, _HOP = 128, 32
_EDGES = (0, 1, 2, 3, *range(4, 64, 2), 64)
"""First bins of the bands in which power is limited: two bins wide above the fourth, 1.56 Hz at 100 Hz."""
_OCTAVES = (1, 2, 4, 8, 16, 32)
"""First bins of the octaves in which signal and noise are compared."""
_SPAN, _LONG = 3, 31
"""Frames over which the powers of the signal and of the removed noise are averaged."""
_QUANTILE = 0.25
"""Fraction of the powers of a window that are below the level of its noise."""
_BLOCK = 100
"""Samples whose mean power is a level of noise or of a peak."""

Windows = Float[Tensor, "batch channel time"]
Bands = Float[Tensor, "batch frame channel band"]


class PresenceGate(nn.Module):
    """Removes remains of noise from the signal that masks let through, and energy that is not in the input.

    Masks are open a little where they are not sure. A statistic that compares a short with a long average then sees
    bursts, in noise that had none. In octave bands of all components, the power of the signal is compared with the
    larger of two levels of noise: what was removed around it, and the lowest quarter of the window's powers. The
    evidence for an event is the sum over the bands of log(1 + ratio). An event is a stretch of evidence above `low`
    that somewhere exceeds `high` (hysteresis, as Canny, 1986, doi:10.1109/TPAMI.1986.4767851). The rest is closed.

    A mask that varies fast makes images of strong low frequencies. So the power of the signal is limited to that of the
    input in each cell of time and frequency.
    """

    bands: Tensor
    octaves: Tensor

    def __init__(self, high: float, low: float):
        super().__init__()
        self.high, self.low = high, low
        self.frames = Frames(_FRAME, _HOP, root=False)
        bins, edges = torch.arange(self.frames.bins), torch.tensor(_EDGES)
        of_bin = torch.searchsorted(edges, bins, right=True) - 1
        bands = (of_bin[:, None] == torch.arange(len(_EDGES))).float()
        # real and imaginary parts are neighbours
        self.register_buffer("bands", bands.repeat_interleave(2, 0), persistent=False)
        octave = torch.searchsorted(torch.tensor(_OCTAVES), edges, right=True)  # 0: below the first
        self.register_buffer("octaves", (octave[:, None] == torch.arange(1, 7)).float(), persistent=False)

    def forward(self, x: Windows, signal: Windows) -> Windows:
        """Signal of windows `x` without the remains of noise. It changes its sign with both of them."""
        count = self.frames.count(x.shape[-1])
        whole, part = (torch.view_as_real(self.frames.analyse(y, count)).flatten(-2) for y in (x, signal))
        before, after, removed = ((y * y) @ self.bands for y in (whole, part, whole - part))
        gate = self.find_events(self.find_evidence(before, after, removed))[:, :, None, None]
        limit = (_sum_frames(before) / _sum_frames(after).clamp(min=1e-20)).clamp(max=1).sqrt()
        part = (part * ((gate * limit) @ self.bands.mT)).unflatten(-1, (-1, 2))
        return self.frames.synthesise(torch.view_as_complex(part), x.shape[-1])

    def find_evidence(self, before: Bands, after: Bands, removed: Bands) -> Float[Tensor, "batch frame"]:
        """Evidence for an event, from the powers of the windows, of the signal and of the removed part."""
        spans = (_SPAN, _SPAN, _LONG)
        octaves = [(y.sum(2) @ self.octaves).mT for y in (before, after, removed)]
        around, own, beside = (_average(y, n) for y, n in zip(octaves, spans, strict=True))
        level = torch.maximum(beside, find_level(around, _QUANTILE))
        return (own / level.clamp(min=1e-9)).log1p().sum(1)

    def find_events(self, evidence: Float[Tensor, "batch frame"]) -> Float[Tensor, "batch frame"]:
        """1 in stretches of evidence above `low` that exceed `high`, and in one frame on either side; else 0."""
        is_low = evidence <= self.low
        # the same number in all frames of a stretch, and in the frame before it, whose evidence does not count
        stretch = is_low.cumsum(-1).clamp(max=evidence.shape[-1] - 1)
        highest = torch.zeros_like(evidence)
        highest.scatter_reduce_(-1, stretch, evidence.masked_fill(is_low, 0.0), "amax")
        is_event = (highest.gather(-1, stretch) > self.high) & ~is_low
        return F.max_pool1d(is_event.to(evidence.dtype)[:, None], 3, 1, 1)[:, 0]


def find_leak(
    signal: Windows, removed: Windows, least: float, most: float, peak_db: float
) -> Float[Tensor, "batch 1 1"]:
    """Share of the removed part that is left in the signal, one for all components of a window.

    It is `least` for weak events. For strong ones it rises up to `most`, while the noise that is left stays `peak_db`
    below the peak. There the noise does no harm, but what masks smear before an onset would stand out of silence.
    """
    n = min(_BLOCK, signal.shape[-1])
    noise = find_level(F.avg_pool1d(removed.square(), n, n), 0.5)
    peak = F.avg_pool1d(signal.square(), n, max(n // 2, 1)).amax(-1, keepdim=True)
    ratio = (peak / noise.clamp(min=1e-12)).sqrt().amax(1, keepdim=True)
    return (ratio * 10 ** (-peak_db / 20)).clamp(least, most)


def find_level(power: Float[Tensor, "batch row frame"], quantile: float) -> Float[Tensor, "batch row 1"]:
    """Quantile of the powers that are not zero, as they are in gaps."""
    ordered, n = power.sort(-1).values, power.shape[-1]
    zeros = (ordered <= 0).sum(-1, keepdim=True)
    return ordered.gather(-1, (zeros + (quantile * (n - zeros)).long()).clamp(max=n - 1))


def _average(power: Float[Tensor, "batch band frame"], span: int) -> Float[Tensor, "batch band frame"]:
    return F.avg_pool1d(power, span, 1, span // 2, count_include_pad=False)


def _sum_frames(power: Bands) -> Bands:
    """Sum over each frame and its two neighbours, as far as there are any."""
    out = power.clone()
    out[:, 1:] += power[:, :-1]
    out[:, :-1] += power[:, 1:]
    return out
