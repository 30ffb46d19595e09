"""Coder: a model that encodes windows of records or fields, and decodes codes."""

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
        """Encode windows (batch, 1, *window): returns codes (batch, latent) and the statistics of scaling.

        Missing samples count as the mean of their window.
        """
        x, stats = self.scaler.apply(batch)
        net = self._encoding_net()

        return self.batched(lambda part: self.run(net.encode, part), x), stats

    def decode(self, codes: NDArray[np.floating[Any]], stats: Stats) -> NDArray[np.float64]:
        """Decode codes (batch, latent) to windows (batch, 1, *window) in the units of the data."""
        net = self._encoding_net()
        scaled = self.batched(lambda part: self.run(net.decode, part), codes)
        windows: NDArray[np.float64] = self.scaler.undo(scaled, stats)
        return windows

    def _encoding_net(self) -> "Encodes":
        from geoae.nets.protocols import Encodes

        if not isinstance(self.net, Encodes):
            raise InputError(f"Net {self.net_name!r} of model {self.name!r} has no codes: it lacks encode or decode.")
        return self.net
