"""Values of models: residuals are added to transformed models, and draws are possible models."""

from types import SimpleNamespace

import numpy as np
import pytest

from geoae.arrays.transforms import Transform
from geoae.invert import Inverse
from geoae.invert.misfit.values import Values
from geoae.priors.pca import pca_space
from tests.invert.problems import N, matrix, rough_models


def facies(n, seed):
    return (rough_models(n, seed) > 0.3).astype(float)


def test_draws_of_facies_models_have_two_values():
    """The mean is a probability, and a calibration measures its accuracy."""
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
    """Permeability with a logarithm as its transform is never negative."""
    models = np.exp(2 * rough_models(300, 0))
    space = pca_space(models, 3, transform="log", held_out=np.exp(2 * rough_models(100, 1)))
    posterior = Inverse(space, lambda m: matrix() @ np.log(m), np.zeros(N), 0.1).solve("laplace", n_draws=60)
    assert posterior.sample(50).min() > 0
    values = Values(Transform("logit", low=0.0, high=0.4))
    np.testing.assert_allclose(values.to_models(values.to_numbers(np.array([0.0, 0.1, 0.4]))), [0, 0.1, 0.4], atol=1e-8)


def test_values_at_the_ends_of_a_logit_stay_finite():
    values = Values(Transform("logit", low=0.0, high=0.4))
    assert np.isfinite(values.to_numbers(np.array([-0.1, 0.0, 0.4, 0.5]))).all()


def test_each_cell_gets_the_nearer_facies():
    """A missing cell stays missing."""
    values = Values(facies=(2.0, 6.0))
    np.testing.assert_array_equal(values.to_models(np.array([1.0, 3.9, 4.1, np.nan])), [2.0, 2.0, 6.0, np.nan])


@pytest.mark.parametrize("space", [SimpleNamespace(), SimpleNamespace(transform=Transform("affine"), facies=None)])
def test_models_of_a_linear_prior_are_added_as_they_are(space):
    values, models = Values.of_prior(space), np.array([[-1.0, 2.0]])
    assert values == Values()
    np.testing.assert_array_equal(values.to_models(values.to_numbers(models)), models)
