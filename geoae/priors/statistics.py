"""Scores of reconstructed and drawn models, for plain arrays."""

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array


def rmse(m: Array, estimate: Array) -> NDArray[np.float64]:
    """Root-mean-square difference (n,) of models (n, *shape) over valid cells, in their units."""
    axes = tuple(range(1, m.ndim))
    return np.sqrt(np.nanmean(np.square(np.asarray(estimate, np.float64) - m), axis=axes))


def accuracy(facies: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> float:
    """Share of cells with the right facies."""
    return float((facies == estimate).mean())


def iou(facies: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> float:
    """Intersection over union of the facies, over the cells of all models."""
    return float((facies & estimate).sum() / max(int((facies | estimate).sum()), 1))


def brier(facies: NDArray[np.bool_], probability: Array) -> float:
    """Brier score: mean square difference between a probability and the facies, 0 or 1 (Brier, 1950)."""
    return float(np.square(facies - probability).mean())


def grey_share(models: Array, low: float, high: float) -> float:
    """Share of cells whose value lies between 10 % and 90 % of the way from `low` to `high`."""
    x = (models - low) / (high - low)
    return float(((x > 0.1) & (x < 0.9)).sum() / max(int(np.isfinite(x).sum()), 1))


def variogram(models: Array, axis: int, max_lag: int) -> NDArray[np.float64]:
    """Half the mean square difference of cells at lags 1 to `max_lag` along one axis of models (n, *shape)."""
    x = np.moveaxis(models, axis + 1, -1)
    return np.array([0.5 * np.nanmean(np.square(x[..., lag:] - x[..., :-lag])) for lag in range(1, max_lag + 1)])


def variogram_error(models: Array, others: Array) -> float:
    """Relative RMS difference between the variograms of two sets of models, for lags up to a quarter of each axis."""
    squares: list[NDArray[np.float64]] = []
    for axis in range(models.ndim - 1):
        lags = max(min(models.shape[axis + 1] // 4, 40), 1)
        if models.shape[axis + 1] > 1:
            a, b = variogram(models, axis, lags), variogram(others, axis, lags)
            squares.append(np.square(b / np.where(a > 0, a, 1.0) - 1))
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0


def measure_normality(codes: Array) -> dict[str, float]:
    """Measure how far codes (n, d) are from N(0, I): mean, variance, correlation and distance of distributions.

    The distance is that of Kolmogorov: the largest difference between the empirical distribution of a code element and
    the normal distribution; the largest over all d elements is returned.
    """
    from scipy.special import ndtr

    n, d = codes.shape
    ordered = ndtr(np.sort(codes, axis=0))
    steps = np.arange(n)[:, None] / n
    distance = np.maximum(ordered - steps, steps + 1 / n - ordered).max()
    variance = codes.var(axis=0)
    correlation = np.corrcoef(codes.T) - np.eye(d) if d > 1 and (variance > 0).all() else np.zeros((1, 1))
    return {
        "mean": float(np.abs(codes.mean(axis=0)).max()),
        "variance": float(variance.mean()),
        "least_variance": float(variance.min()),
        "most_variance": float(variance.max()),
        "correlation": float(np.abs(correlation).max()),
        "distance": float(distance),
    }
