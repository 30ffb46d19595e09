"""Denoiser: a model that estimates the noise in windows of records or fields."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoae.model.model import Model

if TYPE_CHECKING:
    from torch import Tensor

FindSigma = Callable[[NDArray[Any], NDArray[Any], NDArray[np.bool_]], NDArray[np.floating[Any]]]
"""See `Denoiser.estimate`."""


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

    def estimate(self, batch: NDArray[np.floating[Any]], find_sigma: FindSigma) -> NDArray[np.float64]:
        """Estimate the noise in windows, and the standard error of each sample of their signal.

        Parameters
        ----------
        batch
            Windows as of `noise`.
        find_sigma
            Function of (signal, noise, valid) of scaled windows -> their standard errors, for nets that do not estimate
            them. `valid` tells which samples are no gaps.

        Returns
        -------
        array
            (batch, 2, ...): noise and standard error, in the units of the windows.
        """
        return self.batched(partial(self._estimate, find_sigma), batch)

    def _estimate(self, find_sigma: FindSigma, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        from geoae.nets.protocols import Estimates

        x, stats = self.scaler.apply(batch)
        if isinstance(self.net, Estimates):
            scaled = self.run(self._scaled_estimate, x)
        else:
            noise = self.run(self._scaled_noise, x)
            sigma = find_sigma(x[:, : noise.shape[1]] - noise, noise, np.isfinite(batch[:, : noise.shape[1]]))
            scaled = np.stack([noise, sigma.astype(np.float32)], axis=1)
        found: NDArray[np.float64] = scaled * stats.gain[:, None]
        return found

    def _scaled_estimate(self, x: "Tensor") -> "Tensor":
        import torch

        net: Any = self.net
        signal, sigma = net.estimate(x)
        return torch.stack([x[:, : signal.shape[1]] - signal.float(), sigma.float()], dim=1)

    def _noise(self, batch: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        x, stats = self.scaler.apply(batch)
        noise: NDArray[np.float64] = self.run(self._scaled_noise, x) * stats.gain
        return noise

    def _scaled_noise(self, x: "Tensor") -> "Tensor":
        signal = self.net(x).float()
        noise: Tensor = x[:, : signal.shape[1]] - signal
        return noise
