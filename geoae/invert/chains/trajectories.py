"""Hamiltonian trajectories of many chains at once, and the step length they need.

References
----------
Neal (2011), MCMC using Hamiltonian dynamics, doi:10.1201/b10905-6; Hoffman and Gelman (2014), The No-U-Turn Sampler,
JMLR 15 (dual averaging).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ACCEPT = 0.8
LENGTH = 3.2
"""Of a trajectory: twice the quarter of a period after which a Gaussian has forgotten where it started, since what is
wider than it was taken for needs longer ones."""
UNEVEN = (0.6, 1.2)
"""Shares of the step length that are tried: a chain in a bend too narrow for most of them leaves by the small ones."""


def trajectory(
    energy: Any, x: Array, here: tuple[Array, ...], step: float, n_leaps: int, rng: np.random.Generator
) -> tuple[Array, tuple[Array, ...], Array]:
    """One draw of all chains by leapfrog steps; also the chance that each had to be taken."""
    momentum = rng.normal(size=x.shape)
    before = here[0] + 0.5 * (momentum**2).sum(1)
    there, y = here, x
    for _ in range(n_leaps):
        momentum = momentum - 0.5 * step * there[1]
        y = y + step * momentum
        there = energy(y)
        momentum = momentum - 0.5 * step * there[1]
    with np.errstate(invalid="ignore"):  # from one lost run to another
        chance = chance_of(before - there[0] - 0.5 * (momentum**2).sum(1))
    taken = rng.uniform(size=len(x)) < chance
    return np.where(taken[:, None], y, x), pick(taken, there, here), chance


def chance_of(gain: Array) -> Array:
    """Of being taken, for a gain in log density; none for a lost run, which costs infinitely much."""
    found: Array = np.exp(np.minimum(np.where(np.isnan(gain), -np.inf, gain), 0.0))
    return found


def pick(taken: NDArray[np.bool_], one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
    """Of each chain the one state where it is taken, else the other."""
    return tuple(np.where(taken if a.ndim == 1 else taken[:, None], a, b) for a, b in zip(one, other, strict=True))


class DualAveraging:
    """Step length that leads to a wanted share of accepted trajectories (Hoffman and Gelman, 2014, section 3.2)."""

    def __init__(self, state: Array):
        # centre, log step, its weighted mean, summed error, count
        self.state = state

    @classmethod
    def near(cls, step: float) -> "DualAveraging":
        """Nothing learnt yet but that this one is likely."""
        return cls(np.array([np.log(2 * step), np.log(step), np.log(step), 0.0, 0.0]))

    @property
    def step(self) -> float:
        """To be tried next."""
        return float(np.exp(self.state[1]))

    @property
    def mean_step(self) -> float:
        """Once there is no more to learn."""
        return float(np.exp(self.state[2]))

    def learn(self, accepted: float) -> None:
        """Take in the share of the last step."""
        centre, _, mean, error, count = self.state
        count += 1
        error += (ACCEPT - accepted - error) / (count + 10)
        log_step = min(centre - np.sqrt(count) / 0.05 * error, np.log(LENGTH))
        weight = count**-0.75
        self.state = np.array([centre, log_step, weight * log_step + (1 - weight) * mean, error, count])
