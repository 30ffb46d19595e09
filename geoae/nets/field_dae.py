"""The denoiser of gridded fields: a filter for the window's spectrum, then a U-Net that says where else noise is.

It sees a slice beside the means of its neighbours in time, and is blind: the noise level is measured inside. What it
takes away are the noise that an overview shows, as far as the window agrees, what a filter stops, shares of the bands
of what that lets through (Starck & Murtagh, 2006), so smooth fields stay smooth, and a correction.
Residual U-Net after Zhang et al. (2021, arXiv:2008.13751); pixel shuffling after Zhang et al. (2018, FFDNet,
arXiv:1710.04026).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor, nn

from geoae.arrays.neighbours import N_CHANNELS, N_VALUES, OVERVIEW
from geoae.nets.parts.spectral import NODES, Agreement, SpectralFilter, apply_by_row
from geoae.nets.parts.starlet import WHITE, Planes, extract_stripes, fill_gaps, smooth_planes, split_bands

BANDS = len(WHITE)
MASKS = 2 * BANDS + 5
"""Of what the filter stops of what the slice has and the far mean has not; of the bands and the rest of what it lets
through; of the bands of the far mean; of stripes in two directions; of what an overview shows."""


@dataclass(frozen=True)
class FieldDAEConfig:
    """Widths at half, quarter and eighth of the resolution; how many blocks on the last, and on the others each way."""

    width: int = 48
    middle: int = 72
    deep: int = 104
    blocks: int = 3
    repeats: int = 1


class FieldDAE(nn.Module):
    """Scaled (batch, 8, y, x) of `geoae.arrays.neighbours.make_channels` -> (batch, 1, y, x); y, x multiples of 8."""

    Config = FieldDAEConfig

    def __init__(self, config: FieldDAEConfig):
        super().__init__()
        self.config = config
        w, m, d = config.width, config.middle, config.deep
        self.filter = SpectralFilter(_KNOWN)
        self.agreement = Agreement(_KNOWN)
        self.head = nn.Conv2d(4 * _PLANES, w, 3, padding=1)
        self.spectrum = nn.Sequential(nn.Linear(_NUMBERS, 64), nn.ReLU(), nn.Linear(64, w + m + d))
        self.blocks = nn.ModuleDict({
            "down": nn.Sequential(_Residual(w), _Lines(w), *_residuals(w, config.repeats)),
            "to_middle": _Matrix(w, m, 2, stride=2),
            "middle_down": _residuals(m, config.repeats),
            "to_deep": _Matrix(m, d, 2, stride=2),
            "deep": nn.Sequential(*(_Wide(d) for _ in range(config.blocks)), _Lines(d)),
            "from_deep": nn.Sequential(_Matrix(d, 4 * m, 1), nn.PixelShuffle(2)),
            "middle_up": _residuals(m, config.repeats),
            "from_middle": nn.Sequential(_Matrix(m, 4 * w, 1), nn.PixelShuffle(2)),
            "up": nn.Sequential(_Residual(w), _Lines(w), *_residuals(w, config.repeats)),
        })  # fmt: skip
        self.tail = nn.Conv2d(w, 4 * (MASKS + 2), 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]
        with torch.no_grad():  # in the beginning the filter decides alone, after the overview
            self.tail.bias[: 4 * MASKS] = -3.0  # type: ignore[index]
            for mask in (0, MASKS - 1):
                self.tail.bias[4 * mask : 4 * mask + 4] = 3.0  # type: ignore[index]

    def forward(self, x: Planes) -> Planes:
        """The slice, which is the first plane, without its noise."""
        parts = _parts(x, self.filter, self.agreement)
        c = self.config
        shifts = apply_by_row(self.spectrum, _numbers(x, parts))[..., None, None].split([c.width, c.middle, c.deep], 1)
        half = self.blocks["down"](self.head(F.pixel_unshuffle(_planes(x, parts), 2)) + shifts[0])
        quarter = self.blocks["middle_down"](self.blocks["to_middle"](half) + shifts[1])
        deep = self.blocks["deep"](self.blocks["to_deep"](quarter) + shifts[2])
        quarter = self.blocks["middle_up"](quarter + self.blocks["from_deep"](deep))
        output = F.pixel_shuffle(self.tail(self.blocks["up"](half + self.blocks["from_middle"](quarter))), 2).float()
        # faint and coarse corrections have a way out each: in units of the noise level, and of the field's spread
        fine, coarse = output[:, MASKS : MASKS + 1], output[:, MASKS + 1 :]
        # a little beyond 0 and 1, so that all and nothing are within reach
        noise = torch.cat([parts.stopped, parts.own, parts.far, parts.stripes, parts.shown], 1)
        shares = (1.1 * output[:, :MASKS].sigmoid() - 0.05) * noise
        return x[:, :1] - shares.sum(1, keepdim=True) - parts.level * fine - coarse


class _Parts(NamedTuple):
    stopped: Planes
    """What the filter takes from the slice less the far mean; the only part through which the filter learns."""
    shown: Planes
    """What is taken from the slice before, because an overview shows it."""
    own: Planes
    """Bands of what it lets through, and their rest; bands of the slice where there is no far mean."""
    far: Planes
    """Bands of the far mean."""
    stripes: Planes
    level: Tensor
    """Noise levels (batch, 1, 1, 1), of the first and the second."""
    far_level: Tensor
    filter_input: Float[Tensor, "batch number"]
    """Numbers that the filter's gains follow from: `_KNOWN` of them, then the spectrum of the slice."""


