"""Scores of models equal those of formulas written out for small arrays."""

import numpy as np
import pytest
from scipy.stats import kstest

from geoae.priors import statistics


def test_rmse_ignores_missing_cells():
    """The mean is over valid cells only."""
    models = np.array([[1.0, np.nan, 3.0], [0.0, 0.0, 0.0]])
    estimate = np.array([[4.0, 9.0, 3.0], [3.0, 3.0, 3.0]])
    np.testing.assert_allclose(statistics.rmse(models, estimate), [np.sqrt(4.5), 3.0])


def test_facies_scores():
    """Three of four cells are right; one of two is in both; the Brier score of certain values is the error rate."""
    facies, estimate = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert statistics.accuracy(facies, estimate) == 0.75
    assert statistics.iou(facies, estimate) == 0.5
    assert statistics.brier(facies, estimate.astype(float)) == 0.25
    assert statistics.grey_share(np.array([2.0, 2.5, 3.0, 4.0, np.nan]), 2.0, 4.0) == 0.5


def test_the_variogram_of_a_ramp():
    """Half the squared lag; a ramp twice as steep has four times the variogram, a relative error of 3."""
    ramp = np.arange(40.0)[None]
    np.testing.assert_allclose(statistics.variogram(ramp, 0, 3), [0.5, 2.0, 4.5])
    assert statistics.variogram_error(ramp, 2 * ramp) == pytest.approx(3.0)


def test_normality_of_normal_and_of_shifted_codes():
    """Mean, variance and correlation follow a shift, a scale and a copy; the distance is that of scipy's test."""
    codes = np.random.default_rng(0).normal(size=(2000, 3))
    found = statistics.measure_normality(codes)
    assert found["distance"] == pytest.approx(max(kstest(x, "norm").statistic for x in codes.T))
    assert found["distance"] < 0.04
    codes[:, 0] = 2 * codes[:, 0] + 1
    codes[:, 1] = codes[:, 0]
    found = statistics.measure_normality(codes)
    assert found["mean"] == pytest.approx(1, abs=0.1)
    assert found["most_variance"] == pytest.approx(4, rel=0.1)
    assert found["least_variance"] == pytest.approx(1, rel=0.1)
    assert found["correlation"] == pytest.approx(1)
