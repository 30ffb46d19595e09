"""Laplace's method: draws of Gaussians around modes."""

import numpy as np
import pytest

from geoae.invert.search.modes import Mode, Modes
from geoae.invert.solvers.laplace import describe_search, draw_mixture
from tests.invert import bent


def mode_of(problem, z, cost):
    """A mode at code z, with the data and the Jacobian there."""
    z = np.asarray(z, float)
    predicted = problem.predict(z[None])[0]
    return Mode(z, predicted, cost, problem.jacobian(z, predicted), True, 3)


def test_draws_have_mean_covariance_and_linear_data_of_their_mode():
    problem = bent.inverse().problem
    mode = mode_of(problem, [0.4, 0.1], 1.0)
    codes, predicted = draw_mixture(problem, Modes((mode,)), 20_000, seed=1)
    covariance = np.linalg.inv(mode.jacobian.T @ mode.jacobian + np.eye(2))
    np.testing.assert_allclose(codes.mean(0), mode.z, atol=0.02)
    np.testing.assert_allclose(np.cov(codes.T), covariance, atol=0.02)
    linear = mode.predicted + (codes - mode.z) @ (mode.jacobian * bent.SIGMA[:, None]).T
    np.testing.assert_allclose(predicted, linear, atol=1e-9)


def test_modes_are_drawn_as_often_as_they_weigh():
    """Of two modes with equal Jacobians, the lower cost weighs exp(1) times more."""
    problem = bent.inverse(lambda m: np.asarray(m)).problem
    modes = Modes((mode_of(problem, [-50.0, 0.0], 1.0), mode_of(problem, [50.0, 0.0], 2.0)))
    codes, _ = draw_mixture(problem, modes, 4000, seed=1)
    assert np.mean(codes[:, 0] < 0) == pytest.approx(np.e / (1 + np.e), abs=0.03)


def test_a_search_is_described_by_its_best_mode():
    problem = bent.inverse().problem
    modes = Modes((mode_of(problem, [0.0, 0.0], 1.0), mode_of(problem, [2.0, 4.0], 2.0)))
    expected = {"cost": 1.0, "converged": True, "n_steps": 3, "n_modes": 2, "n_searches": 6}
    assert describe_search(modes, 6) == expected
