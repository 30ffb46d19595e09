"""The modes that searches find, and the mixture of Gaussians around them."""

import numpy as np
import pytest

from geoae.invert import Inverse
from geoae.invert.search.modes import Mode, Modes
from tests.linear_space import LinearSpace


def mode(z, cost, slope):
    return Mode(np.atleast_1d(z).astype(float), np.zeros(1), cost, np.atleast_2d(slope).astype(float), True, 1)


def test_searches_that_end_at_one_mode_count_once():
    """Nearer than a standard deviation is the same; the lowest cost is kept, and comes first."""
    found = Modes.of([mode(2.0, 3.0, 0.0), mode(0.5, 1.1, 0.0), mode(0.0, 1.0, 0.0)])
    assert [m.cost for m in found.modes] == [1.0, 3.0]


def test_modes_weigh_what_height_and_volume_say():
    """Laplace's method in one dimension: the heights exp(-cost), the standard deviations 1 / sqrt(J^2 + 1)."""
    found = Modes.of([mode(0.0, 1.0, 0.0), mode(9.0, 1.5, np.sqrt(3.0))])
    expected = np.array([np.exp(-1.0) * 1.0, np.exp(-1.5) * 0.5])
    np.testing.assert_allclose(found.weights, expected / expected.sum())
    of, shift, white = found.draw(4000, np.random.default_rng(0))
    assert np.mean(of == 0) == pytest.approx(found.weights[0], abs=0.03)
    assert shift[of == 1].std() == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(white[of == 1], shift[of == 1] * np.sqrt(3.0))


def test_both_of_two_answers_are_found():
    """Data that know the square of a number alone leave its sign open; a single search takes one side."""
    space = LinearSpace(np.zeros(1), np.ones((1, 1)))
    inverse = Inverse(space, lambda m: m**2, np.array([1.0]), 0.2, representation=False)
    both, one = inverse.solve("laplace"), inverse.solve("laplace", n_starts=1)
    assert both.info["n_modes"] == 2
    assert one.info["n_modes"] == 1
    assert 0.4 < (both.codes > 0).mean() < 0.6
    np.testing.assert_allclose(both.predicted.mean(), 1, atol=0.1)
    assert len(np.unique(np.sign(one.codes))) == 1


def test_starts_where_the_forward_model_fails_are_left_out():
    """Most random starts lie where it gives NaN; what the others find is the answer."""
    space = LinearSpace(np.zeros(1), np.ones((1, 1)))
    forward = lambda m: np.where(abs(m) > 0.45, np.nan, m)  # noqa: E731
    found = Inverse(space, forward, np.array([0.3]), 0.1, representation=False).solve("laplace", n_starts=8)
    assert found.info["n_modes"] == 1
    assert found.codes.mean() == pytest.approx(0.3 / 1.01, abs=0.02)


def test_the_first_steps_listen_to_the_prior():
    """Two codes explain the data; from beside the unlikely one a search comes to the likely one."""
    space = LinearSpace(np.zeros(1), np.ones((1, 1)))
    inverse = Inverse(space, lambda m: (m - 0.5) ** 2, np.array([1.0]), 0.2, representation=False)
    start = np.array([[1.4]])
    likely, other = inverse.search(start, n_steps=30, soft=5.0), inverse.search(start)
    assert likely.z[0] == pytest.approx(-0.5, abs=0.05)
    assert other.z[0] == pytest.approx(1.5, abs=0.05)
    assert likely.cost < other.cost - 0.5
    assert likely.converged


def test_the_first_steps_change_nothing_where_there_is_one_answer():
    """A linear forward model has one mode, which is that of a ridge regression, in less than the steps allowed."""
    rng = np.random.default_rng(0)
    space = LinearSpace(np.zeros(5), rng.normal(size=(3, 5)))
    matrix, data = rng.normal(size=(8, 5)), rng.normal(size=8)
    slope = matrix @ space.decode(np.eye(3)).T / 0.1
    expected = np.linalg.solve(slope.T @ slope + np.eye(3), slope.T @ data / 0.1)
    inverse = Inverse(space, lambda m: matrix @ m, data, 0.1, representation=False)
    for soft in (1.0, 5.0, 50.0):
        found = inverse.search(np.zeros((1, 3)), soft=soft)
        np.testing.assert_allclose(found.z, expected, atol=1e-3)
        assert found.converged
        assert found.n_steps <= 8
