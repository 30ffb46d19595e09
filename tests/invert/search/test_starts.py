"""Starting points of searches."""

import numpy as np
import pytest

from geoae.invert.misfit.runs import Runs
from geoae.invert.search.starts import NEAREST, fit_ridge, starting_points
from tests.invert import problems


@pytest.fixture(scope="module")
def problem():
    return problems.known()[0].problem


def runs_of(problem, n):
    codes = np.random.default_rng(3).normal(size=(n, problem.space.d))
    return Runs(codes, problem.predict(codes))


def test_a_ridge_regression_finds_the_codes_of_linear_data(problem):
    """Its error is small against the spread of codes, which is one."""
    ridge = fit_ridge(runs_of(problem, 400), problem.noise)
    codes = np.random.default_rng(4).normal(size=(50, problem.space.d))
    found = np.stack([ridge.predict(white) for white in problem.noise.whiten(problem.predict(codes))])
    assert np.sqrt(np.mean((found - codes) ** 2)) < 0.3


def test_a_ridge_regression_of_noise_predicts_the_mean():
    """Leave-one-out errors choose the strongest ridge for data that do not depend on codes."""
    problem = problems.known()[0].problem
    rng = np.random.default_rng(5)
    runs = Runs(rng.normal(size=(60, 3)), np.zeros((60, problems.N)))
    found = fit_ridge(runs, problem.noise).predict(rng.normal(size=problems.N))
    assert np.abs(found - runs.codes.mean(0)).max() < 0.3


def test_starting_points_are_ordered(problem):
    """Predicted code, ridge estimate, nearest runs, middle of the prior, random codes."""
    runs, predicted = runs_of(problem, 50), np.full(3, 7.0)
    points = starting_points(problem, runs, 1, n_random=2, predicted_code=predicted)
    assert len(points) == 2 + NEAREST + 1 + 2
    np.testing.assert_array_equal(points[0], predicted)
    misfit = (problem.misfit(runs.data) ** 2).sum(1) + (runs.codes**2).sum(1)
    np.testing.assert_array_equal(points[2 : 2 + NEAREST], runs.codes[np.argsort(misfit)[:NEAREST]])
    np.testing.assert_array_equal(points[2 + NEAREST], 0)
    np.testing.assert_array_equal(points, starting_points(problem, runs, 1, 2, predicted))


def test_without_runs_the_middle_of_the_prior_comes_first(problem):
    for runs in (None, runs_of(problem, 2 * NEAREST - 1)):
        points = starting_points(problem, runs, 1, n_random=3)
        assert len(points) == 4
        np.testing.assert_array_equal(points[0], 0)
