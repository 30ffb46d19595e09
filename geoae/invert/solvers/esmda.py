"""Ensemble smoother with multiple data assimilation: a posterior from runs alone, without derivatives.

The update is dageo's (Werthmueller et al., Apache-2.0). Added here: whitened data, so that the noise may have any
covariance; removal of members whose runs fail; a checkpoint after each step.

References
----------
Emerick and Reynolds (2013), doi:10.1016/j.cageo.2012.03.011.
"""

import contextlib
import io
import warnings
from typing import Any

import numpy as np
from scipy.stats import chi2

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.checkpoints import Checkpoint
from geoae.invert.options import FEWEST_MEMBERS
from geoae.invert.problem import Clock, Problem

BEYOND = 1e-9
"""Members stay within the distance from the middle of the prior that this share of its draws exceeds."""


def update_ensemble(
    problem: Problem, start: Float64Array, n_steps: int, seed: int, clock: Clock, checkpoint: Checkpoint
) -> tuple[Float64Array, Float64Array, dict[str, Any]]:
    """Update an ensemble to codes (n, d) of the posterior; also their data (n, data) and what `info` reports.

    Parameters
    ----------
    problem
        The inversion.
    start
        (members, d) draws of the prior.
    n_steps
        Assimilations of the data. In each, the variance of the noise is multiplied by this number.
    seed
        Seed of the perturbations of the data. They depend on seed and step alone, so that a resumed run is the same.
    clock, checkpoint
        The time limit, and the file that the state is written to after each step.

    Raises
    ------
    InputError
        Fewer than 10 members are left, or the time is over before the last step.
    """
    fresh = {"z": start, "step": np.array(0), "n_lost": np.array(0)}
    state: dict[str, Any] = dict(checkpoint.read() or fresh)
    z: Float64Array = state["z"]
    n_lost = int(state["n_lost"])
    for step in range(int(state["step"]), n_steps):
        if clock.is_over:
            raise InputError(
                f"The time limit of {clock.limit_s:g} s was over after {step} of {n_steps} steps of ES-MDA."
                f"{checkpoint.hint}"
            )
        predicted = problem.predict(z)
        z, predicted, n_lost = _drop_failed(z, predicted, n_lost)
        z = _clip_to_prior(_update(problem, z, predicted, n_steps, np.random.default_rng([seed, step])))
        checkpoint.write({"z": z, "step": np.array(step + 1), "n_lost": np.array(n_lost)})
    z, predicted, n_lost = _drop_failed(z, problem.predict(z), n_lost)
    return z, predicted, {"n_members": len(start), "n_lost": n_lost, "n_steps": n_steps}


def _drop_failed(z: Float64Array, predicted: Float64Array, n_lost: int) -> tuple[Float64Array, Float64Array, int]:
    """Remove members whose run failed, and count them with those lost before."""
    kept = np.isfinite(predicted).all(1)
    if kept.sum() < FEWEST_MEMBERS:
        raise InputError(
            f"Only {kept.sum()} of {len(z) + n_lost} members are left after the forward model failed for the rest; "
            f"at least {FEWEST_MEMBERS} are needed. `inverse.forward.problems` has its messages."
        )
    return z[kept], predicted[kept], n_lost + int((~kept).sum())


def _clip_to_prior(z: Float64Array) -> Float64Array:
    """Shorten codes (n, d) that lie farther from the middle of the prior than its draws do.

    A step assumes that the forward model is linear. If it is not, some members move so far that their models hardly
    depend on the code, and later steps do not bring them back.
    """
    length = np.sqrt((z**2).sum(1, keepdims=True))
    return z * np.minimum(1, chi2.isf(BEYOND, z.shape[1]) ** 0.5 / np.maximum(length, 1e-300))


def _update(
    problem: Problem, z: Float64Array, predicted: Float64Array, n_steps: int, rng: np.random.Generator
) -> Float64Array:
    from dageo import esmda

    """Make one step of the smoother: codes (n, d) from codes and their data."""
    white = -problem.misfit(predicted)  # whitened: the measured data are at the origin, and their noise is N(0, I)
    # members move only along differences between their data, which span fewer axes than there are members
    axes = np.linalg.svd(white - white.mean(0), full_matrices=False)[2][: len(z) - 1]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", message="The sum of 1/alphas")  # this is one of n_steps
        return esmda(
            z.copy(), None, np.zeros(len(axes)), 1.0, [float(n_steps)],
            data_prior=white @ axes.T, return_post_data=False, random=rng,
        )  # fmt: skip
