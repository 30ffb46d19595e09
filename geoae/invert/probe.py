"""Checks of a forward model before many runs: that its data depend on the model, and that its derivative is its own."""

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.problem import STEP, Problem

N_DRAWS = 8
"""Draws of the prior whose data are all the same before a forward model is refused."""
N_WEIGHTS = 4
"""Random weights of the data that an adjoint is tried with."""
LIMIT = 0.25
"""Largest relative difference between a derivative and finite differences. Gradients of approximate physics, such as
those of straight rays, lie below it."""
WIDE = 5.0
"""Factor of `STEP` for a second, wider difference. Where both disagree, runs are too rough to judge a derivative."""
NEGLIGIBLE = 0.01
"""RMS difference of data, in standard deviations of the noise, for the wide step, that no posterior shows."""


def require_dependence(problem: Problem, middle: Float64Array) -> None:
    """Refuse a forward model whose data are the same for every model; mostly one run of the forward model.

    Parameters
    ----------
    problem
        The inversion, with the noise of the data alone.
    middle
        (all data,) data of the model in the middle of the prior.

    Raises
    ------
    InputError
        All draws of the prior have the data of the middle.
    """
    forward, known = problem.forward, middle[problem.used]
    if forward.matrix is not None:
        same = not np.any(known) and not abs(forward.matrix).sum()
    else:
        draws = np.random.default_rng(0).normal(size=(N_DRAWS, problem.space.d))
        # the first draw that fails or has other data ends the search
        same = all(np.array_equal(problem.predict(z[None], some_must_work=False)[0], known) for z in draws)
    if same:
        raise InputError(
            f"The forward model gives the same data for the middle of the prior and {N_DRAWS} draws of it, so the data "
            "say nothing about the model. Does the function use its argument?"
        )


def check_derivatives(problem: Problem) -> None:
    """Compare a caller's Jacobian and adjoint with differences of runs along one random direction of codes.

    Raises
    ------
    InputError
        One of them is not the derivative of the forward model.
    """
    forward = problem.forward
    if forward.torch or forward.matrix is not None or (forward.jacobian_of is None and forward.adjoint_of is None):
        return
    rng = np.random.default_rng(0)
    # away from the middle of the prior, where a symmetric forward model has no slope; there only if runs fail
    start, move = 0.5 * rng.normal(size=problem.space.d), rng.normal(size=problem.space.d)
    found = _measure_change(problem, start, move)
    if found is None and (found := _measure_change(problem, start := np.zeros_like(start), move)) is None:
        return
    step, change, roughness, wide = found
    model = problem.space.decode(start)
    if forward.jacobian_of is not None:
        predicted = np.asarray(forward.jacobian(model) @ step.ravel()).ravel()[problem.used]
        error = problem.noise.whiten(predicted - change)
        size = problem.noise.whiten(change)
        if _is_wrong(float(np.linalg.norm(error)), float(np.linalg.norm(size)), roughness, wide * len(size) ** 0.5):
            along, power = problem.noise.whiten(predicted) @ size, float(size @ size)
            _refuse("Jacobian", float(along) / power if power else np.inf, error, size)
    if forward.adjoint_of is not None:
        # weights along the change show sign and size, random ones a wrong order of the data
        for white in (problem.noise.whiten(change), *rng.normal(size=(N_WEIGHTS, len(change)))):
            unit = white / max(float(np.linalg.norm(white)), 1e-300)
            weights = np.zeros((1, problem.used.size))
            weights[:, problem.used] = problem.noise.whiten_adjoint(unit)
            along = float(np.nansum(forward.adjoint(model[None], weights)[0] * step))
            size = problem.noise.whiten(change)
            expected = float(unit @ size)
            if _is_wrong(abs(along - expected), float(np.linalg.norm(size)), roughness, wide * len(size) ** 0.5):
                ratio = along / expected if expected else np.inf
                _refuse("adjoint", ratio, np.array([along - expected]), size)


def _measure_change(
    problem: Problem, start: Float64Array, move: Float64Array
) -> tuple[Float64Array, Float64Array, float, float] | None:
    """Change of the model (*shape) and of the data (data,) for a small move of codes; None if runs fail.

    Also the norm of the whitened difference between this change and that of a wider move, and the RMS of whitened
    differences that are negligible for this move.
    """
    codes = start + STEP * np.array([1, -1, WIDE, -WIDE])[:, None] * move
    models = np.nan_to_num(problem.space.decode(codes))
    data = problem.predict(codes, some_must_work=False)
    if not np.isfinite(data).all():
        return None
    change = (data[0] - data[1]) / 2
    roughness = float(np.linalg.norm(problem.noise.whiten(change - (data[2] - data[3]) / 2 / WIDE)))
    return (models[0] - models[1]) / 2, change, roughness, NEGLIGIBLE / WIDE


def _is_wrong(error: float, size: float, roughness: float, negligible: float) -> bool:
    """Whether a derivative's error is larger than its limit, the roughness of the runs and what a posterior shows."""
    return error > LIMIT * size + 3 * roughness + negligible


def _refuse(name: str, ratio: float, error: Float64Array, size: Float64Array) -> None:
    relative = float(np.linalg.norm(error)) / max(float(np.linalg.norm(size)), 1e-300)
    raise InputError(
        f"The {name} is not the derivative of the forward model: along a random direction it gives {ratio:.2f} times "
        f"the change of the data that two runs show, and differs from it by {100 * relative:.0f} %. Check its sign, "
        f"its units and the order of data and cells, or leave it out: finite differences are then used."
    )
