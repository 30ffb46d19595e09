"""Losses: their values from the equations, finite slopes at silence, and a mean that does not know of processes."""

import math

import pytest
import torch

from geoae.losses import compressed_spectral_error, denoising_loss, log_error_db


def batch(seed: int, n: int = 4, time: int = 512) -> torch.Tensor:
    return torch.randn(n, 3, time, generator=torch.Generator().manual_seed(seed))


def test_the_error_has_a_floor():
    """A perfect estimate has 10 log10(a |t|^2 + a |n|^2 / 10), and beyond the ceiling little is gained."""
    target = 10 * batch(0)
    noisy = target + batch(1)
    a = 1e-3
    floor = 10 * torch.log10(a * target.square().sum(-1) + 0.1 * a * noisy.square().sum(-1))
    torch.testing.assert_close(log_error_db(target, target, noisy), floor)
    at_ceiling = log_error_db(target * (1 + a**0.5), target, noisy)
    torch.testing.assert_close(at_ceiling - floor, torch.full_like(floor, 10 * math.log10(2.1 / 1.1)), atol=0.1, rtol=0)


def test_the_error_is_energy_in_db():
    """Far above the floor, ten times the error is 20 dB more."""
    target, noisy, error = torch.zeros(4, 3, 512), torch.zeros(4, 3, 512), batch(2)
    step = log_error_db(10 * error, target, noisy) - log_error_db(error, target, noisy)
    torch.testing.assert_close(step, torch.full_like(step, 20.0))


@pytest.mark.parametrize("factor", [1e-2, 0.5, 30.0])
def test_scaling_everything_adds_a_constant(factor):
    """k times louder is 20 log10 k more dB, so the slope does not depend on units."""
    estimate, target, noisy = batch(0), batch(1), batch(2)
    change = log_error_db(factor * estimate, factor * target, factor * noisy) - log_error_db(estimate, target, noisy)
    torch.testing.assert_close(change, torch.full_like(change, 20 * math.log10(factor)), atol=1e-3, rtol=0)


def test_spectral_error_is_zero_for_truth_and_at_most_one():
    """The relative error runs from 0 (equal) to 1 (nothing in common), and counts magnitudes, not signs."""
    x = 100 * batch(0)
    assert not compressed_spectral_error(x, x).any()
    assert not compressed_spectral_error(-x, x).any()
    lost = compressed_spectral_error(torch.zeros_like(x), x)
    assert ((lost > 0.5) & (lost <= 1)).all()


@pytest.mark.parametrize(("estimate", "target"), [(0, 0), (0, 1), (1, 0)])
def test_slopes_are_finite_at_silence(estimate, target):
    """Silent estimates, targets and windows give finite losses and gradients."""
    e = (estimate * batch(0)).requires_grad_()
    noisy = target * batch(1)
    loss = denoising_loss(e, noisy.clone(), noisy, torch.ones(4, 3, dtype=torch.bool), 5.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(e.grad).all()


def test_absent_components_do_not_count():
    """What an absent component holds changes neither the loss nor the slope."""
    present = torch.tensor([[True, False, True]] * 4)
    target, noisy, junk = batch(1), batch(2), batch(3)
    losses = []
    for fill in (0.0, 100.0):
        e = torch.where(present[..., None], batch(0), fill * junk).requires_grad_()
        loss = denoising_loss(e, target, noisy, present, 5.0)
        loss.backward()
        assert not e.grad[:, 1].any()
        losses.append(loss)
    torch.testing.assert_close(*losses, rtol=0, atol=0)


def test_the_mean_over_processes_is_the_loss_of_the_whole_batch():
    """Halves with different numbers of present components average to the whole, as averaged gradients need."""
    estimate, target, noisy = batch(0), batch(1), batch(2)
    present = torch.tensor([[True] * 3, [True, False, True], [False, False, True], [True, False, False]])
    whole = denoising_loss(estimate, target, noisy, present, 5.0)
    halves = [denoising_loss(estimate[h], target[h], noisy[h], present[h], 5.0) for h in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(torch.stack(halves).mean(), whole)


def test_without_weight_there_is_no_spectral_term():
    """A weight of 0 leaves the mean error in dB."""
    estimate, target, noisy = batch(0), batch(1), batch(2)
    found = denoising_loss(estimate, target, noisy, torch.ones(4, 3, dtype=torch.bool), 0.0)
    torch.testing.assert_close(found, log_error_db(estimate, target, noisy).mean())
