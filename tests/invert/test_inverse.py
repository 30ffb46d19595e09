"""Inversions of problems whose posteriors are known in closed form, and errors for invalid input."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import D, N, matrix, rough_models


@pytest.mark.parametrize(
    ("method", "options", "tolerance"),
    [
        ("laplace", {"n_draws": 4000}, 0.08),
        ("rml", {"n_draws": 2000}, 0.08),
        ("esmda", {"n_members": 1000}, 0.15),
        ("mcmc", {"n_draws": 1000}, 0.12),
        ("mcmc", {"n_draws": 1000, "sampler": "hmc"}, 0.12),
    ],
)
def test_each_method_finds_the_posterior_of_a_linear_problem(known, method, options, tolerance):
    """Mean and covariance of codes are those of the closed form."""
    inverse, mean, covariance = known
    posterior = inverse.solve(method, **options)
    spread = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose((posterior.codes.mean(0) - mean) / spread, 0, atol=1.5 * tolerance)
    ratio = np.cov(posterior.codes.T) / np.outer(spread, spread) - covariance / np.outer(spread, spread)
    np.testing.assert_allclose(ratio, 0, atol=1.5 * tolerance)


def test_the_most_likely_code_takes_few_runs(known):
    """The first steps solve a linear problem."""
    inverse, mean, _ = known
    posterior = inverse.solve("map")
    np.testing.assert_allclose(posterior.code, mean, atol=1e-3)
    assert posterior.info["n_jacobians"] <= 5
    assert posterior.info["converged"]


def test_the_same_seed_gives_the_same_draws(known):
    inverse = known[0]
    for method, options in (
        ("laplace", {}),
        ("rml", {"n_draws": 20}),
        ("esmda", {"n_members": 30}),
        ("mcmc", {"n_draws": 20, "n_warmup": 20}),
        ("mcmc", {"n_draws": 20, "n_warmup": 20, "sampler": "hmc"}),
    ):
        one, again, other = (inverse.solve(method, seed=s, **options) for s in (4, 4, 5))
        np.testing.assert_array_equal(one.codes, again.codes)
        np.testing.assert_array_equal(one.sample(5, seed=1), again.sample(5, seed=1))
        assert not np.array_equal(one.codes, other.codes)


def test_residuals_are_conditioned_on_the_data():
    """With the representation error, the posterior of a linear Gaussian problem is that of all cells."""
    models = rough_models(4000, 0)
    space, g, sigma = LinearSpace.from_models(models, D, rough_models(2000, 1)), matrix(5), 0.1
    data = g @ rough_models(1, 2)[0]
    posterior = Inverse(space, g, data, sigma, n_representation=2000).solve("laplace", n_draws=400)
    prior = np.cov(models.T)
    gain = prior @ g.T @ np.linalg.inv(g @ prior @ g.T + sigma**2 * np.eye(N))
    mean, covariance = models.mean(0) + gain @ (data - g @ models.mean(0)), prior - gain @ g @ prior
    assert np.sqrt(np.mean((posterior.mean() - mean) ** 2)) < 0.15
    np.testing.assert_allclose(posterior.std() / np.sqrt(np.diagonal(covariance)), 1, atol=0.25)


def test_invalid_data_and_options_are_refused(known):
    space, inverse = known[0].space, known[0]
    for data, says in (
        (np.full(N, np.nan), "nothing to invert"),
        (np.full(N, np.inf), "infinite"),
        ("abc", "no array"),
    ):
        with pytest.raises(InputError, match=says):
            Inverse(space, matrix(), data, 0.3, representation=False)
    with pytest.raises(InputError, match="held-out models"):
        Inverse(space, matrix(), inverse.data, 0.3).solve("map")
    for call, says in (
        (lambda: inverse.solve("magic"), "choose map, laplace"),
        (lambda: inverse.solve("map", n_members=3), "no option n_members"),
        (lambda: inverse.solve("esmda", n_members=3), "at least 10"),
        (lambda: inverse.solve("laplace", n_draws=0), "at least 2"),
        (lambda: inverse.solve("rml", n_draws=1), "at least 2"),
        (lambda: inverse.solve("rml", n_refine=-1), "at least 0"),
        (lambda: inverse.solve("map", time_limit_s=-1), "above zero"),
        (lambda: Inverse(space, matrix(), inverse.data, 0.3, colour=1), "no option colour; it has jacobian"),
        (lambda: Inverse(space, matrix(), inverse.data, 0.3, run_limit_s="a"), "run_limit_s is 'a'"),
        (lambda: Inverse(space, matrix(), inverse.data, 0.3, n_representation=20.5), "n_representation is 20.5"),
        (lambda: inverse.solve("map", time_limit_s="a"), "time_limit_s is 'a'"),
        (lambda: inverse.solve("rml", checkpoint=3), "The checkpoint is a path, and a int was given"),
        (lambda: inverse.calibrate("a"), "n is 'a'"),
        (lambda: inverse.solve("laplace").interval("a"), "level is 'a'"),
        (lambda: inverse.solve("laplace").sample(2.5), "n is 2.5"),
        (lambda: inverse.solve("laplace").save(None), "a NoneType was given"),
        (lambda: inverse.solve("map", seed=-1), "seed is -1"),
        (lambda: Inverse(space, matrix(), inverse.data, 0.3, seed="a"), "seed is 'a'"),
        (lambda: inverse.calibrate(3, seed=-1), "seed is -1"),
        (lambda: inverse.solve("laplace").sample(2, seed=-1), "seed is -1"),
        (lambda: inverse.solve("map").std(), "no spread"),
        (lambda: inverse.solve("laplace").interval(90), "between 0 and 1"),
        (lambda: inverse.solve("laplace").prob(lambda m: m), "True or False"),
        (lambda: inverse.solve("laplace").sample(0), "at least one"),
        (lambda: Inverse(space, lambda m: matrix() @ m, inverse.data, 0.3, representation=False).solve(
            "mcmc", sampler="hmc"), "Gradients need"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=says):
            call()


def test_a_time_limit_keeps_finished_draws(known):
    posterior = known[0].solve("mcmc", n_draws=10**6, n_warmup=1, time_limit_s=5)
    assert posterior.info["finished"] is False
    assert len(posterior.codes) < 4 * 10**6
    with pytest.raises(InputError, match="time limit"):
        known[0].solve("esmda", time_limit_s=1e-9)
