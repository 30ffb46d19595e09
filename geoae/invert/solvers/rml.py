"""Randomised maximum likelihood: draws of which each explains data of its own.

A draw takes the data with an error and the middle of the prior drawn anew, and is where Levenberg-Marquardt steps from
the most likely code end. For a linear problem these are draws of the posterior. Where decoder or physics are bent they
follow the bend, and the Gaussian around the most likely code does not: between boreholes, with 64 codes, its draws
misfit the data ten times as much as those of Markov chains, and these do as well as the chains'. They are no exact
draws, though: of 8 codes that data leave wide open, they are nearer to each other than they should be.

References
----------
Kitanidis (1995), Quasi-linear geostatistical theory for inversing, Water Resources Research 31(10), 2411-2419; Oliver,
He and Reynolds (1996), Conditioning permeability fields to pressure data, ECMOR V; Chen and Oliver (2012), Ensemble
randomized maximum likelihood method as an iterative ensemble smoother, doi:10.1007/s11004-011-9376-z.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.invert import checkpoints
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import HARDER, TRIALS, Modes, damped

Array = NDArray[np.float64]
FEWEST = 10
GROUP, TOGETHER = 10, 5
"""Draws that are kept together, and Jacobians that are made together."""
SHARES = (1.0, 0.6, 0.3, 0.1)
"""Of the way from the mode to where a linear problem would have the draw: the best is where its steps begin."""
SETTLED = 0.1
"""Of the cost, which is some ones more or less from draw to draw: smaller gains are not worth a Jacobian."""
SOFTER = 0.2


def draws(
    problem: Problem,
    modes: Modes,
    n_draws: int,
    n_steps: int,
    seed: int,
    clock: Clock,
    checkpoint: Path | None,
    identity: str,
) -> tuple[Array, Array, dict[str, Any]]:
    """Codes (n, d), their data (n, data), and what happened.

    Parameters
    ----------
    problem
        The inversion.
    modes
        What searches found; draws begin at each as often as its Gaussian weighs.
    n_draws, n_steps
        How many draws, and the most steps of each; a step takes one Jacobian and a few runs.
    seed
        Seed and number decide a draw, so that a resumed run is the same run.
    clock, checkpoint, identity
        When to stop; where to keep what is finished, and what that must belong to.

    Raises
    ------
    InputError
        The time is over before there are ten draws.
    """
    none = {"z": np.empty((0, problem.space.d)), "predicted": np.empty((0, len(problem.data))), "steps": np.empty(0)}
    state: dict[str, Any] = dict(checkpoints.read(checkpoint, identity) or none)
    while (at := len(state["z"])) < n_draws:
        group = _Group.of(problem, modes, range(at, min(at + GROUP, n_draws)), seed)
        if not group.descend(n_steps, clock):
            break
        for name, more in (("z", group.z), ("predicted", group.predicted), ("steps", group.steps)):
            state[name] = np.concatenate([state[name], more])
        checkpoints.write(checkpoint, identity, state)
    if at < min(FEWEST, n_draws):
        kept = f" They are in {checkpoint}: the same call goes on from there." if checkpoint else ""
        raise InputError(
            f"The time limit of {clock.limit_s:g} s was over after {at} of {n_draws} draws, too few for a posterior. "
            f"Give more time.{kept}"
        )
    about = {"n_draws": at, "finished": at == n_draws, "steps_of_draws": float(np.mean(state["steps"]))}
    return state["z"], state["predicted"], about


@dataclass
class _Group:
    """Draws under way."""

    problem: Problem
    errors: Array
    """(n, data) of white data."""
    middles: Array
    """(n, d) of the prior."""
    z: Array
    predicted: Array
    cost: Array
    steps: Array

    @classmethod
    def of(cls, problem: Problem, modes: Modes, numbers: range, seed: int) -> "_Group":
        """Where the steps of draws begin."""
        d, n_data, weights = problem.space.d, len(problem.data), np.cumsum(modes.weights)
        random = [np.random.default_rng([seed, 5, number]) for number in numbers]
        which = np.array([np.searchsorted(weights[:-1], rng.uniform()) for rng in random])
        errors = np.stack([rng.normal(size=n_data) for rng in random])
        middles = np.stack([rng.normal(size=d) for rng in random])
        z, predicted = (np.stack([getattr(modes.modes[k], name) for k in which]) for name in ("z", "predicted"))
        group = cls(problem, errors, middles, z, predicted, np.empty(0), np.zeros(len(numbers)))
        group.cost = group.costs(slice(None), z, predicted)
        away = np.empty_like(z)
        for k in set(which):
            mode, rows = modes.modes[k], which == k
            left = problem.misfit(mode.predicted) + errors[rows]
            away[rows] = np.linalg.solve(mode.precision, (left @ mode.jacobian - (mode.z - middles[rows])).T).T
        for share in SHARES:
            group.take(np.arange(len(z)), (z + share * away)[None])
        return group

    def costs(self, rows: Any, z: Array, predicted: Array) -> Array:
        """(..., n) what each draw minimises, at codes (..., n, d) of its rows; inf where a run was lost."""
        misfit = self.problem.misfit(predicted) + self.errors[rows]
        cost = 0.5 * (misfit**2).sum(-1) + 0.5 * ((z - self.middles[rows]) ** 2).sum(-1)
        return np.where(np.isfinite(cost), cost, np.inf)

    def take(self, rows: NDArray[np.intp], tried: Array) -> NDArray[np.intp]:
        """Go to the best of codes (trial, n, d) where it is better than what there is; which it was, or -1."""
        predicted = self.problem.predict(tried.reshape(-1, tried.shape[-1]), some_must_work=False)
        predicted = predicted.reshape(*tried.shape[:2], -1)
        costs = self.costs(rows, tried, predicted)
        best, each = np.argmin(costs, axis=0), np.arange(len(rows))
        better = costs[best, each] < self.cost[rows]
        to, of, k = rows[better], each[better], best[better]
        self.z[to], self.predicted[to], self.cost[to] = tried[k, of], predicted[k, of], costs[k, of]
        return np.where(better, best, -1)

    def descend(self, n_steps: int, clock: Clock) -> bool:
        """Take at most so many steps of each; whether there was time for them."""
        d = self.problem.space.d
        damping, jacobians = np.full(len(self.z), 1e-2), np.empty((len(self.z), len(self.problem.data), d))
        moved, going = np.ones(len(self.z), np.bool_), np.arange(len(self.z))
        for _ in range(n_steps):
            anew = going[moved[going]]
            for first in range(0, len(anew), TOGETHER):
                if clock.over:
                    return False
                some = anew[first : first + TOGETHER]
                jacobians[some] = self.problem.jacobians(self.z[some], self.predicted[some])
            moves, gains = np.empty((TRIALS, len(going), d)), np.empty(len(going))
            for at, i in enumerate(going):
                left = self.problem.misfit(self.predicted[i]) + self.errors[i]
                slope = left @ jacobians[i] - (self.z[i] - self.middles[i])
                curvature = jacobians[i].T @ jacobians[i] + np.eye(d)
                moves[:, at] = [damped(curvature, slope, damping[i] * HARDER**k) for k in range(TRIALS)]
                gains[at] = moves[0, at] @ slope - 0.5 * moves[0, at] @ curvature @ moves[0, at]
            moves, going = moves[:, gains > SETTLED], going[gains > SETTLED]
            if not len(going):
                break
            which = self.take(going, self.z[going] + moves)
            moved[going] = which >= 0
            damping[going] *= np.where(which < 0, HARDER**TRIALS, SOFTER * HARDER ** np.maximum(which, 0))
            self.steps[going] += 1
        return True
