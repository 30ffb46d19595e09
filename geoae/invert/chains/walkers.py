"""Walkers of emcee: Markov chains without gradients.

References
----------
Foreman-Mackey et al. (2013), emcee: the MCMC hammer, doi:10.1086/670067.
"""

from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.chains.coordinates import Coordinates
from geoae.invert.chains.settings import CHECKPOINT_EVERY, MIN_DRAWS, ChainSettings
from geoae.invert.problem import Problem
from geoae.invert.search.modes import Modes


def sample_walkers(
    problem: Problem, modes: Modes, settings: ChainSettings
) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Draw codes as `sample_hamiltonian` does, from runs of the forward model alone; each walker is a chain.

    Walkers suit few codes: their number is at least twice that of the codes.

    Raises
    ------
    InputError
        emcee is not installed, or the time is over before there are draws.
    """
    try:
        import emcee
    except ImportError as error:
        raise InputError('This sampler needs emcee: pip install "geoae[mcmc]". Or use sampler="emulated".') from error
    coordinates, d = Coordinates(modes), len(modes.modes[0].z)
    n_walkers, total = max(settings.n_chains, 2 * d + 2), settings.n_steps

    def log_density(x: Float64Array) -> list[tuple[float, Float64Array]]:
        cost, predicted = problem.run_likely(coordinates.to_codes(x), coordinates.cost)
        return list(zip(-cost, predicted, strict=True))

    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    sampler = emcee.EnsembleSampler(n_walkers, d, log_density, vectorize=True, moves=moves, blobs_dtype=None)
    state: dict[str, Any] | None = settings.checkpoint.read()
    if state is None:
        x = coordinates.draw_starts(
            n_walkers, settings.seed, lambda x: -np.array([density for density, _ in log_density(x)])
        )
        state = {"x": x, "at": np.array(0), "accepted": np.array(0.0), "draws": np.empty((0, n_walkers, d)),
                 "data": np.empty((0, n_walkers, len(problem.data)))}  # fmt: skip
    at, accepted, draws, data = int(state["at"]), float(state["accepted"]), [state["draws"]], [state["data"]]
    current = emcee.State(state["x"], log_prob=state.get("log_prob"), blobs=state.get("predicted"))
    is_late = settings.clock.is_over
    while at < total and not is_late:
        # the random numbers of each part depend on seed and step alone, so that a resumed run is the same
        current.random_state = np.random.RandomState([settings.seed, at]).get_state()
        sampler.reset()
        done = 0
        for moved in sampler.sample(current, iterations=min(CHECKPOINT_EVERY, total - at)):
            current, done, is_late = moved, done + 1, settings.clock.is_over
            if is_late:
                break
        unused = max(settings.n_warmup - at, 0)
        draws.append(sampler.get_chain()[unused:])
        data.append(np.asarray(sampler.get_blobs(), dtype=np.float64).reshape(done, n_walkers, -1)[unused:])
        accepted, at = accepted + done * float(sampler.acceptance_fraction.mean()), at + done
        state = {
            "x": current.coords, "log_prob": current.log_prob, "predicted": np.asarray(current.blobs, dtype=np.float64),
            "at": np.array(at), "accepted": np.array(accepted), "draws": np.concatenate(draws),
            "data": np.concatenate(data),
        }  # fmt: skip
        if not is_late:  # a part that was cut short is repeated as a whole
            settings.checkpoint.write(state)
    coordinates_drawn = np.concatenate(draws)
    if len(coordinates_drawn) < MIN_DRAWS:
        settings.raise_out_of_time(f"{at} of {total} steps of the walkers")
    info = {
        "sampler": "emcee", "n_chains": n_walkers, "n_warmup": settings.n_warmup, "accepted": accepted / at,
        "finished": len(coordinates_drawn) == settings.n_draws,
    }  # fmt: skip
    return coordinates.to_codes(coordinates_drawn.swapaxes(0, 1)), np.concatenate(data).swapaxes(0, 1), info
