"""Walkers that explore a posterior while an emulator of the data is fitted to their runs.

Each move is a Hamiltonian trajectory on the current emulator. The forward model is run where it ends, and the next
emulator is fitted to all runs. Most walkers have a temperature above one, so that the emulator is accurate around the
posterior as well.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.chains.emulator import Emulator
from geoae.invert.chains.trajectories import LENGTH, STEP_FACTORS, acceptance_probability, run_trajectory
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import Modes

N_WALKERS, MAX_TEMPERATURE = 80, 2.5
"""Walkers, at least, and the highest of their temperatures; the lowest is one."""
SCALES = (1.0, 0.5, 0.25)
"""Factors of the spread around a mode: each walker starts at the best of a draw scaled by each of these."""
GROWTH = 1.15
"""The emulator is fitted anew when the number of runs has grown by this factor."""
ENOUGH = 0.93
"""More runs do not help when the forward model accepts a larger share of the trajectories."""
MAX_RUNS = 4500
"""Most recent runs that an emulator is fitted to, at most, because the time of a fit grows with their cube."""
CORRELATED = 5
"""Successive moves of a walker that count as one independent draw in the covariance."""
MAX_LEAPS = 40
"""Leapfrog steps of a trajectory, at most."""
FIRST_STEP, MAX_STEP = 0.3, 1.0


def start_walkers(problem: Problem, modes: Modes, seed: int) -> dict[str, Any]:
    """Run the forward model around the modes, and return the state of the walkers before their first move."""
    n_modes, d = len(modes.modes), problem.space.d
    n = max(N_WALKERS, 2 * d)
    mode, shift, _ = modes.draw(n, np.random.default_rng([seed, 6]))
    middles = np.stack([m.z for m in modes.modes])
    tried = np.concatenate([middles[mode] + scale * shift for scale in SCALES])
    costs, predicted = problem.run_likely(tried, modes.modes[0].cost)
    best = costs.reshape(len(SCALES), n).argmin(0) * n + np.arange(n)
    return {
        "codes": np.concatenate([middles, tried]),
        "costs": np.concatenate([[m.cost for m in modes.modes], costs]),
        "predicted": np.concatenate([[m.predicted for m in modes.modes], predicted]),
        # a walker whose runs all failed starts at its mode
        "at": np.where(np.isfinite(costs[best]), n_modes + best, mode), "past": np.empty((0, n), np.intp),
        "step": np.array(FIRST_STEP), "agreed": np.array(0.0), "rounds": np.array(0),
    }  # fmt: skip


@dataclass
class Exploration:
    """The walkers and all runs so far."""

    problem: Problem
    modes: Modes
    seed: int
    state: dict[str, Any]
    """As checkpoints hold it: runs ("codes", "costs", "predicted"); the number of the run where each walker is ("at",
    (walker,)) and where it was after each move ("past", (move, walker)); the step length ("step"); the acceptance of
    the last moves ("agreed"); and how often an emulator was fitted ("rounds")."""

    @property
    def n(self) -> int:
        """Runs so far."""
        return len(self.state["codes"])

    @property
    def temperatures(self) -> Float64Array:
        """(walker,) from 1 to `MAX_TEMPERATURE`."""
        return np.geomspace(1, MAX_TEMPERATURE, len(self.state["at"]))

    def is_finished(self, n_learn: int) -> bool:
        """Whether `n_learn` runs are made, or more would not help."""
        return self.n >= n_learn or bool(self.state["agreed"] > ENOUGH and self.state["rounds"] > 2)

    def fit_emulator(self, n: int | None = None) -> Emulator:
        """Fit an emulator to the first `n` runs, or to all; runs whose cost is far above the walkers' are left out."""
        state, problem = self.state, self.problem
        highest = np.median(state["costs"][state["at"]]) + max(40.0, 4 * problem.space.d)
        near = np.flatnonzero(state["costs"][:n] < highest)[-MAX_RUNS:]
        white = problem.noise.whiten(state["predicted"][near] + problem.noise.offset)
        return Emulator.fit(state["codes"][near], white, problem.noise.whiten(problem.data), self._covariance())

    def add_runs(self, codes: Float64Array, costs: Float64Array, predicted: Float64Array) -> None:
        """Append runs."""
        for name, values in (("codes", codes), ("costs", costs), ("predicted", predicted)):
            self.state[name] = np.concatenate([self.state[name], values])

    def explore(self, n_runs: int, clock: Clock) -> None:
        """Fit an emulator, and move the walkers on it until there are `n_runs` runs or the time is over."""
        state, temperatures = self.state, self.temperatures
        acceptances: list[float] = []
        emulator = self.fit_emulator()

        def energy(x: Float64Array) -> tuple[Float64Array, ...]:
            cost, slope = emulator.energy(x)
            return cost / temperatures, slope / temperatures[:, None]

        while self.n < n_runs and not (acceptances and clock.is_over):
            rng = np.random.default_rng([self.seed, 7, len(state["past"])])
            x, before = emulator.from_codes(state["codes"][state["at"]]), state["costs"][state["at"]]
            start = energy(x)
            step = float(state["step"]) * rng.uniform(*STEP_FACTORS)
            y, end, probability = run_trajectory(
                energy, x, start, step, count_leaps(LENGTH * rng.uniform(0.6, 1.4), step), rng
            )
            state["step"] = np.array(min(float(state["step"]) * np.exp(0.5 * (probability.mean() - 0.8)), MAX_STEP))
            codes = emulator.to_codes(y)
            costs, predicted = self.problem.run_likely(codes, self.modes.modes[0].cost)
            gain = (end[0] - start[0]) - (costs - before) / temperatures
            accepted = rng.uniform(size=len(y)) < acceptance_probability(gain)
            state["at"] = np.where(accepted, self.n + np.arange(len(y)), state["at"])
            state["past"] = np.concatenate([state["past"], state["at"][None]])
            self.add_runs(codes, costs, predicted)
            acceptances.append(float(acceptance_probability(gain * temperatures).mean()))
        state["agreed"], state["rounds"] = np.mean(acceptances), state["rounds"] + 1

    def _covariance(self) -> Float64Array:
        """Covariance (d, d) of codes around their modes, from past walkers and the Gaussian of the most likely mode."""
        mode, d = self.modes.modes[0], self.problem.space.d
        root = mode.spread()
        past = self.state["past"][len(self.state["past"]) // 2 :]
        codes = self.state["codes"][past]
        distance = np.stack(
            [(((codes - m.z) @ np.linalg.cholesky(m.precision)) ** 2).sum(-1) for m in self.modes.modes]
        )
        nearest, total = distance.argmin(0), d * root @ root.T
        for k in range(len(self.modes.modes)):
            if (members := nearest == k).any():
                deviation = codes - codes[members].mean(0)
                deviation = (deviation / np.sqrt(self.temperatures)[:, None])[members]
                total = total + deviation.T @ deviation / CORRELATED
        covariance: Float64Array = total / (past.size / CORRELATED + d)
        return covariance


def count_leaps(length: float, step: float) -> int:
    """Number of leapfrog steps of a trajectory."""
    return int(np.clip(round(length / step), 1, MAX_LEAPS))
