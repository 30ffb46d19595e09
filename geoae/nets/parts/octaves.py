"""Octave bands of windows: split into bands, gains that vary in time, and the sum of the bands, each filtered again."""

import math
from functools import lru_cache
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Complex, Float
from torch import Tensor, nn

_OVERLAP = 1.18
"""Neighbouring bands share the frequencies within this factor of their edge."""


class OctaveBands(nn.Module):
    """Bands whose squared responses add up to 1 between the first and the last edge.

    The response of a band rises and falls as a cosine of the logarithm of frequency (a tight frame, as Simoncelli &
    Freeman, 1995, doi:10.1109/ICIP.1995.537667). `split` and `join` both filter, so that images that a gain makes
    outside its band are removed.
    """

    def __init__(self, edges: tuple[float, ...]):
        super().__init__()
        self.edges = edges
        # a band of centre f resolves gains over about 1 / f samples; bands further up resolve shorter times
        self.spans = [max(round(0.5 / lower), 1) for lower in edges[:-1]]

    def split(self, x: Float[Tensor, "batch channel time"]) -> tuple[Tensor, Tensor]:
        """Split windows into bands (batch, channel, band, time), and the spectrum of what lies in no band."""
        spectrum, responses = torch.fft.rfft(x.float()), self._responses(x)
        bands = torch.fft.irfft(spectrum.unsqueeze(2) * responses, n=x.shape[-1])
        return bands, spectrum * (1 - responses.square().sum(0))

    def join(
        self, bands: Float[Tensor, "batch channel band time"], rest: Complex[Tensor, "batch channel frequency"]
    ) -> Float[Tensor, "batch channel time"]:
        """Filter each band again and add them to the rest."""
        spectrum = (torch.fft.rfft(bands) * self._responses(bands)).sum(2) + rest
        return torch.fft.irfft(spectrum, n=bands.shape[-1])

    def interpolate_gains(
        self, gains: Float[Tensor, "batch channel band hop"], hop: int, time: int
    ) -> Float[Tensor, "batch channel band time"]:
        """Gains of each sample from gains of each hop, smoothed to the time resolution of each band."""
        batch, channels = gains.shape[:2]
        flat = gains.flatten(0, 1)
        kernels, reach = _smoothing_kernels(tuple(max(round(span / hop), 1) for span in self.spans))
        smooth = F.conv1d(
            F.pad(flat, (reach, reach), mode="replicate"), kernels.to(flat.device)[:, None], groups=len(self.spans)
        )
        fine = F.interpolate(smooth, scale_factor=hop, mode="linear")
        wide = F.pad(fine, (0, max(time - fine.shape[-1], 0)), mode="replicate")[..., :time]
        return wide.unflatten(0, (batch, channels))

    def _responses(self, x: Tensor) -> Float[Tensor, "band frequency"]:
        return _band_responses(self.edges, x.shape[-1]).to(x.device)


@lru_cache(maxsize=16)
def _band_responses(edges: tuple[float, ...], time: int) -> Float[Tensor, "band frequency"]:
    """Amplitude responses of the bands at the frequencies of a real Fourier transform of `time` samples."""
    f = torch.fft.rfftfreq(time).clamp(min=1e-9).log()
    half = math.log(_OVERLAP)
    # share of the power above each edge, from 0 to 1 around it
    above = [torch.sin(0.5 * math.pi * ((f - math.log(e) + half) / (2 * half)).clamp(0, 1)).square() for e in edges]
    return torch.stack([(a - b).clamp(min=0).sqrt() for a, b in pairwise(above)])


@lru_cache(maxsize=16)
def _smoothing_kernels(spans: tuple[int, ...]) -> tuple[Float[Tensor, "band tap"], int]:
    """Triangular kernels of unit sum, 2 * span - 1 hops long, padded to one length; and half this length."""
    reach = max(spans) - 1
    at = torch.arange(-reach, reach + 1).abs()
    rows = [(1 - at / span).clamp(min=0) for span in spans]
    return torch.stack([row / row.sum() for row in rows]), reach
