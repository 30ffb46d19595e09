"""The modes that searches find, and the mixture of Gaussians around them."""

from types import SimpleNamespace

import numpy as np
import pytest

from geoae.invert import Inverse
from geoae.invert.problem import Clock
from geoae.invert.search.modes import Mode, Modes, find_mode
from tests.invert.linear_space import LinearSpace


def mode(z, cost, slope):
    return Mode(np.atleast_1d(z).astype(float), np.zeros(1), cost, np.atleast_2d(slope).astype(float), True, 1)


def test_ends_of_searches_at_one_mode_are_one_mode():
    """Ends within a standard deviation are the same mode; the one with the lowest cost is kept and comes first."""
    found = Modes.from_searches([mode(2.0, 3.0, 0.0), mode(0.5, 1.1, 0.0), mode(0.0, 1.0, 0.0)])
    assert [m.cost for m in found.modes] == [1.0, 3.0]


def test_weights_of_modes_are_height_times_volume():
    """Laplace's method in one dimension: the heights exp(-cost), the standard deviations 1 / sqrt(J^2 + 1)."""
    found = Modes.from_searches([mode(0.0, 1.0, 0.0), mode(9.0, 1.5, np.sqrt(3.0))])
    expected = np.array([np.exp(-1.0) * 1.0, np.exp(-1.5) * 0.5])
    np.testing.assert_allclose(found.weights, expected / expected.sum())
    which, shift, white = found.draw(4000, np.random.default_rng(0))
    assert np.mean(which == 0) == pytest.approx(found.weights[0], abs=0.03)
    assert shift[which == 1].std() == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(white[which == 1], shift[which == 1] * np.sqrt(3.0))


def test_both_of_two_modes_are_found():
    """Data that are the square of a number do not determine its sign; a single search finds one of the modes."""
    space = LinearSpace(np.zeros(1), np.ones((1, 1)))
    inverse = Inverse(space, lambda m: m**2, np.array([1.0]), 0.2, representation=False)
    both, one = inverse.solve("laplace"), inverse.solve("laplace", n_starts=1)
    assert both.info["n_modes"] == 2
    assert one.info["n_modes"] == 1
    assert 0.4 < (both.codes > 0).mean() < 0.6
    np.testing.assert_allclose(both.predicted.mean(), 1, atol=0.1)
    assert len(np.unique(np.sign(one.codes))) == 1


def test_starts_where_the_forward_model_fails_are_left_out():
    """Most random starts give NaN; searches from the others find the mode."""
    space = LinearSpace(np.zeros(1), np.ones((1, 1)))
    forward = lambda m: np.where(abs(m) > 0.45, np.nan, m)  # noqa: E731
    found = Inverse(space, forward, np.array([0.3]), 0.1, representation=False).solve("laplace", n_starts=8)
    assert found.info["n_modes"] == 1
    assert found.codes.mean() == pytest.approx(0.3 / 1.01, abs=0.02)


def test_cooling_finds_the_likely_one_of_two_modes():
    """Two codes explain the data; a search that starts near the unlikely one finds the likely one."""
    space = LinearSpace(np.zeros(1), np.ones((1, 1)))
    inverse = Inverse(space, lambda m: (m - 0.5) ** 2, np.array([1.0]), 0.2, representation=False)
    start = np.array([[1.4]])
    likely, other = inverse.search(start, n_steps=30, noise_factor=5.0), inverse.search(start)
    assert likely.z[0] == pytest.approx(-0.5, abs=0.05)
    assert other.z[0] == pytest.approx(1.5, abs=0.05)
    assert likely.cost < other.cost - 0.5
    assert likely.converged


def test_cooling_does_not_change_the_only_mode():
    """A linear forward model has one mode, which is that of a ridge regression, in less than the steps allowed."""
    rng = np.random.default_rng(0)
    space = LinearSpace(np.zeros(5), rng.normal(size=(3, 5)))
    matrix, data = rng.normal(size=(8, 5)), rng.normal(size=8)
    slope = matrix @ space.decode(np.eye(3)).T / 0.1
    expected = np.linalg.solve(slope.T @ slope + np.eye(3), slope.T @ data / 0.1)
    inverse = Inverse(space, lambda m: matrix @ m, data, 0.1, representation=False)
    for factor in (1.0, 5.0, 50.0):
        found = inverse.search(np.zeros((1, 3)), noise_factor=factor)
        np.testing.assert_allclose(found.z, expected, atol=1e-3)
        assert found.converged
        assert found.n_steps <= 8


def test_a_search_follows_a_curved_valley_in_few_runs():
    """Rosenbrock's valley, whose linear model predicts too large gains."""
    count = [0]

    def predict(z):
        count[0] += len(z)
        return np.stack([1 - z[:, 0], 3 * (z[:, 1] - z[:, 0] ** 2)], 1) * 30

    def jacobian(z, predicted):
        return 30 * np.array([[-1.0, 0.0], [-6 * z[0], 3.0]])

    def cost(z, predicted):
        return 0.5 * (predicted**2).sum(1) + 0.5 * (z**2).sum(1)

    problem = SimpleNamespace(predict=predict, jacobian=jacobian, cost=cost, misfit=lambda d: -d)
    mode = find_mode(problem, np.array([[-1.2, 1.0]]), Clock(None), 30)
    np.testing.assert_allclose(mode.z, [1, 1], atol=0.01)
    assert count[0] <= 60
