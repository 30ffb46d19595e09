"""Coordinates of chains, in which the Gaussian around the most likely code is N(0, I).

In these coordinates, a nearly Gaussian posterior takes a few gradients for each draw, whatever its covariance.

References
----------
Seyboldt, Carlson and Carpenter (2026), Preconditioning Hamiltonian Monte Carlo by minimizing Fisher divergence.
"""

from collections.abc import Callable

import numpy as np
from scipy import linalg

from geoae.arrays.types import Float64Array
from geoae.invert.search.modes import Modes

CORRELATED = 5
"""Successive draws of a chain that count as one independent draw."""
SPREAD = 1.3
"""Standard deviation of starting points relative to the Gaussian's: R-hat needs chains that start farther apart than
they end."""


class Coordinates:
    """Codes z = middle + root @ x, where x is approximately N(0, I) around the most likely mode."""

    def __init__(self, modes: Modes):
        self.modes, mode = modes, modes.modes[0]
        self.middle, self.root, self.cost = mode.z, mode.spread(), mode.cost

    def to_codes(self, x: Float64Array) -> Float64Array:
        """Convert coordinates (n, d) to codes (n, d)."""
        return self.middle + x @ self.root.T

    def from_codes(self, z: Float64Array) -> Float64Array:
        """Convert codes (n, d) to coordinates (n, d)."""
        return np.asarray(linalg.solve(self.root, (z - self.middle).T).T)

    def adapt(self, z: Float64Array, gradients: Float64Array) -> None:
        """Choose new coordinates from codes z (draw, chain, d) and the gradients of the cost by the old coordinates.

        The covariance of the draws is too small if chains are slow, and the inverse covariance of the gradients is too
        large. Their geometric mean is right for a Gaussian, even from few draws (Seyboldt et al., 2026).
        """
        n, d = (len(z) - 1) * z.shape[1], z.shape[2]
        # differences from each chain's mean: the means of chains that have not mixed would add to the covariance
        x = self.from_codes((z - z.mean(0)).reshape(-1, d) + self.middle)
        slopes = (gradients - gradients.mean(0)).reshape(-1, d)
        of_draws, of_slopes = ((y.T @ y / CORRELATED + d * np.eye(d)) / (n / CORRELATED + d) for y in (x, slopes))
        root = _symmetric_root(of_slopes)
        inverse_root = np.asarray(linalg.inv(root))
        covariance = inverse_root @ _symmetric_root(root @ of_draws @ root) @ inverse_root
        self.root = self.root @ linalg.cholesky(covariance, lower=True)

    def draw_starts(self, n: int, seed: int, cost: Callable[[Float64Array], Float64Array]) -> Float64Array:
        """Draw starting points (n, d) of chains around all modes; closer to a mode where the forward model fails."""
        mode, shift, _ = self.modes.draw(n, np.random.default_rng([seed, 0]))
        middles = np.stack([m.z for m in self.modes.modes])[mode]
        x = np.empty_like(shift)
        for shrink in (1.0, 0.5, 0.1, 0.0):
            failed = ~np.isfinite(cost(x)) if shrink < 1 else np.ones(n, np.bool_)
            if not failed.any():
                break
            z = middles[failed] + shrink * SPREAD * shift[failed]
            x[failed] = self.from_codes(z)
        return x


def _symmetric_root(matrix: Float64Array) -> Float64Array:
    """The symmetric root of a symmetric positive matrix."""
    values, axes = linalg.eigh(matrix)
    root: Float64Array = (axes * np.sqrt(np.maximum(values, 1e-12))) @ axes.T
    return root
