"""Searches for modes: one if the code where it ends is likely enough, several if it is not."""

from contextlib import suppress
from typing import NamedTuple

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.misfit.runs import Runs
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import N_STEPS, Modes, find_mode
from geoae.invert.search.starts import starting_points

FEW_CODES, N_SEARCHES = 10, 6
"""Posteriors of up to `FEW_CODES` codes often have several modes, and their runs are cheap: `N_SEARCHES` are made."""
NOISE_FACTOR = 5.0
"""Factor of the noise in the first steps of the first search with few codes: cooling (Haber, Ascher & Oldenburg,
2000)."""
AGREEMENT, N_AGREEING = 1.01, 3
"""Searches stop when `N_AGREEING` of them have ended within `AGREEMENT` times the lowest cost."""
N_STEPS_LONG = 60
"""Steps, at most, of searches before chains and of those after a first search that was not enough; most converge
earlier."""


class SearchPlan(NamedTuple):
    """Number and length of searches; None if the number of codes and the first search decide."""

    n_starts: int | None
    n_steps: int | None
    all_modes: bool
    """Whether all modes are wanted, or the most likely code alone."""
    for_sampling: bool
    """Whether chains or draws start at the modes. They hardly move from one mode to another, so all must be found."""


def find_modes(
    problem: Problem,
    runs: Runs | None,
    likely_cost: float,
    plan: SearchPlan,
    seed: int,
    clock: Clock,
    predicted_code: Float64Array | None = None,
) -> tuple[Modes, int]:
    """Search from the best starting point and from random codes; return the modes and the number of searches.

    Parameters
    ----------
    problem
        The inversion.
    runs
        Finished runs, from which starting points are estimated.
    likely_cost
        The cost below which searches end for nearly all models of the prior. If the first search ends above it, it is
        continued if it had not converged; then others are made until one ends below or three agree, `N_SEARCHES` at
        most. A number of searches or steps in the plan comes first.
    plan
        Number and length of searches.
    predicted_code
        (d,) code that a net predicts from the data.

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
    starts = starting_points(problem, runs, seed, most - 1, predicted_code)
    first, others = starts[: len(starts) - most + 1], starts[len(starts) - most + 1 :]
    # no cooling with many codes: for crosshole data, searches that spend steps on it end at a higher cost
    modes = [find_mode(problem, first, clock, n_steps, NOISE_FACTOR if few else 1.0)]
    unfinished = modes[0].cost > likely_cost and not modes[0].converged and longer > n_steps
    if unfinished and plan.n_starts is None and not clock.is_over:
        modes[0] = find_mode(problem, modes[0].z[None], clock, longer - n_steps)
    n = 1
    for z in others:
        if clock.is_over or (n >= least and _is_enough([m.cost for m in modes], likely_cost)):
            break
        n += 1
        with suppress(InputError):  # the forward model fails at this starting point; it ran in the first search
            modes.append(find_mode(problem, z[None], clock, n_steps if n <= least else longer))
    return Modes.from_searches(modes), n


def _is_enough(costs: list[float], likely_cost: float) -> bool:
    """Whether the lowest cost is low enough, or several searches reached it."""
    lowest = min(costs)
    return lowest <= likely_cost or sum(cost <= AGREEMENT * lowest for cost in costs) >= N_AGREEING
