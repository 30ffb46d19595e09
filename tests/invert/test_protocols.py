"""The Protocol of priors, by which an inversion tells a latent space from a model."""

import numpy as np
import pytest

from geoae.errors import GeoAEError
from geoae.invert.protocols import Decodes, as_latent_prior
from geoae.priors.pca import pca_space
from geoae.priors.space import LatentSpace
from tests.invert.linear_space import LinearSpace


def test_a_prior_with_the_functions_of_a_latent_space_is_taken_as_it_is():
    space = LinearSpace(np.zeros(2), np.eye(2))
    assert isinstance(space, Decodes)
    assert as_latent_prior(space) is space


def test_a_model_becomes_its_latent_space():
    space = pca_space(np.random.default_rng(0).normal(size=(30, 6)), 2)
    assert isinstance(space, Decodes)
    assert not isinstance(space.model, Decodes)
    latent = as_latent_prior(space.model)
    assert isinstance(latent, LatentSpace)
    assert latent.digest == space.digest


def test_a_name_of_no_prior_is_refused():
    with pytest.raises(GeoAEError, match="no-such-prior"):
        as_latent_prior("no-such-prior")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros((30, 6)), r"is a ndarray of shape \(30, 6\); .*geoae.fit\(models"),
        (None, "is a NoneType"),
        (["folder"], "is a list"),
        (LinearSpace, "is a type"),
    ],
)
def test_what_is_no_prior_is_refused(given, says):
    """In one line that says how to make one; `Inverse` and `load` go through the same door."""
    with pytest.raises(GeoAEError, match=says):
        as_latent_prior(given)


def test_a_prior_without_shape_is_refused():
    space = LinearSpace(np.zeros(2), np.eye(2))
    del space.shape
    with pytest.raises(GeoAEError, match="has no shape"):
        as_latent_prior(space)
