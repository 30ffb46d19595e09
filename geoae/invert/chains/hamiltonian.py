"""Hamiltonian Markov chains of codes, with gradients of the forward model.

They start in coordinates in which the Gaussian around the most likely code is N(0, I). During the warm-up, the step
length and the coordinates are adapted to the draws and gradients so far.

References
----------
Hoffman and Gelman (2014), The No-U-Turn Sampler, JMLR 15 (dual averaging); Neal (2011), MCMC using Hamiltonian
dynamics, doi:10.1201/b10905-6; Seyboldt, Carlson and Carpenter (2026), Preconditioning Hamiltonian Monte Carlo by
minimizing Fisher divergence.
"""

from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.chains.coordinates import Coordinates
from geoae.invert.chains.settings import CHECKPOINT_EVERY, MIN_DRAWS, ChainSettings
from geoae.invert.chains.trajectories import LENGTH, STEP_FACTORS, DualAveraging, run_trajectory
from geoae.invert.problem import Problem
from geoae.invert.search.modes import Modes

MAX_LEAPS = 24
"""Leapfrog steps of a trajectory, at most."""
ADAPT = (0.15, 0.4, 0.7)
"""Shares of the warm-up after which coordinates are chosen anew; the first one only discards the draws before it."""


def sample_hamiltonian(
    problem: Problem, modes: Modes, settings: ChainSettings
) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Draw codes (chain, draw, d); also their data (chain, draw, data) and what `info` reports.

    All chains take each step together, so that decoder and forward model work on batches of `n_chains` models. The
    random numbers depend on the seed and the number of the draw alone, so that a resumed run is the same.

    Raises
    ------
    InputError
        The forward model has no gradient, or the time is over before there are draws.
    """
    coordinates = Coordinates(modes)

    def energy(x: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        cost, slope, predicted = problem.gradient_likely(coordinates.to_codes(x), coordinates.cost)
        return cost, slope @ coordinates.root, predicted

    d, n_chains = len(coordinates.middle), settings.n_chains
    state: dict[str, Any] | None = settings.checkpoint.read()
    if state is None:
        x = coordinates.draw_starts(n_chains, settings.seed, lambda x: energy(x)[0])
        no_draws = np.empty((0, n_chains, d))
        state = {"x": x, "at": np.array(0), "draws": no_draws, "accepted": np.zeros(n_chains), "recent": no_draws,
                 "steep": no_draws, "data": np.empty((0, n_chains, len(problem.data))), "root": coordinates.root,
                 "averaging": DualAveraging.near(1.2 * d**-0.25).state}  # fmt: skip
    coordinates.root, recent, gradients = state["root"], list(state["recent"]), list(state["steep"])
    adapt = [round(share * settings.n_warmup) for share in ADAPT]
    x, at = state["x"], int(state["at"])
    draws, data = list(state["draws"]), list(state["data"])
    averaging, accepted = DualAveraging(state["averaging"]), state["accepted"].copy()
    current: tuple[Float64Array, ...] = energy(x)
    while at < settings.n_steps and not settings.clock.is_over:
        rng = np.random.default_rng([settings.seed, 1 + at])
        step = averaging.step if at < settings.n_warmup else averaging.mean_step
        length, step = LENGTH * rng.uniform(0.6, 1.4), step * rng.uniform(*STEP_FACTORS)
        n_leaps = int(np.clip(round(length / step), 1, MAX_LEAPS))
        x, current, probability = run_trajectory(energy, x, current, step, n_leaps, rng)
        if at < settings.n_warmup:
            averaging.update(float(probability.mean()))
            recent.append(coordinates.to_codes(x))
            gradients.append(current[1])
            if at + 1 in adapt:
                if at + 1 != adapt[0]:
                    z = coordinates.to_codes(x)
                    coordinates.adapt(np.array(recent), np.array(gradients))
                    x, averaging = coordinates.from_codes(z), DualAveraging.near(averaging.step)
                    current = energy(x)
                recent.clear()
                gradients.clear()
        else:
            draws.append(coordinates.to_codes(x))
            data.append(current[2])
            accepted += probability
        at += 1
        if settings.checkpoint.path is not None and (at % CHECKPOINT_EVERY == 0 or at == settings.n_steps):
            state = {
                "x": x, "at": np.array(at), "accepted": accepted, "averaging": averaging.state,
                "root": coordinates.root, "recent": np.array(recent).reshape(-1, n_chains, d),
                "steep": np.array(gradients).reshape(-1, n_chains, d),
                "draws": np.array(draws).reshape(-1, n_chains, d),
                "data": np.array(data).reshape(-1, n_chains, len(problem.data)),
            }  # fmt: skip
            settings.checkpoint.write(state)
    if len(draws) < MIN_DRAWS:
        settings.raise_out_of_time(f"{at} of {settings.n_steps} steps of the chains")
    info = {
        "sampler": "hmc", "n_chains": n_chains, "n_warmup": settings.n_warmup, "step": averaging.mean_step,
        "accepted": float((accepted / len(draws)).mean()), "finished": len(draws) == settings.n_draws,
    }  # fmt: skip
    return np.array(draws).swapaxes(0, 1), np.array(data).swapaxes(0, 1), info
