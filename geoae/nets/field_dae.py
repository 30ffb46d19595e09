"""The denoiser of gridded fields: how much of each band of detail is noise, from a U-Net at half resolution.

It sees a slice beside the means of its neighbours in time, and is blind: the noise level is measured inside. What it
takes away are shares of bands of the slice (Starck & Murtagh, 2006), so smooth fields stay smooth, and a correction.
Residual U-Net after Zhang et al. (2021, arXiv:2008.13751); pixel shuffling after Zhang et al. (2018, FFDNet,
arXiv:1710.04026).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor, nn

from geoae.nets.starlet import WHITE, Planes, lines, spread, starlet

BANDS = len(WHITE)
MASKS = 2 * BANDS + 3
"""Of the bands of what the slice has and the far mean has not, and of the rest of it; of the bands of the far mean; of
stripes in two directions."""


@dataclass(frozen=True)
class FieldDAEConfig:
    """Widths at half, quarter and eighth of the resolution, and how many blocks on the last."""

    width: int = 48
    middle: int = 72
    deep: int = 112
    blocks: int = 3


class FieldDAE(nn.Module):
    """(batch, 6, y, x) as `geoae.context.channels` makes them, scaled -> (batch, 1, y, x); y and x multiples of 8."""

    Config = FieldDAEConfig

    def __init__(self, config: FieldDAEConfig):
        super().__init__()
        self.config = config
        w, m, d = config.width, config.middle, config.deep
        self.head = nn.Conv2d(4 * _PLANES, w, 3, padding=1)
        self.spectrum = nn.Sequential(nn.Linear(_NUMBERS, 64), nn.ReLU(), nn.Linear(64, w + m + d))
        self.down = nn.Sequential(_Residual(w), _Lines(w), _Residual(w))
        self.to_middle = nn.Conv2d(w, m, 2, stride=2)
        self.middle_down = _Residual(m)
        self.to_deep = nn.Conv2d(m, d, 2, stride=2)
        self.deep = nn.Sequential(*(_Wide(d) for _ in range(config.blocks)), _Lines(d))
        self.from_deep = nn.ConvTranspose2d(d, m, 2, stride=2)
        self.middle_up = _Residual(m)
        self.from_middle = nn.ConvTranspose2d(m, w, 2, stride=2)
        self.up = nn.Sequential(_Residual(w), _Lines(w), _Residual(w))
        self.tail = nn.Conv2d(w, 4 * (MASKS + 2), 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, x: Planes) -> Planes:
        """The slice, which is the first plane, without its noise."""
        parts = _parts(x)
        c = self.config
        shifts = self.spectrum(_numbers(x, parts))[..., None, None].split([c.width, c.middle, c.deep], 1)
        half = self.down(self.head(F.pixel_unshuffle(_planes(x, parts), 2)) + shifts[0])
        quarter = self.middle_down(self.to_middle(half) + shifts[1])
        quarter = self.middle_up(quarter + self.from_deep(self.deep(self.to_deep(quarter) + shifts[2])))
        answer = F.pixel_shuffle(self.tail(self.up(half + self.from_middle(quarter))), 2).float()
        # faint and coarse corrections have a way out each: in units of the noise level, and of the field's spread
        fine, coarse = answer[:, MASKS : MASKS + 1], answer[:, MASKS + 1 :]
        # a little beyond 0 and 1, so that all and nothing are within reach
        shares = (1.1 * answer[:, :MASKS].sigmoid() - 0.05) * torch.cat([parts.own, parts.far, parts.stripes], 1)
        return x[:, :1] - shares.sum(1, keepdim=True) - parts.level * fine - coarse


class _Parts(NamedTuple):
    own: Planes
    """Bands of the slice less the far mean, and their rest; bands of the slice where there is no far mean."""
    far: Planes
    """Bands of the far mean."""
    stripes: Planes
    level: Tensor
    """Noise levels (batch, 1, 1, 1), of the first and the second."""
    far_level: Tensor


_PLANES = 3 + 3 + (BANDS + 1) + BANDS + 2 + 1 + 2
_NUMBERS = (BANDS + 1) + BANDS + 2 + 2 + 3


@torch.no_grad()
def _parts(x: Planes) -> _Parts:
    x = x.float()
    there = (x[:, 3:] > 0).to(x.dtype)
    own, known = there[:, :1], there[:, 2:3]
    # beside a gap of the far mean its surroundings stand for it
    wide, mass = x[:, 2:3], known
    for k in range(5):
        wide, mass = spread(wide, mass, 2**k)
    far = torch.where(known > 0, x[:, 2:3], wide * (mass > 0))
    bands, rest = starlet(x[:, :1] - far, own)
    far_bands, _ = starlet(far, known)
    level, far_level = (_level(one[:, :1], count) for one, count in ((bands, own), (far_bands, known)))
    bands = torch.cat([bands, rest * (mass > 0)], 1)  # without a far mean the rest is the field itself
    return _Parts(bands, far_bands * own, lines(x[:, :1] - far, own), level, far_level)


def _level(detail: Planes, there: Planes) -> Tensor:
    # 1.25 times the mean deviation is the standard deviation of a Gaussian, and outliers sway it less
    total = (detail * there).abs().sum((-1, -2), keepdim=True)
    return (1.25 / WHITE[0] * total / there.sum((-1, -2), keepdim=True).clamp(min=1)).clamp(min=1e-4)


@torch.no_grad()
def _planes(x: Planes, parts: _Parts) -> Planes:
    """What the U-Net computes with: the input, and all its parts in units of the noise that they would have."""
    x = x.float()
    there = (x[:, 3:] > 0).to(x.dtype)
    white = torch.tensor(WHITE, device=x.device)[:, None, None]
    own = parts.own / (torch.cat([white, white[-1:]]) * parts.level)
    other = (x[:, :1] - x[:, 1:2]) * there[:, :1] * there[:, 1:2]
    fine = [
        own, parts.far / (white * parts.far_level), parts.stripes / (0.2 * parts.level), other / parts.level,
    ]  # fmt: skip
    scaled = torch.cat(fine, 1).asinh() * there[:, :1]  # linear for noise, a logarithm for signal
    levels = [(one.log10() / 2).expand_as(x[:, :1]) for one in (parts.level, parts.far_level)]
    return torch.cat([x[:, :3].clamp(-20, 20) * there, x[:, 3:], scaled, *levels], 1)


@torch.no_grad()
def _numbers(x: Planes, parts: _Parts) -> Float[Tensor, "batch number"]:
    """The spectrum of the window, which tells red noise from a rough field: how strong each part is, and known."""
    there = (x[:, 3:] > 0).float()
    count = there[:, :1].sum((-1, -2)).clamp(min=1)
    planes = torch.cat([parts.own, parts.far, parts.stripes], 1).float() * there[:, :1]
    power = planes.square().sum((-1, -2)) / count
    levels = torch.cat([parts.level, parts.far_level], 1).flatten(1)
    return torch.cat([0.5 * (power + 1e-10).log10(), levels.log10(), x[:, 3:].float().mean((-1, -2))], 1)


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.second.weight, std=0.1 * (9 * width) ** -0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.second(F.relu(self.first(x)))


class _Wide(nn.Module):
    """Sees 7 x 7 points of its level: after ConvNeXt (Liu et al., 2022, arXiv:2201.03545), without its norm."""

    def __init__(self, width: int):
        super().__init__()
        self.around = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.first = nn.Conv2d(width, 2 * width, 1)
        self.second = nn.Conv2d(2 * width, width, 1)
        nn.init.normal_(self.second.weight, std=0.1 * (2 * width) ** -0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.second(F.relu(self.first(self.around(x))))


class _Lines(nn.Module):
    """Adds what the means over whole rows and columns say: stripes are faint in a point and plain in a line."""

    def __init__(self, width: int):
        super().__init__()
        self.rows = nn.Conv2d(width, width, 1)
        self.columns = nn.Conv2d(width, width, 1)
        for layer in (self.rows, self.columns):
            nn.init.normal_(layer.weight, std=0.1 * width**-0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.rows(x.mean(-1, keepdim=True)) + self.columns(x.mean(-2, keepdim=True))
