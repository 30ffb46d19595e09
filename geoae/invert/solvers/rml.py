"""Randomised maximum likelihood: each draw is the most likely code for randomly perturbed data and prior.

For each draw, the data are perturbed by a draw of the noise and the middle of the prior by a draw of the prior, and the
cost is minimised by Levenberg-Marquardt steps. If the problem is linear, the results are draws of the posterior. If it
is not, they follow the bends of the posterior, which the Gaussian around the most likely code does not: for crosshole
data and 64 codes, draws of the Gaussian have ten times the misfit of Markov chains, and these draws about the same
misfit. They are not exact: where the data leave 8 codes nearly free, they spread too little.

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
"""Default number of draws, and the fewest that make a posterior."""
GROUP, JACOBIANS = 10, 5
"""Draws that are made and stored together, and Jacobians that are computed together."""
SHARES = (1.0, 0.6, 0.3, 0.1)
"""Shares of the way from the mode to the draw of the linearised problem; the steps start at the best of these codes."""
MIN_GAIN = 0.1
"""A step that lowers the cost by less is not worth a Jacobian, because costs of draws differ by more than one."""
DAMPING_DECREASE = 0.2
"""Factor of the damping after a step that lowered the cost."""


def draw_perturbed(
    problem: Problem,
    modes: Modes,
    n_draws: int,
    n_steps: int,
    seed: int,
    clock: Clock,
    checkpoint: Checkpoint,
) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Draw codes (n, d); also their data (n, data) and what `info` reports.

    Parameters
    ----------
    problem
        The inversion.
    modes
        The codes that draws start from, each with the probability of its Gaussian.
    n_draws, n_steps
        Number of draws, and of the steps of each at most. A step takes one Jacobian and a few runs.
    seed
        A draw depends on the seed and its number alone, so that a resumed run is the same.
    clock, checkpoint
        The time limit, and the file that finished draws are written to.

    Raises
    ------
    InputError
        The time is over before there are `MIN_DRAWS` draws.
    """
    empty = {"z": np.empty((0, problem.space.d)), "predicted": np.empty((0, len(problem.data))), "steps": np.empty(0)}
    state: dict[str, Any] = dict(checkpoint.read() or empty)
    while (n := len(state["z"])) < n_draws:
        group = _Group.start(problem, modes, range(n, min(n + GROUP, n_draws)), seed)
        if not group.descend(n_steps, clock):
            break
        for name, values in (("z", group.z), ("predicted", group.predicted), ("steps", group.steps)):
            state[name] = np.concatenate([state[name], values])
        checkpoint.write(state)
    if n < min(MIN_DRAWS, n_draws):
        raise InputError(
            f"The time limit of {clock.limit_s:g} s was over after {n} of {n_draws} draws, too few for a posterior. "
            f"Give more time.{checkpoint.hint}"
        )
    info = {"n_draws": n, "finished": n == n_draws, "steps_of_draws": float(np.mean(state["steps"]))}
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
    """(n, d) codes so far."""
    predicted: Float64Array
    """(n, data) their data."""
    cost: Float64Array
    """(n,)"""
    steps: Float64Array
    """(n,) numbers of steps so far."""

    @classmethod
    def start(cls, problem: Problem, modes: Modes, numbers: range, seed: int) -> "_Group":
        """Perturb data and prior, and choose the codes that the steps start from."""
        d, n_data, weights = problem.space.d, len(problem.data), np.cumsum(modes.weights)
        random = [np.random.default_rng([seed, 5, number]) for number in numbers]
        mode_numbers = np.array([np.searchsorted(weights[:-1], rng.uniform()) for rng in random])
        errors = np.stack([rng.normal(size=n_data) for rng in random])
        centres = np.stack([rng.normal(size=d) for rng in random])
        z, predicted = (np.stack([getattr(modes.modes[k], name) for k in mode_numbers]) for name in ("z", "predicted"))
        group = cls(problem, errors, centres, z, predicted, np.empty(0), np.zeros(len(numbers)))
        group.cost = group.costs(slice(None), z, predicted)
        shift = np.empty_like(z)
        for k in set(mode_numbers):
            mode, rows = modes.modes[k], mode_numbers == k
            misfit = problem.misfit(mode.predicted) + errors[rows]
            shift[rows] = np.linalg.solve(mode.precision, (misfit @ mode.jacobian - (mode.z - centres[rows])).T).T
        for share in SHARES:
            group.move_to_best(np.arange(len(z)), (z + share * shift)[None])
        return group

    def costs(self, rows: Any, z: Float64Array, predicted: Float64Array) -> Float64Array:
        """Compute the costs (..., n) that draws minimise, at codes (..., n, d); infinite where a run failed.

        `rows` are the numbers of these draws in the group.
        """
        misfit = self.problem.misfit(predicted) + self.errors[rows]
        cost = 0.5 * (misfit**2).sum(-1) + 0.5 * ((z - self.centres[rows]) ** 2).sum(-1)
        return np.where(np.isfinite(cost), cost, np.inf)

    def move_to_best(self, rows: NDArray[np.intp], tried: Float64Array) -> NDArray[np.intp]:
        """Move each draw to the best of codes (trial, n, d) if its cost is lower; number of the trial, or -1."""
        predicted = self.problem.predict(tried.reshape(-1, tried.shape[-1]), some_must_work=False)
        predicted = predicted.reshape(*tried.shape[:2], -1)
        costs = self.costs(rows, tried, predicted)
        best, columns = np.argmin(costs, axis=0), np.arange(len(rows))
        is_lower = costs[best, columns] < self.cost[rows]
        row, trial = rows[is_lower], (best[is_lower], columns[is_lower])
        self.z[row], self.predicted[row], self.cost[row] = tried[trial], predicted[trial], costs[trial]
        return np.where(is_lower, best, -1)

    def descend(self, n_steps: int, clock: Clock) -> bool:
        """Take at most `n_steps` steps of each draw; return whether there was time for them."""
        d = self.problem.space.d
        damping, jacobians = np.full(len(self.z), 1e-2), np.empty((len(self.z), len(self.problem.data), d))
        has_moved, active = np.ones(len(self.z), np.bool_), np.arange(len(self.z))
        for _ in range(n_steps):
            outdated = active[has_moved[active]]
            for first in range(0, len(outdated), JACOBIANS):
                if clock.is_over:
                    return False
                part = outdated[first : first + JACOBIANS]
                jacobians[part] = self.problem.jacobians(self.z[part], self.predicted[part])
            moves, gains = np.empty((N_TRIALS, len(active), d)), np.empty(len(active))
            for column, i in enumerate(active):
                misfit = self.problem.misfit(self.predicted[i]) + self.errors[i]
                slope = misfit @ jacobians[i] - (self.z[i] - self.centres[i])
                curvature = jacobians[i].T @ jacobians[i] + np.eye(d)
                moves[:, column] = [
                    solve_damped_step(curvature, slope, damping[i] * DAMPING_FACTOR**k) for k in range(N_TRIALS)
                ]
                gains[column] = moves[0, column] @ slope - 0.5 * moves[0, column] @ curvature @ moves[0, column]
            moves, active = moves[:, gains > MIN_GAIN], active[gains > MIN_GAIN]
            if not len(active):
                break
            trial = self.move_to_best(active, self.z[active] + moves)
            has_moved[active] = trial >= 0
            damping[active] *= np.where(
                trial < 0, DAMPING_FACTOR**N_TRIALS, DAMPING_DECREASE * DAMPING_FACTOR ** np.maximum(trial, 0)
            )
            self.steps[active] += 1
        return True
