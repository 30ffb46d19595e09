"""R-hat and effective draws, against the formulas of Vehtari et al. (2021) written out here."""

import numpy as np
import pytest
from scipy import stats

from geoae.invert.chains.convergence import effective_draws, r_hat


def halves(draws):
    n = draws.shape[1] // 2
    return np.concatenate([draws[:, :n], draws[:, -n:]])


def normal_scores(x):
    ranks = stats.rankdata(x.reshape(-1, x.shape[-1]), axis=0)
    return stats.norm.ppf((ranks - 3 / 8) / (len(ranks) + 1 / 4)).reshape(x.shape)


def expected_r_hat(draws):
    """Equations 4 to 6 and 14 of the paper, the larger of rank-normalised and folded."""
    found = []
    split = halves(draws)
    for x in (normal_scores(split), normal_scores(np.abs(split - np.median(split, (0, 1))))):
        n = x.shape[1]
        between, within = n * x.mean(1).var(0, ddof=1), x.var(1, ddof=1).mean(0)
        found.append(np.sqrt(((n - 1) / n * within + between / n) / within))
    return np.max(found, axis=0)


def expected_ess(draws):
    """Equations 10 to 12, with Geyer's initial monotone sequence, one lag at a time."""
    found = []
    for x in np.moveaxis(normal_scores(halves(draws)), -1, 0):
        m, n = x.shape
        centred = x - x.mean(1, keepdims=True)
        covariance = np.array([(centred[:, : n - t] * centred[:, t:]).sum(1).mean() / n for t in range(n)])
        within = covariance[0] * n / (n - 1)
        total = within * (n - 1) / n + x.mean(1).var(ddof=1)
        rho = np.r_[1.0, 1 - (within - covariance[1:]) / total]
        time, last = -1.0, np.inf
        for pair in rho[: n - n % 2].reshape(-1, 2).sum(1):
            if pair <= 0:
                break
            last = min(last, pair)
            time += 2 * last
        found.append(m * n / max(time, 1 / np.log10(m * n)))
    return np.array(found)


def autoregressive(shape, rho, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    for i in range(1, shape[1]):
        x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * x[:, i]
    return x


@pytest.mark.parametrize("shape", [(4, 500, 3), (2, 301, 2), (8, 120, 1)])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_r_hat_and_effective_draws_are_those_of_the_paper(shape, rho):
    draws = autoregressive(shape, rho)
    np.testing.assert_allclose(r_hat(draws), expected_r_hat(draws), rtol=1e-9)
    if shape[1] > 300:
        np.testing.assert_allclose(effective_draws(draws), expected_ess(draws), rtol=0.02)


def test_one_chain_is_compared_with_itself():
    """Its halves agree where it does not drift."""
    draws = np.random.default_rng(0).normal(size=(1, 400, 1))
    assert r_hat(draws)[0] < 1.02
    assert r_hat(draws + np.linspace(0, 4, 400)[:, None])[0] > 1.5


def test_a_code_that_never_changes_has_no_r_hat():
    assert np.isnan(r_hat(np.ones((4, 50, 1)))).all()


def test_r_hat_tells_chains_apart():
    """About 1 for draws of one place, far above where a chain is elsewhere; correlated draws count for fewer."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4, 500, 2))
    assert r_hat(draws).max() < 1.02
    assert 1500 < effective_draws(draws).min() < 2800
    draws[0, :, 1] += 3
    assert r_hat(draws)[1] > 1.2
    slow = np.zeros((4, 2000, 1))
    for i in range(1, 2000):
        slow[:, i] = 0.9 * slow[:, i - 1] + rng.normal(size=(4, 1)) * np.sqrt(1 - 0.81)
    assert effective_draws(slow)[0] == pytest.approx(8000 * 0.1 / 1.9, rel=0.35)
