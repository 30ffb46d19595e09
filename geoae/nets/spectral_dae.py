"""A denoising autoencoder over short spectra: convolutions along time, frequencies and components as channels."""

from dataclasses import dataclass
from itertools import combinations

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Complex, Float
from torch import Tensor, nn

from geoae.errors import InputError


@dataclass(frozen=True)
class SpectralDAEConfig:
    """Sizes of `SpectralDAE`. A window must be a multiple of `hop * stack` samples."""

    channels: int = 3
    frame: int = 64
    """Samples of one short spectrum; a multiple of 4."""
    stack: int = 2
    """Neighbouring frames seen as one position by the convolutions: the net runs at rate / (frame / 4 * stack)."""
    width: int = 128
    expand: int = 2
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    envelope: int = 4
    """Samples in one step of the short-time energy that shows where in a frame an onset lies."""
    gate: int = 8
    """Samples between the knots of the output gain."""
    floor: float = 1e-4
    """Added to powers, in units of the noise power of a scaled window."""

    def __post_init__(self) -> None:
        if self.frame % 4 or self.hop % self.envelope or self.hop % self.gate or not self.kernel % 2:
            raise InputError(
                f"frame is {self.frame}, envelope {self.envelope}, gate {self.gate}, kernel {self.kernel}: frame must "
                "be a multiple of 4, a quarter of it one of envelope and of gate, and kernel odd."
            )

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self.frame // 4


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


class SpectralDAE(nn.Module):
    """Mask of a short-time spectrum, decided by an encoder of dilated convolutions, and a gain in time.

    The features are log powers, coherences between the components, and log energies: all even in the input, so the net
    is odd by construction, f(-x) = -f(x). Analysis and synthesis windows are square roots of Hann at 75 % overlap,
    which add up to one, so a mask of ones gives the input back (Griffin & Lim, 1984, doi:10.1109/TASSP.1984.1164317).
    """

    Config = SpectralDAEConfig
    window: Tensor

    def __init__(self, config: SpectralDAEConfig):
        super().__init__()
        self.config = c = config
        self.bins = c.frame // 2 + 1
        self.pairs = list(combinations(range(c.channels), 2))
        features = c.channels * self.bins + 2 * len(self.pairs) * self.bins + c.channels * (c.hop // c.envelope)
        self.n_gates = c.channels * (c.hop // c.gate)
        self.encoder = nn.Linear(features * c.stack, c.width)
        self.blocks = nn.ModuleList(Block(c.width, c.expand, c.kernel, d) for d in c.dilations)
        self.norm = nn.LayerNorm(c.width)
        self.decoder = nn.Linear(c.width, (2 * c.channels * self.bins + self.n_gates) * c.stack)
        self.register_buffer("window", torch.hann_window(c.frame).sqrt(), persistent=False)

    def forward(self, x: Float[Tensor, "batch channel time"]) -> Float[Tensor, "batch channel time"]:
        """Estimate the signal in scaled windows."""
        spectrum = self.analyse(x)
        code = self.encode(x, spectrum)
        batch, _, frames, _ = spectrum.shape
        out = self.decoder(code).reshape(batch, frames, -1).float()
        size, turn, gate = out.split([spectrum.shape[1] * self.bins] * 2 + [self.n_gates], dim=-1)
        mask = torch.sigmoid(size) * torch.complex(torch.ones_like(turn), torch.tanh(turn))
        mask = mask.reshape(batch, frames, -1, self.bins).transpose(1, 2)
        return self.synthesise(spectrum * mask, x.shape[-1]) * self._gain(gate, x.shape)

    def encode(
        self, x: Float[Tensor, "batch channel time"], spectrum: Complex[Tensor, "batch channel frame bin"]
    ) -> Float[Tensor, "batch position width"]:
        """What the net knows of each position, from features that do not change with the sign of x."""
        c, (batch, _, frames, _) = self.config, spectrum.shape
        power = spectrum.real.square() + spectrum.imag.square() + c.floor
        unit = spectrum * power.rsqrt()
        parts = [power.log().mul(0.3)]
        for a, b in self.pairs:
            coherence = torch.view_as_real(unit[:, a] * unit[:, b].conj())
            parts.append(coherence.movedim(-1, 1))
        energy = F.pad(x, self._margins(x.shape[-1])).square().unflatten(-1, (-1, c.envelope)).mean(-1)
        start = (c.frame - c.hop) // 2 // c.envelope  # the middle hop of each frame
        energy = energy[..., start : start + frames * (c.hop // c.envelope)].unflatten(-1, (frames, -1))
        parts.append((energy + c.floor).log().mul(0.3))
        features = torch.cat([p.transpose(1, 2).flatten(2) for p in parts], dim=-1)  # (batch, frame, feature)
        code = self.encoder(features.reshape(batch, frames // c.stack, -1))
        for block in self.blocks:
            code = block(code)
        return self.norm(code)

    def analyse(self, x: Float[Tensor, "batch channel time"]) -> Complex[Tensor, "batch channel frame bin"]:
        """Short-time spectra; every sample lies in four frames."""
        frames = F.pad(x, self._margins(x.shape[-1])).unfold(-1, self.config.frame, self.config.hop)
        return torch.fft.rfft(frames * self.window)

    def synthesise(
        self, spectrum: Complex[Tensor, "batch channel frame bin"], time: int
    ) -> Float[Tensor, "batch channel time"]:
        """Overlap-add of `analyse`."""
        c = self.config
        frames = torch.fft.irfft(spectrum, n=c.frame) * (self.window / 2)  # squared windows add up to 2
        quarters = frames.unflatten(-1, (4, c.hop))
        out = sum(F.pad(quarters[..., q, :], (0, 0, q, 3 - q)) for q in range(4))
        left = c.frame - c.hop
        return torch.as_tensor(out).flatten(-2)[..., left : left + time]

    def _margins(self, time: int) -> tuple[int, int]:
        c = self.config
        left = c.frame - c.hop
        frames = -(-(time + left) // (c.hop * c.stack)) * c.stack
        return left, (frames - 1) * c.hop + c.frame - left - time

    def _gain(self, gate: Float[Tensor, "batch frame gates"], shape: torch.Size) -> Float[Tensor, "batch channel time"]:
        """Straight lines between knots; the middle of each frame's hop is where its knots lie."""
        c, (channels, time) = self.config, shape[1:]
        knots = torch.sigmoid(gate + 2).unflatten(-1, (channels, -1)).transpose(1, 2).flatten(2)
        gain = F.interpolate(knots, scale_factor=float(c.gate), mode="linear", align_corners=False)
        start = (c.frame - c.hop) - c.frame // 2 + c.hop // 2
        return gain[..., start : start + time]
