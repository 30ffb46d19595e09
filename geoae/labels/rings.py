"""Longitudes around the globe: whether the last point of a dimension is next to its first, or repeats it."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from geoae.labels.axes import is_longitude

MAX_REPEATS = 2
"""Most points at the end of a ring that may repeat its first ones; ocean models repeat two."""


def count_repeats(field: xr.DataArray, dim: str, horizontal: Sequence[str]) -> int | None:
    """Number of points at the end of a dimension that repeat its first ones, as longitudes 0 and 360.

    None if the longitudes along the dimension do not cover the circle: n steps are 360 degrees, and repeated points are
    no steps of their own.
    """
    for name, coord in field.coords.items():
        if dim not in coord.dims or not is_longitude(coord.variable, str(name)):
            continue
        if coord.ndim == 1:
            return _find_ring(coord.values, even=True)
        others = {str(d): field.sizes[d] for d in coord.dims if d != dim}
        if set(coord.dims) <= set(horizontal):
            # rows near a pole or a fold of the grid are irregular, so two rows in between have to agree
            rows = [{d: n * share // 4 for d, n in others.items()} for share in (1, 2)]
            found = {_find_ring(coord.isel(row).values, even=False) for row in rows}
            return found.pop() if len(found) == 1 else None
    return None


def unwrap_degrees(degrees: np.ndarray) -> np.ndarray:
    """Longitudes without the jumps from 180 to -180 or from 360 to 0."""
    return np.unwrap(degrees.astype(np.float64), period=360.0)


def is_steady(values: np.ndarray) -> bool:
    """Whether values rise or fall from each to the next."""
    return bool((values[1:] > values[:-1]).all() or (values[1:] < values[:-1]).all())


def _find_ring(degrees: np.ndarray, even: bool) -> int | None:
    for repeats in range(MAX_REPEATS + 1):
        n = degrees.size - repeats
        if _covers_circle(degrees[:n], even):
            step = 360.0 / n
            apart = (degrees[n:].astype(np.float64) - degrees[:repeats] + 180.0) % 360.0 - 180.0
            if (np.abs(apart) < 0.01 * step).all():
                return repeats
    return None


def _covers_circle(degrees: np.ndarray, even: bool) -> bool:
    n = degrees.size
    if n < 3 or not np.isfinite(degrees).all():
        return False
    run = degrees.astype(np.float64) if is_steady(degrees) else unwrap_degrees(degrees)
    steps = np.diff(run)
    mean = float(steps.mean())
    if not mean or (steps / mean <= 0).any() or (even and np.abs(steps / mean - 1).max() > 0.5):
        return False
    # where the spacing varies along the row, the spacing at its ends is expected
    expected, slack = (mean, 0.1) if even else ((steps[0] + steps[-1]) / 2, 0.5)
    return bool(abs((np.sign(mean) * 360.0 - (run[-1] - run[0])) / expected - 1) <= slack)
