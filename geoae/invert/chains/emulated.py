"""Markov chains whose trajectories are computed on an emulator, and accepted or rejected by the forward model.

This delayed acceptance makes draws of the posterior itself, however inaccurate the emulator is. The emulator is fitted
anew during the warm-up, and fixed afterwards. No gradient of the forward model is needed; where there is one, every
tenth draw also takes a short trajectory of the forward model itself.

References
----------
Christen and Fox (2005), Markov chain Monte Carlo using an approximation, doi:10.1198/106186005X76983 (delayed
acceptance); Rasmussen (2003), Gaussian processes to speed up hybrid Monte Carlo, Bayesian Statistics 7; Conrad et al.
(2016), Accelerating asymptotically exact MCMC for computationally intensive models, doi:10.1080/01621459.2015.1096787.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.chains.emulator import Emulator
from geoae.invert.chains.learning import GROWTH, Exploration, count_leaps, start_walkers
from geoae.invert.chains.settings import CHECKPOINT_EVERY, MIN_DRAWS, ChainSettings
from geoae.invert.chains.trajectories import (
    LENGTH,
    STEP_FACTORS,
    DualAveraging,
    acceptance_probability,
    run_trajectory,
    select_states,
)
from geoae.invert.problem import Problem
from geoae.invert.search.modes import Modes

REFIT_AT = (1 / 3, 2 / 3, 1.0)
"""Shares of the warm-up at which the emulator is fitted to the runs of the chains, too."""
N_TUNING, N_TRAJECTORIES = 40, 2
"""Trajectories from which the step length is chosen, and those of each draw."""
FORWARD_EVERY, FORWARD_LEAPS = 10, (4, 13)
"""Draws after which a trajectory of the forward model itself is taken, and the range of its leapfrog steps: a chain at
a code whose probability the emulator underestimates could not leave it otherwise."""


def sample_emulated(
    problem: Problem, modes: Modes, settings: ChainSettings
) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Draw codes (chain, draw, d), with their data (chain, draw, data) and what is to be reported.

    Draw number and seed alone decide the random numbers: a resumed run is the same run.

    Parameters
    ----------
    problem, modes
        The inversion, and what searches found.
    settings
        Numbers of chains and draws; walkers make at most `n_learn` runs before the chains start.

    Raises
    ------
    InputError
        The time is over before there are draws.
    """
    state: dict[str, Any] = dict(settings.checkpoint.read() or {})
    learning = Exploration(problem, modes, settings.seed, state or start_walkers(problem, modes, settings.seed))
    while "z" not in learning.state and not learning.is_finished(settings.n_learn):
        learning.explore(min(settings.n_learn, int(GROWTH * learning.n) + 1), settings.clock)
        if settings.clock.is_over:  # a part that was cut short is repeated as a whole
            settings.raise_out_of_time(f"{learning.n} of at most {settings.n_learn} runs that an emulator learns from")
        settings.checkpoint.write(learning.state)
    return _Chains(problem, learning, settings).draw()


