"""The denoiser of gridded fields: a U-Net at half resolution that sees a slice beside the means of its neighbours.

It is blind: the noise level is measured inside, from what the slice has and its smoothed self has not.
Residual U-Net after Zhang et al. (2021, arXiv:2008.13751); pixel shuffling after Zhang et al. (2018, FFDNet,
arXiv:1710.04026).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor, nn

Planes = Float[Tensor, "batch _ _ _"]


@dataclass(frozen=True)
class FieldDAEConfig:
    """Widths at half, quarter and eighth of the resolution, and how many blocks on the last."""

    width: int = 48
    middle: int = 72
    deep: int = 128
    blocks: int = 3


class FieldDAE(nn.Module):
    """(batch, 6, y, x) as `geoae.context.channels` makes them, scaled -> (batch, 1, y, x); y and x multiples of 8."""

    Config = FieldDAEConfig

    def __init__(self, config: FieldDAEConfig):
        super().__init__()
        self.config = config
        w, m, d = config.width, config.middle, config.deep
        self.head = nn.Conv2d(4 * _PLANES, w, 3, padding=1)
        self.down = nn.Sequential(_Residual(w), _Lines(w), _Residual(w))
        self.to_middle = nn.Conv2d(w, m, 2, stride=2)
        self.middle_down = _Residual(m)
        self.to_deep = nn.Conv2d(m, d, 2, stride=2)
        self.deep = nn.Sequential(*(_Wide(d) for _ in range(config.blocks)), _Lines(d))
        self.from_deep = nn.ConvTranspose2d(d, m, 2, stride=2)
        self.middle_up = _Residual(m)
        self.from_middle = nn.ConvTranspose2d(m, w, 2, stride=2)
        self.up = nn.Sequential(_Residual(w), _Lines(w), _Residual(w))
        self.tail = nn.Conv2d(w, 8, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(self.tail.bias)  # type: ignore[arg-type]

    def forward(self, x: Planes) -> Planes:
        """The slice, which is the first plane, without its noise."""
        planes, level = _planes(x)
        half = self.down(self.head(F.pixel_unshuffle(planes, 2)))
        quarter = self.middle_down(self.to_middle(half))
        quarter = self.middle_up(quarter + self.from_deep(self.deep(self.to_deep(quarter))))
        # faint noise and coarse noise have a way out each: one is counted in the noise level, one in the field's spread
        coarse, fine = F.pixel_shuffle(self.tail(self.up(half + self.from_middle(quarter))), 2).float().chunk(2, 1)
        return x[:, :1] - coarse - level * fine


_PLANES = 10


def _planes(x: Planes) -> tuple[Planes, Float[Tensor, "batch 1 1 1"]]:
    """What the net computes with: the input, and its fine detail in units of the noise level; and that level."""
    values, weights = x[:, :3], x[:, 3:]
    there = (weights > 0).to(x.dtype)
    own = there[:, :1]
    detail = (values[:, :1] - _smooth(values[:, :1], own)) * own
    # 1.25 times the mean deviation is the standard deviation of a Gaussian, and outliers sway it less
    level = 1.25 * detail.abs().sum((-1, -2), keepdim=True) / own.sum((-1, -2), keepdim=True).clamp(min=1)
    level = level.clamp(min=1e-4)
    others = (values[:, :1] - values[:, 1:]) * own * there[:, 1:]
    fine = torch.cat([detail, others], 1) / level
    fine = fine / (1 + (fine / 10).square()).sqrt()  # linear for noise, bounded for what is no neighbour at all
    spread = (level.log10() / 2).expand_as(own)
    return torch.cat([values.clamp(-20, 20) * there, weights, fine, spread], 1), level


def _smooth(x: Planes, weight: Planes) -> Planes:
    """Mean of what is there over 3 x 3 points, (1 2 1) x (1 2 1)."""
    row = torch.tensor([1.0, 2.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = (row[:, None] * row)[None, None]
    return F.conv2d(x * weight, kernel, padding=1) / F.conv2d(weight, kernel, padding=1).clamp(min=1)


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
