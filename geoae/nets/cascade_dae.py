"""A denoising autoencoder with two masks: on long frames, which resolve frequency, and short ones, for time."""

from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Complex, Float
from torch import Tensor, nn

from geoae.errors import InputError
from geoae.nets.parts.frames import Frames
from geoae.nets.parts.presence import PresenceGate, find_leak


@dataclass(frozen=True)
class CascadeDAEConfig:
    """Sizes of `CascadeDAE`. A window must be a multiple of `frame / 4 * stack` samples."""

    channels: int = 3
    frame: int = 128
    """Samples of a long frame; their hop is a quarter of it."""
    stack: int = 2
    """Neighbouring long frames that form one position of the convolutions, which run at rate / (frame / 4 * stack)."""
    width: int = 160
    expand: int = 2
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    short: int = 8
    """Samples of a short frame; their hop is half of it."""
    hints: int = 8
    """Numbers that the code passes to the second mask for each short frame."""
    gate_width: int = 24
    gate_kernel: int = 5
    boxes: tuple[int, ...] = (6, 24)
    """Numbers of short hops before and after a time whose energies the second mask compares, to find onsets."""
    floor: float = 1e-4
    """Added to powers, in units of the noise power of a scaled window."""
    leak: float = 0.04
    """Share of the removed part that is added again outside training: a floor of the original noise, 28 dB down (the
    spectral floor of Berouti et al., 1979, doi:10.1109/ICASSP.1979.1170788). Pickers compare variances, and are misled
    by near-silence with artefacts of masks, but not by a steady floor."""
    training_leak: float = 0.0
    """Share of the removed part that is added in training: errors far below it do not count then. The target holds the
    same share of the noise, see `floor` of a recipe's section optimize."""
    most_leak: float = 0.0
    """The leak rises up to this in windows with strong events, see `find_leak`; 0: it is the same in all windows."""
    peak_db: float = 37.0
    """How far below the peak of a strong event the leak stays, dB."""
    presence_high: float = 0.0
    """Evidence that an event exceeds somewhere, see `PresenceGate`, which does not act in training; 0: no gate."""
    presence_low: float = 0.3
    """Evidence that an event exceeds all the time."""

    def __post_init__(self) -> None:
        even = not self.kernel % 2 or not self.gate_kernel % 2
        if even or self.frame % 8 or self.short % 2 or self.hop % (self.short // 2):
            raise InputError(
                f"frame is {self.frame}, short {self.short}, kernel {self.kernel}, gate_kernel {self.gate_kernel}: "
                "frame must be a multiple of 8, short even, frame / 4 one of short / 2, and both kernels odd."
            )
        if 0 < self.presence_high < self.presence_low:
            raise InputError(
                f"presence_high is {self.presence_high:g}: it is 0, or not below presence_low, {self.presence_low:g}."
            )
        if self.leak >= 1:
            raise InputError(f"leak is {self.leak:g}: it is a share of the noise, below 1.")

    @property
    def hop(self) -> int:
        """Samples from one long frame to the next."""
        return self.frame // 4

    @property
    def position(self) -> int:
        """Samples from one position of the convolutions to the next."""
        return self.hop * self.stack


class Block(nn.Module):
    """Residual block: depthwise convolution in time, then two pointwise layers (ConvNeXt, Liu et al., 2022)."""

    def __init__(self, width: int, expand: int, kernel: int, dilation: int):
        super().__init__()
        reach = dilation * (kernel - 1) // 2
        self.depthwise = nn.Conv2d(width, width, (1, kernel), padding=(0, reach), dilation=(1, dilation), groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, expand * width), nn.Linear(expand * width, width)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Float[Tensor, "batch position width"]) -> Float[Tensor, "batch position width"]:
        """Same shape as `x`; the output depends on dilation * (kernel - 1) / 2 positions on either side."""
        # as an image of height 1 with channels last: faster on CPUs than conv1d, and without a copy
        y = self.depthwise(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)
        return x + self.down(F.gelu(self.up(self.norm(y))))


