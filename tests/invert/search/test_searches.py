"""How many searches are made: one where its end is as likely as that of other models, else more."""

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
    """From 0 the way down leads to the left; the likely answer to a datum of 1 lies to the right."""
    return np.where(m < 0.3, -0.3 * m, m)


def valley(m):
    """A bent and narrow one: a search takes many steps along it."""
    return np.array([m[0], 30 * (m[1] - m[0] ** 2)])


def problem(forward, data, sigma, d=1):
    space = ONE if d == 1 else LinearSpace(np.zeros(d), np.eye(d))
    return Inverse(space, forward, np.array(data), sigma, representation=False).problem


def search(inversion, highest, **plan):
    return find_modes(inversion, None, highest, PLAN._replace(**plan), 1, Clock(None))


def test_another_search_is_made_where_the_first_ends_too_high():
    found, n = search(problem(stairs, [1.0], 0.2), highest=2.0)
    assert 2 <= n <= searches.N_SEARCHES
    assert found.modes[0].z[0] == pytest.approx(0.96, abs=0.01)
    assert [m.cost <= 2.0 for m in found.modes] == [True] + [False] * (len(found.modes) - 1)


@pytest.mark.parametrize(("highest", "plan"), [(9.0, {}), (2.0, {"n_starts": 1}), (np.inf, {})])
def test_one_search_is_made_where_it_is_enough_or_wanted(highest, plan):
    found, n = search(problem(stairs, [1.0], 0.2), highest, **plan)
    assert (n, len(found.modes)) == (1, 1)
    assert found.modes[0].z[0] < 0


def test_searches_end_where_three_agree():
    """No code is likely for data that no model has; the third search says as much as a sixth."""
    found, n = search(problem(lambda m: np.tanh(m), [50.0], 0.2), highest=2.0)
    assert n == 3
    assert found.modes[0].cost > 2.0


def test_searches_end_after_some_where_none_agree():
    """Each comes to a valley of its own."""
    found, n = search(problem(lambda m: m + np.sin(40 * m), [9.0], 0.2), highest=2.0)
    assert n == searches.N_SEARCHES
    assert len(found.modes) > 1


def test_a_search_that_was_not_over_goes_on_first():
    """What a first search of few steps lacks, the same way further gives: no random start is needed."""
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


def test_chains_begin_where_several_searches_end():
    """They do not come from one mode to another, so all are looked for, and to their ends."""
    found, n = search(problem(stairs, [1.0], 0.2), highest=np.inf, for_sampling=True)
    assert n == searches.N_SEARCHES
    assert found.modes[0].z[0] > 0.9


def test_hardly_a_model_of_the_prior_is_searched_for_twice():
    """Where the prior is right, at most one in a hundred or so is unusual; data of another kind are."""
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
def test_solutions_say_how_many_searches_there_were(method, options, n):
    """With more than ten codes one is enough for a Gaussian, not for chains."""
    space = LinearSpace(np.zeros(12), np.eye(12))
    matrix = np.random.default_rng(0).normal(size=(20, 12))
    found = Inverse(space, matrix, np.ones(20), 0.3, representation=False).solve(method, **options)
    assert (found.info["n_searches"], found.info["n_modes"]) == (n, 1)


@pytest.mark.parametrize("name", ["n_starts", "n_steps"])
@pytest.mark.parametrize("value", [0, -1, 2.5])
def test_no_search_and_no_step_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}; give a whole number of at least 1"):
        Inverse(ONE, np.eye(1), np.array([1.0]), 0.2, representation=False).solve("map", **{name: value})
