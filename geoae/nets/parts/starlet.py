"""The starlet transform of planes with gaps: bands of detail from fine to coarse, and the smooth rest.

Isotropic undecimated wavelets of Starck & Murtagh (Astronomical Image and Data Analysis, 2006, section 2.4), as a
normalised convolution (Knutsson & Westin, 1993, doi:10.1109/CVPR.1993.341081): means ignore missing points.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch user knows
from jaxtyping import Float
from torch import Tensor

Planes = Float[Tensor, "batch _ _ _"]
WHITE = (0.889, 0.200, 0.086, 0.041, 0.020, 0.010)
"""Standard deviation of each band for white noise of unit variance, without gaps."""


def split_bands(x: Planes, weight: Planes, n_bands: int = len(WHITE)) -> tuple[Planes, Planes]:
    """Split planes (batch, 1, y, x) into bands (batch, n_bands, y, x) and a rest (batch, 1, y, x), whose sum is `x`.

    Points with `weight` 0 do not contribute to the means of others.
    """
    bands = []
    for k in range(n_bands):
        smooth, weight = smooth_planes(x, weight, 2**k)
        bands.append(x - smooth)
        x = smooth
    return torch.cat(bands, 1), x


def smooth_planes(x: Planes, weight: Planes, step: int, axes: tuple[int, ...] = (-2, -1)) -> tuple[Planes, Planes]:
    """Weighted means over points `step` apart along axes, with a cubic B-spline; also returns the mean weights."""
    total, mass = x * weight, weight
    for axis in axes:
        total, mass = _spline(total, axis, step), _spline(mass, axis, step)
    return total / mass.clamp(min=1e-6), mass


def fill_gaps(x: Planes, weight: Planes) -> tuple[Planes, Planes]:
    """Fill gaps of planes (batch, 1, y, x) with the mean of the nearest surroundings that have values.

    Also returns 1 for known or filled points, and 0 for points without values nearby, which are set to 0.
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
    """Extract stripes (batch, 2, y, x), smooth along one axis and rough across it: along x, then along y."""
    stripes = []
    for along, across in ((-1, -2), (-2, -1)):
        smooth, mass = x, weight
        for k in range(4):
            smooth, mass = smooth_planes(smooth, mass, 2**k, (along,))
        rest, rest_mass = smooth, mass
        for k in range(4):
            rest, rest_mass = smooth_planes(rest, rest_mass, 2**k, (across,))
        stripes.append(smooth - rest)
    return torch.cat(stripes, 1)


def _spline(x: Planes, axis: int, step: int) -> Planes:
    """Sum of points `step` apart with weights (1 4 6 4 1) / 16; values beyond the plane are 0."""
    n = x.shape[axis]
    pad = (2 * step, 2 * step) if axis == -1 else (0, 0, 2 * step, 2 * step)
    wide = F.pad(x, pad)
    near, far = (wide.narrow(axis, a, n) + wide.narrow(axis, 4 * step - a, n) for a in (step, 0))
    return (6 * x + 4 * near + far) / 16
