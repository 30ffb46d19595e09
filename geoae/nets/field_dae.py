"""The denoiser of gridded fields: a spectral filter of the window, then a U-Net for the remaining noise.

The input is a slice with the means of its neighbours in time. The net is blind: it estimates the noise level itself. It
subtracts the noise found in an overview, as far as the window confirms it; what the spectral filter stops; shares of
the starlet bands of what the filter passes (Starck & Murtagh, 2006), so that smooth fields stay smooth; a correction.
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
"""Number of masks: one for what the filter stops of the slice without the far mean; for the bands and the rest of what
it passes; for the bands of the far mean; two for stripes in two directions; one for the noise found in an overview."""


@dataclass(frozen=True)
class FieldDAEConfig:
    """Widths at 1/2, 1/4 and 1/8 of the resolution; number of blocks at 1/8, and at 1/2 and 1/4 on each side."""

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
        with torch.no_grad():  # before training, only the overview and the filter remove noise
            self.tail.bias[: 4 * MASKS] = -3.0  # type: ignore[index]
            for mask in (0, MASKS - 1):
                self.tail.bias[4 * mask : 4 * mask + 4] = 3.0  # type: ignore[index]

    def forward(self, x: Planes) -> Planes:
        """Remove noise from the slice, which is the first plane."""
        parts = _split_noise(x, self.filter, self.agreement)
        c = self.config
        shifts = apply_by_row(self.spectrum, _make_numbers(x, parts))[..., None, None].split(
            [c.width, c.middle, c.deep], 1
        )
        half = self.blocks["down"](self.head(F.pixel_unshuffle(_make_planes(x, parts), 2)) + shifts[0])
        quarter = self.blocks["middle_down"](self.blocks["to_middle"](half) + shifts[1])
        deep = self.blocks["deep"](self.blocks["to_deep"](quarter) + shifts[2])
        quarter = self.blocks["middle_up"](quarter + self.blocks["from_deep"](deep))
        output = F.pixel_shuffle(self.tail(self.blocks["up"](half + self.blocks["from_middle"](quarter))), 2).float()
        # two corrections: a fine one in units of the noise level, a coarse one in units of the spread of the field
        fine, coarse = output[:, MASKS : MASKS + 1], output[:, MASKS + 1 :]
        # a little beyond 0 and 1, so that 0 and 1 are reached
        noise = torch.cat([parts.stopped, parts.own, parts.far, parts.stripes, parts.overview_noise], 1)
        shares = (1.1 * output[:, :MASKS].sigmoid() - 0.05) * noise
        return x[:, :1] - shares.sum(1, keepdim=True) - parts.level * fine - coarse


class _Parts(NamedTuple):
    """Parts of the input that may be noise, and what the net knows about the noise."""

    stopped: Planes
    """What the filter removes from the slice without the far mean; the only part with gradients for the filter."""
    overview_noise: Planes
    """Noise found in an overview, which is subtracted from the slice first."""
    own: Planes
    """Bands and rest of what the filter passes; without a far mean, of the slice."""
    far: Planes
    """Bands of the far mean."""
    stripes: Planes
    level: Tensor
    """Noise level (batch, 1, 1, 1) of the slice."""
    far_level: Tensor
    """Noise level of the far mean."""
    filter_input: Float[Tensor, "batch number"]
    """Numbers that determine the gains of the filter: `_KNOWN` features, then the spectrum of the slice."""


_KNOWN = 2 + N_VALUES + 2 * BANDS
"""Number of features besides the spectrum: noise levels, mean weights of slice, means and overview, and the share of
the far mean in each band of the slice."""
_PLANES = N_CHANNELS - 1 + 1 + (BANDS + 1) + BANDS + 2 + 1 + 1 + 2
_NUMBERS = (BANDS + 1) + BANDS + 2 + 1 + _KNOWN + NODES


def _split_noise(x: Planes, spectral_filter: SpectralFilter, agreement: Agreement) -> _Parts:
    """Split the input into parts that may be noise, and estimate noise levels."""
    with torch.no_grad():
        x = x.float()
        valid = (x[:, N_VALUES:] > 0).to(x.dtype)
        own, far_valid, overview_valid = valid[:, :1], valid[:, 2:3], valid[:, OVERVIEW:]
        # in a gap of the far mean, use the mean of its surroundings
        far, mass = fill_gaps(x[:, 2:3], far_valid)
        far = far * (mass > 0)
        slice_, _ = fill_gaps(x[:, :1] - far, own)
        far_bands, _ = split_bands(far, far_valid)
        detail = slice_ - smooth_planes(slice_, own, 1)[0]
        level, far_level = _estimate_level(detail, own), _estimate_level(far_bands[:, :1], far_valid)
        share = _share_of_far(split_bands(slice_, own)[0] + far_bands, far_bands, own * far_valid)
        numbers = torch.cat([level.flatten(1).log10(), far_level.flatten(1).log10(), _mean_weights(x), share], 1)
    overview_noise = torch.zeros_like(slice_)
    if bool(overview_valid.any()):
        difference = (x[:, :1] - x[:, OVERVIEW : OVERVIEW + 1]) * overview_valid
        overview_noise, _ = fill_gaps(difference, overview_valid)
        overview_noise = agreement(overview_noise, slice_, level, numbers, spectral_filter)
        slice_ = slice_ - overview_noise
    # without neighbours in time, the mean of a slice is signal; without their mean, what is left may be noise
    kept, waves = spectral_filter(slice_, level, numbers, 1 - (mass > 0).to(x.dtype).mean((-1, -3, -2)))
    with torch.no_grad():
        bands, rest = split_bands(kept, own)
        bands = torch.cat([bands, rest * (mass > 0)], 1)  # without a far mean, the rest is the field itself
        stripes = extract_stripes(kept, own)
    stopped = (slice_ - kept) * own
    filter_input = torch.cat([numbers, waves.detach()], 1)
    return _Parts(stopped, overview_noise * own, bands, far_bands * own, stripes, level, far_level, filter_input)


def _mean_weights(x: Planes) -> Float[Tensor, "batch value"]:
    return x[:, N_VALUES:].float().mean((-1, -2))


def _share_of_far(bands: Planes, far: Planes, valid: Planes) -> Float[Tensor, "batch number"]:
    """Regression coefficient of each band of the slice on the far mean (1: all of it is in the slice), and correlation.

    The spectrum of the slice without the far mean cannot tell red noise from unrelated neighbours; these numbers can.
    """
    both, own, other = (((a * b * valid).sum((-1, -2))) for a, b in ((bands, far), (bands, bands), (far, far)))
    share = both / other.clamp(min=1e-9)
    return torch.cat([share.clamp(-2, 2), both / (own * other).sqrt().clamp(min=1e-9)], 1)


def _estimate_level(detail: Planes, valid: Planes) -> Tensor:
    """Noise level (batch, 1, 1, 1) from the finest band."""
    # 1.25 times the mean absolute deviation: the standard deviation of a Gaussian, but less sensitive to outliers
    total = (detail * valid).abs().sum((-1, -2), keepdim=True)
    return (1.25 / WHITE[0] * total / valid.sum((-1, -2), keepdim=True).clamp(min=1)).clamp(min=1e-4)


@torch.no_grad()
def _make_planes(x: Planes, parts: _Parts) -> Planes:
    """Input of the U-Net: the input of the net, and all parts in units of the noise expected in them."""
    x = x.float()
    valid = (x[:, N_VALUES:] > 0).to(x.dtype)
    white = torch.tensor(WHITE, device=x.device)[:, None, None]
    own = parts.own / (torch.cat([white, white[-1:]]) * parts.level)
    other = (x[:, :1] - x[:, 1:2]) * valid[:, :1] * valid[:, 1:2]
    fine = [
        parts.stopped / parts.level, own, parts.far / (white * parts.far_level), parts.stripes / (0.2 * parts.level),
        other / parts.level, parts.overview_noise / parts.level,
    ]  # fmt: skip
    scaled = torch.cat(fine, 1).asinh() * valid[:, :1]  # linear for noise, logarithmic for signal
    levels = [(level.log10() / 2).expand_as(x[:, :1]) for level in (parts.level, parts.far_level)]
    values = torch.cat([x[:, :1] - parts.overview_noise, x[:, 1:OVERVIEW]], 1).clamp(-20, 20) * valid[:, :OVERVIEW]
    return torch.cat([values, x[:, N_VALUES:], scaled, *levels], 1)


@torch.no_grad()
def _make_numbers(x: Planes, parts: _Parts) -> Float[Tensor, "batch number"]:
    """Features of the window that tell red noise from a rough field: power of each part, then the filter input."""
    valid = (x[:, N_VALUES : N_VALUES + 1] > 0).float()
    count = valid.sum((-1, -2)).clamp(min=1)
    planes = torch.cat([parts.own, parts.far, parts.stripes, parts.overview_noise], 1).float() * valid
    power = planes.square().sum((-1, -2)) / count
    return torch.cat([0.5 * (power + 1e-10).log10(), parts.filter_input], 1)


class _Matrix(nn.Module):
    """A convolution whose weights are one matrix, as Muon needs: (batch, inputs, y, x) -> (batch, outputs, y, x)."""

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
    """A residual block with 7 x 7 depthwise convolution: ConvNeXt (Liu et al., 2022, arXiv:2201.03545) without norm."""

    def __init__(self, width: int):
        super().__init__()
        self.around = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.first = _Matrix(width, 2 * width, 1)
        self.second = _Matrix(2 * width, width, 1)
        nn.init.normal_(self.second.weight, std=0.1 * (2 * width) ** -0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.second(F.relu(self.first(self.around(x))))


class _Lines(nn.Module):
    """Adds a function of the means of whole rows and columns: stripes are faint in a point and clear in a mean."""

    def __init__(self, width: int):
        super().__init__()
        self.rows = _Matrix(width, width, 1)
        self.columns = _Matrix(width, width, 1)
        for layer in (self.rows, self.columns):
            nn.init.normal_(layer.weight, std=0.1 * width**-0.5)

    def forward(self, x: Planes) -> Planes:
        return x + self.rows(x.mean(-1, keepdim=True)) + self.columns(x.mean(-2, keepdim=True))
