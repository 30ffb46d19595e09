"""Paths between codes, nearest neighbours among codes, and grids of codes over two axes, as plain arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Float64Array
from geoae.errors import InputError


def interpolate_codes(a: Float64Array, b: Float64Array, n: int, how: str) -> Float64Array:
    """Interpolate between codes `a` and `b`: returns (n, d), both ends included.

    "spherical" rotates the direction evenly while the length changes linearly from |a| to |b|. Codes of N(0, I) lie
    near a sphere, and a straight path would lead through its interior, where there are almost none.
    """
    if n < 2:
        raise InputError(f"n is {n}; a path has at least 2 codes, its ends.")
    t = np.linspace(0.0, 1.0, n)[:, None]
    straight = (1 - t) * a + t * b
    if how == "linear":
        return straight
    if how != "spherical":
        raise InputError(f'how is {how!r}; choose "spherical" or "linear".')
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if min(length_a, length_b) == 0:
        return straight
    angle = np.arccos(np.clip(a @ b / (length_a * length_b), -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # the same direction, or opposite ones, which no single shortest arc connects
        return straight
    direction = (np.sin((1 - t) * angle) * a / length_a + np.sin(t * angle) * b / length_b) / np.sin(angle)
    return direction * ((1 - t) * length_a + t * length_b)


def find_nearest_codes(z: Float64Array, among: Float64Array, n: int) -> tuple[NDArray[np.int64], Float64Array]:
    """Indices and Euclidean distances (..., n) of the codes in `among` (k, d) nearest to each code of `z` (..., d)."""
    from scipy.spatial import cKDTree

    if not 1 <= n <= len(among):
        raise InputError(f"n is {n}; there are {len(among)} codes to choose from.")
    distances, indices = cKDTree(among).query(z, k=np.arange(1, n + 1))
    return indices.astype(np.int64), distances


def make_atlas(start: Float64Array, n: int, axes: tuple[int, int]) -> Float64Array:
    """Make codes (n, n, d): `start`, with normal quantiles, evenly spaced in probability, along two axes."""
    from scipy.special import ndtri

    if len(set(axes)) != 2 or not all(0 <= axis < len(start) for axis in axes):
        raise InputError(f"axes are {axes}; expected two different ones of 0 to {len(start) - 1}.")
    if n < 1:
        raise InputError(f"n is {n}; it must be at least 1.")
    steps: Any = ndtri((np.arange(n) + 0.5) / n)
    z = np.tile(start, (n, n, 1))
    z[:, :, axes[0]] = steps[:, None]
    z[:, :, axes[1]] = steps
    return z
