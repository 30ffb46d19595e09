"""A denoising autoencoder with a mask on long frames, then gains in octave bands, and the error of each sample."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor, nn

from geoae.errors import InputError
from geoae.nets.cascade_dae import CascadeDAE, CascadeDAEConfig
from geoae.nets.parts.octaves import OctaveBands

_MARGIN = 256
"""Zeros after a window, so that the filters of the bands do not wrap around."""
_SIGMA_STEP, _SIGMA_SPANS = 4, (1, 3, 12)
"""Hops from one estimate of the error to the next, and numbers of estimates over which powers are averaged for it."""

_LOG_ERRORS = (math.log(1e-5), math.log(1e6))
"""Range of the logarithm of the error."""


@dataclass(frozen=True)
class OctaveDAEConfig(CascadeDAEConfig):
    """Sizes of `OctaveDAE`. A window must be a multiple of `frame / 4 * stack` samples."""

    edges: tuple[float, ...] = (0.04, 0.09, 0.20, 0.40)
    """Edges of the octave bands, cycles per sample, rising. Below the first and above the last edge the second mask
    does not act."""
    leak: float = 0.1
    """Share of the removed part that stays in the signal: a floor of the record's own noise, 20 dB down. Statistics
    that compare a short with a long average then see ratios like those of the input, where nothing but noise is."""
    sigma_width: int = 24
    """Channels of the convolutions that estimate the error of each sample."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = all(a < b for a, b in pairwise(self.edges))
        if len(self.edges) < 2 or not rising or not 0 < self.edges[0] < self.edges[-1] < 0.5:
            raise InputError(
                f"edges is {self.edges}: expected two frequencies or more, rising, in cycles per sample between 0 and "
                "0.5."
            )

    @property
    def n_bands(self) -> int:
        """Number of bands in which the second mask acts."""
        return len(self.edges) - 1


