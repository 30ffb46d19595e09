"""Laplace's method: the Gaussian around the most likely code, or a mixture of Gaussians around several modes."""

from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.problem import Problem
from geoae.invert.search.modes import Modes

N_DRAWS = 400
"""Default number of draws."""


def draw_mixture(problem: Problem, modes: Modes, n_draws: int, seed: int) -> tuple[Float64Array, Float64Array]:
    """Draw codes (n, d) from the mixture of the modes' Gaussians, with their data (n, data).

    The data are computed by the forward model if it is a matrix, and by the modes' Jacobians otherwise.
    """
    mode, shift, white = modes.draw(n_draws, np.random.default_rng([seed, 1]))
    codes = np.stack([m.z for m in modes.modes])[mode] + shift
    if problem.forward.matrix is not None:
        return codes, problem.predict(codes)
    return codes, np.stack([m.predicted for m in modes.modes])[mode] + problem.noise.colour(white)


def describe_search(modes: Modes, n_searches: int) -> dict[str, Any]:
    """Results of the search for modes, as `Posterior.info` reports them."""
    mode = modes.modes[0]
    return {"cost": mode.cost, "converged": mode.converged, "n_steps": mode.n_steps, "n_modes": len(modes.modes),
            "n_searches": n_searches}  # fmt: skip
