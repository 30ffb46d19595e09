"""The most likely code by Levenberg-Marquardt steps, and the Gaussians around modes.

References
----------
Marquardt (1963), doi:10.1137/0111030; Nielsen (1999), Damping parameter in Marquardt's method, IMM-REP-1999-05;
Haber, Ascher & Oldenburg (2000), On optimization techniques for solving nonlinear inverse problems,
doi:10.1088/0266-5611/16/5/309; Tarantola (2005), Inverse problem theory, doi:10.1137/1.9780898717921.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.problem import Clock, Problem

N_STEPS = 14
"""Steps of a search, at most. One more Jacobian gives the curvature where it ends."""
N_TRIALS, DAMPING_FACTOR = 2, 12.0
"""After a step that failed, `N_TRIALS` steps are tried at once, each with `DAMPING_FACTOR` times more damping."""
TOLERANCE = 1e-3
"""A search has converged when a step lowers the cost, a negative log density, by less: probabilities hardly change."""


@dataclass(frozen=True)
class Mode:
    """A code at a minimum of the cost, and the curvature of the cost there."""

    z: Float64Array
    """(d,)"""
    predicted: Float64Array
    """(data,)"""
    cost: float
    jacobian: Float64Array
    """(data, d) derivative of whitened data."""
    converged: bool
    n_steps: int

    @property
    def precision(self) -> Float64Array:
        """Inverse covariance (d, d) of the Gaussian around the mode: J^T J + I."""
        return self.jacobian.T @ self.jacobian + np.eye(len(self.z))

    def spread(self) -> Float64Array:
        """A root (d, d) of the covariance: z + root @ N(0, I) are draws of the Gaussian."""
        factor = linalg.cholesky(self.precision, lower=True)
        return linalg.solve_triangular(factor, np.eye(len(self.z)), lower=True).T


@dataclass(frozen=True)
class Modes:
    """Modes of one problem, the most likely first; the mixture of their Gaussians approximates the posterior."""

    modes: tuple[Mode, ...]

    @classmethod
    def from_searches(cls, found: Sequence[Mode]) -> "Modes":
        """Sort the ends of searches by cost; ends within a standard deviation of a better one are left out."""
        kept: list[Mode] = []
        for mode in sorted(found, key=lambda m: m.cost):
            if all((mode.z - other.z) @ other.precision @ (mode.z - other.z) > 1 for other in kept):
                kept.append(mode)
        return cls(tuple(kept))

    @property
    def weights(self) -> Float64Array:
        """Weight of each Gaussian, from its height and its volume (Laplace's method)."""
        logs = np.array([-m.cost - 0.5 * np.linalg.slogdet(m.precision)[1] for m in self.modes])
        weights: Float64Array = np.exp(logs - logs.max())
        return weights / weights.sum()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], Float64Array, Float64Array]:
        """Draw from the mixture: numbers of modes (n,), and differences from them in codes (n, d) and whitened data."""
        shift = rng.normal(size=(n, len(self.modes[0].z)))
        which = (
            np.zeros(n, np.intp)
            if len(self.modes) == 1
            else np.sort(rng.choice(len(self.modes), n, p=self.weights)).astype(np.intp)
        )
        white = np.empty((n, len(self.modes[0].jacobian)))
        for k, mode in enumerate(self.modes):
            shift[which == k] = shift[which == k] @ mode.spread().T
            white[which == k] = shift[which == k] @ mode.jacobian.T
        return which, shift, white


