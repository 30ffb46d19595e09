"""Markov chains with trajectories on an emulator, whose ends runs of the forward model accept or reject.

With this delayed acceptance, the draws are draws of the posterior itself, even if the emulator is inaccurate. The
emulator is fitted anew during the warm-up, and fixed afterwards. No gradient of the forward model is needed; if there
is one, every tenth draw also takes a short trajectory on the forward model itself.

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
"""Shares of the warm-up after which the emulator is fitted again, to the runs of the chains as well."""
N_TUNING, N_TRAJECTORIES = 40, 2
"""Trajectories for the choice of the step length, and trajectories of each draw."""
FORWARD_EVERY, FORWARD_LEAPS = 10, (4, 13)
"""Draws after which a trajectory on the forward model is taken, and the range of its leapfrog steps. Without it, a
chain could not leave a code whose probability the emulator underestimates."""


def sample_emulated(
    problem: Problem, modes: Modes, settings: ChainSettings
) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Draw codes (chain, draw, d); also their data (chain, draw, data) and what `info` reports.

    The random numbers depend on the seed and the number of the draw alone, so that a resumed run is the same.

    Parameters
    ----------
    problem, modes
        The inversion, and the modes that searches found.
    settings
        Numbers of chains and draws. Walkers make at most `n_learn` runs before the chains start.

    Raises
    ------
    InputError
        The time is over before there are draws.
    """
    state: dict[str, Any] = dict(settings.checkpoint.read() or {})
    exploration = Exploration(problem, modes, settings.seed, state or start_walkers(problem, modes, settings.seed))
    while "z" not in exploration.state and not exploration.is_finished(settings.n_learn):
        exploration.explore(min(settings.n_learn, int(GROWTH * exploration.n) + 1), settings.clock)
        if settings.clock.is_over:  # a part that was cut short is repeated as a whole
            settings.raise_out_of_time(
                f"{exploration.n} of at most {settings.n_learn} runs that an emulator learns from"
            )
        settings.checkpoint.write(exploration.state)
    return _Chains(problem, exploration, settings).draw()


