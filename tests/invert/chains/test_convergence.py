"""R-hat and effective draws, against the formulas of Vehtari et al. (2021) written out here."""

import numpy as np
import pytest
from scipy import stats

from geoae.errors import InputError
from geoae.invert.chains.convergence import effective_draws, has_enough_draws, r_hat


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


@pytest.mark.parametrize(("shape", "rho"), [((8, 600, 5), 0.5), ((8, 600, 5), 0.9), ((4, 250, 5), 0.9)])
def test_effective_draws_of_default_chains_are_within_two_per_cent(shape, rho):
    draws = autoregressive(shape, rho)
    np.testing.assert_allclose(effective_draws(draws), expected_ess(draws), rtol=0.02)


def test_short_chains_give_too_many_effective_draws():
    """N log10(N) with seven draws of each chain, whatever the autocorrelation; a quarter too many with forty."""
    seven, forty = autoregressive((4, 7, 30), 0.9), autoregressive((8, 40, 200), 0.9)
    np.testing.assert_allclose(effective_draws(seven), 24 * np.log10(24))
    assert effective_draws(forty).mean() == pytest.approx(1.25 * 320 * 0.1 / 1.9, rel=0.1)


@pytest.mark.parametrize("n", [8, 9, 400])
def test_a_single_chain_is_compared_with_itself(n):
    """Its two halves count as chains."""
    draws = np.random.default_rng(0).normal(size=(1, n, 2))
    np.testing.assert_allclose(r_hat(draws), expected_r_hat(draws), rtol=1e-9)
    assert r_hat(draws + np.linspace(0, 9, n)[:, None]).min() > 1.5


@pytest.mark.parametrize("n_chains", [1, 4])
def test_a_code_that_is_the_same_in_all_draws_has_converged(n_chains):
    """No variance between chains: R-hat is 1, and other codes are not affected."""
    draws = np.random.default_rng(0).normal(size=(n_chains, 50, 3))
    draws[..., 1] = 0.1
    found = r_hat(draws)
    assert found[1] == 1
    np.testing.assert_allclose(found[[0, 2]], expected_r_hat(draws[..., [0, 2]]), rtol=1e-9)
    assert effective_draws(draws)[1] == n_chains * 50


def test_chains_that_stay_at_different_values_have_not_converged():
    draws = np.broadcast_to(np.array([0.1, 0.2, 0.3])[:, None, None], (3, 50, 1))
    assert r_hat(draws)[0] == np.inf
    assert r_hat(np.repeat([0.1, 0.2], 25)[None, :, None])[0] == np.inf
    assert effective_draws(draws)[0] < 10


@pytest.mark.parametrize(("shape", "has_enough"), [((2, 3), False), ((2, 4), True), ((1, 7), False), ((1, 8), True)])
def test_r_hat_is_a_number_or_an_error(shape, has_enough):
    """It is never NaN, which a comparison would take for converged or not, by chance."""
    draws = np.random.default_rng(0).normal(size=(*shape, 2))
    assert has_enough_draws(draws) is has_enough
    if has_enough:
        assert np.isfinite(r_hat(draws)).all()
        draws[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="R-hat needs 4 finite draws"):
        r_hat(draws)


def test_r_hat_and_effective_draws_of_known_chains():
    """R-hat is near 1 for independent draws, and large if one chain is shifted; correlated draws count for fewer."""
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