class OctaveDAE(CascadeDAE):
    """`CascadeDAE` whose second mask acts on octave bands, each filtered again after its gain.

    A gain that varies fast makes images of a strong low frequency at high frequencies. Here the gain of a band varies
    the more slowly the lower the band, and images outside the band are filtered out. `estimate` also gives the standard
    error of each sample. In training, the output has one more group of channels than the input: the logarithm of the
    error, as the quantile that 90 % of the errors do not exceed.
    """

    Config = OctaveDAEConfig
    config: OctaveDAEConfig

    def __init__(self, config: OctaveDAEConfig):
        super().__init__(config)
        c, bands = config, config.n_bands
        # energies of the samples and of their differences: strong low frequencies hide onsets in the first
        features = c.stack * self.long.bins * (c.channels + 2 * len(self.pairs)) + 2 * c.channels * self.per_position
        self.encoder = nn.Linear(features, c.width)
        self.octaves = OctaveBands(c.edges)
        pad = (0, c.gate_kernel // 2)
        gate_features = c.channels * bands * (1 + 2 * len(c.boxes)) + 2 * c.channels + c.hints
        self.gate_in = nn.Conv2d(gate_features, c.gate_width, (1, c.gate_kernel), padding=pad)
        self.gate_out = nn.Conv2d(c.gate_width, c.channels * bands, (1, c.gate_kernel), padding=pad)
        sigma_features = c.gate_width + c.hints + 4 * c.channels * len(_SIGMA_SPANS)
        self.sigma_in = nn.Conv2d(sigma_features, c.sigma_width, (1, c.gate_kernel), padding=pad)
        self.sigma_out = nn.Conv2d(c.sigma_width, c.channels, (1, c.gate_kernel), padding=pad)

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch group time"]:
        """Estimate the signal in scaled windows; in training also the logarithm of the error, as further channels."""
        signal, log_error = self._estimate(x, self.training)
        return signal if log_error is None else torch.cat([signal, log_error], 1)

    def estimate(
        self, x: Float[Tensor, "batch channel time"]
    ) -> tuple[Float[Tensor, "batch channel time"], Float[Tensor, "batch channel time"]]:
        """Signal and the standard error of each of its samples."""
        signal, log_error = self._estimate(x, True)
        assert log_error is not None  # for the type checker
        return signal, log_error.exp() / 1.645

    def _estimate(self, x: Float[Tensor, "batch channel time"], with_error: bool) -> tuple[Tensor, Tensor | None]:
        """Signal with the floor of noise, and the logarithm of the 90 % quantile of its error if wanted."""
        c, (batch, _, time) = self.config, x.shape
        positions = -(-self.long.count(time) // c.stack)
        spectrum = self.long.analyse(x, positions * c.stack)
        energy = torch.cat([self._energy(x, positions), self._energy(_difference(x), positions)], 1)
        code = self.encode(spectrum, energy)
        size, turn = self.decoder(code).float().view(batch, positions * c.stack, 2, c.channels, -1).unbind(2)
        size = torch.sigmoid(size)
        first = self.long.synthesise(spectrum * torch.complex(size, size * torch.tanh(turn)), time)
        hints = self.hinter(code)
        clean, hidden, coarse = self._apply_gains(first, energy, hints)
        signal = clean + c.leak * (x - clean) if self.training else self.finish(x, clean)
        if not with_error:
            return signal, None
        return signal, self._log_error(x.detach(), signal.detach(), hidden.detach(), coarse.detach())

    def _apply_gains(self, x: Tensor, energy: Tensor, hints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Apply the gains of the bands; also returns the features of the gains (batch, feature, hop), and `coarse`."""
        c, (batch, channels, time) = self.config, x.shape
        hop = self.short.hop
        count = -(-time // hop)
        padded = F.pad(x, (0, count * hop - time + _MARGIN))
        bands, rest = self.octaves.split(padded)
        power = bands[..., : count * hop].square().unflatten(-1, (count, hop)).mean(-1) + c.floor
        power = power.flatten(1, 2)
        coarse = self._align(energy, hints, count)
        around = [self._compare_energies(power, box) for box in c.boxes]
        features = torch.cat([power.log().mul(0.3), *around, coarse], 1)
        hidden = F.gelu(self.gate_in(features.unsqueeze(2)))
        gate = torch.sigmoid(self.gate_out(hidden).float() + 3).squeeze(2).view(batch, channels, c.n_bands, count)
        gains = self.octaves.interpolate_gains(gate, hop, padded.shape[-1])
        out = self.octaves.join(bands * gains, rest)[..., :time]
        return out, hidden.squeeze(2).float(), coarse

    def _align(self, energy: Tensor, hints: Tensor, count: int) -> Float[Tensor, "batch feature hop"]:
        """Features of the first mask at the times of the hops."""
        c = self.config
        skip = (c.frame - c.hop) // 2 // self.short.hop
        coarse = torch.cat([energy.mT, hints.float().unflatten(-1, (-1, c.hints)).flatten(1, 2)], dim=-1)[:, skip:]
        return F.pad(coarse, (0, 0, 0, max(count - coarse.shape[1], 0)))[:, :count].mT

    def _log_error(self, x: Tensor, signal: Tensor, hidden: Tensor, coarse: Tensor) -> Tensor:
        """Logarithm of the error that 9 of 10 samples do not exceed, in scaled units."""
        c, time, step = self.config, x.shape[-1], _SIGMA_STEP * self.short.hop
        count = -(-time // step)
        parts = [self._thin(torch.cat([hidden, coarse[:, -c.hints :]], 1), count)]
        for part in (signal, x - signal):
            for y in (part, _difference(part)):
                power = F.pad(y, (0, count * step - time)).square().unflatten(-1, (count, step)).mean(-1)
                for span in _SIGMA_SPANS:
                    smooth = F.avg_pool1d(F.pad(power, (span, span - 1), mode="replicate"), 2 * span, stride=1)
                    parts.append((smooth + c.floor).log().mul(0.3))
        features = torch.cat(parts, 1).unsqueeze(2)
        log_error = self.sigma_out(F.gelu(self.sigma_in(features))).squeeze(2).float()
        # lines between the middles of the steps
        return F.interpolate(log_error, scale_factor=step, mode="linear")[..., :time].clamp(*_LOG_ERRORS)

    @staticmethod
    def _thin(features: Float[Tensor, "batch feature hop"], count: int) -> Float[Tensor, "batch feature step"]:
        """Means over `_SIGMA_STEP` hops."""
        missing = count * _SIGMA_STEP - features.shape[-1]
        return F.avg_pool1d(F.pad(features, (0, missing), mode="replicate"), _SIGMA_STEP)


def _difference(x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
    """Differences between neighbouring samples; the first is zero."""
    return torch.diff(x, dim=-1, prepend=x[..., :1])
