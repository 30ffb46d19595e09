"""The choice of a sampler, and what every sampler does with forward models that fail or have no gradients."""

import numpy as np
import pytest

from geoae.invert import Inverse
from geoae.invert.chains import samplers
from tests.invert.linear_space import LinearSpace

pytest.importorskip("emcee")
CELLS, N, D = 12, 5, 3
MATRIX = np.random.default_rng(5).normal(size=(N, CELLS)) / 3


@pytest.fixture(scope="module")
def space() -> LinearSpace:
    rough = np.random.default_rng(0).normal(size=(260, CELLS)).cumsum(1)
    return LinearSpace.from_models(rough[:200], D, rough[200:])


def inverse(space: LinearSpace, forward, **options) -> tuple[Inverse, np.ndarray, np.ndarray]:
    """An inversion of one truth, with mean and covariance of its posterior in closed form."""
    sigma = np.linspace(0.5, 1.5, N)
    data = MATRIX @ space.decode(np.array([0.5, -1.0, 0.3])) + sigma * np.random.default_rng(2).normal(size=N)
    slope = (MATRIX @ space.basis.T) / sigma[:, None]
    covariance = np.linalg.inv(slope.T @ slope + np.eye(D))
    mean = covariance @ slope.T @ ((data - MATRIX @ space.mean) / sigma)
    return Inverse(space, forward, data, sigma, representation=False, **options), mean, covariance


@pytest.mark.parametrize(
    ("d", "options", "sampler"),
    [
        (samplers.MAX_EMULATED, {"jacobian": lambda m: np.eye(m.size)}, "emulated"),
        (samplers.MAX_EMULATED, {}, "emulated"),
        (samplers.MAX_EMULATED + 1, {"jacobian": lambda m: np.eye(m.size)}, "hmc"),
        (samplers.MAX_EMULATED + 1, {}, "emcee"),
        (samplers.MAX_EMULATED + 1, {"sampler": "emulated"}, "emulated"),
    ],
)
def test_the_default_sampler_depends_on_codes_and_gradients(d, options, sampler):
    options, asked = dict(options), {k: v for k, v in options.items() if k == "sampler"}
    options.pop("sampler", None)
    space = LinearSpace(np.zeros(d), np.eye(d))
    inverse = Inverse(space, lambda m: m, np.zeros(d), 0.5, representation=False, **options)
    found = inverse.solve("mcmc", n_learn=300, n_warmup=5, n_draws=4, n_starts=1, n_steps=2, **asked)
    assert found.info["sampler"] == sampler


@pytest.mark.parametrize("sampler", ["emcee", "emulated"])
def test_samplers_without_gradients_find_a_posterior(space, sampler):
    black_box, mean, covariance = inverse(space, lambda m: MATRIX @ m)
    posterior = black_box.solve("mcmc", sampler=sampler, n_draws=400, n_chains=12)
    assert posterior.info["sampler"] == sampler
    assert posterior.info["n_gradients"] == 0
    spread = np.sqrt(np.diagonal(covariance))
    np.testing.assert_allclose((posterior.codes.mean(0) - mean) / spread, 0, atol=0.25)
    np.testing.assert_allclose(posterior.codes.std(0) / spread, 1, atol=0.25)


@pytest.mark.parametrize("sampler", ["emcee", "hmc", "emulated"])
def test_chains_stay_where_the_forward_model_runs(space, sampler):
    """It fails beyond a border, so that half of a Gaussian is left; runs that fail all at once are no error."""
    _, mean, covariance = inverse(space, MATRIX)
    root = covariance[:, 0] / covariance[0, 0] ** 0.5
    side = -np.sign(mean[0])  # where the middle of the prior lies

    def forward(m):
        if side * (space.encode(m)[0] - mean[0]) < 0:
            raise ValueError("no root was found")
        return MATRIX @ m

    bounded, *_ = inverse(space, forward, adjoint=lambda m, w: MATRIX.T @ w)
    posterior = bounded.solve("mcmc", sampler=sampler, n_draws=500, n_chains=10)
    assert posterior.info["n_failed"] > 100
    assert (side * (posterior.codes[:, 0] - mean[0]) >= 0).all()
    # the mean of half a Gaussian
    expected = mean + side * root * (2 / np.pi) ** 0.5
    np.testing.assert_allclose((posterior.codes.mean(0) - expected) / np.sqrt(np.diagonal(covariance)), 0, atol=0.25)


@pytest.mark.parametrize("sampler", ["emcee", "hmc", "emulated"])
def test_no_run_is_made_for_codes_that_the_prior_excludes(space, sampler):
    """Proposals far outside of the prior are rejected without a run."""
    longest = [0.0]

    def forward(m):
        longest[0] = max(longest[0], float(np.abs(space.encode(m)).max()))
        return MATRIX @ m

    unbounded, *_ = inverse(space, forward, adjoint=lambda m, w: MATRIX.T @ w)
    unbounded.solve("mcmc", sampler=sampler, n_draws=600, n_chains=12)
    assert longest[0] < 40


@pytest.mark.parametrize("sampler", ["emcee", "hmc", "emulated"])
def test_chains_start_in_both_of_two_modes(sampler):
    """Data that are the square of a number do not determine its sign; chains cannot move between the modes."""
    line = LinearSpace(np.zeros(1), np.ones((1, 1)))
    both = Inverse(line, lambda m: m**2, np.array([1.0]), 0.02, representation=False, adjoint=lambda m, w: 2 * m * w)
    codes = both.solve("mcmc", sampler=sampler, n_draws=60, n_chains=12).codes
    assert 0.15 < (codes > 0).mean() < 0.85
    np.testing.assert_allclose(np.abs(codes).mean(), 1, atol=0.01)
