"""Former names of keywords, which warn and still work for one release."""

import numpy as np
import pytest

from geoae.invert import Inverse
from tests.invert.linear_space import LinearSpace
from tests.invert.problems import D, matrix, rough_models


@pytest.fixture(scope="module")
def inverse():
    space = LinearSpace.from_models(rough_models(200, 0), D, rough_models(60, 1))
    return Inverse(space, matrix(5), matrix(5) @ rough_models(1, 2)[0], 0.1)


def test_rest_is_residual(inverse):
    posterior = inverse.solve("laplace", n_draws=20)
    with pytest.warns(DeprecationWarning, match="residual"):
        found = posterior.sample(3, rest=False)
    np.testing.assert_array_equal(found, posterior.sample(3, residual=False))
    assert not np.array_equal(found, posterior.sample(3))


def test_beside_and_naive_are_other_priors_and_without_representation(inverse):
    other = LinearSpace.from_models(rough_models(200, 0), 2, rough_models(60, 1))
    with pytest.warns(DeprecationWarning, match=r"calibrate\((beside|naive)=\.\.\.\) is calibrate\("):
        old = inverse.calibrate(4, beside={"two": other}, naive=True)
    new = inverse.calibrate(4, other_priors={"two": other}, without_representation=True)
    assert str(old) == str(new)
    assert {"two, laplace", "linear, laplace, without residual"} <= set(new.results)


def test_soft_is_noise_factor(inverse):
    start = np.zeros((1, D))
    with pytest.warns(DeprecationWarning, match="noise_factor"):
        found = inverse.search(start, soft=5.0)
    np.testing.assert_array_equal(found.z, inverse.search(start, noise_factor=5.0).z)
