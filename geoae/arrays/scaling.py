"""Scale windows for a net, and undo it from the statistics that scaling returns."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array


class Stats(NamedTuple):
    """What a scaler removed: arrays (batch, channel, 1, ...) in the units of the data (slope: units a window)."""

    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    gain: NDArray[np.float64]


@dataclass(frozen=True)
class FieldScaler:
    """Remove the mean of each window's first channel and divide by its standard deviation, ignoring missing values.

    The first `channels` channels hold values of the field (the slice, means of its neighbours in time) and are scaled
    alike. The other channels hold weights and stay as they are. A constant window has gain 0, so that no output of a
    net changes it.
    """

    axes: int = 2
    """Number of the last axes that are the window."""
    channels: int = 1
    """Number of the first channels that are scaled."""

    def apply(self, x: Array) -> tuple[NDArray[np.float32], Stats]:
        """Scale windows of shape (batch, channel, *window); NaN becomes 0 after the mean is removed.

        Returns
        -------
        scaled
            float32, same shape.
        stats
            Arrays (batch, 1, 1, ...), which `undo` needs. The slope is zero.
        """
        axes = tuple(range(-self.axes, 0))
        values = np.asarray(x[:, : self.channels], dtype=np.float64)
        valid = np.isfinite(values)
        first, n = values[:, :1], np.maximum(valid[:, :1].sum(axes, keepdims=True), 1)
        # dividing by a power of two near the largest value is exact, and keeps squares inside float64 in any units
        largest = np.abs(first).max(axes, keepdims=True, initial=0, where=valid[:, :1])
        unit = np.exp2(np.floor(np.log2(np.where(largest > 0, largest, 1.0))))
        first = np.where(valid[:, :1], first / unit, 0.0)
        offset = first.sum(axes, keepdims=True) / n
        spread = np.sqrt((np.square(first - offset) * valid[:, :1]).sum(axes, keepdims=True) / n)
        # the spread of a constant is rounding error, which must not be amplified
        gain = np.where(spread > 1e-13, spread, 0.0)
        with np.errstate(over="ignore"):  # neighbours may have much larger values: the clip keeps them within float32
            scaled = (np.where(valid, values, offset * unit) / unit - offset) / np.where(gain > 0, gain, np.inf)
        out = np.concatenate([np.clip(scaled, -1e6, 1e6), x[:, self.channels :]], axis=1).astype(np.float32)
        return out, Stats(offset * unit, np.zeros_like(offset), gain * unit)

    def undo(self, y: Array, stats: Stats) -> NDArray[np.float64]:
        """Multiply by the gain and add the offset."""
        return np.asarray(y, dtype=np.float64) * stats.gain + stats.offset
