"""The starlet transform of planes with gaps: bands of detail from fine to coarse, and what is left (no weights).

Isotropic undecimated wavelets of Starck & Murtagh (Astronomical Image and Data Analysis, 2006, section 2.4), as a
normalised convolution (Knutsson & Westin, 1993, doi:10.1109/CVPR.1993.341081): means leave out what is missing.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor

Planes = Float[Tensor, "batch _ _ _"]
WHITE = (0.889, 0.200, 0.086, 0.041, 0.020, 0.010)
"""Standard deviation of each band for white noise of unit variance, without gaps."""


def split_bands(x: Planes, weight: Planes, n_bands: int = len(WHITE)) -> tuple[Planes, Planes]:
    """Bands (batch, n_bands, y, x) and the rest (batch, 1, y, x) of planes (batch, 1, y, x); their sum is `x`.

    Where `weight` is 0 bands hold what the surroundings would give; there `x` counts for nothing.
    """
    bands = []
    for k in range(n_bands):
        smooth, weight = smooth_planes(x, weight, 2**k)
        bands.append(x - smooth)
        x = smooth
    return torch.cat(bands, 1), x


def smooth_planes(x: Planes, weight: Planes, step: int, axes: tuple[int, ...] = (-2, -1)) -> tuple[Planes, Planes]:
    """Weighted mean over points `step` apart along axes, with the weights of a cubic B-spline; and the mean weight."""
    total, mass = x * weight, weight
    for axis in axes:
        total, mass = _spline(total, axis, step), _spline(mass, axis, step)
    return total / mass.clamp(min=1e-6), mass


def fill_gaps(x: Planes, weight: Planes) -> tuple[Planes, Planes]:
    """Planes whose gaps hold the smoothed surroundings, the nearest that have any; and the weights (0 where none had).

    Planes are (batch, 1, y, x); what nothing is known about is 0.
    """
    out, known = x * (weight > 0), weight > 0
    smooth, mass = x, weight
    for k in range(len(WHITE)):
        smooth, mass = smooth_planes(smooth, mass, 2**k)
        near = (mass > 0.02) & ~known
        out = torch.where(near, smooth, out)
        known = known | near
    return out, known.to(x.dtype)


def extract_stripes(x: Planes, weight: Planes) -> Planes:
    """What is long along one axis and rough across it, (batch, 2, y, x): stripes along x, stripes along y."""
    found = []
    for along, across in ((-1, -2), (-2, -1)):
        smooth, mass = x, weight
        for k in range(4):
            smooth, mass = smooth_planes(smooth, mass, 2**k, (along,))
        rest, rest_mass = smooth, mass
        for k in range(4):
            rest, rest_mass = smooth_planes(rest, rest_mass, 2**k, (across,))
        found.append(smooth - rest)
    return torch.cat(found, 1)


def _spline(x: Planes, axis: int, step: int) -> Planes:
    """(1 4 6 4 1) / 16 of points `step` apart; beyond the plane is nothing."""
    n = x.shape[axis]
    pad = (2 * step, 2 * step) if axis == -1 else (0, 0, 2 * step, 2 * step)
    wide = F.pad(x, pad)
    one, two = (wide.narrow(axis, a, n) + wide.narrow(axis, 4 * step - a, n) for a in (step, 0))
    return (6 * x + 4 * one + two) / 16
