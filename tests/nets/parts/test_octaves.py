"""Octave bands: squared responses add up to one, constant gains keep them, and images of a gain are filtered out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geoae.nets.parts.octaves import OctaveBands

EDGES = (0.04, 0.09, 0.20, 0.40)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).float()


def power(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Power between two frequencies in cycles per sample."""
    f = torch.fft.rfftfreq(x.shape[-1])
    return torch.fft.rfft(x)[..., (f >= low) & (f < high)].abs().square().sum()


@given(time=st.integers(700, 3000))
def test_bands_hold_what_lies_between_the_edges(time):
    """Split and joined, the middle of the bands comes back, and nothing outside the edges does."""
    bands, x = OctaveBands(EDGES), noise(time, 2, 3, time)
    parts, rest = bands.split(x)
    joined = bands.join(parts, 0 * rest)
    torch.testing.assert_close(bands.join(parts, rest), x, atol=5e-6, rtol=0)
    assert power(joined - x, 0.06, 0.3) < 1e-9 * power(x, 0.06, 0.3)
    assert power(joined, 0.0, 0.03) + power(joined, 0.48, 0.51) < 1e-9 * power(x, 0.0, 0.5)


def test_bands_share_the_power():
    """Each frequency between the edges lies in bands whose squared responses add up to one."""
    bands = OctaveBands(EDGES)
    responses = bands._responses(torch.zeros(4096))
    f = torch.fft.rfftfreq(4096)
    total = responses.square().sum(0)
    torch.testing.assert_close(total[(f > 0.05) & (f < 0.33)], torch.ones(int(((f > 0.05) & (f < 0.33)).sum())))
    assert responses.shape == (3, 2049)
    assert (total <= 1 + 1e-6).all()


@pytest.mark.parametrize("hop", [2, 4])
@given(value=st.floats(0, 1))
def test_constant_gains_stay_constant(hop, value):
    """Smoothing and interpolation change no constant, up to the ends and beyond the last hop."""
    gains = OctaveBands(EDGES).interpolate_gains(torch.full((2, 3, 3, 50), value), hop, 50 * hop + 17)
    torch.testing.assert_close(gains, torch.full((2, 3, 3, 50 * hop + 17), value))


def test_lower_bands_have_smoother_gains():
    """A gain that jumps rises the more slowly the lower its band, and symmetrically."""
    gains = torch.zeros(1, 1, 3, 100)
    gains[..., 50:] = 1
    out = OctaveBands(EDGES).interpolate_gains(gains, 4, 400)[0, 0]
    widths = [int(((row > 0.01) & (row < 0.99)).sum()) for row in out]
    assert widths[0] > widths[1] > widths[2] > 2
    torch.testing.assert_close(out, 1 - out.flip(-1))


def test_images_stay_in_their_band():
    """A strong low frequency under gains that jump makes nothing at high frequencies."""
    bands = OctaveBands(EDGES)
    x = 1e4 * torch.sin(2 * torch.pi * 0.05 * torch.arange(4096.0))[None, None] * torch.hann_window(4096)
    gains = bands.interpolate_gains((noise(0, 1, 1, 3, 1024) > 0).float(), 4, 4096)
    parts, rest = bands.split(x)
    out = bands.join(parts * gains, 0 * rest)
    assert power(out, 0.04, 0.09) > 0.01 * power(x, 0.04, 0.09)
    assert power(out, 0.2, 0.5) < 1e-10 * power(x, 0.0, 0.5)
