"""Weights of standard errors: the law by which errors were made is found, and unknown cells keep an error."""

import numpy as np
import pytest

from geoae.errors import ModelFileError
from geoae.records.contract import RecordContract
from geoae.records.sigma import OCTAVES, SHARES, estimate_sigma
from geoae.records.sigma_weights import WeightFit

N = 4096


def make_case(seed: int, gain: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noisy windows, a signal that is a share of them, and a truth: errors are a tenth of the input."""
    rng = np.random.default_rng(seed)
    noisy = rng.normal(size=(6, 3, N))
    signal = gain * noisy
    return noisy, signal, signal - 0.1 * rng.normal(size=noisy.shape)


def test_the_law_of_the_errors_is_found():
    """The error is 0.1 of the input where half of the amplitude is kept: sigma with the weights tells it."""
    fit = WeightFit()
    fit.add(*make_case(0))
    noisy, signal, clean = make_case(1)
    sigma = estimate_sigma(signal, noisy - signal, None, fit.find())
    assert np.sqrt(np.square(sigma).mean()) == pytest.approx((signal - clean).std(), rel=0.1)
    wiener = estimate_sigma(signal, noisy - signal)
    assert wiener.mean() > 3 * sigma.mean()


def test_classes_that_were_never_seen_keep_an_error():
    """All weights are above 0, so no cell is taken for certain."""
    fit = WeightFit()
    fit.add(*make_case(0))
    weights = np.array(fit.find())
    assert weights.shape == (len(OCTAVES), len(SHARES))
    assert (weights > 0).all()


def test_a_silent_component_does_not_count():
    """The truth of an absent component is silent; its errors have no scale."""
    one, other = WeightFit(), WeightFit()
    noisy, signal, clean = make_case(0)
    one.add(noisy[:, :2], signal[:, :2], clean[:, :2])
    clean[:, 2] = 0
    other.add(noisy, signal, clean)
    assert one.find() == other.find()


def test_weights_of_a_wiener_filter_are_the_default():
    """Weights p (1 - p) at a share that lies in the middle of its class give what no weights give."""
    rng = np.random.default_rng(2)
    noisy = rng.normal(size=(1, 1, N))
    signal = np.sqrt(0.4 / 0.6) / (1 + np.sqrt(0.4 / 0.6)) * noisy  # powers of 0.4 and 0.6
    weights = np.full((len(OCTAVES), len(SHARES)), 0.24)
    np.testing.assert_allclose(
        estimate_sigma(signal, noisy - signal, None, weights.tolist()),
        estimate_sigma(signal, noisy - signal),
        rtol=1e-3,
    )


def test_weights_of_another_shape_are_refused():
    """A model file with rows of wrong length is told when it is read."""
    with pytest.raises(ModelFileError, match=r"2 rows of \[1, 2\] numbers; expected 7 rows of 9"):
        RecordContract("a", "b", 100.0, (2.0, 1000.0), 64, 48, 1, sigma_weights=((1.0,), (1.0, 2.0)))
