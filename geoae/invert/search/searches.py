"""How many searches for modes are made: one where its end is likely enough, others where it is not."""

from contextlib import suppress
from typing import NamedTuple

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.misfit.runs import Runs
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import N_STEPS, Modes, find_mode
from geoae.invert.search.starts import starting_points

FEW_CODES, N_SEARCHES = 10, 6
"""With up to `FEW_CODES` codes, posteriors often have several modes and runs are cheap: so many searches are made."""
NOISE_FACTOR = 5.0
"""The noise counts as so many times as large in the first steps of the first search with few codes: cooling (Haber,
Ascher & Oldenburg, 2000)."""
AGREEMENT, N_AGREEING = 1.01, 3
"""Searches stop when `N_AGREEING` of them have ended within `AGREEMENT` times the lowest cost."""
N_STEPS_LONG = 60
"""Steps of searches after a first one that was not enough, or before chains: most converge before."""


class SearchPlan(NamedTuple):
    """What a caller asks for; None where the number of codes and the first search decide."""

    n_starts: int | None
    n_steps: int | None
    all_modes: bool
    """Whether all modes count, or the most likely code alone."""
    for_sampling: bool
    """Whether chains or draws begin at the modes, which hardly move from one mode to another."""


def find_modes(
    problem: Problem,
    runs: Runs | None,
    highest: float,
    plan: SearchPlan,
    seed: int,
    clock: Clock,
    predicted_code: Float64Array | None = None,
) -> tuple[Modes, int]:
    """Search from the best starting point and from random ones; returns the modes and the number of searches.

    Parameters
    ----------
    problem
        What is to be minimised.
    runs
        From which starting points are estimated.
    highest
        A cost below which searches end for nearly all models of the prior. Where all searches so far ended above it,
        the first one goes on if it had not converged, and then others are made until three agree, `N_SEARCHES` at most,
        unless the plan gives a number of searches or steps.
    plan
        What the caller asks for.
    predicted_code
        (d,) that a net predicts from the data.

    Raises
    ------
    InputError
        The forward model fails for all starting points of the first search.
    """
    few = problem.space.d <= FEW_CODES
    least = plan.n_starts or (N_SEARCHES if plan.for_sampling or (few and plan.all_modes) else 1)
    most = plan.n_starts or N_SEARCHES
    n_steps = plan.n_steps or (N_STEPS_LONG if plan.for_sampling and not few else N_STEPS)
    longer = plan.n_steps or N_STEPS_LONG
    found = starting_points(problem, runs, seed, most - 1, predicted_code)
    first, others = found[: len(found) - most + 1], found[len(found) - most + 1 :]
    # not with many codes: for crosshole data, searches that spend steps on it end at a higher cost
    modes = [find_mode(problem, first, clock, n_steps, NOISE_FACTOR if few else 1.0)]
    unfinished = modes[0].cost > highest and not modes[0].converged and longer > n_steps
    if unfinished and plan.n_starts is None and not clock.over:
        modes[0] = find_mode(problem, modes[0].z[None], clock, longer - n_steps)
    n = 1
    for z in others:
        if clock.over or (n >= least and _is_enough([m.cost for m in modes], highest)):
            break
        n += 1
        with suppress(InputError):  # the forward model fails at this starting point; it worked in the first search
            modes.append(find_mode(problem, z[None], clock, n_steps if n <= least else longer))
    return Modes.distinct(modes), n


def _is_enough(costs: list[float], highest: float) -> bool:
    """Whether the lowest cost is low enough, or was reached often enough."""
    lowest = min(costs)
    return lowest <= highest or sum(cost <= AGREEMENT * lowest for cost in costs) >= N_AGREEING
