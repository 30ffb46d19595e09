"""Markov chains that take long steps on an emulator of the data, and ask the forward model whether to stay there.

A trajectory of the emulator is taken with the chance that its errors there and here leave it, so draws are those of the
posterior itself, whatever the emulator is worth. It goes on learning while the chains warm up, and is then left as it
is. No gradient of the forward model is needed; where there is one, every tenth draw also takes a short trajectory of
the forward model itself.

References
----------
Christen and Fox (2005), Markov chain Monte Carlo using an approximation, doi:10.1198/106186005X76983 (the chance);
Rasmussen (2003), Gaussian processes to speed up hybrid Monte Carlo, Bayesian Statistics 7; Conrad et al. (2016),
Accelerating asymptotically exact MCMC for computationally intensive models, doi:10.1080/01621459.2015.1096787.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.invert import checkpoints
from geoae.invert.chains.emulator import Emulator
from geoae.invert.chains.hamiltonian import KEEP_EVERY, Wanted, too_late
from geoae.invert.chains.learning import GROWTH, Learning, begin, leaps
from geoae.invert.chains.trajectories import LENGTH, UNEVEN, DualAveraging, chance_of, pick, trajectory
from geoae.invert.problem import Problem
from geoae.invert.search.modes import Modes

Array = NDArray[np.float64]
LEARN_AT = (1 / 3, 2 / 3, 1.0)
"""Shares of the warm-up of the chains after which the emulator learns from their runs, too."""
TUNING, TRAJECTORIES = 40, 2
"""Trajectories that tell the step length, and those of each draw."""
TRUE_EVERY, TRUE_LEAPS = 10, (4, 13)
"""Draws after which one trajectory is that of the forward model itself, and its leaps: where the emulator takes a place
for less likely than it is, a chain that is there leaves it on no other way."""


def emulated(problem: Problem, modes: Modes, wanted: Wanted) -> tuple[Array, Array, dict[str, Any]]:
    """Draws (chain, draw, d), their data (chain, draw, data), and what happened.

    Draw number and seed alone decide the random numbers: a resumed run is the same run.

    Parameters
    ----------
    problem, modes
        The inversion, and what searches found.
    wanted
        Chains and draws; `n_warmup` draws of each chain are not kept; at most `n_learn` runs of walkers come before.

    Raises
    ------
    InputError
        The time is over before there are draws.
    """
    state: dict[str, Any] = dict(checkpoints.read(wanted.checkpoint, wanted.identity) or {})
    learning = Learning(problem, modes, wanted.seed, state or begin(problem, modes, wanted.seed))
    while "z" not in learning.state and not learning.finished(wanted.n_learn):
        learning.go_on(min(wanted.n_learn, int(GROWTH * learning.n) + 1), wanted.clock)
        if wanted.clock.over:  # a part that was cut short is done again, as a whole
            done = f"{learning.n} of at most {wanted.n_learn} runs that an emulator learns from"
            raise InputError(too_late(wanted.clock, done, wanted.checkpoint))
        checkpoints.write(wanted.checkpoint, wanted.identity, learning.state)
    return _Chains(problem, learning, wanted).draw()


@dataclass
class _Chains:
    """Chains under way."""

    problem: Problem
    learning: Learning
    wanted: Wanted

    def __post_init__(self) -> None:
        of, n_chains, problem = self.learning.state, self.wanted.n_chains, self.problem
        if "z" not in of:
            rng, n_walkers = np.random.default_rng([self.wanted.seed, 8]), len(of["at"])
            at = of["at"][rng.choice(n_walkers, n_chains, replace=n_chains > n_walkers)]
            of |= {
                "z": of["codes"][at], "cost": of["costs"][at], "seen": of["predicted"][at],
                "draws": np.empty((0, n_chains, problem.space.d)), "data": np.empty((0, n_chains, len(problem.data))),
                "accepted": np.array(0.0), "moves": np.array(0), "known": np.array(self.learning.n),
            }  # fmt: skip
        self.lowest = self.learning.modes.modes[0].cost
        self.learn()

    def learn(self) -> None:
        """An emulator from the runs that it is to know, and the step length on it."""
        of = self.learning.state
        self.emulator = self.learning.emulator(int(of["known"]))
        self.step = _tuned(self.emulator, self.emulator.of(of["codes"][of["at"]]), float(of["step"]), self.wanted.seed)

    def draw(self) -> tuple[Array, Array, dict[str, Any]]:
        """All draws there is time for."""
        of, wanted = self.learning.state, self.wanted
        total = wanted.n_warmup + wanted.n_draws
        learn_at = {round(share * wanted.n_warmup) for share in LEARN_AT}
        draws, data = list(of["draws"]), list(of["data"])
        while (at := int(of["moves"])) < total and not wanted.clock.over:
            chance = self.move(at)
            of["moves"] = np.array(at + 1)
            if at >= wanted.n_warmup:
                draws.append(of["z"])
                data.append(of["seen"])
                of["accepted"] = of["accepted"] + chance
            elif at + 1 in learn_at:
                of["known"] = np.array(self.learning.n)
                self.learn()
            if wanted.checkpoint is not None and ((at + 1) % KEEP_EVERY == 0 or at + 1 == total):
                kept = {name: np.array(found).reshape(-1, *of[name].shape[1:])
                        for name, found in (("draws", draws), ("data", data))}  # fmt: skip
                checkpoints.write(wanted.checkpoint, wanted.identity, {**of, **kept})
        if len(draws) < 4:
            done = f"{int(of['moves'])} of {total} steps of the chains"
            raise InputError(too_late(wanted.clock, done, wanted.checkpoint))
        about = {
            "sampler": "emulated", "n_chains": wanted.n_chains, "n_warmup": wanted.n_warmup,
            "n_learnt": len(self.emulator.points), "step": self.step, "accepted": float(of["accepted"]) / len(draws),
            "finished": len(draws) == wanted.n_draws,
        }  # fmt: skip
        return np.array(draws).swapaxes(0, 1), np.array(data).swapaxes(0, 1), about

    def move(self, at: int) -> float:
        """Move all chains once, by draw number; the share that the forward model agreed with."""
        of, emulator, rng = self.learning.state, self.emulator, np.random.default_rng([self.wanted.seed, 9, at])
        x = emulator.of(of["z"])
        here = there = emulator.energy(x)
        for _ in range(TRAJECTORIES):
            step, length = self.step * rng.uniform(*UNEVEN), LENGTH * rng.uniform(0.6, 1.4)
            x, there, _ = trajectory(emulator.energy, x, there, step, leaps(length, step), rng)
        z = emulator.codes(x)
        cost, seen = self.problem.run_likely(z, self.lowest)
        self.keep(at, z, cost, seen)
        chance = chance_of((there[0] - here[0]) - (cost - of["cost"]))
        taken = rng.uniform(size=len(z)) < chance
        of["z"], of["cost"], of["seen"] = pick(taken, (z, cost, seen), (of["z"], of["cost"], of["seen"]))
        if at % TRUE_EVERY == TRUE_EVERY - 1 and self.problem.forward.differentiable:
            self.follow_the_forward_model(at, rng)
        return float(chance.mean())

    def follow_the_forward_model(self, at: int, rng: np.random.Generator) -> None:
        """Move all chains by a short trajectory of the forward model itself."""
        of, emulator = self.learning.state, self.emulator

        def energy(x: Array) -> tuple[Array, ...]:
            z = emulator.codes(x)
            cost, slope, predicted = self.problem.gradient_likely(z, self.lowest)
            self.keep(at, z, cost, predicted)
            return cost, slope @ emulator.root, predicted

        x, step = emulator.of(of["z"]), self.step * rng.uniform(*UNEVEN)
        y, there, _ = trajectory(energy, x, energy(x), step, int(rng.integers(*TRUE_LEAPS)), rng)
        moved = (y != x).any(1)  # the others are where they were, to the last digit
        of["z"], of["cost"], of["seen"] = pick(
            moved, (emulator.codes(y), there[0], there[2]), (of["z"], of["cost"], of["seen"])
        )

    def keep(self, at: int, z: Array, cost: Array, predicted: Array) -> None:
        """What a run found, for the emulator to learn from while the chains warm up."""
        if at < self.wanted.n_warmup:
            self.learning.add(z, cost, predicted)


def _tuned(emulator: Emulator, x: Array, step: float, seed: int) -> float:
    """The step length that trajectories on the emulator need; no run is made."""
    averaging, here, rng = DualAveraging.near(step), emulator.energy(x), np.random.default_rng([seed, 10])
    for _ in range(TUNING):
        x, here, chance = trajectory(emulator.energy, x, here, averaging.step, leaps(1.0, averaging.step), rng)
        averaging.learn(float(chance.mean()))
    return averaging.mean_step