@dataclass
class _Chains:
    """The chains and what they have drawn."""

    problem: Problem
    learning: Exploration
    settings: ChainSettings

    def __post_init__(self) -> None:
        state, n_chains, problem = self.learning.state, self.settings.n_chains, self.problem
        if "z" not in state:
            rng, n_walkers = np.random.default_rng([self.settings.seed, 8]), len(state["at"])
            at = state["at"][rng.choice(n_walkers, n_chains, replace=n_chains > n_walkers)]
            state |= {
                "z": state["codes"][at], "cost": state["costs"][at], "seen": state["predicted"][at],
                "draws": np.empty((0, n_chains, problem.space.d)), "data": np.empty((0, n_chains, len(problem.data))),
                "accepted": np.array(0.0), "moves": np.array(0), "known": np.array(self.learning.n),
            }  # fmt: skip
        self.lowest = self.learning.modes.modes[0].cost
        self.fit_emulator()

    def fit_emulator(self) -> None:
        """Fit the emulator to the runs that it may use, and choose the step length on it."""
        state = self.learning.state
        self.emulator = self.learning.emulator(int(state["known"]))
        self.step = _tune_step(
            self.emulator,
            self.emulator.from_codes(state["codes"][state["at"]]),
            float(state["step"]),
            self.settings.seed,
        )

    def draw(self) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
        """Make all draws, as far as time allows."""
        state, settings = self.learning.state, self.settings
        total = settings.n_steps
        refit_at = {round(share * settings.n_warmup) for share in REFIT_AT}
        draws, data = list(state["draws"]), list(state["data"])
        while (at := int(state["moves"])) < total and not settings.clock.is_over:
            acceptance_now = self.move(at)
            state["moves"] = np.array(at + 1)
            if at >= settings.n_warmup:
                draws.append(state["z"])
                data.append(state["seen"])
                state["accepted"] = state["accepted"] + acceptance_now
            elif at + 1 in refit_at:
                state["known"] = np.array(self.learning.n)
                self.fit_emulator()
            if settings.checkpoint.path is not None and ((at + 1) % CHECKPOINT_EVERY == 0 or at + 1 == total):
                kept = {name: np.array(found).reshape(-1, *state[name].shape[1:])
                        for name, found in (("draws", draws), ("data", data))}  # fmt: skip
                settings.checkpoint.write({**state, **kept})
        if len(draws) < MIN_DRAWS:
            done = f"{int(state['moves'])} of {total} steps of the chains"
            settings.raise_out_of_time(done)
        info = {
            "sampler": "emulated", "n_chains": settings.n_chains, "n_warmup": settings.n_warmup,
            "n_learnt": len(self.emulator.points), "step": self.step, "accepted": float(state["accepted"]) / len(draws),
            "finished": len(draws) == settings.n_draws,
        }  # fmt: skip
        return np.array(draws).swapaxes(0, 1), np.array(data).swapaxes(0, 1), info

    def move(self, at: int) -> float:
        """Move all chains once, for draw number `at`; returns the mean acceptance by the forward model."""
        state, emulator, rng = self.learning.state, self.emulator, np.random.default_rng([self.settings.seed, 9, at])
        x = emulator.from_codes(state["z"])
        here = there = emulator.energy(x)
        for _ in range(N_TRAJECTORIES):
            step, length = self.step * rng.uniform(*STEP_FACTORS), LENGTH * rng.uniform(0.6, 1.4)
            x, there, _ = run_trajectory(emulator.energy, x, there, step, count_leaps(length, step), rng)
        z = emulator.to_codes(x)
        cost, seen = self.problem.run_likely(z, self.lowest)
        self.remember_runs(at, z, cost, seen)
        probability = acceptance_probability((there[0] - here[0]) - (cost - state["cost"]))
        accepted = rng.uniform(size=len(z)) < probability
        state["z"], state["cost"], state["seen"] = select_states(
            accepted, (z, cost, seen), (state["z"], state["cost"], state["seen"])
        )
        if at % FORWARD_EVERY == FORWARD_EVERY - 1 and self.problem.forward.differentiable:
            self.follow_the_forward_model(at, rng)
        return float(probability.mean())

    def follow_the_forward_model(self, at: int, rng: np.random.Generator) -> None:
        """Move all chains by a short trajectory of the forward model itself."""
        state, emulator = self.learning.state, self.emulator

        def energy(x: Float64Array) -> tuple[Float64Array, ...]:
            z = emulator.to_codes(x)
            cost, gradient, predicted = self.problem.gradient_likely(z, self.lowest)
            self.remember_runs(at, z, cost, predicted)
            return cost, gradient @ emulator.root, predicted

        x, step = emulator.from_codes(state["z"]), self.step * rng.uniform(*STEP_FACTORS)
        y, there, _ = run_trajectory(energy, x, energy(x), step, int(rng.integers(*FORWARD_LEAPS)), rng)
        moved = (y != x).any(1)  # the others keep their codes exactly
        state["z"], state["cost"], state["seen"] = select_states(
            moved, (emulator.to_codes(y), there[0], there[2]), (state["z"], state["cost"], state["seen"])
        )

    def remember_runs(self, at: int, z: Float64Array, cost: Float64Array, predicted: Float64Array) -> None:
        """Keep runs of the warm-up, to which the emulator is fitted later."""
        if at < self.settings.n_warmup:
            self.learning.add(z, cost, predicted)


def _tune_step(emulator: Emulator, x: Float64Array, step: float, seed: int) -> float:
    """Choose the step length for trajectories on the emulator; no run is made."""
    averaging, here, rng = DualAveraging.near(step), emulator.energy(x), np.random.default_rng([seed, 10])
    for _ in range(N_TUNING):
        x, here, probability = run_trajectory(
            emulator.energy, x, here, averaging.step, count_leaps(1.0, averaging.step), rng
        )
        averaging.update(float(probability.mean()))
    return averaging.mean_step
