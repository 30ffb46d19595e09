"""The terms of the evidence lower bound against closed forms, and its bounds where log p(x) is known."""

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


def test_elbo_importance_weighted_bound_and_log_p_are_in_order():
    """x | z ~ N(W z, s^2 I), z ~ N(0, I): ELBO <= bound of 50 draws <= log p(x), and equal if q is the posterior."""
    torch.manual_seed(2)
    w, variance, x = torch.randn(6, 2, dtype=torch.float64), 0.3, torch.randn(6, dtype=torch.float64)
    evidence = torch.distributions.MultivariateNormal(torch.zeros(6).double(), w @ w.T + variance * torch.eye(6))
    log_p = evidence.log_prob(x)
    precision = w.T @ w / variance + torch.eye(2)
    best = torch.linalg.solve(precision, w.T @ x / variance)

    def log_weights(mean, log_variance, n):
        z = mean + torch.randn(n, 2, dtype=torch.float64) * (0.5 * log_variance).exp()
        likelihood = terms.log_gaussian(x, z @ w.T, torch.tensor(math.log(variance)), torch.ones(6))
        return terms.log_weights(likelihood, z, mean, log_variance)

    rough = log_weights(best + 0.2, torch.full((2,), -1.0).double(), 100_000)
    elbo = rough.mean()
    tighter = terms.importance_weighted_bound(rough.view(50, -1)).mean()
    assert elbo < tighter - 0.01
    assert tighter <= log_p + 0.01
    torch.testing.assert_close(terms.importance_weighted_bound(rough), log_p, atol=0.02, rtol=0)
    # with the mean field that has the true posterior of one code every weight is p(x)
    w1 = w[:, :1]
    precision = float((w1.T @ w1) / variance + 1)
    mean = (w1.T @ x / variance / precision).view(1)
    z = mean + torch.randn(20, 1, dtype=torch.float64) * precision**-0.5
    likelihood = terms.log_gaussian(x, z @ w1.T, torch.tensor(math.log(variance)), torch.ones(6))
    found = terms.log_weights(likelihood, z, mean, torch.full((1,), -math.log(precision)).double())
    one = torch.distributions.MultivariateNormal(torch.zeros(6).double(), w1 @ w1.T + variance * torch.eye(6))
    torch.testing.assert_close(found, one.log_prob(x).expand(20))


def test_the_elbo_is_expected_likelihood_less_kl():
    """The mean of log weights is the mean log-likelihood minus the closed-form KL."""
    torch.manual_seed(3)
    mean, log_variance = torch.tensor([0.5, -1.0]).double(), torch.tensor([-1.0, 0.3]).double()
    z = mean + torch.randn(200_000, 2, dtype=torch.float64) * (0.5 * log_variance).exp()
    found = terms.log_weights(torch.zeros(len(z)).double(), z, mean, log_variance).mean()
    torch.testing.assert_close(found, -terms.kl_normal(mean, log_variance).sum(), atol=0.02, rtol=0)
