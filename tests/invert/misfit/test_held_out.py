"""Held-out models: their runs, and comparisons of data with theirs."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import N, linear_inverse, matrix, rough_models


def test_costs_of_models_are_those_of_their_codes():
    """Half of a chi-squared with as many degrees as data, plus half of one with as many as codes."""
    inverse, _, _ = linear_inverse(600)
    costs = inverse.held_out.compute_costs(inverse.problem.noise, inverse.noise)
    assert costs.shape == (600,)
    assert costs.mean() == pytest.approx((10 + 4) / 2, rel=0.1)


def test_distances_of_ordinary_data_are_those_of_the_models():
    """About half of the models lie farther away; nearly none is as far as data of another kind."""
    inverse, truths, g = linear_inverse(600)
    noise = 0.3 * np.random.default_rng(1).normal(size=(40, 10))
    ranks = []
    for truth, error in zip(truths, noise, strict=False):
        distance, distances = inverse.held_out.compute_distances(g @ truth + error, inverse.noise, 0)
        ranks.append(np.mean(distances > distance))
    assert distances.shape == (600,)
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.15)
    distance, distances = inverse.held_out.compute_distances(g @ truths[0] + 30, inverse.noise, 0)
    assert (distances < distance).all()


def test_outliers_are_found_one_by_one():
    """Two wrong data are the only ones beyond four standard deviations, although they distort all predictions."""
    inverse, truths, g = linear_inverse(600)
    data = g @ truths[0] + 0.3 * np.random.default_rng(1).normal(size=10)
    assert np.abs(inverse.held_out.compute_z_scores(data, inverse.noise)).max() < 4
    data[[2, 7]] += [15, -15]
    assert list(np.flatnonzero(np.abs(inverse.held_out.compute_z_scores(data, inverse.noise)) > 4)) == [2, 7]


def test_pairs_with_a_failed_run_are_dropped():
    space = LinearSpace.from_models(rough_models(200, 0), 3, rough_models(60, 1))
    forward = lambda m: np.full(N, np.nan) if m[0] > 1 else matrix() @ m  # noqa: E731
    held = Inverse(space, forward, np.zeros(N), 0.1).held_out
    assert 8 <= len(held.models) < 60
    assert held.models[:, 0].max() <= 1
    assert held.decoded[:, 0].max() <= 1
    np.testing.assert_allclose(held.data, held.models @ matrix().T)
    np.testing.assert_allclose(held.residuals, held.models - held.decoded)


@pytest.mark.parametrize(
    ("models", "says"),
    [
        (np.zeros((30, 7)), r"shape \(30, 7\); expected"),
        ("none", "no array of numbers"),
        (rough_models(3, 0), "too few"),
        (np.empty((0, 20)), "no held-out models to estimate"),
    ],
)
def test_invalid_held_out_models_are_refused(models, says):
    space = LinearSpace.from_models(rough_models(200, 0), 3)
    with pytest.raises(InputError, match=says):
        Inverse(space, matrix(), np.zeros(N), 0.1, held_out=models).solve("map")
