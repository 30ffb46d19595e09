"""Input channels of a denoiser of fields: a slice, the means of its neighbours in time, and the weights of these.

Noise differs from one slice to the next and most of the signal does not, so neighbours help to separate the two. A
slice without neighbours can have an overview instead (see `geoae.arrays.overview`).
"""

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array

N_VALUES = 4
"""Channels that hold values: the slice, the mean of its near neighbours, the mean of all its neighbours, and the slice
less the noise found in its overview."""
OVERVIEW = 3
"""Number of the overview's channel, the last one with values."""
N_CHANNELS = 2 * N_VALUES
"""All channels: each one with values has a channel with its weight, from 0 (unknown) to 1."""
ZOOM = 4
"""Refinement of grids with too few points for the net. A factor of 2 is too small: rough fields on coarse grids still
look like noise."""


def find_time_neighbours(index: int, n: int, far: int) -> tuple[int, int]:
    """Range (first, end) of the slices in the far mean of slice `index` of `n`.

    Near the ends of a series the range is shifted inwards and keeps its length, so the mean is as reliable there.

    Examples
    --------
    >>> [find_time_neighbours(index, 100, 4) for index in (50, 1, 99)], find_time_neighbours(0, 2, 4)
    ([(46, 55), (0, 9), (91, 100)], (0, 2))
    """
    first = min(max(index - far, 0), max(n - 2 * far - 1, 0))
    return first, min(first + 2 * far + 1, n)


def find_halo(start: int, stop: int, n: int, far: int) -> slice:
    """Slices that the channels of slices start..stop of `n` depend on.

    Examples
    --------
    >>> find_halo(10, 12, 100, 4), find_halo(0, 1, 2, 16)
    (slice(6, 16, None), slice(0, 2, None))
    """
    return slice(find_time_neighbours(start, n, far)[0], find_time_neighbours(stop - 1, n, far)[1])


def make_channels(
    block: Array, index: int, near: int, far: int, *, origin: int = 0, n: int | None = None
) -> NDArray[np.float64]:
    """Make the input channels of one slice from a block of slices in order of time.

    The means leave out the slice itself, so that their noise is independent of its noise. Sums are added in the same
    order in every block, so results do not depend on the block.

    Parameters
    ----------
    block
        Shape (time, ..., y, x), NaN where missing; holds all neighbours of the slice.
    index
        Number of the slice in the block.
    near, far
        Neighbours on either side in each of the two means.
    origin, n
        First slice of the block in its series, and length of the series; without `n` the block is the whole series.

    Returns
    -------
    Array
        Shape (..., 8, y, x): slice, near mean, far mean and overview, NaN where unknown; then their weights: 1 where
        the slice has a value, and the fraction of the 2 near or 2 far neighbours that have one. The overview is
        missing: `add_overview` adds it.
    """
    plane, length = np.asarray(block[index], dtype=np.float64), len(block) if n is None else n
    number = origin + index
    values, weights = [plane], [np.isfinite(plane).astype(np.float64)]
    spans = ((max(number - near, 0), min(number + near + 1, length)), find_time_neighbours(number, length, far))
    for (first, end), most in zip(spans, (2 * near, 2 * far), strict=True):
        total, count = np.zeros(plane.shape), np.zeros(plane.shape)
        for other in range(first - origin, end - origin):
            if other != index:
                valid = np.isfinite(block[other])
                if valid.all():
                    total += block[other]
                    count += 1
                else:
                    np.add(total, block[other], out=total, where=valid)
                    count += valid
        values.append(np.divide(total, count, out=np.full(plane.shape, np.nan), where=count > 0))
        weights.append(count / max(most, 1))
    values.append(np.full(plane.shape, np.nan))
    weights.append(np.zeros(plane.shape))
    return np.stack([*values, *weights], axis=-3)


def add_overview(planes: Array, noise: Array) -> Array:
    """Put the slice less the noise of its overview (..., y, x) into channels (..., 8, y, x), in place; return these."""
    planes[..., OVERVIEW, :, :] = planes[..., 0, :, :] - noise
    planes[..., N_VALUES + OVERVIEW, :, :] = np.isfinite(planes[..., OVERVIEW, :, :])
    return planes


def choose_zoom(points: int, enough: int) -> int:
    """Factor by which to refine a grid with `points` points along its shorter side.

    Examples
    --------
    >>> choose_zoom(64, 40), choose_zoom(30, 40), choose_zoom(8, 0)
    (1, 4, 1)
    """
    return ZOOM if points < enough else 1


def enlarge_channels(planes: Array, by: int) -> Array:
    """Channels (..., 8, y, x) on a grid that is `by` times finer, by cubic splines: (..., 8, y * by, x * by).

    Every `by`-th point is an old one. Missing values are filled with their nearest neighbours for the splines, and are
    missing again in the result.
    """
    from scipy.ndimage import distance_transform_edt

    weights = [make_spline_weights(n, np.minimum(np.arange(n * by) / by, n - 1)) for n in planes.shape[-2:]]
    near = [np.minimum((np.arange(n * by) + by // 2) // by, n - 1) for n in planes.shape[-2:]]
    known = planes[..., N_VALUES:, near[0][:, None], near[1]]
    values = np.array(planes[..., :N_VALUES, :, :])
    for plane in values.reshape(-1, *values.shape[-2:]):
        missing = ~np.isfinite(plane)
        if missing.all():
            plane[:] = 0.0
        elif missing.any():
            plane[:] = plane[tuple(distance_transform_edt(missing, return_distances=False, return_indices=True))]
    fine = weights[0] @ values @ weights[1].T
    fine[known == 0] = np.nan
    return np.concatenate([fine, known], axis=-3)


def make_spline_weights(n: int, at: Array) -> NDArray[np.float64]:
    """Weights (position, n) of n values in their cubic spline at positions from 0 to n - 1."""
    from scipy.interpolate import CubicSpline

    weights: NDArray[np.float64] = CubicSpline(np.arange(n), np.eye(n))(at)
    return weights
