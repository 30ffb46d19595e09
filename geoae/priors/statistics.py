"""Scores of reconstructed and of drawn models, on plain arrays."""

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array


def rmse(m: Array, estimate: Array) -> NDArray[np.float64]:
    """Root mean square difference (n,) of models (n, *shape), in their units, over cells that are there."""
    axes = tuple(range(1, m.ndim))
    return np.sqrt(np.nanmean(np.square(np.asarray(estimate, np.float64) - m), axis=axes))


def accuracy(facies: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> float:
    """Share of cells of the right facies."""
    return float((facies == estimate).mean())


def iou(facies: NDArray[np.bool_], estimate: NDArray[np.bool_]) -> float:
    """Cells that both have over cells that either has, all models together."""
    return float((facies & estimate).sum() / max(int((facies | estimate).sum()), 1))


def brier(facies: NDArray[np.bool_], probability: Array) -> float:
    """Mean square difference of a probability and what is there (Brier, 1950)."""
    return float(np.square(facies - probability).mean())


def grey_share(models: Array, low: float, high: float) -> float:
    """Share of cells between a tenth and nine tenths of the way from `low` to `high`."""
    x = (models - low) / (high - low)
    return float(((x > 0.1) & (x < 0.9)).sum() / max(int(np.isfinite(x).sum()), 1))


def variogram(models: Array, axis: int, max_lag: int) -> NDArray[np.float64]:
    """Half the mean square difference of cells 1 ... max_lag apart along one axis of models (n, *shape)."""
    x = np.moveaxis(models, axis + 1, -1)
    return np.array([0.5 * np.nanmean(np.square(x[..., lag:] - x[..., :-lag])) for lag in range(1, max_lag + 1)])


def variogram_error(models: Array, others: Array) -> float:
    """Relative difference (RMS over lags up to a quarter of each axis) of the variograms of two sets of models."""
    squares: list[NDArray[np.float64]] = []
    for axis in range(models.ndim - 1):
        lags = max(min(models.shape[axis + 1] // 4, 40), 1)
        if models.shape[axis + 1] > 1:
            a, b = variogram(models, axis, lags), variogram(others, axis, lags)
            squares.append(np.square(b / np.where(a > 0, a, 1.0) - 1))
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0


def measure_normality(codes: Array) -> dict[str, float]:
    """How far codes (n, d) are from N(0, I): mean, variance, correlation, and the distance of distributions.

    The last is the largest difference between the empirical distribution of one number and the normal one
    (Kolmogorov's), the worst of all d.
    """
    from scipy.special import ndtr

    n, d = codes.shape
    ordered = ndtr(np.sort(codes, axis=0))
    steps = np.arange(n)[:, None] / n
    away = np.maximum(ordered - steps, steps + 1 / n - ordered).max()
    variance = codes.var(axis=0)
    correlation = np.corrcoef(codes.T) - np.eye(d) if d > 1 and (variance > 0).all() else np.zeros((1, 1))
    return {
        "mean": float(np.abs(codes.mean(axis=0)).max()),
        "variance": float(variance.mean()),
        "least_variance": float(variance.min()),
        "most_variance": float(variance.max()),
        "correlation": float(np.abs(correlation).max()),
        "distance": float(away),
    }
