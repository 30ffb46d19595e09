"""Markov chains of codes by the forward model alone: Hamiltonian ones by its gradients, or walkers (emcee) by its runs.

Both walk in coordinates in which the Gaussian around the most likely code is N(0, I): a posterior that is nearly
Gaussian then takes a few gradients a draw, whatever its shape. Where it is not, Hamiltonian chains learn in their
warm-up how wide it is, from where they have been and how steep it was there.

References
----------
Hoffman and Gelman (2014), The No-U-Turn Sampler, JMLR 15 (dual averaging); Neal (2011), MCMC using Hamiltonian
dynamics, doi:10.1201/b10905-6; Seyboldt, Carlson and Carpenter (2026), Preconditioning Hamiltonian Monte Carlo by
minimizing Fisher divergence; Foreman-Mackey et al. (2013), emcee, doi:10.1086/670067.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from geoae.errors import InputError
from geoae.invert import checkpoints
from geoae.invert.chains.trajectories import LENGTH, UNEVEN, DualAveraging, trajectory
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import Modes

Array = NDArray[np.float64]
LONGEST = 24
KEEP_EVERY = 50
ADAPT = (0.15, 0.4, 0.7)
"""Shares of the warm-up: between each and the next, draws say what coordinates to go on in."""
CORRELATED = 5
"""Draws of a chain that count as one there, beside what was known before."""
SPREAD = 1.3
"""Of the starts, in standard deviations: chains that begin closer than they end cannot disagree."""


@dataclass(frozen=True)
class Wanted:
    """How many chains and draws, and what a run needs to go on where it was."""

    n_chains: int
    n_draws: int
    """Of each chain, after `n_warmup` that are not kept."""
    n_warmup: int
    seed: int
    clock: Clock
    checkpoint: Path | None
    identity: str
    n_learn: int = 0
    """Runs that an emulator learns from, at most."""


class Coordinates:
    """Codes z = mode + root @ x; x is about N(0, I) around the likeliest of the modes."""

    def __init__(self, modes: Modes):
        self.modes, mode = modes, modes.modes[0]
        self.middle, self.root, self.cost = mode.z, mode.spread(), mode.cost

    def codes(self, x: Array) -> Array:
        """(n, d) codes."""
        return self.middle + x @ self.root.T

    def of(self, z: Array) -> Array:
        """(n, d) coordinates of codes."""
        return np.asarray(linalg.solve(self.root, (z - self.middle).T).T)

    def adapt(self, z: Array, slopes: Array) -> None:
        """Make codes (draw, chain, d) about N(0, I), and slopes of the cost there, too, as far as they can tell.

        What codes say is too narrow where chains are slow, what slopes say too wide; the geometric mean of the two
        covariances is right for a Gaussian, of however few draws (Seyboldt et al., 2026).
        """
        n, d = (len(z) - 1) * z.shape[1], z.shape[2]
        # chains that have not met are as wide as each is by itself
        x = self.of((z - z.mean(0)).reshape(-1, d) + self.middle)
        steep = (slopes - slopes.mean(0)).reshape(-1, d)
        wide, narrow = ((y.T @ y / CORRELATED + d * np.eye(d)) / (n / CORRELATED + d) for y in (x, steep))
        root = _root(narrow)
        back = np.asarray(linalg.inv(root))
        covariance = back @ _root(root @ wide @ root) @ back
        self.root = self.root @ linalg.cholesky(covariance, lower=True)

    def starts(self, n: int, seed: int, cost: Callable[[Array], Array]) -> Array:
        """Where `n` chains begin, around all modes; nearer to these where the forward model does not run."""
        of, shift, _ = self.modes.draw(n, np.random.default_rng([seed, 0]))
        middles = np.stack([m.z for m in self.modes.modes])[of]
        x = np.empty_like(shift)
        for shrink in (1.0, 0.5, 0.1, 0.0):
            lost = ~np.isfinite(cost(x)) if shrink < 1 else np.ones(n, np.bool_)
            if not lost.any():
                break
            z = middles[lost] + shrink * SPREAD * shift[lost]
            x[lost] = self.of(z)
        return x


def _root(matrix: Array) -> Array:
    """The symmetric root of a symmetric positive matrix."""
    size, axes = linalg.eigh(matrix)
    found: Array = (axes * np.sqrt(np.maximum(size, 1e-12))) @ axes.T
    return found


def hamiltonian(problem: Problem, modes: Modes, wanted: Wanted) -> tuple[Array, Array, dict[str, Any]]:
    """Draws (chain, draw, d), their data (chain, draw, data), and what happened.

    All chains take each step together, so a batched decoder and forward model see `n_chains` models at once. Draw
    number and seed alone decide the random numbers: a resumed run is the same run.

    Raises
    ------
    InputError
        The forward model has no gradient, or the time is over before there are draws.
    """
    where = Coordinates(modes)

    def energy(x: Array) -> tuple[Array, Array, Array]:
        cost, slope, predicted = problem.gradient_likely(where.codes(x), where.cost)
        return cost, slope @ where.root, predicted

    d, n_chains = len(where.middle), wanted.n_chains
    state: dict[str, Any] | None = checkpoints.read(wanted.checkpoint, wanted.identity)
    if state is None:
        x = where.starts(n_chains, wanted.seed, lambda x: energy(x)[0])
        none = np.empty((0, n_chains, d))
        state = {"x": x, "at": np.array(0), "draws": none, "accepted": np.zeros(n_chains), "recent": none,
                 "steep": none, "data": np.empty((0, n_chains, len(problem.data))), "root": where.root,
                 "averaging": DualAveraging.near(1.2 * d**-0.25).state}  # fmt: skip
    where.root, recent, steep = state["root"], list(state["recent"]), list(state["steep"])
    adapt = [round(share * wanted.n_warmup) for share in ADAPT]
    x, at = state["x"], int(state["at"])
    draws, data = list(state["draws"]), list(state["data"])
    averaging, accepted = DualAveraging(state["averaging"]), state["accepted"].copy()
    here: tuple[Array, ...] = energy(x)
    while at < wanted.n_warmup + wanted.n_draws and not wanted.clock.over:
        rng = np.random.default_rng([wanted.seed, 1 + at])
        step = averaging.step if at < wanted.n_warmup else averaging.mean_step
        length, step = LENGTH * rng.uniform(0.6, 1.4), step * rng.uniform(*UNEVEN)
        n_leaps = int(np.clip(round(length / step), 1, LONGEST))
        x, here, chance = trajectory(energy, x, here, step, n_leaps, rng)
        if at < wanted.n_warmup:
            averaging.learn(float(chance.mean()))
            recent.append(where.codes(x))
            steep.append(here[1])
            if at + 1 in adapt:
                if at + 1 != adapt[0]:
                    z = where.codes(x)
                    where.adapt(np.array(recent), np.array(steep))
                    x, averaging = where.of(z), DualAveraging.near(averaging.step)
                    here = energy(x)
                recent.clear()
                steep.clear()
        else:
            draws.append(where.codes(x))
            data.append(here[2])
            accepted += chance
        at += 1
        if wanted.checkpoint is not None and (at % KEEP_EVERY == 0 or at == wanted.n_warmup + wanted.n_draws):
            kept = {
                "x": x, "at": np.array(at), "accepted": accepted, "averaging": averaging.state, "root": where.root,
                "recent": np.array(recent).reshape(-1, n_chains, d),
                "steep": np.array(steep).reshape(-1, n_chains, d),
                "draws": np.array(draws).reshape(-1, n_chains, d),
                "data": np.array(data).reshape(-1, n_chains, len(problem.data)),
            }  # fmt: skip
            checkpoints.write(wanted.checkpoint, wanted.identity, kept)
    if len(draws) < 4:
        raise InputError(
            too_late(wanted.clock, f"{at} of {wanted.n_warmup + wanted.n_draws} steps of the chains", wanted.checkpoint)
        )
    about = {
        "sampler": "hmc", "n_chains": n_chains, "n_warmup": wanted.n_warmup, "step": averaging.mean_step,
        "accepted": float((accepted / len(draws)).mean()), "finished": len(draws) == wanted.n_draws,
    }  # fmt: skip
    return np.array(draws).swapaxes(0, 1), np.array(data).swapaxes(0, 1), about


def walkers(problem: Problem, modes: Modes, wanted: Wanted) -> tuple[Array, Array, dict[str, Any]]:
    """As `hamiltonian`, by emcee, without gradients: for few codes; each walker is a chain.

    Raises
    ------
    InputError
        emcee is not installed, or the time is over before there are draws.
    """
    try:
        import emcee
    except ImportError as error:
        raise InputError('This sampler needs emcee: pip install "geoae[mcmc]". Or use sampler="emulated".') from error
    where, d = Coordinates(modes), len(modes.modes[0].z)
    n_walkers, total = max(wanted.n_chains, 2 * d + 2), wanted.n_warmup + wanted.n_draws

    def log_density(x: Array) -> list[tuple[float, Array]]:
        cost, predicted = problem.run_likely(where.codes(x), where.cost)
        return list(zip(-cost, predicted, strict=True))

    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    sampler = emcee.EnsembleSampler(n_walkers, d, log_density, vectorize=True, moves=moves, blobs_dtype=None)
    state: dict[str, Any] | None = checkpoints.read(wanted.checkpoint, wanted.identity)
    if state is None:
        x = where.starts(n_walkers, wanted.seed, lambda x: -np.array([density for density, _ in log_density(x)]))
        state = {"x": x, "at": np.array(0), "accepted": np.array(0.0), "draws": np.empty((0, n_walkers, d)),
                 "data": np.empty((0, n_walkers, len(problem.data)))}  # fmt: skip
    at, accepted, draws, data = int(state["at"]), float(state["accepted"]), [state["draws"]], [state["data"]]
    here = emcee.State(state["x"], log_prob=state.get("log_prob"), blobs=state.get("predicted"))
    late = wanted.clock.over
    while at < total and not late:
        # the random numbers of each part are its own, so that a resumed run is the same run
        here.random_state = np.random.RandomState([wanted.seed, at]).get_state()
        sampler.reset()
        done = 0
        for last in sampler.sample(here, iterations=min(KEEP_EVERY, total - at)):
            here, done, late = last, done + 1, wanted.clock.over
            if late:
                break
        unused = max(wanted.n_warmup - at, 0)
        draws.append(sampler.get_chain()[unused:])
        data.append(np.asarray(sampler.get_blobs(), dtype=np.float64).reshape(done, n_walkers, -1)[unused:])
        accepted, at = accepted + done * float(sampler.acceptance_fraction.mean()), at + done
        kept = {
            "x": here.coords, "log_prob": here.log_prob, "predicted": np.asarray(here.blobs, dtype=np.float64),
            "at": np.array(at), "accepted": np.array(accepted), "draws": np.concatenate(draws),
            "data": np.concatenate(data),
        }  # fmt: skip
        if not late:  # a part that was cut short is done again, as a whole
            checkpoints.write(wanted.checkpoint, wanted.identity, kept)
    found = np.concatenate(draws)
    if len(found) < 4:
        raise InputError(too_late(wanted.clock, f"{at} of {total} steps of the walkers", wanted.checkpoint))
    about = {
        "sampler": "emcee", "n_chains": n_walkers, "n_warmup": wanted.n_warmup, "accepted": accepted / at,
        "finished": len(found) == wanted.n_draws,
    }  # fmt: skip
    return where.codes(found.swapaxes(0, 1)), np.concatenate(data).swapaxes(0, 1), about


def too_late(clock: Clock, done: str, checkpoint: Path | None) -> str:
    """What is said where the time was over too early."""
    kept = f" The state is in {checkpoint}: the same call goes on from there." if checkpoint is not None else ""
    return (
        f"The time limit of {clock.limit_s:g} s was over after {done}, so there are no draws yet. Give more time.{kept}"
    )
