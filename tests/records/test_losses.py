"""Losses follow their equations, have finite gradients at silence, and do not depend on the number of processes."""

import math

import numpy as np
import pytest
import torch

from geoae.records.losses import (
    FRAME_LENGTHS,
    LossWeights,
    compressed_magnitude,
    denoising_loss,
    energy_error,
    onset_weight,
    peak_error,
    quantile_error,
    relative_error,
)
from geoae.training.losses import log_error_db

ALL = torch.ones(4, 3, dtype=torch.bool)
WEIGHTS = [(5.0, 0.0, 0.0, 0.0), (5.0, 15.0, 0.0, 0.0), (0.0, 15.0, 10.0, 4.0)]  # of spectra, onsets, energies, peaks


def batch(seed: int, n: int = 4, time: int = 512) -> torch.Tensor:
    return torch.randn(n, 3, time, generator=torch.Generator().manual_seed(seed))


def burst(onset: int, n: int = 4, time: int = 2048, floor: float = 0.0) -> torch.Tensor:
    """Noise that sets in at one sample, in noise of the standard deviation `floor`."""
    x = batch(7, n, time)
    x[..., :onset] *= floor
    return x


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


@pytest.mark.parametrize("frame", FRAME_LENGTHS)
@pytest.mark.parametrize("power", [0.3, 1.0])
def test_compressed_magnitudes_are_those_of_hann_frames(frame, power):
    """|X|^power of each frame at 50 % overlap, as numpy finds it, where it is not near zero."""
    x = 10 * batch(0, 1)
    found = compressed_magnitude(x, frame, power)[0].numpy()
    hann = np.hanning(frame + 1)[:-1]
    starts = range(0, 512 - frame + 1, frame // 2)
    spectra = np.stack([np.fft.rfft(x[0, :, s : s + frame].numpy() * hann) for s in starts], axis=1)
    assert found.shape == spectra.shape
    np.testing.assert_allclose(found, (np.abs(spectra) ** 2 + 1e-4) ** (power / 2), rtol=1e-3)


def test_the_relative_error_runs_from_zero_to_one():
    """0 for the truth, 1 where one of the two is nothing, and (a - b)^2 / (a + b)^2 for constants between."""
    x = batch(0).abs()[..., None].expand(-1, -1, -1, 5)
    assert not relative_error(x, x).any()
    torch.testing.assert_close(relative_error(0 * x, x), torch.ones(4, 3))
    torch.testing.assert_close(relative_error(3 * x, x), torch.full((4, 3), 0.25))
    mixed = relative_error(x, x.flip(2))
    assert ((mixed > 0) & (mixed < 1)).all()


def test_the_relative_error_counts_magnitudes_and_not_signs():
    """A spectrum of the other sign has the same magnitudes."""
    x = 100 * batch(0)
    assert not relative_error(compressed_magnitude(-x, 32), compressed_magnitude(x, 32)).any()


def test_a_weight_chooses_frames():
    """Only frames of some weight count, as if the others were not there; without any the error is 0."""
    e, t = (batch(k).abs()[..., None].expand(-1, -1, -1, 5) for k in (0, 1))
    weight = torch.zeros(4, 3, 512)
    assert not relative_error(e, t, weight).any()
    weight[..., 100:200] = 1e4  # beside which the 1 that keeps silence from dividing by nothing is nothing
    expected = relative_error(e[:, :, 100:200], t[:, :, 100:200])
    torch.testing.assert_close(relative_error(e, t, weight), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("step", [4, 16])
@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_the_onset_weight_is_large_around_an_onset_alone(step, floor):
    """Large from 20 steps before an onset to 12 after it; before 25 and after 12 + 25 steps next to nothing."""
    onset = 70 * step
    weight = onset_weight(burst(onset, time=200 * step, floor=floor), step)
    assert weight.shape == (4, 3, 200)
    assert ((weight >= 0) & (weight <= 3)).all()
    assert (weight[..., 70 - 20 : 70 + 12] > 1).all()
    assert (weight[..., 65:80] > 2).all()
    far = torch.cat([weight[..., : 70 - 25], weight[..., 70 + 12 + 25 :]], dim=-1)
    assert far.mean() < 0.1
    assert far.max() < 0.6


@pytest.mark.parametrize("size", [0.0, 1e-3])
def test_silence_has_no_onset(size):
    """The weight of silence, and of what is hardly more, is zero."""
    assert onset_weight(size * batch(0), 4).max() < 0.01


def test_a_steady_signal_has_no_onset():
    """A sine and steady noise have a weight of nearly zero (of 3) from the first step to the last."""
    sine = torch.sin(torch.arange(2048) * (2 * math.pi / 16)).expand(1, 3, -1)
    assert onset_weight(sine, 4).max() < 0.15
    assert onset_weight(batch(0, time=2048), 4).mean() < 0.1


def test_the_end_of_a_signal_is_no_onset():
    """Energy that stops weighs nothing where it stops."""
    weight = onset_weight(burst(1024).flip(-1), 4)
    assert weight[..., 256:].mean() < 0.01


@pytest.mark.parametrize("place", [960, 1000])
def test_energy_ahead_of_an_onset_costs_more_than_elsewhere(place):
    """The same made-up energy is worse shortly ahead of an onset than in silence far from it, for the onset term."""
    target = burst(1024)
    error = 0.3 * batch(8, time=24)

    def loss(at: int, onsets: float) -> torch.Tensor:
        estimate = target.clone()
        estimate[..., at : at + 24] += error
        return denoising_loss(estimate, target, target, ALL, LossWeights(0.0, onsets)).total

    near, far = loss(place, 15.0), loss(400, 15.0)
    torch.testing.assert_close(loss(place, 0.0), loss(400, 0.0))
    torch.testing.assert_close(far, loss(400, 0.0))  # far from onsets the term is silent
    assert near > far + 0.15


def test_a_late_onset_costs():
    """An estimate that fades in is worse than one that sets in, by the onset term alone."""
    target = burst(1024)
    late = target.clone()
    late[..., 1024:1064] *= torch.linspace(0, 1, 40)
    with_term, without = (denoising_loss(late, target, target, ALL, LossWeights(0.0, w)).total for w in (15.0, 0.0))
    assert with_term > without + 0.15


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize(("estimate", "target"), [(0, 0), (0, 1), (1, 0)])
def test_slopes_are_finite_at_silence(estimate, target, weights):
    """Silent estimates, targets and windows give finite losses and gradients."""
    e = (estimate * batch(0)).requires_grad_()
    noisy = target * batch(1)
    loss = denoising_loss(e, noisy.clone(), noisy, ALL, LossWeights(*weights)).total
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(e.grad).all()


@pytest.mark.parametrize("weights", WEIGHTS)
def test_absent_components_do_not_count(weights):
    """What an absent component holds changes neither the loss nor the slope."""
    present = torch.tensor([[True, False, True]] * 4)
    target, noisy, junk = burst(256, time=512), batch(2), batch(3)
    losses = []
    for fill in (0.0, 100.0):
        e = torch.where(present[..., None], batch(0), fill * junk).requires_grad_()
        loss = denoising_loss(e, target, noisy, present, LossWeights(*weights)).total
        loss.backward()
        assert not e.grad[:, 1].any()
        losses.append(loss)
    torch.testing.assert_close(*losses, rtol=0, atol=0)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_mean_over_processes_is_the_loss_of_the_whole_batch(weights):
    """Halves with different numbers of present components average to the whole, as averaged gradients need."""
    estimate, target, noisy = batch(0), burst(256, time=512), batch(2)
    present = torch.tensor([[True] * 3, [True, False, True], [False, False, True], [True, False, False]])
    whole = denoising_loss(estimate, target, noisy, present, LossWeights(*weights)).total
    halves = [denoising_loss(*(x[h] for x in (estimate, target, noisy, present)), LossWeights(*weights)).total
              for h in (slice(0, 2), slice(2, 4))]  # fmt: skip
    torch.testing.assert_close(torch.stack(halves).mean(), whole)


def test_without_weight_there_is_no_spectral_term():
    """Weights of 0 leave the mean error in dB."""
    estimate, target, noisy = batch(0), batch(1), batch(2)
    found = denoising_loss(estimate, target, noisy, ALL, LossWeights(0.0)).total
    torch.testing.assert_close(found, log_error_db(estimate, target, noisy).mean())


def test_the_spectral_term_is_the_mean_over_frames():
    """Its weight times the mean of the relative errors of three lengths is what it adds."""
    estimate, target, noisy = batch(0), batch(1), batch(2)
    errors = [
        relative_error(compressed_magnitude(estimate, n), compressed_magnitude(target, n)).mean() for n in FRAME_LENGTHS
    ]
    with_term, without = (
        denoising_loss(estimate, target, noisy, ALL, LossWeights(weight)).total for weight in (6.0, 0.0)
    )
    added = with_term - without
    torch.testing.assert_close(added, 2 * sum(errors), rtol=1e-4, atol=0)


@pytest.mark.parametrize("weights", [*WEIGHTS, (0.0, 0.0, 0.0, 0.0)])
def test_the_terms_have_names_and_sum_to_the_loss(weights):
    """The error and the terms whose weights are not 0; none carries a gradient."""
    estimate, target, noisy = batch(0).requires_grad_(), burst(256, time=512), batch(2)
    present = torch.tensor([[True] * 3, [True, False, True], [False, False, True], [True, False, False]])
    total, terms = denoising_loss(estimate, target, noisy, present, LossWeights(*weights))
    names = LossWeights._fields[:-1]  # the last is a bend
    assert terms.keys() == {"error", *(name for name, w in zip(names, weights, strict=True) if w)}
    torch.testing.assert_close(sum(terms.values()), total.detach())
    assert total.requires_grad
    assert not any(term.requires_grad for term in terms.values())


def test_a_burst_in_a_quiet_part_costs_as_a_ratio():
    """The energy error of a burst is the same at any level, and grows with its ratio to what should be there."""
    quiet = 0.1 * batch(0, time=2048)

    def error(level: float, factor: float) -> torch.Tensor:
        estimate = level * quiet
        estimate[..., 1000:1050] *= factor
        return energy_error(estimate, level * quiet).mean()

    assert error(1.0, 1.0) == 0
    assert error(1.0, 3.0) < error(1.0, 10.0)
    torch.testing.assert_close(error(1.0, 10.0), error(100.0, 10.0), rtol=0.1, atol=0)


def test_the_bend_says_from_where_on_an_energy_error_is_linear():
    """Errors of 2 and 4 decades: with a bend of 0.5, less half of it; half their squares below the bend."""
    target = batch(0, time=1024)
    far, near = (energy_error(10**decades * target, target, bend=0.5).mean() for decades in (1.0, 0.1))
    torch.testing.assert_close(far, torch.tensor(2.0 - 0.25), rtol=0.01, atol=0)
    torch.testing.assert_close(near, torch.tensor(0.5 * 0.2**2 / 0.5), rtol=0.01, atol=0)


def test_a_lost_peak_costs():
    """The peak error knows the largest power alone: half of it is 0.3 decades, and elsewhere nothing counts."""
    target = batch(0, time=1024) * 0.01
    target[..., 500:550] += 10.0
    half, elsewhere = target.clone(), target.clone()
    half[..., 500:550] *= 0.5**0.5
    elsewhere[..., :300] *= 3
    torch.testing.assert_close(peak_error(half, target).mean(), torch.tensor(0.5 * 0.30103**2), rtol=0.02, atol=0)
    assert peak_error(elsewhere, target).max() < 1e-6


def test_the_quantile_error_is_least_at_the_quantile():
    """The best constant is the value that 90 % of the errors do not exceed; samples that do not count are left out."""
    error, valid = batch(0, time=20_000), torch.ones(4, 3, 20_000, dtype=torch.bool)
    valid[..., 10_000:] = False
    error[..., 10_000:] *= 100
    expected = error[..., :10_000].abs().quantile(0.9)
    levels = expected * torch.tensor([0.8, 0.9, 1.0, 1.1, 1.25])
    losses = [quantile_error(level.log().expand_as(error), error, 0 * error, valid).mean() for level in levels]
    assert int(torch.stack(losses).argmin()) == 2
