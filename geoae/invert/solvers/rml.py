"""Randomised maximum likelihood: each draw is the most likely code for randomly perturbed data and prior.

A draw perturbs the data by the noise and the middle of the prior by a draw of it, and minimises the cost by
Levenberg-Marquardt steps. For a linear problem these are draws of the posterior. For a nonlinear one they follow its
bends, which the Gaussian around the most likely code does not: for crosshole data and 64 codes, draws of the Gaussian
have ten times the misfit of those of Markov chains, and these about the same. They are not exact: where the data leave
8 codes nearly free, they spread too little.

References
----------
Kitanidis (1995), Quasi-linear geostatistical theory for inversing, Water Resources Research 31(10), 2411-2419; Oliver,
He and Reynolds (1996), Conditioning permeability fields to pressure data, ECMOR V; Chen and Oliver (2012), Ensemble
randomized maximum likelihood method as an iterative ensemble smoother, doi:10.1007/s11004-011-9376-z.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.checkpoints import Checkpoint
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import DAMPING_FACTOR, N_TRIALS, Modes, solve_damped_step

N_DRAWS, MIN_DRAWS = 100, 10
"""Draws, where the caller leaves that open, and the fewest that make a posterior."""
GROUP, JACOBIANS = 10, 5
"""Draws that are made and stored together, and Jacobians that are computed together."""
SHARES = (1.0, 0.6, 0.3, 0.1)
"""Of the way from the mode to the draw of the linearised problem: the steps begin at the best of these."""
MIN_GAIN = 0.1
"""Gain of cost below which a step is not worth a Jacobian: costs of draws differ by more than one."""
DAMPING_DECREASE = 0.2


def draw_perturbed(
    problem: Problem,
    modes: Modes,
    n_draws: int,
    n_steps: int,
    seed: int,
    clock: Clock,
    checkpoint: Checkpoint,
) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Draw codes (n, d), with their data (n, data) and what is to be reported.

    Parameters
    ----------
    problem
        The inversion.
    modes
        Where draws begin, each with the probability of its Gaussian.
    n_draws, n_steps
        Number of draws, and of steps of each at most; a step takes one Jacobian and a few runs.
    seed
        Seed and number alone decide a draw, so that a resumed run is the same run.
    clock, checkpoint
        The time limit; where finished draws are kept.

    Raises
    ------
    InputError
        The time is over before there are ten draws.
    """
    empty = {"z": np.empty((0, problem.space.d)), "predicted": np.empty((0, len(problem.data))), "steps": np.empty(0)}
    state: dict[str, Any] = dict(checkpoint.read() or empty)
    while (at := len(state["z"])) < n_draws:
        group = _Group.start(problem, modes, range(at, min(at + GROUP, n_draws)), seed)
        if not group.descend(n_steps, clock):
            break
        for name, more in (("z", group.z), ("predicted", group.predicted), ("steps", group.steps)):
            state[name] = np.concatenate([state[name], more])
        checkpoint.write(state)
    if at < min(MIN_DRAWS, n_draws):
        raise InputError(
            f"The time limit of {clock.limit_s:g} s was over after {at} of {n_draws} draws, too few for a posterior. "
            f"Give more time.{checkpoint.hint}"
        )
    info = {"n_draws": at, "finished": at == n_draws, "steps_of_draws": float(np.mean(state["steps"]))}
    return state["z"], state["predicted"], info


