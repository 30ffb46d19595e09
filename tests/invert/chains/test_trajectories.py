"""Hamiltonian trajectories, and the adaptation of their step length."""

import numpy as np
import pytest

from geoae.invert.chains.trajectories import (
    ACCEPT,
    DualAveraging,
    acceptance_probability,
    run_trajectory,
    select_states,
)


def gaussian(x):
    """Cost and gradient of N(0, I), and something that belongs to the code."""
    return 0.5 * (x**2).sum(1), x, 2 * x


def test_chains_of_trajectories_draw_from_the_distribution():
    rng = np.random.default_rng(0)
    x = 3 * rng.normal(size=(200, 2))
    state, draws = gaussian(x), []
    for _ in range(60):
        x, state, probability = run_trajectory(gaussian, x, state, 0.5, 4, rng)
        draws.append(x)
        assert ((probability >= 0) & (probability <= 1)).all()
    for values, expected in zip(state, gaussian(x), strict=True):
        np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(np.cov(np.concatenate(draws[10:]).T), np.eye(2), atol=0.05)


def test_small_steps_keep_the_energy():
    """The error of the leapfrog scheme falls with the square of the step, and acceptance tends to one."""
    x, rng = np.random.default_rng(1).normal(size=(500, 3)), np.random.default_rng(2)
    coarse, fine = (1 - run_trajectory(gaussian, x, gaussian(x), step, round(2 / step), rng)[2].mean()
                    for step in (0.5, 0.125))  # fmt: skip
    assert fine < coarse / 8


def test_a_failed_run_is_never_accepted():
    np.testing.assert_allclose(acceptance_probability(np.array([1.0, np.log(0.5), -np.inf, np.nan])), [1, 0.5, 0, 0])
    rng, x = np.random.default_rng(0), np.zeros((4, 1))
    outside = lambda x: (np.full(len(x), np.inf), np.zeros_like(x))  # noqa: E731
    moved, _, probability = run_trajectory(outside, x, (np.zeros(4), x), 0.5, 3, rng)
    np.testing.assert_array_equal(moved, x)
    np.testing.assert_array_equal(probability, 0)


def test_states_are_selected_chain_by_chain():
    accepted = np.array([True, False])
    costs, codes = select_states(accepted, (np.ones(2), np.ones((2, 3))), (np.zeros(2), np.zeros((2, 3))))
    np.testing.assert_array_equal(costs, [1, 0])
    np.testing.assert_array_equal(codes, [[1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize("first", [0.01, 1.5])
def test_the_step_length_is_adapted_to_the_wanted_acceptance(first):
    """Here a step is accepted with probability exp(-step), so that the wanted step is -log(ACCEPT)."""
    averaging = DualAveraging.near(first)
    assert averaging.step == pytest.approx(first)
    for _ in range(3000):
        averaging.update(float(np.exp(-averaging.step)))
    assert averaging.mean_step == pytest.approx(-np.log(ACCEPT), rel=0.05)
