"""Walkers that find out where a posterior lies, while an emulator of the data learns from their runs.

Each of their moves is a Hamiltonian trajectory on what is learnt so far, the end of each is a run, and the next
emulator learns from all of these. Some walkers are hotter than the posterior, so that the emulator is right around it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.invert.chains.emulator import Emulator
from geoae.invert.chains.trajectories import LENGTH, UNEVEN, chance_of, trajectory
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import Modes

Array = NDArray[np.float64]
WALKERS, HOTTEST = 80, 2.5
"""How many, and the temperature of the hottest; that of the coldest is one."""
SCALES = (1.0, 0.5, 0.25)
"""Of the Gaussian around a mode, in standard deviations: each walker begins at the best of one draw at each."""
GROWTH = 1.15
"""The emulator is learnt anew when there are so many times the runs."""
ENOUGH = 0.93
"""Share of trajectories that the forward model agrees with, beyond which there is no more to learn."""
MOST = 4500
"""Runs that an emulator is learnt from, the last ones: the time for it grows with their cube."""
CORRELATED = 5
"""Moves of a walker that count as one where they tell how wide the posterior is."""
LONGEST = 40
"""Leaps of a trajectory, at most."""
FIRST_STEP, LONGEST_STEP = 0.3, 1.0


def begin(problem: Problem, modes: Modes, seed: int) -> dict[str, Any]:
    """Modes, and where walkers begin."""
    n_modes, d = len(modes.modes), problem.space.d
    n = max(WALKERS, 2 * d)
    of, shift, _ = modes.draw(n, np.random.default_rng([seed, 6]))
    middles = np.stack([mode.z for mode in modes.modes])
    tried = np.concatenate([middles[of] + scale * shift for scale in SCALES])
    costs, predicted = problem.run_likely(tried, modes.modes[0].cost)
    best = costs.reshape(len(SCALES), n).argmin(0) * n + np.arange(n)
    return {
        "codes": np.concatenate([middles, tried]),
        "costs": np.concatenate([[mode.cost for mode in modes.modes], costs]),
        "predicted": np.concatenate([[mode.predicted for mode in modes.modes], predicted]),
        # where all runs of a walker were lost, it begins at its mode
        "at": np.where(np.isfinite(costs[best]), n_modes + best, of), "past": np.empty((0, n), np.intp),
        "step": np.array(FIRST_STEP), "agreed": np.array(0.0), "rounds": np.array(0),
    }  # fmt: skip


@dataclass
class Learning:
    """Walkers on their way, and all runs so far."""

    problem: Problem
    modes: Modes
    seed: int
    state: dict[str, Any]
    """Runs (codes, costs, predicted); which of them walkers are at now (walker,) and were after each move
    (move, walker); step length; and share of the last moves that the forward model agreed with."""

    @property
    def n(self) -> int:
        """Runs so far."""
        return len(self.state["codes"])

    @property
    def temperatures(self) -> Array:
        """(walker,) of each."""
        return np.geomspace(1, HOTTEST, len(self.state["at"]))

    def finished(self, n_learn: int) -> bool:
        """Whether there are all runs, or as many as are of use."""
        return self.n >= n_learn or bool(self.state["agreed"] > ENOUGH and self.state["rounds"] > 2)

    def emulator(self, n: int | None = None) -> Emulator:
        """What is learnt from the first n runs, or all, that are not far above the walkers."""
        of, problem = self.state, self.problem
        highest = np.median(of["costs"][of["at"]]) + max(40.0, 4 * problem.space.d)
        near = np.flatnonzero(of["costs"][:n] < highest)[-MOST:]
        white = problem.noise.whiten(of["predicted"][near] + problem.noise.offset)
        return Emulator.learn(of["codes"][near], white, problem.noise.whiten(problem.data), self._covariance())

    def add(self, codes: Array, costs: Array, predicted: Array) -> None:
        """Take in runs."""
        for name, more in (("codes", codes), ("costs", costs), ("predicted", predicted)):
            self.state[name] = np.concatenate([self.state[name], more])

    def go_on(self, n_runs: int, clock: Clock) -> None:
        """Learn an emulator, and move walkers on it until there are so many runs, or the time is over."""
        of, temperatures = self.state, self.temperatures
        agreed: list[float] = []
        emulator = self.emulator()

        def energy(x: Array) -> tuple[Array, ...]:
            cost, slope = emulator.energy(x)
            return cost / temperatures, slope / temperatures[:, None]

        while self.n < n_runs and not (agreed and clock.over):
            rng = np.random.default_rng([self.seed, 7, len(of["past"])])
            x, before = emulator.of(of["codes"][of["at"]]), of["costs"][of["at"]]
            here = energy(x)
            step = float(of["step"]) * rng.uniform(*UNEVEN)
            y, there, chance = trajectory(energy, x, here, step, leaps(LENGTH * rng.uniform(0.6, 1.4), step), rng)
            of["step"] = np.array(min(float(of["step"]) * np.exp(0.5 * (chance.mean() - 0.8)), LONGEST_STEP))
            codes = emulator.codes(y)
            costs, predicted = self.problem.run_likely(codes, self.modes.modes[0].cost)
            gain = (there[0] - here[0]) - (costs - before) / temperatures
            taken = rng.uniform(size=len(y)) < chance_of(gain)
            of["at"] = np.where(taken, self.n + np.arange(len(y)), of["at"])
            of["past"] = np.concatenate([of["past"], of["at"][None]])
            self.add(codes, costs, predicted)
            agreed.append(float(chance_of(gain * temperatures).mean()))
        of["agreed"], of["rounds"] = np.mean(agreed), of["rounds"] + 1

    def _covariance(self) -> Array:
        """(d, d) of codes around the modes, by what walkers have seen and the Gaussian around the likeliest mode."""
        mode, d = self.modes.modes[0], self.problem.space.d
        root = mode.spread()
        past = self.state["past"][len(self.state["past"]) // 2 :]
        codes = self.state["codes"][past]
        apart = np.stack([(((codes - m.z) @ np.linalg.cholesky(m.precision)) ** 2).sum(-1) for m in self.modes.modes])
        nearest, total = apart.argmin(0), d * root @ root.T
        for k in range(len(self.modes.modes)):
            if (these := nearest == k).any():
                away = codes - codes[these].mean(0)
                away = (away / np.sqrt(self.temperatures)[:, None])[these]
                total = total + away.T @ away / CORRELATED
        found: Array = total / (past.size / CORRELATED + d)
        return found


def leaps(length: float, step: float) -> int:
    """Of a trajectory."""
    return int(np.clip(round(length / step), 1, LONGEST))
