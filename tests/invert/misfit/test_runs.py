"""Finished runs."""

import numpy as np

from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.runs import Runs


def test_whitened_data_have_the_mean_of_the_noise():
    """They compare with whitened measured data, which contain that mean."""
    data = np.array([[1.0, 2.0], [3.0, 5.0]])
    runs = Runs(np.zeros((2, 1)), data)
    np.testing.assert_allclose(runs.whiten(Noise(np.array([4.0, 0.25]), np.array([1.0, -1.0]))), [[1, 2], [2, 8]])