@dataclass
class _Chains:
    """The chains and their draws so far."""

    problem: Problem
    exploration: Exploration
    settings: ChainSettings

    def __post_init__(self) -> None:
        state, n_chains, problem = self.exploration.state, self.settings.n_chains, self.problem
        if "z" not in state:
            rng, n_walkers = np.random.default_rng([self.settings.seed, 8]), len(state["at"])
            at = state["at"][rng.choice(n_walkers, n_chains, replace=n_chains > n_walkers)]
            state |= {
                "z": state["codes"][at], "cost": state["costs"][at], "seen": state["predicted"][at],
                "draws": np.empty((0, n_chains, problem.space.d)), "data": np.empty((0, n_chains, len(problem.data))),
                "accepted": np.array(0.0), "moves": np.array(0), "known": np.array(self.exploration.n),
            }  # fmt: skip
        self.lowest = self.exploration.modes.modes[0].cost
        self.fit_emulator()

    def fit_emulator(self) -> None:
        """Fit the emulator to the runs that there were at the last refit, and choose the step length on it."""
        state = self.exploration.state
        self.emulator = self.exploration.fit_emulator(int(state["known"]))
        self.step = _tune_step(
            self.emulator,
            self.emulator.from_codes(state["codes"][state["at"]]),
            float(state["step"]),
            self.settings.seed,
        )

    def draw(self) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
        """Make all draws, as far as time allows."""
        state, settings = self.exploration.state, self.settings
        total = settings.n_steps
        refit_at = {round(share * settings.n_warmup) for share in REFIT_AT}
        draws, data = list(state["draws"]), list(state["data"])
        while (at := int(state["moves"])) < total and not settings.clock.is_over:
            share_accepted = self.move(at)
            state["moves"] = np.array(at + 1)
            if at >= settings.n_warmup:
                draws.append(state["z"])
                data.append(state["seen"])
                state["accepted"] = state["accepted"] + share_accepted
            elif at + 1 in refit_at:
                state["known"] = np.array(self.exploration.n)
                self.fit_emulator()
            if settings.checkpoint.path is not None and ((at + 1) % CHECKPOINT_EVERY == 0 or at + 1 == total):
                arrays = {name: np.array(values).reshape(-1, *state[name].shape[1:])
                          for name, values in (("draws", draws), ("data", data))}  # fmt: skip
                settings.checkpoint.write({**state, **arrays})
        if len(draws) < MIN_DRAWS:
            settings.raise_out_of_time(f"{int(state['moves'])} of {total} steps of the chains")
        info = {
            "sampler": "emulated", "n_chains": settings.n_chains, "n_warmup": settings.n_warmup,
            "n_learnt": len(self.emulator.points), "step": self.step, "accepted": float(state["accepted"]) / len(draws),
            "finished": len(draws) == settings.n_draws,
        }  # fmt: skip
        return np.array(draws).swapaxes(0, 1), np.array(data).swapaxes(0, 1), info

    def move(self, at: int) -> float:
        """Move all chains once, for draw number `at`; return their mean acceptance by the forward model."""
        state, emulator, rng = self.exploration.state, self.emulator, np.random.default_rng([self.settings.seed, 9, at])
        x = emulator.from_codes(state["z"])
        start = end = emulator.energy(x)
        for _ in range(N_TRAJECTORIES):
            step, length = self.step * rng.uniform(*STEP_FACTORS), LENGTH * rng.uniform(0.6, 1.4)
            x, end, _ = run_trajectory(emulator.energy, x, end, step, count_leaps(length, step), rng)
        z = emulator.to_codes(x)
        cost, predicted = self.problem.run_likely(z, self.lowest)
        self.remember_runs(at, z, cost, predicted)
        probability = acceptance_probability((end[0] - start[0]) - (cost - state["cost"]))
        accepted = rng.uniform(size=len(z)) < probability
        state["z"], state["cost"], state["seen"] = select_states(
            accepted, (z, cost, predicted), (state["z"], state["cost"], state["seen"])
        )
        if at % FORWARD_EVERY == FORWARD_EVERY - 1 and self.problem.forward.differentiable:
            self.move_on_forward_model(at, rng)
        return float(probability.mean())

    def move_on_forward_model(self, at: int, rng: np.random.Generator) -> None:
        """Move all chains by a short trajectory on the forward model itself."""
        state, emulator = self.exploration.state, self.emulator

        def energy(x: Float64Array) -> tuple[Float64Array, ...]:
            z = emulator.to_codes(x)
            cost, gradient, predicted = self.problem.gradient_likely(z, self.lowest)
            self.remember_runs(at, z, cost, predicted)
            return cost, gradient @ emulator.root, predicted

        x, step = emulator.from_codes(state["z"]), self.step * rng.uniform(*STEP_FACTORS)
        y, end, _ = run_trajectory(energy, x, energy(x), step, int(rng.integers(*FORWARD_LEAPS)), rng)
        moved = (y != x).any(1)  # rejected chains keep their codes exactly
        state["z"], state["cost"], state["seen"] = select_states(
            moved, (emulator.to_codes(y), end[0], end[2]), (state["z"], state["cost"], state["seen"])
        )

    def remember_runs(self, at: int, z: Float64Array, cost: Float64Array, predicted: Float64Array) -> None:
        """Keep runs of the warm-up, so that the emulator is fitted to them later."""
        if at < self.settings.n_warmup:
            self.exploration.add_runs(z, cost, predicted)


def _tune_step(emulator: Emulator, x: Float64Array, step: float, seed: int) -> float:
    """Choose the step length for trajectories on the emulator; no run of the forward model is made."""
    averaging, current, rng = DualAveraging.near(step), emulator.energy(x), np.random.default_rng([seed, 10])
    for _ in range(N_TUNING):
        x, current, probability = run_trajectory(
            emulator.energy, x, current, averaging.step, count_leaps(1.0, averaging.step), rng
        )
        averaging.update(float(probability.mean()))
    return averaging.mean_step
