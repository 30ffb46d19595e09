"""The squared error counts points and windows as stated."""

import torch

from geoae.fields.losses import squared_error


def test_the_error_is_the_mean_over_points_and_windows():
    """Each window has the mean over its own points that count; windows have equal weights."""
    estimate, target = torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    counts = torch.tensor([[1.0, 1, 1, 0], [1, 0, 0, 0]]).reshape(2, 1, 2, 2)
    estimate[0, 0, 0, 0], estimate[1, 0, 0, 0] = 3.0, 2.0
    estimate[:, 0, 1, 1] = 1e9  # does not count
    torch.testing.assert_close(squared_error(estimate, target, counts), torch.tensor((9 / 3 + 4) / 2))


def test_windows_without_points_have_no_error():
    """Neither NaN nor infinity, and a finite gradient."""
    estimate = torch.ones(1, 1, 2, 2, requires_grad=True)
    loss = squared_error(estimate, torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (estimate.grad == 0).all()
