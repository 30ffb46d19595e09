"""Finished runs of the forward model: codes, and the data of their models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoae.invert.misfit.noise import Noise

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Runs:
    """Codes (n, d) and data (n, data) of their decoded models."""

    codes: Array
    data: Array

    def white(self, noise: Noise) -> Array:
        """Whitened data (n, data), with the mean of the noise added as in measured data."""
        return noise.whiten(self.data + noise.offset)