class CascadeDAE(nn.Module):
    """Two successive masks, both computed from one encoding of the noisy window.

    The first mask is complex and acts on long frames, which resolve frequency but smear an onset over a frame. The
    second is real and acts on short frames of the result, which resolve time and remove the smear. The features, log
    powers and coherences between components, are even functions of the input, so the net is odd: f(-x) = -f(x). With
    masks of ones, the output is the input.
    """

    Config = CascadeDAEConfig

    def __init__(self, config: CascadeDAEConfig):
        super().__init__()
        self.config = c = config
        self.long, self.short = Frames(c.frame, c.hop), Frames(c.short, c.short // 2)
        self.pairs = list(combinations(range(c.channels), 2))
        self.per_position = c.position // self.short.hop
        features = c.stack * self.long.bins * (c.channels + 2 * len(self.pairs)) + c.channels * self.per_position
        self.encoder = nn.Linear(features, c.width)
        self.blocks = nn.ModuleList(Block(c.width, c.expand, c.kernel, d) for d in c.dilations)
        self.norm = nn.LayerNorm(c.width)
        self.decoder = nn.Linear(c.width, c.stack * 2 * c.channels * self.long.bins)
        self.hinter = nn.Linear(c.width, c.hints * self.per_position)
        gate_features = c.channels * (self.short.bins + 1 + 2 * len(c.boxes)) + c.hints
        pad = (0, c.gate_kernel // 2)
        self.gate_in = nn.Conv2d(gate_features, c.gate_width, (1, c.gate_kernel), padding=pad)
        self.gate_out = nn.Conv2d(c.gate_width, c.channels * self.short.bins, (1, c.gate_kernel), padding=pad)
        self.presence = PresenceGate(c.presence_high, c.presence_low) if c.presence_high else None

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
        """Estimate the signal in scaled windows."""
        c, (batch, _, time) = self.config, x.shape
        positions = -(-self.long.count(time) // c.stack)
        spectrum = self.long.analyse(x, positions * c.stack)
        energy = self._energy(x, positions)
        code = self.encode(spectrum, energy)
        size, turn = self.decoder(code).float().view(batch, positions * c.stack, 2, c.channels, -1).unbind(2)
        size = torch.sigmoid(size)
        first = self.long.synthesise(spectrum * torch.complex(size, size * torch.tanh(turn)), time)
        estimate = self._apply_second_mask(first, energy, self.hinter(code))
        return estimate + c.training_leak * (x - estimate) if self.training else self.finish(x, estimate)

    def finish(self, x: Float[Tensor, "batch channel time"], estimate: Float[Tensor, "batch channel time"]) -> Tensor:
        """Close the remains of noise in the estimated signal, and add the leak."""
        c = self.config
        if c.presence_high or c.most_leak > c.leak:
            is_live = x.ne(0).any(-1).any(0)  # absent components are zeros, and would cost time
            if not is_live.all() and is_live.any():
                out = torch.zeros_like(x)
                out[:, is_live] = self.finish(x[:, is_live], estimate[:, is_live])
                return out
        signal = self.presence(x, estimate) if self.presence else estimate
        removed = x - signal
        leak = find_leak(signal, removed, c.leak, c.most_leak, c.peak_db) if c.most_leak > c.leak else c.leak
        return signal + leak * removed

    def encode(
        self, spectrum: Complex[Tensor, "batch frame channel bin"], energy: Float[Tensor, "batch energy short"]
    ) -> Float[Tensor, "batch position width"]:
        """Encode each position, from features that do not depend on the sign of x."""
        c, positions = self.config, spectrum.shape[1] // self.config.stack
        power = spectrum.real.square() + spectrum.imag.square() + c.floor
        unit = spectrum * power.rsqrt()
        parts = [power.log().mul(0.3).flatten(2)]
        for a, b in self.pairs:
            parts.append(torch.view_as_real(unit[:, :, a] * unit[:, :, b].conj()).flatten(2))
        parts.append(energy.unflatten(-1, (spectrum.shape[1], -1)).transpose(1, 2).flatten(2))
        code = self.encoder(torch.cat(parts, dim=-1).unflatten(1, (positions, c.stack)).flatten(2))
        for block in self.blocks:
            code = block(code)
        return self.norm(code)

    def _energy(self, x: Float[Tensor, "batch channel time"], positions: int) -> Float[Tensor, "batch channel short"]:
        """Log energy of each short hop; the hops of a position lie in the middle of its long frames."""
        c, hop = self.config, self.short.hop
        left = (c.frame - c.hop) // 2 // hop * hop
        wanted = positions * c.position
        energy = F.pad(x, (left, max(wanted - x.shape[-1] - left, 0)))[..., :wanted].square().unflatten(-1, (-1, hop))
        return (energy.mean(-1) + c.floor).log().mul(0.3)

    def _apply_second_mask(
        self,
        x: Float[Tensor, "batch channel time"],
        energy: Float[Tensor, "batch channel short"],
        hints: Float[Tensor, "batch position hint"],
    ) -> Float[Tensor, "batch channel time"]:
        """Apply the second mask, on short frames."""
        c, time = self.config, x.shape[-1]
        count = self.short.count(time)
        spectrum = self.short.analyse(x, count)
        power = spectrum.real.square() + spectrum.imag.square() + c.floor
        skip = (c.frame - c.hop) // 2 // self.short.hop
        coarse = torch.cat([energy.mT, hints.float().unflatten(-1, (-1, c.hints)).flatten(1, 2)], dim=-1)[:, skip:]
        coarse = F.pad(coarse, (0, 0, 0, max(count - coarse.shape[1], 0)))[:, :count]
        around = [self._compare_energies(power.mean(-1).mT, box).mT for box in c.boxes]
        features = torch.cat([power.log().mul(0.3).flatten(2), *around, coarse], dim=-1)
        # frames as an image of height 1 with channels last, as in Block
        gate = self.gate_out(F.gelu(self.gate_in(features.mT.unsqueeze(2)))).squeeze(2).mT
        mask = torch.sigmoid(gate.float() + 3).unflatten(-1, (c.channels, -1))
        return self.short.synthesise(spectrum * mask, time)

    @staticmethod
    def _compare_energies(power: Float[Tensor, "batch channel short"], box: int) -> Float[Tensor, "batch both short"]:
        """Log mean power of the `box` short frames before each frame, and of the `box` frames from it on."""
        mean = F.avg_pool1d(F.pad(power, (box, box), mode="replicate"), box, stride=1).log().mul(0.3)
        return torch.cat([mean[..., : power.shape[-1]], mean[..., box : box + power.shape[-1]]], dim=1)
