"""Coder: a model that turns windows of records or fields into codes, and codes into windows."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.scaling import Stats
from geoae.errors import InputError
from geoae.model.model import Model

if TYPE_CHECKING:
    from geoae.nets.protocols import Encodes


class Coder(Model):
    """A model whose net encodes scaled windows and decodes codes."""

    def encode(self, batch: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], Stats]:
        """Codes (batch, latent) of windows (batch, 1, *window), and what scaling took from each.

        Missing samples are taken as the window's mean.
        """
        x, stats = self.scaler.apply(batch)
        net = self._coding_net()

        def encode(part: NDArray[Any]) -> NDArray[np.float32]:
            return self.run(lambda windows: net.encode(windows).float(), part)

        return self.batched(encode, x), stats

    def decode(self, codes: NDArray[np.floating[Any]], stats: Stats) -> NDArray[np.float64]:
        """Windows (batch, 1, *window) of codes (batch, latent), in the units of the data."""
        net = self._coding_net()

        def decode(part: NDArray[Any]) -> NDArray[np.float32]:
            return self.run(lambda some: net.decode(some).float(), part)

        windows: NDArray[np.float64] = self.scaler.undo(self.batched(decode, codes), stats)
        return windows

    def _coding_net(self) -> "Encodes":
        from geoae.nets.protocols import Encodes

        if not isinstance(self.net, Encodes):
            raise InputError(f"Net {self.net_name!r} of model {self.name!r} has no codes: it lacks encode or decode.")
        return self.net
