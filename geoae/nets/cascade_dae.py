"""A denoising autoencoder that masks twice: long frames tell frequencies apart, short frames tell times apart."""

from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Complex, Float
from torch import Tensor, nn

from geoae.errors import InputError
from geoae.nets.parts.frames import Frames


@dataclass(frozen=True)
class CascadeDAEConfig:
    """Sizes of `CascadeDAE`. A window must be a multiple of `frame / 4 * stack` samples."""

    channels: int = 3
    frame: int = 128
    """Samples of a long frame; their hop is a quarter of it."""
    stack: int = 2
    """Neighbouring long frames seen as one position by the convolutions: the net runs at rate / (frame / 4 * stack)."""
    width: int = 160
    expand: int = 2
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    short: int = 8
    """Samples of a short frame; their hop is half of it."""
    hints: int = 8
    """Numbers a short frame that the code hands to the second mask."""
    gate_width: int = 24
    gate_kernel: int = 5
    boxes: tuple[int, ...] = (6, 24)
    """Short hops before and after a moment whose energies the second mask compares: an onset lies between them."""
    floor: float = 1e-4
    """Added to powers, in units of the noise power of a scaled window."""
    leak: float = 0.04
    """Share of what the masks take away that stays, once trained: a floor of the original noise, 28 dB down (the
    spectral floor of Berouti et al., 1979, doi:10.1109/ICASSP.1979.1170788). Pickers compare variances: near-silence
    with traces of a mask in it misleads them, a steady floor does not."""

    def __post_init__(self) -> None:
        even = not self.kernel % 2 or not self.gate_kernel % 2
        if even or self.frame % 8 or self.short % 2 or self.hop % (self.short // 2):
            raise InputError(
                f"frame is {self.frame}, short {self.short}, kernel {self.kernel}, gate_kernel {self.gate_kernel}: "
                "frame must be a multiple of 8, short even, frame / 4 one of short / 2, and both kernels odd."
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
    """Depthwise convolution in time, then two pointwise layers, beside a shortcut (Liu et al., 2022, ConvNeXt)."""

    def __init__(self, width: int, expand: int, kernel: int, dilation: int):
        super().__init__()
        reach = dilation * (kernel - 1) // 2
        self.depthwise = nn.Conv2d(width, width, (1, kernel), padding=(0, reach), dilation=(1, dilation), groups=width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, expand * width), nn.Linear(expand * width, width)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Float[Tensor, "batch position width"]) -> Float[Tensor, "batch position width"]:
        """Same shape; the reach is dilation * (kernel - 1) / 2 positions either side."""
        # as a picture of height 1 whose channels lie innermost: faster on CPUs than conv1d, and no copy
        y = self.depthwise(x.transpose(1, 2).unsqueeze(2)).squeeze(2).transpose(1, 2)
        return x + self.down(F.gelu(self.up(self.norm(y))))


class CascadeDAE(nn.Module):
    """Two masks, one after the other, both decided from one encoding of the noisy window.

    The first is complex, on long frames: it tells frequencies apart, and smears an onset over a frame. The second is
    real, on short frames of what the first left: it tells times apart, and sees the smear. The features are log powers
    and coherences between the components: all even in the input, so the net is odd by construction, f(-x) = -f(x).
    Masks of ones give the input back.
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
        seen = c.channels * (self.short.bins + 1 + 2 * len(c.boxes)) + c.hints
        pad = (0, c.gate_kernel // 2)
        self.gate_in = nn.Conv2d(seen, c.gate_width, (1, c.gate_kernel), padding=pad)
        self.gate_out = nn.Conv2d(c.gate_width, c.channels * self.short.bins, (1, c.gate_kernel), padding=pad)

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
        estimate = self._second(first, energy, self.hinter(code))
        return estimate if self.training else estimate + c.leak * (x - estimate)

    def encode(
        self, spectrum: Complex[Tensor, "batch frame channel bin"], energy: Float[Tensor, "batch channel short"]
    ) -> Float[Tensor, "batch position width"]:
        """What the net knows of each position, from features that do not change with the sign of x."""
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
        """Log energy of half short frames; those of a position are the middle of its long frames."""
        c, hop = self.config, self.short.hop
        left = (c.frame - c.hop) // 2 // hop * hop
        wanted = positions * c.position
        energy = F.pad(x, (left, max(wanted - x.shape[-1] - left, 0)))[..., :wanted].square().unflatten(-1, (-1, hop))
        return (energy.mean(-1) + c.floor).log().mul(0.3)

    def _second(
        self,
        x: Float[Tensor, "batch channel time"],
        energy: Float[Tensor, "batch channel short"],
        hints: Float[Tensor, "batch position hint"],
    ) -> Float[Tensor, "batch channel time"]:
        c, time = self.config, x.shape[-1]
        count = self.short.count(time)
        spectrum = self.short.analyse(x, count)
        power = spectrum.real.square() + spectrum.imag.square() + c.floor
        skip = (c.frame - c.hop) // 2 // self.short.hop
        coarse = torch.cat([energy.mT, hints.float().unflatten(-1, (-1, c.hints)).flatten(1, 2)], dim=-1)[:, skip:]
        coarse = F.pad(coarse, (0, 0, 0, max(count - coarse.shape[1], 0)))[:, :count]
        around = [self._around(power.mean(-1).mT, box).mT for box in c.boxes]
        seen = torch.cat([power.log().mul(0.3).flatten(2), *around, coarse], dim=-1)
        # frames as a picture of height 1 whose channels lie innermost, as in Block
        gate = self.gate_out(F.gelu(self.gate_in(seen.mT.unsqueeze(2)))).squeeze(2).mT
        mask = torch.sigmoid(gate.float() + 3).unflatten(-1, (c.channels, -1))
        return self.short.synthesise(spectrum * mask, time)

    @staticmethod
    def _around(power: Float[Tensor, "batch channel short"], box: int) -> Float[Tensor, "batch both short"]:
        """Log mean power of the `box` short frames before each, and of the `box` from it on."""
        mean = F.avg_pool1d(F.pad(power, (box, box), mode="replicate"), box, stride=1).log().mul(0.3)
        return torch.cat([mean[..., : power.shape[-1]], mean[..., box : box + power.shape[-1]]], dim=1)
