"""Input channels of a denoiser of fields: a slice, means of its neighbours in time, and weights of all of them.

Noise differs from one slice to the next and most of the signal does not, so neighbours separate the two. A slice
without neighbours may have an overview instead (see `geoae.arrays.overview`).
"""

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array

N_VALUES = 4
"""Channels that hold values: the slice, the mean of its near neighbours, that of all neighbours, and the slice without
the noise that an overview of it shows."""
OVERVIEW = 3
"""The last of these."""
N_CHANNELS = 2 * N_VALUES
"""The same number again says how well each is known, from 0 (not at all) to 1."""
ZOOM = 4
"""How many times finer the points are that the net sees, where a grid has too few: with twice as many, rough fields on
coarse grids were still taken for noise."""


def find_time_neighbours(index: int, n: int, far: int) -> tuple[int, int]:
    """Range (first, end) of the slices in the far mean of one slice of n.

    Near the ends of a series the range moves inwards and keeps its length, so the mean is as well known there.

    Examples
    --------
    >>> [find_time_neighbours(index, 100, 4) for index in (50, 1, 99)], find_time_neighbours(0, 2, 4)
    ([(46, 55), (0, 9), (91, 100)], (0, 2))
    """
    first = min(max(index - far, 0), max(n - 2 * far - 1, 0))
    return first, min(first + 2 * far + 1, n)


def find_halo(start: int, stop: int, n: int, far: int) -> slice:
    """Slices on which the channels of slices start..stop of n depend.

    Examples
    --------
    >>> find_halo(10, 12, 100, 4), find_halo(0, 1, 2, 16)
    (slice(6, 16, None), slice(0, 2, None))
    """
    return slice(find_time_neighbours(start, n, far)[0], find_time_neighbours(stop - 1, n, far)[1])


def make_channels(
    block: Array, index: int, near: int, far: int, *, origin: int = 0, n: int | None = None
) -> NDArray[np.float64]:
    """Input of the net for one slice of a block of slices in their order in time.

    The means leave the slice itself out, so that their noise is independent of its noise. They add the same numbers
    in the same order in every block.

    Parameters
    ----------
    block
        Shape (time, ..., y, x), NaN where missing; holds all neighbours there are.
    index
        Which slice of the block.
    near, far
        Neighbours on either side that the two means are taken of.
    origin, n
        Where the block begins in its series, and how many slices that has; without `n` the block is all of it.

    Returns
    -------
    Array
        Shape (..., 8, y, x): slice, near mean, far mean, overview, NaN where there is none; then their weights: 1
        where the slice has a value, and the share of neighbours (of 2 near, of 2 far) that have one. There is no
        overview yet: `add_overview` adds it.
    """
    own, length, at = np.asarray(block[index], dtype=np.float64), len(block) if n is None else n, origin + index
    values, weights = [own], [np.isfinite(own).astype(np.float64)]
    spans = ((max(at - near, 0), min(at + near + 1, length)), find_time_neighbours(at, length, far))
    for (first, end), most in zip(spans, (2 * near, 2 * far), strict=True):
        total, count = np.zeros(own.shape), np.zeros(own.shape)
        for other in range(first - origin, end - origin):
            if other != index:
                valid = np.isfinite(block[other])
                if valid.all():
                    total += block[other]
                    count += 1
                else:
                    np.add(total, block[other], out=total, where=valid)
                    count += valid
        values.append(np.divide(total, count, out=np.full(own.shape, np.nan), where=count > 0))
        weights.append(count / max(most, 1))
    values.append(np.full(own.shape, np.nan))
    weights.append(np.zeros(own.shape))
    return np.stack([*values, *weights], axis=-3)


def add_overview(planes: Array, noise: Array) -> Array:
    """Put the slice without the noise (..., y, x) of its overview into channels (..., 8, y, x), and return these."""
    planes[..., OVERVIEW, :, :] = planes[..., 0, :, :] - noise
    planes[..., N_VALUES + OVERVIEW, :, :] = np.isfinite(planes[..., OVERVIEW, :, :])
    return planes


def choose_zoom(points: int, enough: int) -> int:
    """How many times finer a grid of so many points along its shorter side has to be.

    Examples
    --------
    >>> choose_zoom(64, 40), choose_zoom(30, 40), choose_zoom(8, 0)
    (1, 4, 1)
    """
    return ZOOM if points < enough else 1


def enlarge_channels(planes: Array, by: int) -> Array:
    """Channels (..., 8, y, x) between the points, by cubic splines: (..., 8, y * by, x * by), the points every `by`.

    Missing values are filled with their nearest neighbours for the splines, and are missing again in the result.
    """
    from scipy.ndimage import distance_transform_edt

    weights = [make_spline_weights(n, np.minimum(np.arange(n * by) / by, n - 1)) for n in planes.shape[-2:]]
    near = [np.minimum((np.arange(n * by) + by // 2) // by, n - 1) for n in planes.shape[-2:]]
    known = planes[..., N_VALUES:, near[0][:, None], near[1]]
    values = np.array(planes[..., :N_VALUES, :, :])
    for plane in values.reshape(-1, *values.shape[-2:]):
        gone = ~np.isfinite(plane)
        if gone.all():
            plane[:] = 0.0
        elif gone.any():
            plane[:] = plane[tuple(distance_transform_edt(gone, return_distances=False, return_indices=True))]
    wide = weights[0] @ values @ weights[1].T
    wide[known == 0] = np.nan
    return np.concatenate([wide, known], axis=-3)


def make_spline_weights(n: int, at: Array) -> NDArray[np.float64]:
    """Weights (place, n) with which n values make up those at places between 0 and n - 1, by a cubic spline."""
    from scipy.interpolate import CubicSpline

    found: NDArray[np.float64] = CubicSpline(np.arange(n), np.eye(n))(at)
    return found