def find_mode(
    problem: Problem, starts: Float64Array, clock: Clock, n_steps: int = N_STEPS, noise_factor: float = 1.0
) -> Mode:
    """Search for a mode by Levenberg-Marquardt steps from the best of some starting points.

    Parameters
    ----------
    problem
        The inversion.
    starts
        (n, d) codes; their costs are computed in one batch, and the search starts at the one with the lowest cost.
    clock
        When the time is over, the best code so far is returned.
    n_steps
        Steps at most; each takes one Jacobian and at least one run.
    noise_factor
        Factor of the noise in the first third of the steps, at most. With a factor above 1, the search first finds a
        mode near the middle of the prior, and follows it when the data gain weight.

    Raises
    ------
    InputError
        The forward model fails for all starts.
    """
    predictions = problem.predict(starts)
    costs = _cost(problem, starts, predictions, noise_factor**-2)
    best = int(np.argmin(costs))
    if not np.isfinite(costs[best]):
        raise InputError(
            f"The forward model failed for all {len(starts)} starts: {problem.forward.problems.most_common(1)[0][0]}."
        )
    z, predicted = starts[best], predictions[best]
    search = _Search(problem, clock, z, predicted, problem.jacobian(z, predicted))
    if noise_factor > 1:
        search.descend(n_steps // 3, noise_factor**-2)
    converged = search.descend(n_steps - search.n_steps, 1.0)
    cost = float(_cost(problem, search.z[None], search.predicted[None], 1.0)[0])
    return Mode(search.z, search.predicted, cost, search.jacobian, converged, search.n_steps)


@dataclass
class _Search:
    """The state of a search: the best code so far, with its data and Jacobian."""

    problem: Problem
    clock: Clock
    z: Float64Array
    predicted: Float64Array
    jacobian: Float64Array
    n_steps: int = 0

    def descend(self, n_steps: int, data_weight: float) -> bool:
        """Take at most `n_steps` steps with the squared misfit times `data_weight`; return whether they converged."""
        problem, damping, last = self.problem, 1e-3, self.n_steps + n_steps
        cost = float(_cost(problem, self.z[None], self.predicted[None], data_weight)[0])
        converged = False
        while self.n_steps < last and not converged and not self.clock.is_over:
            self.n_steps += 1
            slope = data_weight * self.jacobian.T @ problem.misfit(self.predicted) - self.z
            curvature = data_weight * self.jacobian.T @ self.jacobian + np.eye(len(self.z))
            move = solve_damped_step(curvature, slope, damping)
            gain = float(move @ slope - 0.5 * move @ curvature @ move)  # predicted by the linear model
            tried = (self.z + move)[None]
            predicted = problem.predict(tried)
            costs = _cost(problem, tried, predicted, data_weight)
            best = int(np.argmin(costs))
            if not costs[best] < cost:
                damping = max(damping, 1e-3) * DAMPING_FACTOR
                tried = np.stack(
                    [self.z + solve_damped_step(curvature, slope, damping * DAMPING_FACTOR**k) for k in range(N_TRIALS)]
                )
                predicted = problem.predict(tried)
                costs = _cost(problem, tried, predicted, data_weight)
                best = int(np.argmin(costs))
                if not costs[best] < cost:  # only steps too small to matter would lower the cost
                    damping *= DAMPING_FACTOR**N_TRIALS
                    converged = gain < TOLERANCE or damping > 1e5
                    continue
                damping *= DAMPING_FACTOR**best
                gain = np.inf  # the linear model was wrong: the damping is not reduced next
            gained, cost, self.z, self.predicted = (
                cost - float(costs[best]),
                float(costs[best]),
                tried[best],
                predicted[best],
            )
            # less damping where the linear model predicted the gain, more where it predicted too much (Nielsen, 1999)
            damping = max(damping * float(np.clip(1 - (2 * gained / gain - 1) ** 3, 0.1, 2.0)), 1e-8)
            self.jacobian = problem.jacobian(self.z, self.predicted)
            converged = gained < TOLERANCE
        return converged


def _cost(problem: Problem, z: Float64Array, predicted: Float64Array, data_weight: float) -> Float64Array:
    """-log posterior (n,) of codes (n, d), with the squared misfit times `data_weight`."""
    prior = 0.5 * (z**2).sum(-1)
    return data_weight * (problem.cost(z, predicted) - prior) + prior


def solve_damped_step(curvature: Float64Array, slope: Float64Array, damping: float) -> Float64Array:
    """Compute the Levenberg-Marquardt step (d,), with the damping relative to each diagonal element."""
    return linalg.solve(curvature + damping * np.diag(np.diagonal(curvature)), slope, assume_a="pos")
