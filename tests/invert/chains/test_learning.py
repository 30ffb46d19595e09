"""Walkers that explore a posterior for an emulator."""

import numpy as np
import pytest

from geoae.invert.chains.learning import MAX_LEAPS, MAX_TEMPERATURE, N_WALKERS, Exploration, count_leaps, start_walkers
from geoae.invert.problem import Clock
from geoae.invert.search.modes import Modes, find_mode
from tests.invert import bent


@pytest.fixture(scope="module")
def exploration():
    """Walkers after some hundred runs."""
    problem = bent.inverse().problem
    modes = Modes((find_mode(problem, np.zeros((1, 2)), Clock(None)),))
    found = Exploration(problem, modes, 0, start_walkers(problem, modes, 0))
    found.explore(600, Clock(None))
    return found


def test_walkers_start_at_the_best_of_their_runs():
    problem = bent.inverse().problem
    modes = Modes((find_mode(problem, np.zeros((1, 2)), Clock(None)),))
    state = start_walkers(problem, modes, 0)
    assert len(state["at"]) == N_WALKERS
    tried = state["costs"][1:].reshape(3, N_WALKERS)
    np.testing.assert_array_equal(state["costs"][state["at"]], tried.min(0))
    np.testing.assert_allclose(problem.predict(state["codes"]), state["predicted"])


def test_walkers_explore_until_there_are_enough_runs(exploration):
    assert 600 <= exploration.n < 600 + N_WALKERS
    assert exploration.state["rounds"] == 1
    assert exploration.is_finished(600)
    assert not exploration.is_finished(2400)
    assert exploration.temperatures[[0, -1]] == pytest.approx([1, MAX_TEMPERATURE])


def test_the_emulator_is_accurate_at_the_walkers(exploration):
    codes = exploration.state["codes"][exploration.state["at"]]
    emulator = exploration.fit_emulator()
    costs = emulator.energy(emulator.from_codes(codes))[0]
    np.testing.assert_allclose(costs, exploration.state["costs"][exploration.state["at"]], atol=0.1)


def test_added_runs_are_appended(exploration):
    n = exploration.n
    first = exploration.fit_emulator(n)
    exploration.add_runs(np.zeros((2, 2)), np.full(2, 1.5), np.zeros((2, 2)))
    assert exploration.n == n + 2
    assert len(exploration.fit_emulator().points) == len(first.points) + 2


@pytest.mark.parametrize(("length", "step", "n"), [(3.2, 0.3, 11), (3.2, 9.0, 1), (3.2, 1e-3, MAX_LEAPS)])
def test_trajectories_have_a_limited_number_of_steps(length, step, n):
    assert count_leaps(length, step) == n
