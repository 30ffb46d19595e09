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
