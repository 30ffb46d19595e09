"""Finished runs of the forward model: codes, and the data of their models."""

from dataclasses import dataclass

from geoae.arrays.types import Float64Array
from geoae.invert.misfit.noise import Noise


@dataclass(frozen=True, eq=False)
class Runs:
    """Codes (n, d) and data (n, data) of their decoded models."""

    codes: Float64Array
    data: Float64Array

    def white(self, noise: Noise) -> Float64Array:
        """Whitened data (n, data), with the mean of the noise added as in measured data."""
        return noise.whiten(self.data + noise.offset)
