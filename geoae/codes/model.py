"""Coder: a model that turns windows of records or fields into codes, and codes into windows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.scaling import Stats
from geoae.model.model import Model


class Coder(Model):
    """A model whose net encodes scaled windows and decodes codes."""

    def encode(self, batch: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], Stats]:
        """Codes (batch, latent) of windows (batch, 1, *window), and what scaling took from each.

        Missing samples are taken as the window's mean.
        """
        x, stats = self.scaler.apply(batch)
        return self.batched(self._encode, x), stats

    def decode(self, codes: NDArray[np.floating[Any]], stats: Stats) -> NDArray[np.float64]:
        """Windows (batch, 1, *window) of codes (batch, latent), in the units of the data."""
        windows: NDArray[np.float64] = self.scaler.undo(self.batched(self._decode, codes), stats)
        return windows

    def _encode(self, x: NDArray[Any]) -> NDArray[np.float32]:
        net: Any = self.net
        return self.run(lambda part: net.encode(part).float(), x)

    def _decode(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        net: Any = self.net
        return self.run(lambda part: net.decode(part).float(), codes)
