"""A filter in the domain of cosines whose gains follow from the spectrum of the window: what noise is by its colour.

The discrete cosine transform (Ahmed, Natarajan & Rao, 1974, doi:10.1109/T-C.1974.223784) takes the edges of a window
for mirrors. A Wiener filter would need the spectra of signal and noise; here a net guesses its gains from their sum.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.fft import dct
from torch import Tensor, nn

from geoae.nets.parts.starlet import Planes

RADII = np.geomspace(1 / 128, 0.5**0.5, 14)
"""Wavenumbers, cycles per point, at which gains are guessed; between them they are interpolated."""
ANGLES = np.array([0.0, 2.0, 10.0, 45.0, 80.0, 88.0, 90.0])
"""Directions in degrees; the waves of stripes lie close to the axes."""
NODES = len(RADII) * len(ANGLES)


class Filtered(NamedTuple):
    """What the filter lets through, and the spectrum that it saw."""

    kept: Planes
    spectrum: Float[Tensor, "batch node"]
    """Half the decadic logarithm of power at each node."""


class SpectralFilter(nn.Module):
    """Planes (batch, 1, y, x) without gaps -> the same without what their spectrum says is noise."""

    def __init__(self, numbers: int, hidden: int = 96):
        super().__init__()
        self.guess = nn.Sequential(nn.Linear(NODES + numbers, hidden), nn.ReLU(), nn.Linear(hidden, NODES))
        nn.init.zeros_(self.guess[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.guess[2].bias)  # type: ignore[arg-type]
        # the first guess is about right for white noise: half where the power is twice that of the noise
        self.slope = nn.Parameter(torch.full((NODES,), 6.0))
        self.threshold = nn.Parameter(torch.full((NODES,), 0.15))

    def forward(
        self, x: Planes, level: Tensor, numbers: Float[Tensor, "batch number"], mean: Float[Tensor, " batch"]
    ) -> Filtered:
        """`level` (batch, 1, 1, 1) is the noise level seen in fine detail; `numbers` is what else may tell.

        `mean` is 1 where the mean of the plane is not noise, and 0 where it is filtered as the longest waves are.
        """
        with torch.autocast(x.device.type, enabled=False):
            waves, weights = transform_to_cosines(x)
            spectrum = _spectrum(waves, weights)
            gains = _product(self.gains(spectrum, level, numbers), weights.T).view_as(waves)
            spared = mean[:, None, None, None] * x.float().mean((-1, -2), keepdim=True)
            kept = transform_from_cosines(gains * waves) + (1 - gains[..., :1, :1]) * spared
            return Filtered(kept, spectrum)

    def gains(self, spectrum: Tensor, level: Tensor, numbers: Tensor) -> Float[Tensor, "batch node"]:
        """What is let through at each node."""
        above = spectrum - level.flatten(1).log10()
        logits = self.slope * (above - self.threshold) + apply_by_row(self.guess, torch.cat([spectrum, numbers], 1))
        return 1.1 * logits.sigmoid() - 0.05


class Agreement(nn.Module):
    """How much of the noise that an overview shows (batch, 1, y, x) is noise, by what the window itself shows.

    An overview cannot tell fine signal from noise, and what it takes for noise may be signal; where its waves are short
    enough for the window to judge, the filter of the window stops the same waves, or does not.
    """

    def __init__(self, numbers: int, hidden: int = 96):
        super().__init__()
        self.guess = nn.Sequential(nn.Linear(3 * NODES + numbers, hidden), nn.ReLU(), nn.Linear(hidden, NODES))
        nn.init.zeros_(self.guess[2].weight)  # type: ignore[arg-type]
        nn.init.constant_(self.guess[2].bias, 1.0)  # type: ignore[arg-type]

    def forward(
        self, shown: Planes, x: Planes, level: Tensor, numbers: Float[Tensor, "batch number"], judge: SpectralFilter
    ) -> Planes:
        """The part of `shown` to be taken from `x`, whose filter is `judge`."""
        with torch.autocast(x.device.type, enabled=False):
            (own, weights), (seen, _) = transform_to_cosines(x), transform_to_cosines(shown)
            with torch.no_grad():
                spectrum = _spectrum(own, weights)
                stopped = (1 - _product(judge.gains(spectrum, level, numbers), weights.T)).view_as(own) * own
                share = [_product(part.flatten(1), weights) for part in (stopped * seen, seen.square())]
                agreed = (share[0] / share[1].clamp(min=1e-12)).clamp(-2, 2)
                features = torch.cat([spectrum, _spectrum(seen, weights).clamp(min=-4), agreed, numbers], 1)
            gains = _product(apply_by_row(self.guess, features).sigmoid(), weights.T).view_as(seen)
            return transform_from_cosines(gains * seen)


def transform_to_cosines(x: Planes) -> tuple[Planes, Float[Tensor, "wave node"]]:
    """The cosine transform of planes; and the shares of its waves in the nodes."""
    rows, columns, weights = (torch.from_numpy(m).to(x.device) for m in _basis(*x.shape[-2:]))
    return rows @ x.float() @ columns.T, weights


def transform_from_cosines(waves: Planes) -> Planes:
    """Undoes `transform_to_cosines`."""
    rows, columns, _ = (torch.from_numpy(m).to(waves.device) for m in _basis(*waves.shape[-2:]))
    return rows.T @ waves @ columns


def _spectrum(waves: Planes, weights: Float[Tensor, "wave node"]) -> Float[Tensor, "batch node"]:
    """Half the decadic logarithm of power at each node."""
    power = _product(waves.square().flatten(1), weights) / weights.sum(0).clamp(min=1e-3)
    return 0.5 * (power + 1e-10).log10()


def apply_by_row(layers: nn.Sequential, x: Float[Tensor, "batch number"]) -> Float[Tensor, "batch answer"]:
    """A perceptron on each row by itself: a product of several rows rounds each by its place among them."""
    for layer in layers:
        x = _product(x, layer.weight.T) + layer.bias if isinstance(layer, nn.Linear) else layer(x)
    return x


def _product(x: Float[Tensor, "batch k"], matrix: Float[Tensor, "k n"]) -> Float[Tensor, "batch n"]:
    return torch.bmm(x[:, None], matrix.expand(len(x), -1, -1))[:, 0]


@lru_cache(maxsize=16)
def _basis(ny: int, nx: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Orthonormal cosines along y and x, one a row; and the shares of each wave in the nodes (y * x, node)."""
    k_y, k_x = np.arange(ny)[:, None] / (2 * ny), np.arange(nx) / (2 * nx)
    radius = _shares(np.log(np.maximum(np.hypot(k_y, k_x), 1e-9)).ravel(), np.log(RADII))
    angle = _shares(np.degrees(np.arctan2(k_y, k_x)).ravel(), ANGLES)
    weights = (radius[:, :, None] * angle[:, None]).reshape(ny * nx, NODES)
    rows, columns = (make_cosine_basis(n).astype(np.float32) for n in (ny, nx))
    return rows, columns, weights.astype(np.float32)


def _shares(at: NDArray[np.float64], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (point, node) of linear interpolation; beyond the nodes the last one counts alone."""
    return np.stack([np.interp(at, nodes, one) for one in np.eye(len(nodes))], axis=1)


def make_cosine_basis(n: int) -> NDArray[np.float64]:
    """Orthonormal cosines (wave, sample) of `n` samples, low frequencies first: the rows of the DCT-II."""
    basis: NDArray[np.float64] = dct(np.eye(n), norm="ortho", axis=0)
    return basis
