"""The most likely code, by Levenberg-Marquardt steps, and the Gaussians around it and around other modes.

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

from geoae.errors import InputError
from geoae.invert.problem import Clock, Problem

Array = NDArray[np.float64]
STEPS = 14
"""At most; with that where they end, for the curvature there, fifteen Jacobians."""
TRIALS, HARDER = 2, 12.0
"""Steps that are tried at once when one does not help, each with so many times the damping of the one before."""
TOLERANCE = 1e-3
"""Of the cost, which is a log density: smaller gains change no probability."""


@dataclass(frozen=True)
class Mode:
    """A most likely code, and the curvature there."""

    z: Array
    predicted: Array
    cost: float
    jacobian: Array
    """(data, d), white."""
    converged: bool
    n_steps: int

    @property
    def precision(self) -> Array:
        """(d, d) inverse covariance of the Gaussian with this middle: J^T J + I."""
        return self.jacobian.T @ self.jacobian + np.eye(len(self.z))

    def spread(self) -> Array:
        """(d, d) a root of the covariance: codes are z + root @ N(0, I)."""
        factor = linalg.cholesky(self.precision, lower=True)
        return linalg.solve_triangular(factor, np.eye(len(self.z)), lower=True).T


@dataclass(frozen=True)
class Modes:
    """Several modes of one problem, the likeliest first; together a mixture of Gaussians stands for the posterior."""

    modes: tuple[Mode, ...]

    @classmethod
    def of(cls, found: Sequence[Mode]) -> "Modes":
        """Those of several searches; searches that ended within a standard deviation of each other found one mode."""
        kept: list[Mode] = []
        for mode in sorted(found, key=lambda m: m.cost):
            if all((mode.z - other.z) @ other.precision @ (mode.z - other.z) > 1 for other in kept):
                kept.append(mode)
        return cls(tuple(kept))

    @property
    def weights(self) -> Array:
        """Share of each Gaussian in the posterior, by its height and its volume (Laplace's method)."""
        logs = np.array([-m.cost - 0.5 * np.linalg.slogdet(m.precision)[1] for m in self.modes])
        shares: Array = np.exp(logs - logs.max())
        return shares / shares.sum()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[NDArray[np.intp], Array, Array]:
        """Which mode each of n draws is of, its steps from the code there (n, d), and from the white data (n, data)."""
        shift = rng.normal(size=(n, len(self.modes[0].z)))
        of = (
            np.zeros(n, np.intp)
            if len(self.modes) == 1
            else np.sort(rng.choice(len(self.modes), n, p=self.weights)).astype(np.intp)
        )
        white = np.empty((n, len(self.modes[0].jacobian)))
        for k, mode in enumerate(self.modes):
            shift[of == k] = shift[of == k] @ mode.spread().T
            white[of == k] = shift[of == k] @ mode.jacobian.T
        return of, shift, white


def find_mode(problem: Problem, starts: Array, clock: Clock, n_steps: int = STEPS, soft: float = 1.0) -> Mode:
    """The best mode that Levenberg-Marquardt steps reach from the best of some starts.

    Parameters
    ----------
    problem
        What is to be minimised.
    starts
        (n, d); the costs of all are computed, in one batch, and the lowest is where the steps begin.
    clock
        Once it is over, the best code so far is taken.
    n_steps
        At most; each takes one Jacobian and at least one run.
    soft
        The first third of the steps at most takes the noise for so many times as large: the mode that is near to the
        middle of the prior is found first, and followed as the data gain weight. 1: none of them does.

    Raises
    ------
    InputError
        The forward model fails for all starts.
    """
    predictions = problem.predict(starts)
    costs = _cost(problem, starts, predictions, soft**-2)
    best = int(np.argmin(costs))
    if not np.isfinite(costs[best]):
        raise InputError(
            f"The forward model failed for all {len(starts)} starts: {problem.forward.problems.most_common(1)[0][0]}."
        )
    z, predicted = starts[best], predictions[best]
    found = _Search(problem, clock, z, predicted, problem.jacobian(z, predicted))
    if soft > 1:
        found.descend(n_steps // 3, soft**-2)
    converged = found.descend(n_steps - found.n_steps, 1.0)
    cost = float(_cost(problem, found.z[None], found.predicted[None], 1.0)[0])
    return Mode(found.z, found.predicted, cost, found.jacobian, converged, found.n_steps)


@dataclass
class _Search:
    """Where a search is."""

    problem: Problem
    clock: Clock
    z: Array
    predicted: Array
    jacobian: Array
    n_steps: int = 0

    def descend(self, n_steps: int, share: float) -> bool:
        """Take at most so many steps; the misfit counts by a share. Whether they led to where no step leads further."""
        problem, damping, last = self.problem, 1e-3, self.n_steps + n_steps
        cost = float(_cost(problem, self.z[None], self.predicted[None], share)[0])
        converged = False
        while self.n_steps < last and not converged and not self.clock.over:
            self.n_steps += 1
            slope = share * self.jacobian.T @ problem.misfit(self.predicted) - self.z
            curvature = share * self.jacobian.T @ self.jacobian + np.eye(len(self.z))
            move = damped(curvature, slope, damping)
            gain = float(move @ slope - 0.5 * move @ curvature @ move)  # that a linear problem would have
            tried = (self.z + move)[None]
            found = problem.predict(tried)
            costs = _cost(problem, tried, found, share)
            best = int(np.argmin(costs))
            if not costs[best] < cost:
                damping = max(damping, 1e-3) * HARDER
                tried = np.stack([self.z + damped(curvature, slope, damping * HARDER**k) for k in range(TRIALS)])
                found = problem.predict(tried)
                costs = _cost(problem, tried, found, share)
                best = int(np.argmin(costs))
                if not costs[best] < cost:  # there is no way down but steps too small to matter
                    damping *= HARDER**TRIALS
                    converged = gain < TOLERANCE or damping > 1e5
                    continue
                damping *= HARDER**best
                gain = np.inf  # the way was not as straight as it looked: no bolder next time
            gained, cost, self.z, self.predicted = (
                cost - float(costs[best]),
                float(costs[best]),
                tried[best],
                found[best],
            )
            # bolder where the model of the cost was right, more careful where it promised too much (Nielsen, 1999)
            damping = max(damping * float(np.clip(1 - (2 * gained / gain - 1) ** 3, 0.1, 2.0)), 1e-8)
            self.jacobian = problem.jacobian(self.z, self.predicted)
            converged = gained < TOLERANCE
        return converged


def _cost(problem: Problem, z: Array, predicted: Array, share: float) -> Array:
    """(n,) -log posterior of codes (n, d), their misfit counted by a share of it."""
    prior = 0.5 * (z**2).sum(-1)
    return share * (problem.cost(z, predicted) - prior) + prior


def damped(curvature: Array, slope: Array, damping: float) -> Array:
    """The step (d,) of Levenberg and Marquardt, with the damping in units of each diagonal element."""
    return linalg.solve(curvature + damping * np.diag(np.diagonal(curvature)), slope, assume_a="pos")
