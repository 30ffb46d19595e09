"""Principal components as a prior equal those of the singular value decomposition."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.priors.pca import pca_space
from tests.priors.test_space import SHAPE, D, fields


def test_components_reconstruct_as_the_svd_does():
    """The reconstruction of training models is that of the truncated SVD."""
    linear = pca_space(fields(), D, units="km/s")
    x = fields()
    train = x[np.arange(len(x)) % 10 != 9].reshape(108, -1)
    _, _, v = np.linalg.svd(train - train.mean(0), full_matrices=False)
    expected = (train - train.mean(0)) @ v[:D].T @ v[:D] + train.mean(0)
    found = linear.decode(linear.encode(train.reshape(-1, *SHAPE)))
    np.testing.assert_allclose(found.reshape(108, -1), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "latent", "words"),
    [
        (fields(4), 10, "too few for 10 codes"),
        (np.full((20, 4), 2.0), 2, "same value"),
        (np.zeros(20), 2, r"\(number of models"),
        (fields(30), 0, "too few for 0"),
    ],
)
def test_models_without_components_are_refused(x, latent, words):
    """Fewer models than codes, constant models, no axis of models, no codes."""
    with pytest.raises(InputError, match=words):
        pca_space(x, latent)


@pytest.mark.parametrize(("n", "held_out"), [(20, 10), (24, 8), (50, 8), (79, 8), (80, 8), (200, 20)])
def test_enough_models_are_held_out_of_few(n, held_out):
    """8 or more, which an inversion needs, evenly spaced; a tenth of many models."""
    models = np.random.default_rng(0).normal(size=(n, 6))
    space = pca_space(models, 2)
    assert len(space.held_out) == held_out
    np.testing.assert_allclose(space.held_out[0], models[n // held_out - 1], rtol=1e-6)
