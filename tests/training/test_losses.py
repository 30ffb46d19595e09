"""The loss of traces in dB has the values of its formula."""

import math

import torch

from geoae.training.losses import log_error_db


def test_half_the_error_is_six_decibels():
    """Far above the ceiling, the loss follows the error energy; loud and quiet traces have the same differences."""
    target = torch.ones(1, 2, 100) * torch.tensor([1.0, 1e3])[None, :, None]
    far, near = (log_error_db(target * (1 + e), target, target) for e in (2.0, 1.0))
    torch.testing.assert_close(far - near, torch.full((1, 2), 20 * math.log10(2)), atol=0.02, rtol=0)


def test_a_perfect_estimate_reaches_the_ceiling():
    """Without error, what is left is the target's energy 30 dB down, and a tenth of the noisy input's."""
    target, noisy = torch.ones(1, 1, 50), 2 * torch.ones(1, 1, 50)
    expected = 10 * math.log10(1e-3 * 50 + 1e-4 * 200 + 1e-9)
    torch.testing.assert_close(log_error_db(target, target, noisy), torch.tensor([[expected]]))