@dataclass
class _Group:
    """Draws that take their steps together."""

    problem: Problem
    errors: Float64Array
    """(n, data) perturbations of the whitened data."""
    centres: Float64Array
    """(n, d) perturbed centres of the prior."""
    z: Float64Array
    predicted: Float64Array
    cost: Float64Array
    steps: Float64Array

    @classmethod
    def start(cls, problem: Problem, modes: Modes, numbers: range, seed: int) -> "_Group":
        """Perturb data and prior, and choose where the steps begin."""
        d, n_data, weights = problem.space.d, len(problem.data), np.cumsum(modes.weights)
        random = [np.random.default_rng([seed, 5, number]) for number in numbers]
        which = np.array([np.searchsorted(weights[:-1], rng.uniform()) for rng in random])
        errors = np.stack([rng.normal(size=n_data) for rng in random])
        centres = np.stack([rng.normal(size=d) for rng in random])
        z, predicted = (np.stack([getattr(modes.modes[k], name) for k in which]) for name in ("z", "predicted"))
        group = cls(problem, errors, centres, z, predicted, np.empty(0), np.zeros(len(numbers)))
        group.cost = group.costs(slice(None), z, predicted)
        away = np.empty_like(z)
        for k in set(which):
            mode, rows = modes.modes[k], which == k
            misfit = problem.misfit(mode.predicted) + errors[rows]
            away[rows] = np.linalg.solve(mode.precision, (misfit @ mode.jacobian - (mode.z - centres[rows])).T).T
        for share in SHARES:
            group.move_to_best(np.arange(len(z)), (z + share * away)[None])
        return group

    def costs(self, rows: Any, z: Float64Array, predicted: Float64Array) -> Float64Array:
        """The costs (..., n) that the draws of these rows minimise, at codes (..., n, d); inf where a run failed."""
        misfit = self.problem.misfit(predicted) + self.errors[rows]
        cost = 0.5 * (misfit**2).sum(-1) + 0.5 * ((z - self.centres[rows]) ** 2).sum(-1)
        return np.where(np.isfinite(cost), cost, np.inf)

    def move_to_best(self, rows: NDArray[np.intp], tried: Float64Array) -> NDArray[np.intp]:
        """Move to the best of codes (trial, n, d) where that lowers the cost; the number of the trial, or -1."""
        predicted = self.problem.predict(tried.reshape(-1, tried.shape[-1]), some_must_work=False)
        predicted = predicted.reshape(*tried.shape[:2], -1)
        costs = self.costs(rows, tried, predicted)
        best, each = np.argmin(costs, axis=0), np.arange(len(rows))
        better = costs[best, each] < self.cost[rows]
        to, column, k = rows[better], each[better], best[better]
        self.z[to], self.predicted[to], self.cost[to] = tried[k, column], predicted[k, column], costs[k, column]
        return np.where(better, best, -1)

    def descend(self, n_steps: int, clock: Clock) -> bool:
        """Take at most so many steps of each draw; whether there was time for them."""
        d = self.problem.space.d
        damping, jacobians = np.full(len(self.z), 1e-2), np.empty((len(self.z), len(self.problem.data), d))
        has_moved, active = np.ones(len(self.z), np.bool_), np.arange(len(self.z))
        for _ in range(n_steps):
            outdated = active[has_moved[active]]
            for first in range(0, len(outdated), JACOBIANS):
                if clock.is_over:
                    return False
                some = outdated[first : first + JACOBIANS]
                jacobians[some] = self.problem.jacobians(self.z[some], self.predicted[some])
            moves, gains = np.empty((N_TRIALS, len(active), d)), np.empty(len(active))
            for at, i in enumerate(active):
                misfit = self.problem.misfit(self.predicted[i]) + self.errors[i]
                slope = misfit @ jacobians[i] - (self.z[i] - self.centres[i])
                curvature = jacobians[i].T @ jacobians[i] + np.eye(d)
                moves[:, at] = [
                    solve_damped_step(curvature, slope, damping[i] * DAMPING_FACTOR**k) for k in range(N_TRIALS)
                ]
                gains[at] = moves[0, at] @ slope - 0.5 * moves[0, at] @ curvature @ moves[0, at]
            moves, active = moves[:, gains > MIN_GAIN], active[gains > MIN_GAIN]
            if not len(active):
                break
            which = self.move_to_best(active, self.z[active] + moves)
            has_moved[active] = which >= 0
            damping[active] *= np.where(
                which < 0, DAMPING_FACTOR**N_TRIALS, DAMPING_DECREASE * DAMPING_FACTOR ** np.maximum(which, 0)
            )
            self.steps[active] += 1
        return True
