"""Bring windows to the scale a net works at, and back: do and undo are a pair.

A window loses its straight line and is divided by its noise level, component by component. Both travel in `Stats`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array


class Stats(NamedTuple):
    """What a scaler removed: arrays (batch, channel, 1) in the units of the data (slope: units a window)."""

    offset: NDArray[np.float64]
    slope: NDArray[np.float64]
    gain: NDArray[np.float64]


@dataclass(frozen=True)
class FieldScaler:
    """Remove the mean of each window's first channel and divide by its standard deviation, over what is not missing.

    The first `channels` channels hold values of the field (its own, means of its neighbours in time) and are scaled
    alike; those that follow say how well each is known and stay as they are. A constant window has gain 0, so that
    whatever a net makes of its zeros, nothing is taken from it.
    """

    axes: int = 2
    """How many of the last axes are the window."""
    channels: int = 1

    def apply(self, x: Array) -> tuple[NDArray[np.float32], Stats]:
        """Scale windows of shape (batch, channel, *window); NaN becomes 0 after the mean is removed.

        Returns
        -------
        scaled
            float32, same shape.
        stats
            Of shape (batch, 1, 1, ...); `undo` puts them back. The slope is zero.
        """
        axes = tuple(range(-self.axes, 0))
        values = np.asarray(x[:, : self.channels], dtype=np.float64)
        valid = np.isfinite(values)
        own, n = values[:, :1], np.maximum(valid[:, :1].sum(axes, keepdims=True), 1)
        # a power of two near the largest value keeps squares inside float64 whatever the units are, and costs no digit
        largest = np.abs(own).max(axes, keepdims=True, initial=0, where=valid[:, :1])
        unit = np.exp2(np.floor(np.log2(np.where(largest > 0, largest, 1.0))))
        own = np.where(valid[:, :1], own / unit, 0.0)
        offset = own.sum(axes, keepdims=True) / n
        spread = np.sqrt((np.square(own - offset) * valid[:, :1]).sum(axes, keepdims=True) / n)
        # what is left of a constant is rounding, not signal: without this it would be blown up
        gain = np.where(spread > 1e-13, spread, 0.0)
        with np.errstate(over="ignore"):  # neighbours may lie far beyond: the clip keeps them within float32
            scaled = (np.where(valid, values, offset * unit) / unit - offset) / np.where(gain > 0, gain, np.inf)
        out = np.concatenate([np.clip(scaled, -1e6, 1e6), x[:, self.channels :]], axis=1).astype(np.float32)
        return out, Stats(offset * unit, np.zeros_like(offset), gain * unit)

    def undo(self, y: Array, stats: Stats) -> NDArray[np.float64]:
        """Put mean and spread back."""
        return np.asarray(y, dtype=np.float64) * stats.gain + stats.offset
