"""The inversion as a function of codes: costs, derivatives and time."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert.problem import MAX_EXCESS, Clock
from tests.invert import bent


def test_the_cost_is_half_the_squared_misfit_plus_half_the_squared_code():
    problem, z = bent.inverse().problem, np.array([[0.3, -0.2], [1.0, 2.0]])
    misfit = (bent.DATA - bent.valley(z)) / bent.SIGMA
    expected = 0.5 * (misfit**2).sum(1) + 0.5 * (z**2).sum(1)
    np.testing.assert_allclose(problem.cost(z, problem.predict(z)), expected)
    np.testing.assert_allclose(problem.misfit(problem.predict(z)), misfit)
    assert np.isinf(problem.cost(z, np.full((2, 2), np.nan))).all()


def test_the_gradient_is_the_slope_of_the_cost():
    problem, z = bent.inverse(adjoint=bent.adjoint).problem, np.array([[0.3, -0.2], [1.0, 2.0]])
    cost, gradient, predicted = problem.gradient(z)
    np.testing.assert_allclose(predicted, bent.valley(z))
    for i, shift in enumerate(1e-5 * np.eye(2)):
        slope = (problem.gradient(z + shift)[0] - problem.gradient(z - shift)[0]) / 2e-5
        np.testing.assert_allclose(gradient[:, i], slope, rtol=1e-5)
    np.testing.assert_allclose(cost, problem.cost(z, predicted))


def test_differences_are_backward_where_the_forward_model_fails():
    """The derivative of a straight line is the same in both directions."""
    forward = lambda m: np.where(np.asarray(m)[..., :1] > 0.5, np.nan, np.asarray(m) @ np.diag([2.0, 3.0]))  # noqa: E731
    problem = bent.inverse(forward).problem
    z = np.array([0.495, 0.0])
    jacobian = problem.jacobian(z, problem.predict(z[None])[0])
    np.testing.assert_allclose(jacobian * bent.SIGMA[:, None], np.diag([2.0, 3.0]), atol=1e-9)


def test_no_run_is_made_for_codes_that_the_prior_excludes():
    problem = bent.inverse(adjoint=bent.adjoint).problem
    far = np.sqrt(2 * (MAX_EXCESS + 2))
    z, before = np.array([[0.0, 0.0], [far, 0.0], [1e200, 0.0]]), problem.forward.n_runs
    cost, predicted = problem.run_likely(z, lowest=1.0)
    assert problem.forward.n_runs == before + 1
    np.testing.assert_array_equal(np.isinf(cost), [False, True, True])
    np.testing.assert_array_equal(np.isnan(predicted).all(1), [False, True, True])
    again, gradient, _ = problem.gradient_likely(z, lowest=1.0)
    np.testing.assert_array_equal(again, cost)
    np.testing.assert_array_equal(gradient[1:], 0)


def test_gradients_need_a_derivative():
    with pytest.raises(InputError, match="Gradients need a forward model of torch"):
        bent.inverse().problem.gradient(np.zeros((1, 2)))


def test_a_clock_is_over_after_its_limit():
    assert not Clock(None).is_over
    assert not Clock(1e6).is_over
    clock = Clock(1e-9)
    while clock.elapsed_s <= 1e-9:
        pass
    assert clock.is_over
    with pytest.raises(InputError, match="time_limit_s is 0; give seconds above zero"):
        Clock(0)
