"""Hamiltonian trajectories of many chains at once, and the choice of their step length.

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
"""Share of accepted trajectories that the step length is adapted to."""
LENGTH = 3.2
"""Length of a trajectory: twice the quarter of a period after which draws of a Gaussian are independent, because a
posterior wider than the Gaussian needs longer trajectories."""
STEP_FACTORS = (0.6, 1.2)
"""Range of random factors of the step length: small steps lead a chain out of a bend that is too narrow for others."""


def run_trajectory(
    energy: Any, x: Float64Array, start: tuple[Float64Array, ...], step: float, n_leaps: int, rng: np.random.Generator
) -> tuple[Float64Array, tuple[Float64Array, ...], Float64Array]:
    """Move all chains by a trajectory of leapfrog steps, if it is accepted.

    Parameters
    ----------
    energy
        Coordinates (chain, d) -> cost (chain,), its gradient (chain, d), and any arrays that belong to them.
    x, start
        Coordinates (chain, d) where the trajectories start, and the result of `energy` there.
    step, n_leaps
        Length and number of the leapfrog steps.

    Returns
    -------
    tuple
        New coordinates, the result of `energy` there, and the probability of acceptance (chain,).
    """
    momentum = rng.normal(size=x.shape)
    before = start[0] + 0.5 * (momentum**2).sum(1)
    end, y = start, x
    for _ in range(n_leaps):
        momentum = momentum - 0.5 * step * end[1]
        y = y + step * momentum
        end = energy(y)
        momentum = momentum - 0.5 * step * end[1]
    with np.errstate(invalid="ignore"):  # infinite less infinite, where runs fail at both ends
        probability = acceptance_probability(before - end[0] - 0.5 * (momentum**2).sum(1))
    accepted = rng.uniform(size=len(x)) < probability
    return np.where(accepted[:, None], y, x), select_states(accepted, end, start), probability


def acceptance_probability(gain: Float64Array) -> Float64Array:
    """Metropolis probability of acceptance for a gain in log density; 0 where a run failed and the gain is NaN."""
    probability: Float64Array = np.exp(np.minimum(np.where(np.isnan(gain), -np.inf, gain), 0.0))
    return probability


def select_states(
    accepted: NDArray[np.bool_], proposed: tuple[Float64Array, ...], current: tuple[Float64Array, ...]
) -> tuple[Float64Array, ...]:
    """Select the proposed state of chains that accept it, and the current state of all other chains."""
    return tuple(
        np.where(accepted if a.ndim == 1 else accepted[:, None], a, b) for a, b in zip(proposed, current, strict=True)
    )


class DualAveraging:
    """Adapt the step length so that the share `ACCEPT` of trajectories is accepted (Hoffman and Gelman, 2014)."""

    def __init__(self, state: Float64Array):
        # centre, log step, its weighted mean, summed error, count: section 3.2 of the paper
        self.state = state

    @classmethod
    def near(cls, step: float) -> "DualAveraging":
        """Start at a step length."""
        return cls(np.array([np.log(2 * step), np.log(step), np.log(step), 0.0, 0.0]))

    @property
    def step(self) -> float:
        """Step length of the next trajectory."""
        return float(np.exp(self.state[1]))

    @property
    def mean_step(self) -> float:
        """Averaged step length, for draws after the warm-up."""
        return float(np.exp(self.state[2]))

    def update(self, accepted: float) -> None:
        """Update the step length by the share of the last trajectories that was accepted."""
        centre, _, mean, error, count = self.state
        count += 1
        error += (ACCEPT - accepted - error) / (count + 10)
        log_step = min(centre - np.sqrt(count) / 0.05 * error, np.log(LENGTH))
        weight = count**-0.75
        self.state = np.array([centre, log_step, weight * log_step + (1 - weight) * mean, error, count])
