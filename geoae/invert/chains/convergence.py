"""Whether Markov chains have found the same place, and how many independent draws they are worth.

References
----------
Vehtari et al. (2021), Rank-normalization, folding, and localization: an improved R-hat, doi:10.1214/20-BA1221.
Geyer (1992), Practical Markov chain Monte Carlo, doi:10.1214/ss/1177011137.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


def r_hat(draws: Array) -> Array:
    """Split, rank-normalised R-hat of each parameter; 1 where chains agree, 1.05 at most where they can be used.

    Parameters
    ----------
    draws
        (chain, draw, d).

    Returns
    -------
    Array
        (d,), the larger of those of the values and of their distances from the median.
    """
    split = _split(draws)
    folded = np.abs(split - np.median(split, axis=(0, 1)))
    return np.maximum(_r_hat(_ranked(split)), _r_hat(_ranked(folded)))


def effective_draws(draws: Array) -> Array:
    """(d,) how many independent draws have the same error of the mean as these (chain, draw, d)."""
    x = _ranked(_split(draws))
    n_chains, n, _ = x.shape
    centred = x - x.mean(1, keepdims=True)
    padded = np.fft.rfft(centred, 2 * n, axis=1)
    covariance = np.fft.irfft(padded * padded.conj(), axis=1)[:, :n] / n
    within = covariance[:, 0].mean(0) * n / (n - 1)
    total = within * (n - 1) / n + (x.mean(1).var(0, ddof=1) if n_chains > 1 else 0.0)
    rho = 1 - (within - covariance.mean(0)) / np.where(total > 0, total, 1.0)
    rho[0] = 1.0
    pairs = rho[: n - n % 2].reshape(-1, 2, rho.shape[-1]).sum(1)
    # sums of neighbours are positive and fall in a reversible chain; from the first that is not, all is noise
    positive = np.minimum.accumulate(np.where(np.cumprod(pairs > 0, axis=0), pairs, 0.0), axis=0)
    time = np.maximum(-1 + 2 * positive.sum(0), 1 / np.log10(max(n_chains * n, 11)))
    return np.minimum(n_chains * n / time, n_chains * n * np.log10(max(n_chains * n, 11)))


def _split(draws: Array) -> Array:
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def _ranked(x: Array) -> Array:
    flat = x.reshape(-1, x.shape[-1])
    ranks = stats.rankdata(flat, axis=0)
    return stats.norm.ppf((ranks - 0.375) / (len(flat) + 0.25)).reshape(x.shape)


def _r_hat(x: Array) -> Array:
    n = x.shape[1]
    within = x.var(1, ddof=1).mean(0)
    between = x.mean(1).var(0, ddof=1)
    return np.sqrt((n - 1) / n + between / np.where(within > 0, within, 1.0))
