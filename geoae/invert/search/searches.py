"""Which searches for the most likely codes are made: one where that is enough, others where it cannot be trusted."""

from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.invert.problem import Clock, Problem
from geoae.invert.search import starts
from geoae.invert.search.modes import STEPS, Modes, find_mode

Array = NDArray[np.float64]
FEW_CODES, SEARCHES = 10, 6
"""Posteriors of few codes often have several modes, and runs are mostly cheap: so many searches then."""
SOFT = 5.0
"""Times the noise, in the first steps of the first search where codes are few: what is called cooling (Haber, Ascher &
Oldenburg, 2000)."""
AGREE, AGREEING = 1.01, 3
"""Times the lowest cost: so many searches that ended within found what there is to find."""
PATIENT = 60
"""Steps of searches where the first was not enough, or that chains begin from: they mostly end by themselves."""


class Wish(NamedTuple):
    """What a caller wants, or None where the problem decides."""

    n_starts: int | None
    n_steps: int | None
    modes: bool
    """Whether it is modes that count, or the most likely code alone."""
    begin: bool
    """Whether chains begin there, or draws that steps are taken of, which do not come from one mode to another."""


def find_modes(
    problem: Problem,
    runs: starts.Runs | None,
    highest: float,
    wish: Wish,
    seed: int,
    clock: Clock,
    learnt: Array | None = None,
) -> tuple[Modes, int]:
    """What searches from the amortised start and from random ones find, and how many were made.

    Parameters
    ----------
    problem
        What is to be minimised.
    runs
        Where the amortised start is learnt from.
    highest
        What the most likely code of nearly every model costs less than. Where all searches so far ended above, the
        first one goes on if it had not come to an end, and then others are made until three agree, `SEARCHES` at most;
        unless the caller wants a number of them, or of steps.
    learnt
        (d,) code that a net expects of the data.

    Raises
    ------
    InputError
        The forward model fails for all codes that the first search could begin at.
    """
    few = problem.space.d <= FEW_CODES
    least = wish.n_starts or (SEARCHES if wish.begin or (few and wish.modes) else 1)
    most = wish.n_starts or SEARCHES
    n_steps = wish.n_steps or (PATIENT if wish.begin and not few else STEPS)
    longer = wish.n_steps or PATIENT
    found = starts.candidates(problem, runs, seed, most - 1, learnt)
    first, others = found[: len(found) - most + 1], found[len(found) - most + 1 :]
    # with many codes there are no steps to spare: between boreholes searches ended higher for it
    modes = [find_mode(problem, first, clock, n_steps, SOFT if few else 1.0)]
    unfinished = modes[0].cost > highest and not modes[0].converged and longer > n_steps
    if unfinished and wish.n_starts is None and not clock.over:
        modes[0] = find_mode(problem, modes[0].z[None], clock, longer - n_steps)
    n = 1
    for z in others:
        if clock.over or (n >= least and _enough([m.cost for m in modes], highest)):
            break
        n += 1
        with suppress(InputError):  # the forward model fails there; it has worked for the first search
            modes.append(find_mode(problem, z[None], clock, n_steps if n <= least else longer))
    return Modes.of(modes), n


def _enough(costs: list[float], highest: float) -> bool:
    """Whether the lowest is likely, or was found often enough."""
    lowest = min(costs)
    return lowest <= highest or sum(cost <= AGREE * lowest for cost in costs) >= AGREEING
