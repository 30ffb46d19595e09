"""What the decoder cannot represent: estimated from few models, for data of any number, in models of any values."""

import numpy as np
import pytest

from geoae.arrays.transforms import Transform
from geoae.errors import InputError
from geoae.invert import Inverse
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import Representation
from geoae.invert.misfit.values import Values
from geoae.priors.pca import make_components_space, pca_space
from tests.invert.linear_space import LinearSpace

CELLS, N = 24, 15


def smooth(n, seed, cells=CELLS):
    distance = np.abs(np.subtract.outer(np.arange(cells), np.arange(cells)))
    root = np.linalg.cholesky(np.exp(-distance / 6) + 1e-9 * np.eye(cells))
    return np.random.default_rng(seed).normal(size=(n, cells)) @ root.T


def matrix(n=N, seed=5):
    return np.random.default_rng(seed).normal(size=(n, CELLS)) / 3


@pytest.mark.parametrize("k", [12, 60, 1500])
def test_errors_of_models_never_seen_are_as_large_as_said(k):
    """Few samples or many: the squared misfit of new errors per datum is near 1; the covariance is found in the end."""
    rng, noise = np.random.default_rng(1), Noise(np.full(N, 0.01), np.zeros(N))
    errors, new = smooth(k, 2, N), smooth(4000, 3, N)
    found = Representation(np.zeros((k, 1)), errors, noise).total
    white = found.whiten(new + 0.1 * rng.normal(size=new.shape) - found.offset)
    assert 0.7 < np.mean(white**2) < 1.4
    if k == 1500:
        np.testing.assert_allclose(found.dense, np.cov(new.T) + 0.01 * np.eye(N), atol=0.15)


def test_codes_lie_in_their_intervals_with_few_held_out_models():
    """The sample covariance of fewer models than data would be far too sure."""
    space, g = LinearSpace.from_models(smooth(400, 0), 3, smooth(36, 1)), matrix(80)
    inverse = Inverse(space, g, np.zeros(80), 0.05)
    result = next(iter(inverse.calibrate(50, truths=smooth(50, 7)).results.values()))
    assert 0.82 < result.codes[2] < 0.97
    assert 0.84 < result.cells[2] < 0.96


def test_thousands_of_data_cost_no_more_than_they_need():
    """Nothing of the size data by data is made on the way to a posterior."""
    space, g = LinearSpace.from_models(smooth(200, 0), 3, smooth(60, 1)), matrix(4000)
    inverse = Inverse(space, g, g @ smooth(1, 2)[0], 0.1)
    assert np.isfinite(inverse.problem.cost(np.zeros((2, 3)), inverse.problem.predict(np.zeros((2, 3))))).all()
    assert "dense" not in vars(inverse.representation.total)
    assert inverse.representation.total.axes.shape[1] < 60


def facies(n, seed):
    return (smooth(n, seed) > 0.3).astype(float)


def test_draws_of_facies_are_facies():
    """Two values in, two values out; the mean is a probability, and the calibration says how right it is."""
    space = pca_space(facies(300, 0), 4, held_out=facies(200, 1))
    assert space.facies == (0.0, 1.0)
    inverse = Inverse(space, matrix(), matrix() @ facies(1, 2)[0], 0.1)
    posterior = inverse.solve("laplace", n_draws=60)
    assert set(np.unique(posterior.sample(20))) == {0.0, 1.0}
    assert len(np.unique(posterior.sample(20, residual=False))) > 2
    np.testing.assert_allclose(posterior.mean(), posterior.prob(lambda m: m > 0.5))
    result = next(iter(inverse.calibrate(20).results.values()))
    assert result.accuracy > 0.75
    assert result.brier < 0.2
    assert 0.8 < result.cells[2] <= 1


def test_draws_stay_in_the_domain_of_the_transform():
    """Permeability is never negative, and its logarithm has the rest."""
    models = np.exp(2 * smooth(300, 0))
    space = pca_space(models, 3, transform="log", held_out=np.exp(2 * smooth(100, 1)))
    posterior = Inverse(space, lambda m: matrix() @ np.log(m), np.zeros(N), 0.1).solve("laplace", n_draws=60)
    assert posterior.sample(50).min() > 0
    values = Values(Transform("logit", low=0.0, high=0.4))
    np.testing.assert_allclose(values.to_models(values.to_numbers(np.array([0.0, 0.1, 0.4]))), [0, 0.1, 0.4], atol=1e-8)


def test_components_that_a_prior_brings_along_are_the_baseline():
    space = pca_space(smooth(200, 0), 3, held_out=smooth(80, 1))
    assert make_components_space(space) is None
    basis = np.random.default_rng(0).normal(size=(CELLS, 2))
    space.model.companions |= {"pca_basis": basis, "pca_offset": np.ones(CELLS)}
    found = make_components_space(space)
    z = found.sample(4)
    np.testing.assert_allclose(found.encode(found.decode(z)), z, atol=1e-8)
    table = str(Inverse(space, matrix(), np.zeros(N), 0.1).calibrate(10, without_representation=True))
    assert "pca-2, laplace, cells" in table
    assert "without residual" in table


@pytest.mark.parametrize(
    ("models", "says"),
    [(np.zeros((30, 7)), r"shape \(30, 7\); expected"), ("none", "no array of numbers"), (smooth(3, 0), "too few")],
)
def test_bad_held_out_models_are_told_at_once(models, says):
    space = LinearSpace.from_models(smooth(200, 0), 3)
    with pytest.raises(InputError, match=says):
        Inverse(space, matrix(), np.zeros(N), 0.1, held_out=models).solve("map")
    with pytest.raises(InputError, match="of the truths"):
        Inverse(space, matrix(), np.zeros(N), 0.1, held_out=smooth(40, 1)).calibrate(9, truths=smooth(4, 2))
