"""The number of searches: one if the code where it ends is likely enough, otherwise more."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from geoae.invert.problem import Clock
from geoae.invert.search import searches
from geoae.invert.search.searches import SearchPlan, find_modes
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import linear_inverse

PLAN = SearchPlan(n_starts=None, n_steps=None, all_modes=False, for_sampling=False)
ONE = LinearSpace(np.zeros(1), np.ones((1, 1)))


def stairs(m):
    """The cost falls to the left of 0, but the mode for a datum of 1 lies to the right."""
    return np.where(m < 0.3, -0.3 * m, m)


def valley(m):
    """A narrow curved valley, along which a search takes many steps."""
    return np.array([m[0], 30 * (m[1] - m[0] ** 2)])


def problem(forward, data, sigma, d=1):
    space = ONE if d == 1 else LinearSpace(np.zeros(d), np.eye(d))
    return Inverse(space, forward, np.array(data), sigma, representation=False).problem


def search(inversion, highest, **plan):
    return find_modes(inversion, None, highest, PLAN._replace(**plan), 1, Clock(None))


def test_other_searches_follow_one_that_ends_at_a_high_cost():
    found, n = search(problem(stairs, [1.0], 0.2), highest=2.0)
    assert 2 <= n <= searches.N_SEARCHES
    assert found.modes[0].z[0] == pytest.approx(0.96, abs=0.01)
    assert [m.cost <= 2.0 for m in found.modes] == [True] + [False] * (len(found.modes) - 1)


@pytest.mark.parametrize(("highest", "plan"), [(9.0, {}), (2.0, {"n_starts": 1}), (np.inf, {})])
def test_one_search_is_made_if_it_is_enough_or_asked_for(highest, plan):
    found, n = search(problem(stairs, [1.0], 0.2), highest, **plan)
    assert (n, len(found.modes)) == (1, 1)
    assert found.modes[0].z[0] < 0


def test_searches_stop_when_three_agree():
    """No code is likely for data that no model has, so more searches would not help."""
    found, n = search(problem(lambda m: np.tanh(m), [50.0], 0.2), highest=2.0)
    assert n == 3
    assert found.modes[0].cost > 2.0


def test_the_number_of_searches_is_limited():
    """Here, each search ends at another mode."""
    found, n = search(problem(lambda m: m + np.sin(40 * m), [9.0], 0.2), highest=2.0)
    assert n == searches.N_SEARCHES
    assert len(found.modes) > 1


def test_a_first_search_that_has_not_converged_is_continued():
    """More steps of the first search lower the cost enough, so that no other search is made."""
    inversion = problem(valley, [2.0, 0.0], 0.1, d=2)
    short, _ = search(inversion, highest=np.inf, n_steps=3)
    cost = short.modes[0].cost
    assert not short.modes[0].converged
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searches, "N_STEPS", 3)
        found, n = search(inversion, highest=cost - 0.5)
        assert n == 1
        assert found.modes[0].cost < cost - 0.5
        for plan in ({"n_starts": 1, "n_steps": 3}, {"n_starts": 1}):
            wanted, n = search(inversion, highest=cost - 0.5, **plan)
            assert (n, wanted.modes[0].cost) == (1, cost)


def test_all_searches_are_made_before_chains():
    """Chains hardly move from one mode to another, so that all modes are searched for."""
    found, n = search(problem(stairs, [1.0], 0.2), highest=np.inf, for_sampling=True)
    assert n == searches.N_SEARCHES
    assert found.modes[0].z[0] > 0.9


def test_one_search_is_enough_for_nearly_all_models_of_the_prior():
    """About one model in a hundred is unusual by definition; data unlike those of the prior need several searches."""
    inverse, truths, matrix = linear_inverse(600)
    noise = np.random.default_rng(1).normal(size=(60, 10)) * 0.3
    numbers = []
    for truth, error in zip(truths, noise, strict=True):
        one = inverse.with_data(matrix @ truth + error, inverse.held_out, inverse.representation)
        numbers.append(one.solve("map").info["n_searches"])
    assert np.mean(np.array(numbers) > 1) <= 3 / 60
    odd = inverse.with_data(matrix @ truths[0] + 9 * noise[0] + 3, inverse.held_out, inverse.representation)
    assert odd.solve("map").info["n_searches"] == 3


@pytest.mark.parametrize(("method", "options", "n"), [("laplace", {}, 1), ("mcmc", {"n_draws": 4, "n_warmup": 4}, 6)])
def test_solutions_report_the_number_of_searches(method, options, n):
    """With more than ten codes, one search is enough for a Gaussian, and six are made for chains."""
    space = LinearSpace(np.zeros(12), np.eye(12))
    matrix = np.random.default_rng(0).normal(size=(20, 12))
    found = Inverse(space, matrix, np.ones(20), 0.3, representation=False).solve(method, **options)
    assert (found.info["n_searches"], found.info["n_modes"]) == (n, 1)


@pytest.mark.parametrize("name", ["n_starts", "n_steps"])
@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_numbers_of_searches_and_steps_are_checked(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}; give a whole number of at least 1"):
        Inverse(ONE, np.eye(1), np.array([1.0]), 0.2, representation=False).solve("map", **{name: value})
