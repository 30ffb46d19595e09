"""The most likely code, by Levenberg-Marquardt steps, and the Gaussians around it and around other modes.

References
----------
Marquardt (1963), doi:10.1137/0111030; Nielsen (1999), Damping parameter in Marquardt's method, IMM-REP-1999-05;
Tarantola (2005), Inverse problem theory, doi:10.1137/1.9780898717921.
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


def find_mode(problem: Problem, starts: Array, clock: Clock, n_steps: int = STEPS) -> Mode:
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

    Raises
    ------
    InputError
        The forward model fails for all starts.
    """
    predictions = problem.predict(starts)
    costs = problem.cost(starts, predictions)
    best = int(np.argmin(costs))
    if not np.isfinite(costs[best]):
        raise InputError(
            f"The forward model failed for all {len(starts)} starts: {problem.forward.problems.most_common(1)[0][0]}."
        )
    z, predicted, cost = starts[best], predictions[best], float(costs[best])
    damping, converged, step = 1e-3, False, 0
    jacobian = problem.jacobian(z, predicted)
    while step < n_steps and not converged and not clock.over:
        step += 1
        slope = jacobian.T @ problem.misfit(predicted) - z
        curvature = jacobian.T @ jacobian + np.eye(len(z))
        tried, found, gain = _step(problem, z, slope, curvature, damping)
        costs = problem.cost(tried, found)
        best = int(np.argmin(costs))
        if not costs[best] < cost:
            damping = max(damping, 1e-3) * HARDER
            tried = np.stack([z + _damped(curvature, slope, damping * HARDER**k) for k in range(TRIALS)])
            found = problem.predict(tried)
            costs = problem.cost(tried, found)
            best = int(np.argmin(costs))
            if not costs[best] < cost:  # there is no way down but steps too small to matter
                damping *= HARDER**TRIALS
                converged = gain < TOLERANCE or damping > 1e5
                continue
            damping *= HARDER**best
            gain = np.inf  # the way was not as straight as it looked: no bolder next time
        gained, cost, z, predicted = cost - float(costs[best]), float(costs[best]), tried[best], found[best]
        # bolder where the model of the cost was right, more careful where it promised too much (Nielsen, 1999)
        share = gained / gain
        damping = max(damping * float(np.clip(1 - (2 * share - 1) ** 3, 0.1, 2.0)), 1e-8)
        jacobian = problem.jacobian(z, predicted)
        converged = gained < TOLERANCE
    return Mode(z, predicted, cost, jacobian, converged, step)


def _step(problem: Problem, z: Array, slope: Array, curvature: Array, damping: float) -> tuple[Array, Array, float]:
    """The damped Newton step: the code as (1, d), its data, and the gain that a linear problem would have."""
    move = _damped(curvature, slope, damping)
    tried = (z + move)[None]
    return tried, problem.predict(tried), float(move @ slope - 0.5 * move @ curvature @ move)


def _damped(curvature: Array, slope: Array, damping: float) -> Array:
    return linalg.solve(curvature + damping * np.diag(np.diagonal(curvature)), slope, assume_a="pos")
