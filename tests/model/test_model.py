"""A denoiser works in the units of its windows: gaps and silence stay, sign, scale and batches do not matter."""

import copy

import numpy as np
import pytest
import torch

from geoae.errors import InputError
from geoae.records.infer import build_identity_denoiser
from tests.conftest import tiny_model


def windows(n: int = 3, time: int = 512) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3, time)).cumsum(axis=-1)


def test_signal_and_noise_are_the_input(model):
    """denoise(x) + noise(x) = x."""
    x = windows()
    np.testing.assert_allclose(model.denoise(x) + model.noise(x), x, rtol=0, atol=1e-12 * np.abs(x).max())


@pytest.mark.parametrize("factor", [-1.0, 1e-12, -3e8, 2.0**500])
def test_units_and_polarity_do_not_matter(model, factor):
    """a times the input gives a times the noise."""
    x = windows()
    np.testing.assert_allclose(model.noise(factor * x) / factor, model.noise(x), rtol=0, atol=1e-5 * x.std())


def test_a_line_is_no_noise(model):
    """An offset and a trend change nothing."""
    x = windows()
    line = 40.0 + np.linspace(-9, 9, x.shape[-1])
    np.testing.assert_allclose(model.noise(x + line), model.noise(x), rtol=0, atol=1e-4 * x.std())


def test_gaps_stay_and_missing_components_are_no_problem(model):
    """NaN comes back as NaN, all else is finite; a component alone is denoised."""
    x = windows()
    x[0, 1], x[1, 2, 50:80] = np.nan, np.nan
    np.testing.assert_array_equal(np.isfinite(model.denoise(x)), np.isfinite(x))
    assert np.isfinite(model.noise(x)).all()


def test_silence_stays_silence(model):
    """The noise of zeros and of a constant is zero."""
    assert not model.noise(np.zeros((1, 3, 512))).any()
    assert not model.noise(np.full((1, 3, 512), 7.0)).any()


def test_windows_of_a_batch_are_independent(model):
    """A window gives the same result alone and in a batch."""
    x = windows(5)
    together = model.noise(x)
    for i in range(5):
        np.testing.assert_allclose(model.noise(x[i : i + 1])[0], together[i], rtol=0, atol=1e-5 * x.std())


def test_identity_removes_nothing():
    """The identity net leaves the input unchanged."""
    assert np.abs(build_identity_denoiser().noise(windows())).max() == 0


def test_results_that_are_not_finite_are_errors():
    """A net with NaN weights raises InputError."""
    broken = copy.deepcopy(tiny_model())
    with torch.no_grad():
        broken.net.decoder.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        broken.noise(windows())


def test_half_precision_is_close():
    """bfloat16 differs by a few percent of the noise at most, and is chosen by name."""
    x = windows()
    full, half = tiny_model().noise(x), tiny_model().to("cpu", "bfloat16").noise(x)
    assert 0 < np.abs(half - full).std() < 0.03 * x.std()
