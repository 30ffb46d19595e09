"""Checks of a forward model before many runs: that its data depend on the model, and that its derivative is its own."""

from typing import NamedTuple

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.errors import InputError, one_line
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
TORCH = "derivative that torch finds"
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
    """Compare a caller's Jacobian and adjoint, or the derivative that torch finds, with differences of runs.

    The differences are those along one random direction of codes.

    Raises
    ------
    InputError
        One of them is not the derivative of the forward model.
    """
    forward = problem.forward
    if forward.matrix is not None or not forward.differentiable:
        return
    rng = np.random.default_rng(0)
    # away from the middle of the prior, where a symmetric forward model has no slope; there only if runs fail
    start, move = 0.5 * rng.normal(size=problem.space.d), rng.normal(size=problem.space.d)
    found = _measure_change(problem, start, move)
    if found is None and (found := _measure_change(problem, start := np.zeros_like(start), move)) is None:
        return
    if forward.torch:
        _compare_tensors(problem, start, move, found)
        return
    if forward.jacobian_of is not None:
        _compare_jacobian(problem, problem.space.decode(start), found)
    if forward.adjoint_of is not None:
        _compare_adjoint(problem, problem.space.decode(start), found, rng)


class _Change(NamedTuple):
    """A small change of the model, and the change of the data that runs show."""

    step: Float64Array
    """(*shape)"""
    data: Float64Array
    """(data,)"""
    roughness: float
    """Norm of the difference to the change for a wider move, in whitened data."""

    @property
    def negligible(self) -> float:
        """Norm of whitened differences that no posterior shows."""
        return NEGLIGIBLE / WIDE * len(self.data) ** 0.5


def _compare_tensors(problem: Problem, start: Float64Array, move: Float64Array, change: _Change) -> None:
    try:
        found = problem.jacobian(start, np.full(len(change.data), np.nan)) @ (STEP * move)
    except Exception as error:  # a caller's function can raise any error when torch follows it
        raise InputError(
            f"Torch finds no derivative of the forward model ({type(error).__name__}: {one_line(error)}). Use "
            "operations of torch throughout, or give a function of arrays without torch=True."
        ) from error
    expected = problem.noise.whiten(change.data)
    size = float(np.linalg.norm(expected))
    difference = float(np.linalg.norm(found - expected))
    _require_equal(TORCH, float(found @ expected), size**2, difference, size, change)


def _compare_jacobian(problem: Problem, model: Float64Array, change: _Change) -> None:
    predicted = np.asarray(problem.forward.jacobian(model) @ change.step.ravel()).ravel()[problem.used]
    found, expected = problem.noise.whiten(predicted), problem.noise.whiten(change.data)
    size = float(np.linalg.norm(expected))
    _require_equal("Jacobian", float(found @ expected), size**2, float(np.linalg.norm(found - expected)), size, change)


def _compare_adjoint(problem: Problem, model: Float64Array, change: _Change, rng: np.random.Generator) -> None:
    expected = problem.noise.whiten(change.data)
    size = float(np.linalg.norm(expected))
    # weights along the change show sign and size, random ones a wrong order of the data
    for direction in (expected, *rng.normal(size=(N_WEIGHTS, len(expected)))):
        unit = direction / max(float(np.linalg.norm(direction)), 1e-300)
        weights = np.zeros((1, problem.used.size))
        weights[:, problem.used] = problem.noise.whiten_adjoint(unit)
        found = float(np.nansum(problem.forward.adjoint(model[None], weights)[0] * change.step))
        wanted = float(unit @ expected)
        _require_equal("adjoint", found, wanted, abs(found - wanted), size, change)


def _require_equal(name: str, found: float, wanted: float, error: float, size: float, change: _Change) -> None:
    """Refuse an error that is larger than its limit, the roughness of the runs and what a posterior shows."""
    if error <= LIMIT * size + 3 * change.roughness + change.negligible:
        return
    advice = (
        "Use operations of torch throughout, and detach no tensor."
        if name == TORCH
        else "Check its sign, its units and the order of data and cells, or leave it out: finite differences are then "
        "used."
    )
    ratio, relative = found / wanted if wanted else np.inf, error / size if size else np.inf
    raise InputError(
        f"The {name} is not the derivative of the forward model: along a random direction it gives {ratio:.2f} times "
        f"the change of the data that two runs show, and differs from it by {100 * relative:.0f} %. {advice}"
    )


def _measure_change(problem: Problem, start: Float64Array, move: Float64Array) -> _Change | None:
    """Change model and data by a small move of codes; None if runs fail."""
    codes = start + STEP * np.array([1, -1, WIDE, -WIDE])[:, None] * move
    models = np.nan_to_num(problem.space.decode(codes))
    data = problem.predict(codes, some_must_work=False)
    if not np.isfinite(data).all():
        return None
    change = (data[0] - data[1]) / 2
    roughness = float(np.linalg.norm(problem.noise.whiten(change - (data[2] - data[3]) / 2 / WIDE)))
    return _Change((models[0] - models[1]) / 2, change, roughness)
