"""Figures of posteriors."""

import warnings

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.invert import Inverse
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import D, matrix, rough_models


def test_a_profile_is_plotted():
    space = LinearSpace.from_models(rough_models(200, 0), D, rough_models(60, 1))
    posterior = Inverse(space, matrix(5), matrix(5) @ rough_models(1, 2)[0], 0.1).solve("laplace", n_draws=40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert posterior.plot(truth=rough_models(1, 2)[0]).axes
    with pytest.raises(InputError, match="truth has shape"):
        posterior.plot(truth=np.zeros(3))
