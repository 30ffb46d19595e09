"""Refined codes solve the least squares that they minimise."""

import torch

from geoae.priors.refine import MISFIT, refine_codes


def test_a_linear_decoder_gives_ridge_regression():
    """For m = A z and a mask, the code is the solution of (A^T A / MISFIT + I) z = A^T m / MISFIT over valid cells."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(12, 3, dtype=torch.float64, generator=generator)
    models = torch.randn(5, 12, dtype=torch.float64, generator=generator)
    valid = (torch.rand(5, 12, generator=generator) > 0.3).double()
    found = refine_codes(lambda z: (z @ a.T)[:, None], torch.zeros(5, 3, dtype=torch.float64), models, valid, 30)
    for z, m, mask in zip(found, models, valid.bool(), strict=True):
        rows = a[mask]
        expected = torch.linalg.solve(rows.T @ rows / MISFIT + torch.eye(3), rows.T @ m[mask] / MISFIT)
        torch.testing.assert_close(z, expected, rtol=1e-3, atol=1e-3)


def test_no_steps_change_nothing():
    """Codes come back as they are, and the input is not changed."""
    z = torch.ones(2, 3)
    assert torch.equal(refine_codes(lambda z: z[:, None], z, torch.zeros(2, 3), torch.ones(2, 3), 0), z)
    refine_codes(lambda z: z[:, None], z, torch.zeros(2, 3), torch.ones(2, 3), 3)
    assert torch.equal(z, torch.ones(2, 3))
