"""The terms of the evidence lower bound against closed forms and torch.distributions."""

import math

import torch

from geoae.priors import losses as terms


def test_kl_of_one_and_one_is_half_a_nat():
    """KL(N(1, 1) || N(0, 1)) = 0.5 nat; of N(0, 1) it is 0; of any other normal it is torch's."""
    one = terms.kl_normal(torch.ones(3, 4), torch.zeros(3, 4))
    torch.testing.assert_close(one, torch.full((3, 4), 0.5))
    assert terms.kl_normal(torch.zeros(2), torch.zeros(2)).abs().max() == 0
    mean, log_variance = torch.randn(2, 50, generator=torch.Generator().manual_seed(0)).unbind(0)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(terms.kl_normal(mean, log_variance), expected)


def test_free_bits_leave_small_terms_without_slope():
    """Below the threshold a code's KL is the threshold and has no gradient; above, it counts."""
    kl = torch.tensor([[0.1, 2.0], [0.3, 4.0]], requires_grad=True)
    total = terms.free_bits(kl, 0.5)
    torch.testing.assert_close(total, torch.tensor(3.5))
    (slope,) = torch.autograd.grad(total, kl)
    torch.testing.assert_close(slope, torch.tensor([[0.0, 0.5], [0.0, 0.5]]))


def test_likelihoods_leave_out_what_does_not_count():
    """Sums over cells that count, equal to torch.distributions'."""
    generator = torch.Generator().manual_seed(1)
    x, y = torch.rand(2, 5, 6, generator=generator).unbind(0)
    counts = (torch.rand(5, 6, generator=generator) > 0.3).float()
    found = terms.log_gaussian(x, y, torch.tensor(-1.0), counts)
    expected = (torch.distributions.Normal(y, math.exp(-0.5)).log_prob(x) * counts).sum(1)
    torch.testing.assert_close(found, expected)
    facies = x.round()
    expected = (torch.distributions.Bernoulli(logits=y).log_prob(facies) * counts).sum(1)
    torch.testing.assert_close(terms.log_bernoulli(facies, y, counts), expected)