_KNOWN = 2 + N_VALUES + 2 * BANDS
"""Numbers beside the spectrum: noise levels, how well the slice, the means and the overview are known, and how much of
the far mean is in the slice, band by band."""
_PLANES = N_CHANNELS - 1 + 1 + (BANDS + 1) + BANDS + 2 + 1 + 1 + 2
_NUMBERS = (BANDS + 1) + BANDS + 2 + 1 + _KNOWN + NODES


def _parts(x: Planes, band_pass: SpectralFilter, agreement: Agreement) -> _Parts:
    with torch.no_grad():
        x = x.float()
        there = (x[:, N_VALUES:] > 0).to(x.dtype)
        own, known, seen = there[:, :1], there[:, 2:3], there[:, OVERVIEW:]
        # beside a gap of the far mean its surroundings stand for it
        wide, mass = fill_gaps(x[:, 2:3], known)
        far = wide * (mass > 0)
        slice_, _ = fill_gaps(x[:, :1] - far, own)
        far_bands, _ = split_bands(far, known)
        first = slice_ - smooth_planes(slice_, own, 1)[0]
        level, far_level = _level(first, own), _level(far_bands[:, :1], known)
        share = _share_of_far(split_bands(slice_, own)[0] + far_bands, far_bands, own * known)
        numbers = torch.cat([level.flatten(1).log10(), far_level.flatten(1).log10(), _known_share(x), share], 1)
    shown = torch.zeros_like(slice_)
    if bool(seen.any()):
        shown, _ = fill_gaps((x[:, :1] - x[:, OVERVIEW : OVERVIEW + 1]) * seen, seen)
        shown = agreement(shown, slice_, level, numbers, band_pass)
        slice_ = slice_ - shown
    # a slice without neighbours is its mean and more; beside them the mean of what they have not may be noise
    kept, waves = band_pass(slice_, level, numbers, 1 - (mass > 0).to(x.dtype).mean((-1, -3, -2)))
    with torch.no_grad():
        bands, rest = split_bands(kept, own)
        bands = torch.cat([bands, rest * (mass > 0)], 1)  # without a far mean the rest is the field itself
        stripes = extract_stripes(kept, own)
    stopped = (slice_ - kept) * own
    filter_input = torch.cat([numbers, waves.detach()], 1)
    return _Parts(stopped, shown * own, bands, far_bands * own, stripes, level, far_level, filter_input)


def _known_share(x: Planes) -> Float[Tensor, "batch value"]:
    return x[:, N_VALUES:].float().mean((-1, -2))


def _share_of_far(bands: Planes, far: Planes, there: Planes) -> Float[Tensor, "batch number"]:
    """How much of each band of the far mean the slice has (1: all; neighbours that have to do with it), and how sure.

    What is left of the slice without the far mean has the same spectrum under red noise as beside unrelated neighbours.
    """
    both, own, other = (((a * b * there).sum((-1, -2))) for a, b in ((bands, far), (bands, bands), (far, far)))
    share = both / other.clamp(min=1e-9)
    return torch.cat([share.clamp(-2, 2), both / (own * other).sqrt().clamp(min=1e-9)], 1)


