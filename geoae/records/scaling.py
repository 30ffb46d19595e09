"""Scaling of windows of records: remove the straight line, divide by the noise level."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.scaling import Stats
from geoae.arrays.types import Array


@dataclass(frozen=True)
class RecordScaler:
    """Remove the least-squares line of each window and component, and divide by its noise level.

    The noise level is the median of the RMS of short blocks, so that events and spikes have little influence. It is at
    least `floor` times the RMS of the window, for windows that are mostly silent. Constant components and components
    without samples have gain 1 and become zeros.
    """

    block: int = 100
    """Samples in one block; the level ignores samples after the last whole block."""
    floor: float = 1e-3
    """Lowest noise level, as a fraction of the RMS of the window."""

    def apply(self, x: Array) -> tuple[NDArray[np.float32], Stats]:
        """Scale windows of shape (batch, channel, time); NaN becomes 0 after the line is removed.

        Returns
        -------
        scaled
            float32, same shape.
        stats
            Line and level, for `undo`.
        """
        valid = np.isfinite(x)
        is_whole = bool(valid.all())
        # dividing by a power of two near the largest value keeps squares in the range of float64 and changes no digit
        largest = (
            np.abs(x).max(axis=-1, keepdims=True) if is_whole else np.where(valid, np.abs(x), 0).max(-1, keepdims=True)
        )
        unit = np.exp2(np.floor(np.log2(np.where(largest > 0, largest, 1.0)))).astype(np.float64)
        y = x / unit
        t = np.linspace(-1.0, 1.0, x.shape[-1]) if x.shape[-1] > 1 else np.zeros(1)
        if is_whole:
            offset = y.mean(axis=-1, keepdims=True)
            # einsum, not @: BLAS would start threads of its own, which compete with those of the net
            slope = np.einsum("...t,t->...", y, t)[..., None] / max(float(np.square(t).sum()), 1e-300)
        else:
            y = np.where(valid, y, 0.0)
            offset, slope = _fit_line(y, valid, t)
        y -= offset
        y -= slope * t
        if not is_whole:
            y *= valid
        # the rest of a straight line is rounding error: without this a constant trace would be amplified
        y[np.broadcast_to(np.abs(y).max(axis=-1, keepdims=True) <= 1e-13, y.shape)] = 0.0
        gain = self._noise_level(y, None if is_whole else valid)
        return (y / gain).astype(np.float32), Stats(offset * unit, slope * unit, gain * unit)

    def undo(self, y: Array, stats: Stats) -> NDArray[np.float64]:
        """Restore line and level."""
        t = np.linspace(-1.0, 1.0, y.shape[-1]) if y.shape[-1] > 1 else np.zeros(1)
        return y * stats.gain + stats.offset + stats.slope * t

    def _noise_level(self, y: Array, valid: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        """Noise level of each window and component; `valid` None: all samples are."""
        n_blocks = max(y.shape[-1] // self.block, 1)
        size = min(self.block, y.shape[-1])
        blocks = y[..., : n_blocks * size].reshape(*y.shape[:-1], n_blocks, size)
        power = np.einsum("...t,...t->...", blocks, blocks)
        if valid is None:
            level = np.sqrt(np.median(power / size, axis=-1, keepdims=True))
            rms = np.sqrt((y * y).mean(axis=-1, keepdims=True))
        else:
            count = valid[..., : n_blocks * size].reshape(blocks.shape).sum(axis=-1)
            block_power = np.where(2 * count > size, power / np.maximum(count, 1), np.nan)
            level = np.sqrt(_nan_median(block_power))
            rms = np.sqrt((y * y).sum(-1, keepdims=True) / np.maximum(valid.sum(-1, keepdims=True), 1))
        gain = np.maximum(level, self.floor * rms)
        return np.where(gain > 0, gain, 1.0)


def _fit_line(y: Array, valid: NDArray[np.bool_], t: NDArray[np.float64]) -> tuple[Array, Array]:
    """Offset and slope of the least-squares line through the valid samples."""
    n = np.maximum(valid.sum(-1, keepdims=True), 1)
    mean_t = np.einsum("...t,t->...", valid, t)[..., None] / n
    centred = np.where(valid, t - mean_t, 0.0)
    mean_y = y.sum(-1, keepdims=True) / n
    spread = (centred * centred).sum(-1, keepdims=True)
    slope = (centred * y).sum(-1, keepdims=True) / np.where(spread > 0, spread, 1.0)
    return mean_y - slope * mean_t, slope


def _nan_median(x: Array) -> Array:
    """Median of the finite values over the last axis; 0 if there are none (numpy.nanmedian warns then)."""
    n = np.isfinite(x).sum(-1, keepdims=True)
    ordered = np.sort(x, axis=-1)  # NaN sorts last
    low, high = np.maximum((n - 1) // 2, 0), np.minimum(np.maximum(n // 2, 0), x.shape[-1] - 1)
    middle = (np.take_along_axis(ordered, low, -1) + np.take_along_axis(ordered, high, -1)) / 2
    return np.where(n > 0, middle, 0.0)
