"""Hamiltonian trajectories of many chains at once, and the step length they need.

References
----------
Neal (2011), MCMC using Hamiltonian dynamics, doi:10.1201/b10905-6; Hoffman and Gelman (2014), The No-U-Turn Sampler,
JMLR 15 (dual averaging).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Float64Array

ACCEPT = 0.8
"""Share of trajectories to be accepted: the step length is adapted to it."""
LENGTH = 3.2
"""Of a trajectory: twice the quarter of a period after which draws of a Gaussian are independent, because a posterior
wider than the Gaussian needs longer ones."""
STEP_FACTORS = (0.6, 1.2)
"""Range of random factors of the step length: the small steps get a chain out of a bend too narrow for the others."""


def run_trajectory(
    energy: Any, x: Float64Array, here: tuple[Float64Array, ...], step: float, n_leaps: int, rng: np.random.Generator
) -> tuple[Float64Array, tuple[Float64Array, ...], Float64Array]:
    """Move all chains by a trajectory of leapfrog steps, where it is accepted; also its probability of acceptance."""
    momentum = rng.normal(size=x.shape)
    before = here[0] + 0.5 * (momentum**2).sum(1)
    there, y = here, x
    for _ in range(n_leaps):
        momentum = momentum - 0.5 * step * there[1]
        y = y + step * momentum
        there = energy(y)
        momentum = momentum - 0.5 * step * there[1]
    with np.errstate(invalid="ignore"):  # from one failed run to another
        probability = acceptance_probability(before - there[0] - 0.5 * (momentum**2).sum(1))
    accepted = rng.uniform(size=len(x)) < probability
    return np.where(accepted[:, None], y, x), select_states(accepted, there, here), probability


def acceptance_probability(gain: Float64Array) -> Float64Array:
    """Metropolis probability of acceptance for a gain in log density; 0 for a failed run, whose cost is infinite."""
    found: Float64Array = np.exp(np.minimum(np.where(np.isnan(gain), -np.inf, gain), 0.0))
    return found


def select_states(
    accepted: NDArray[np.bool_], one: tuple[Float64Array, ...], other: tuple[Float64Array, ...]
) -> tuple[Float64Array, ...]:
    """Take one state for the accepted chains, the other elsewhere."""
    return tuple(
        np.where(accepted if a.ndim == 1 else accepted[:, None], a, b) for a, b in zip(one, other, strict=True)
    )


class DualAveraging:
    """Step length at which a given share of trajectories is accepted (Hoffman and Gelman, 2014, section 3.2)."""

    def __init__(self, state: Float64Array):
        # centre, log step, its weighted mean, summed error, count
        self.state = state

    @classmethod
    def near(cls, step: float) -> "DualAveraging":
        """Begin at a step length."""
        return cls(np.array([np.log(2 * step), np.log(step), np.log(step), 0.0, 0.0]))

    @property
    def step(self) -> float:
        """Step length of the next trajectory."""
        return float(np.exp(self.state[1]))

    @property
    def mean_step(self) -> float:
        """Averaged step length, for the draws after the warm-up."""
        return float(np.exp(self.state[2]))

    def update(self, accepted: float) -> None:
        """Update by the share that was accepted of the last trajectories."""
        centre, _, mean, error, count = self.state
        count += 1
        error += (ACCEPT - accepted - error) / (count + 10)
        log_step = min(centre - np.sqrt(count) / 0.05 * error, np.log(LENGTH))
        weight = count**-0.75
        self.state = np.array([centre, log_step, weight * log_step + (1 - weight) * mean, error, count])
