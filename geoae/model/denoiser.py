"""Denoiser: a model that estimates the noise in windows of records or fields."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoae.model.model import Model

if TYPE_CHECKING:
    from torch import Tensor


class Denoiser(Model):
    """A model whose net maps scaled noisy windows to scaled signal."""

    def noise(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Estimate the noise in windows, in the units of the windows; gaps get finite values, too.

        Parameters
        ----------
        batch
            For records (batch, component, time), rows E N Z; a missing component is NaN throughout. For fields
            (batch, channel, y, x) as `geoae.arrays.neighbours` makes them.

        Returns
        -------
        array
            For records, of the same shape; for fields (batch, 1, y, x), the noise of the first channel.

        Raises
        ------
        InputError
            The net returned a value that is not finite.
        """
        return self.batched(self._noise, batch)

    def denoise(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """`batch` without its noise; gaps stay as they are."""
        return batch - self.noise(batch)

    def _noise(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        x, stats = self.scaler.apply(batch)
        noise: NDArray[np.float64] = self.run(self._scaled_noise, x) * stats.gain
        return noise

    def _scaled_noise(self, x: "Tensor") -> "Tensor":
        signal = self.net(x).float()
        noise: Tensor = x[:, : signal.shape[1]] - signal
        return noise
