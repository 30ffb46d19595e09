"""Ensemble smoother with multiple data assimilation: a posterior from runs alone, without derivatives.

The update is dageo's (Werthmueller et al., Apache-2.0). What is around it is here: white data, so that any covariance
will do; members that are lost; what is known after each step on the disk.

References
----------
Emerick and Reynolds (2013), doi:10.1016/j.cageo.2012.03.011.
"""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from geoae.errors import InputError
from geoae.invert import checkpoints
from geoae.invert.problem import Clock, Problem

Array = NDArray[np.float64]
FEWEST = 10
BEYOND = 1e-9
"""Share of the prior's draws that lie farther out than members are let go."""


def ensemble(
    problem: Problem, start: Array, n_steps: int, seed: int, clock: Clock, checkpoint: Path | None, identity: str
) -> tuple[Array, Array, dict[str, Any]]:
    """Codes (n, d) of the posterior, their data (n, data), and what happened.

    Parameters
    ----------
    problem
        The inversion.
    start
        (members, d) draws of the prior.
    n_steps
        Times that the data are taken in, each with the noise that many times as large.
    seed
        Of the noise that data are perturbed by; step and seed alone decide it, so that a resumed run is the same run.
    clock, checkpoint, identity
        When to stop; where to keep what is known after each step, and what a kept state must belong to.

    Raises
    ------
    InputError
        Fewer than 10 members are left, or the time is over before the last step.
    """
    if n_steps < 1:
        raise InputError(f"n_steps is {n_steps}; data are taken in at least once.")
    fresh = {"z": start, "step": np.array(0), "n_lost": np.array(0)}
    state: dict[str, Any] = dict(checkpoints.read(checkpoint, identity) or fresh)
    z: Array = state["z"]
    lost = int(state["n_lost"])
    for step in range(int(state["step"]), n_steps):
        if clock.over:
            kept = f" Its state is in {checkpoint}: the same call goes on from there." if checkpoint else ""
            raise InputError(
                f"The time limit of {clock.limit_s:g} s was over after {step} of {n_steps} steps of ES-MDA.{kept}"
            )
        predicted = problem.predict(z)
        z, predicted, lost = _without_lost(z, predicted, lost)
        z = _within_prior(_update(problem, z, predicted, n_steps, np.random.default_rng([seed, step])))
        checkpoints.write(checkpoint, identity, {"z": z, "step": np.array(step + 1), "n_lost": np.array(lost)})
    z, predicted, lost = _without_lost(z, problem.predict(z), lost)
    return z, predicted, {"n_members": len(start), "n_lost": lost, "n_steps": n_steps}


def _without_lost(z: Array, predicted: Array, lost: int) -> tuple[Array, Array, int]:
    there = np.isfinite(predicted).all(1)
    if there.sum() < FEWEST:
        raise InputError(
            f"Only {there.sum()} of {len(z) + lost} members are left after the forward model failed for the others; "
            f"at least {FEWEST} are needed. See `inverse.forward.problems` for what it said."
        )
    return z[there], predicted[there], lost + int((~there).sum())


def _within_prior(z: Array) -> Array:
    """Codes (n, d), those that a step has carried to where the prior has nobody set back in their direction.

    A step takes the forward model for straight; where it is bent some members are thrown far out, where models look
    alike, and would never come back.
    """
    length = np.sqrt((z**2).sum(1, keepdims=True))
    return z * np.minimum(1, chi2.isf(BEYOND, z.shape[1]) ** 0.5 / np.maximum(length, 1e-300))


def _update(problem: Problem, z: Array, predicted: Array, n_steps: int, rng: np.random.Generator) -> Array:
    from dageo import esmda

    white = -problem.misfit(predicted)  # the measured data are the origin, and their noise is N(0, I)
    # only what the members differ in moves them: as many axes as members hold all of it
    axes = np.linalg.svd(white - white.mean(0), full_matrices=False)[2][: len(z) - 1]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message="The sum of 1/alphas")  # one of n_steps is done here
        return esmda(
            z.copy(), None, np.zeros(len(axes)), 1.0, [float(n_steps)],
            data_prior=white @ axes.T, return_post_data=False, random=rng,
        )  # fmt: skip