def _level(detail: Planes, there: Planes) -> Tensor:
    # 1.25 times the mean deviation is the standard deviation of a Gaussian, and outliers sway it less
    total = (detail * there).abs().sum((-1, -2), keepdim=True)
    return (1.25 / WHITE[0] * total / there.sum((-1, -2), keepdim=True).clamp(min=1)).clamp(min=1e-4)


@torch.no_grad()
def _planes(x: Planes, parts: _Parts) -> Planes:
    """What the U-Net computes with: the input, and all its parts in units of the noise that they would have."""
    x = x.float()
    there = (x[:, N_VALUES:] > 0).to(x.dtype)
    white = torch.tensor(WHITE, device=x.device)[:, None, None]
    own = parts.own / (torch.cat([white, white[-1:]]) * parts.level)
    other = (x[:, :1] - x[:, 1:2]) * there[:, :1] * there[:, 1:2]
    fine = [
        parts.stopped / parts.level, own, parts.far / (white * parts.far_level), parts.stripes / (0.2 * parts.level),
        other / parts.level, parts.shown / parts.level,
    ]  # fmt: skip
    scaled = torch.cat(fine, 1).asinh() * there[:, :1]  # linear for noise, a logarithm for signal
    levels = [(one.log10() / 2).expand_as(x[:, :1]) for one in (parts.level, parts.far_level)]
    values = torch.cat([x[:, :1] - parts.shown, x[:, 1:OVERVIEW]], 1).clamp(-20, 20) * there[:, :OVERVIEW]
    return torch.cat([values, x[:, N_VALUES:], scaled, *levels], 1)


@torch.no_grad()
def _numbers(x: Planes, parts: _Parts) -> Float[Tensor, "batch number"]:
    """The spectrum of the window, which tells red noise from a rough field: how strong each part is, and known."""
    there = (x[:, N_VALUES : N_VALUES + 1] > 0).float()
    count = there.sum((-1, -2)).clamp(min=1)
    planes = torch.cat([parts.own, parts.far, parts.stripes, parts.shown], 1).float() * there
    power = planes.square().sum((-1, -2)) / count
    return torch.cat([0.5 * (power + 1e-10).log10(), parts.filter_input], 1)


class _Matrix(nn.Module):
    """A convolution whose weights are one matrix, as Muon has it: (batch, inputs, y, x) -> (batch, outputs, y, x)."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1):
        super().__init__()
        fan_in = inputs * size**2
        self.shape, self.stride = (outputs, inputs, size, size), stride
        self.weight = nn.Parameter(torch.empty(outputs, fan_in).uniform_(-(fan_in**-0.5), fan_in**-0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Planes) -> Planes:
        padding = self.shape[-1] // 2 if self.stride == 1 else 0
        return F.conv2d(x, self.weight.view(self.shape), self.bias, self.stride, padding)


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first = _Matrix(width, width, 3)
        self.second = _Matrix(width, width, 3)
        nn.init.normal_(self.second.weight, std=0.1 * (9 * width) ** -0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.second(F.relu(self.first(x)))


def _residuals(width: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width) for _ in range(n)))


class _Wide(nn.Module):
    """Sees 7 x 7 points of its level: after ConvNeXt (Liu et al., 2022, arXiv:2201.03545), without its norm."""

    def __init__(self, width: int):
        super().__init__()
        self.around = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.first = _Matrix(width, 2 * width, 1)
        self.second = _Matrix(2 * width, width, 1)
        nn.init.normal_(self.second.weight, std=0.1 * (2 * width) ** -0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.second(F.relu(self.first(self.around(x))))


class _Lines(nn.Module):
    """Adds what the means over whole rows and columns say: stripes are faint in a point and plain in a line."""

    def __init__(self, width: int):
        super().__init__()
        self.rows = _Matrix(width, width, 1)
        self.columns = _Matrix(width, width, 1)
        for layer in (self.rows, self.columns):
            nn.init.normal_(layer.weight, std=0.1 * width**-0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.rows(x.mean(-1, keepdim=True)) + self.columns(x.mean(-2, keepdim=True))
