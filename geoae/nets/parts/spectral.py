"""A spectral filter: a net estimates its gains from the cosine spectrum of the window.

The discrete cosine transform (Ahmed, Natarajan & Rao, 1974, doi:10.1109/T-C.1974.223784) continues a window by
reflection at its edges. A Wiener filter would need the spectra of signal and noise; here a net estimates the gains from
the spectrum of their sum.
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
"""Wavenumbers in cycles per point for which gains are estimated; gains are interpolated between them."""
ANGLES = np.array([0.0, 2.0, 10.0, 45.0, 80.0, 88.0, 90.0])
"""Directions in degrees, dense near the axes, where the waves of stripes lie."""
NODES = len(RADII) * len(ANGLES)


class Filtered(NamedTuple):
    """Output of the spectral filter, and the spectrum of its input."""

    kept: Planes
    spectrum: Float[Tensor, "batch node"]
    """Half the decadic logarithm of power at each node."""


class SpectralFilter(nn.Module):
    """Filter noise from planes (batch, 1, y, x) without gaps, with gains that depend on their spectrum."""

    def __init__(self, numbers: int, hidden: int = 96):
        super().__init__()
        self.guess = nn.Sequential(nn.Linear(NODES + numbers, hidden), nn.ReLU(), nn.Linear(hidden, NODES))
        nn.init.zeros_(self.guess[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.guess[2].bias)  # type: ignore[arg-type]
        # initial gains suit white noise: one half for twice the power of the noise
        self.slope = nn.Parameter(torch.full((NODES,), 6.0))
        self.threshold = nn.Parameter(torch.full((NODES,), 0.15))

    def forward(
        self, x: Planes, level: Tensor, numbers: Float[Tensor, "batch number"], mean: Float[Tensor, " batch"]
    ) -> Filtered:
        """Filter planes; `level` (batch, 1, 1, 1) is the noise level of fine detail, `numbers` are further features.

        `mean` is 1 to keep the mean of a plane, and 0 to filter it with the gain of the longest waves.
        """
        with torch.autocast(x.device.type, enabled=False):
            waves, weights = transform_to_cosines(x)
            spectrum = _compute_spectrum(waves, weights)
            gains = _product(self.gains(spectrum, level, numbers), weights.T).view_as(waves)
            spared = mean[:, None, None, None] * x.float().mean((-1, -2), keepdim=True)
            kept = transform_from_cosines(gains * waves) + (1 - gains[..., :1, :1]) * spared
            return Filtered(kept, spectrum)

    def gains(self, spectrum: Tensor, level: Tensor, numbers: Tensor) -> Float[Tensor, "batch node"]:
        """Gain at each node."""
        above = spectrum - level.flatten(1).log10()
        logits = self.slope * (above - self.threshold) + apply_by_row(self.guess, torch.cat([spectrum, numbers], 1))
        return 1.1 * logits.sigmoid() - 0.05


class Agreement(nn.Module):
    """Estimate how much of the noise (batch, 1, y, x) found in an overview is noise according to the window.

    In an overview, fine signal looks like noise. If its waves are short enough to be resolved in the window, the filter
    of the window can tell them apart: it stops noise and passes signal.
    """

    def __init__(self, numbers: int, hidden: int = 96):
        super().__init__()
        self.guess = nn.Sequential(nn.Linear(3 * NODES + numbers, hidden), nn.ReLU(), nn.Linear(hidden, NODES))
        nn.init.zeros_(self.guess[2].weight)  # type: ignore[arg-type]
        nn.init.constant_(self.guess[2].bias, 1.0)  # type: ignore[arg-type]

    def forward(
        self,
        overview_noise: Planes,
        x: Planes,
        level: Tensor,
        numbers: Float[Tensor, "batch number"],
        window_filter: SpectralFilter,
    ) -> Planes:
        """The part of `overview_noise` to subtract from `x`; `window_filter` is the filter of the window."""
        with torch.autocast(x.device.type, enabled=False):
            (waves, weights), (noise, _) = transform_to_cosines(x), transform_to_cosines(overview_noise)
            with torch.no_grad():
                spectrum = _compute_spectrum(waves, weights)
                stopped = (1 - _product(window_filter.gains(spectrum, level, numbers), weights.T)).view_as(
                    waves
                ) * waves
                share = [_product(part.flatten(1), weights) for part in (stopped * noise, noise.square())]
                agreed = (share[0] / share[1].clamp(min=1e-12)).clamp(-2, 2)
                features = torch.cat([spectrum, _compute_spectrum(noise, weights).clamp(min=-4), agreed, numbers], 1)
            gains = _product(apply_by_row(self.guess, features).sigmoid(), weights.T).view_as(noise)
            return transform_from_cosines(gains * noise)


def transform_to_cosines(x: Planes) -> tuple[Planes, Float[Tensor, "wave node"]]:
    """Cosine transform of planes, and the weights of its waves in the nodes."""
    rows, columns, weights = (torch.from_numpy(m).to(x.device) for m in _basis(*x.shape[-2:]))
    return rows @ x.float() @ columns.T, weights


def transform_from_cosines(waves: Planes) -> Planes:
    """Inverse of `transform_to_cosines`."""
    rows, columns, _ = (torch.from_numpy(m).to(waves.device) for m in _basis(*waves.shape[-2:]))
    return rows.T @ waves @ columns


def _compute_spectrum(waves: Planes, weights: Float[Tensor, "wave node"]) -> Float[Tensor, "batch node"]:
    """Half the decadic logarithm of power at each node."""
    power = _product(waves.square().flatten(1), weights) / weights.sum(0).clamp(min=1e-3)
    return 0.5 * (power + 1e-10).log10()


def apply_by_row(layers: nn.Sequential, x: Float[Tensor, "batch number"]) -> Float[Tensor, "batch answer"]:
    """Apply a perceptron to each row separately, because the rounding of a product depends on the number of rows."""
    for layer in layers:
        x = _product(x, layer.weight.T) + layer.bias if isinstance(layer, nn.Linear) else layer(x)
    return x


def _product(x: Float[Tensor, "batch k"], matrix: Float[Tensor, "k n"]) -> Float[Tensor, "batch n"]:
    return torch.bmm(x[:, None], matrix.expand(len(x), -1, -1))[:, 0]


@lru_cache(maxsize=16)
def _basis(ny: int, nx: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Orthonormal cosines along y and x, one per row, and the weights of each wave in the nodes (y * x, node)."""
    k_y, k_x = np.arange(ny)[:, None] / (2 * ny), np.arange(nx) / (2 * nx)
    radius = _interpolation_weights(np.log(np.maximum(np.hypot(k_y, k_x), 1e-9)).ravel(), np.log(RADII))
    angle = _interpolation_weights(np.degrees(np.arctan2(k_y, k_x)).ravel(), ANGLES)
    weights = (radius[:, :, None] * angle[:, None]).reshape(ny * nx, NODES)
    rows, columns = (make_cosine_basis(n).astype(np.float32) for n in (ny, nx))
    return rows, columns, weights.astype(np.float32)


def _interpolation_weights(at: NDArray[np.float64], nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (point, node) of linear interpolation; points beyond the nodes take the value of the last node."""
    return np.stack([np.interp(at, nodes, unit) for unit in np.eye(len(nodes))], axis=1)


def make_cosine_basis(n: int) -> NDArray[np.float64]:
    """Orthonormal cosines (wave, sample) of `n` samples, low frequencies first: the rows of the DCT-II."""
    basis: NDArray[np.float64] = dct(np.eye(n), norm="ortho", axis=0)
    return basis
