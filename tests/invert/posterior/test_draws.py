"""Draws: models, mean, spread, intervals and probabilities."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert.misfit.noise import Noise
from geoae.invert.posterior.draws import Draws
from tests.invert.linear_space import LinearSpace

SPACE = LinearSpace(np.array([1.0, -1.0]), np.array([[2.0, 0.0], [0.0, 3.0]]))


def draws(n, **options):
    codes = np.random.default_rng(0).normal(size=(n, 2))
    return Draws(SPACE, "laplace", codes, np.zeros((n, 1)), np.zeros(1), Noise(np.ones(1), np.zeros(1)), **options)


def test_statistics_are_those_of_decoded_codes():
    """Four hundred models, each code once."""
    posterior = draws(400)
    models = SPACE.decode(posterior.codes)
    np.testing.assert_allclose(posterior.mean(), models.mean(0))
    np.testing.assert_allclose(posterior.std(), models.std(0, ddof=1))
    np.testing.assert_allclose(posterior.interval(0.8), np.quantile(models, [0.1, 0.9], axis=0))
    np.testing.assert_allclose(posterior.prob(lambda m: m > 0), (models > 0).mean(0))
    whole = posterior.prob(lambda m: m.sum(1) > 0)
    assert isinstance(whole, float)
    assert whole == pytest.approx((models.sum(1) > 0).mean())


def test_each_code_is_used_once_before_any_is_used_twice():
    models = draws(5).sample(12)
    counts = np.unique(models, axis=0, return_counts=True)[1]
    assert sorted(counts) == [2, 2, 2, 3, 3]
    assert len(np.unique(models[:5], axis=0)) == 5
    np.testing.assert_array_equal(models, draws(5).sample(12))
    assert not np.array_equal(models, draws(5, seed=1).sample(12))


def test_a_single_code_has_no_spread():
    posterior = draws(1)
    np.testing.assert_allclose(posterior.mean(), SPACE.decode(posterior.codes)[0])
    for call in (posterior.std, posterior.interval, lambda: posterior.prob(lambda m: m > 0)):
        with pytest.raises(InputError, match="finds one code and no spread"):
            call()


def test_a_spread_of_few_draws_is_warned_of():
    with pytest.warns(UserWarning, match="estimated from 19 draws only"):
        draws(19).std()
