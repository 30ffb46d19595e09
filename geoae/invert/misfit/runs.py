"""Finished runs of the forward model: codes, and the data of their models."""

from dataclasses import dataclass

from geoae.arrays.types import Float64Array
from geoae.invert.misfit.noise import Noise


@dataclass(frozen=True, eq=False)
class Runs:
    """Codes, and the data of their decoded models."""

    codes: Float64Array
    """(n, d)"""
    data: Float64Array
    """(n, data)"""

    def whiten(self, noise: Noise) -> Float64Array:
        """Add the mean of the noise to the data, as in measured data, and whiten them: (n, data)."""
        return noise.whiten(self.data + noise.offset)
