"""Whether Markov chains have converged to one distribution, and how many independent draws they are worth.

References
----------
Vehtari et al. (2021), Rank-normalization, folding, and localization: an improved R-hat, doi:10.1214/20-BA1221.
"""

import numpy as np
from scipy import stats

from geoae.arrays.types import Float64Array
from geoae.errors import InputError

MAX_R_HAT = 1.05
"""Chains with a larger R-hat have not converged."""
MIN_HALF = 4
"""Draws of each sequence that ArviZ compares, at least."""


def has_enough_draws(draws: Float64Array) -> bool:
    """Whether draws (chain, draw, d) have an R-hat: four of each chain, or eight of a single one."""
    return draws.shape[1] >= (MIN_HALF if len(draws) > 1 else 2 * MIN_HALF)


def r_hat(draws: Float64Array) -> Float64Array:
    """Split, rank-normalised R-hat of each code: 1 where all half chains have the same distribution.

    Where each half chain stays at one value, no variance within chains is left to compare with. R-hat is then 1 if the
    value is the same in all of them, and infinite if it differs.

    Parameters
    ----------
    draws
        (chain, draw, d).

    Returns
    -------
    Float64Array
        (d,), the larger of the R-hat of the values and that of their distances from the median; never NaN.

    Raises
    ------
    InputError
        There are fewer draws than `has_enough_draws` asks for, or some are not finite.
    """
    from arviz_stats.base import array_stats

    if not has_enough_draws(draws) or not np.isfinite(draws).all():
        raise InputError(f"R-hat needs {MIN_HALF} finite draws of each chain, or {2 * MIN_HALF} of a single one.")
    half = draws.shape[1] // 2
    halves = np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])
    with np.errstate(divide="ignore", invalid="ignore"):  # codes that do not vary, which are treated below
        if len(draws) > 1:
            found = array_stats.rhat(draws, chain_axis=0, draw_axis=1)
        else:  # ArviZ needs two chains: the halves of one, which it is not to split again
            folded = np.abs(halves - np.median(halves, (0, 1)))
            found = np.fmax(*(
                array_stats.rhat(_normal_scores(x), chain_axis=0, draw_axis=1, method="identity")
                for x in (halves, folded)
            ))  # fmt: skip
    varies_within, varies = np.ptp(halves, axis=1).any(0), np.ptp(halves, axis=(0, 1)) > 0
    return np.where(varies_within, found, np.where(varies, np.inf, 1.0))


def effective_draws(draws: Float64Array) -> Float64Array:
    """Bulk effective sample size of each code: so many independent draws give the mean with the same error.

    This is the estimator of Vehtari et al. (2021), equations 10 to 12, for rank-normalised half chains: the number of
    draws over the autocorrelation time, with the autocorrelations cut off by Geyer's initial monotone sequence. The
    result is at most N log10(N) for N draws. A code that is the same in all draws counts as N independent ones.

    Chains that are short compared with their autocorrelation time get too large a number, because the sum of their
    autocorrelations ends with the chain. For an autocorrelation of 0.9 from draw to draw, it is a quarter too large
    with 40 draws of each of 8 chains, and within a few per cent with 250. With fewer than eight draws of each chain it
    is always N log10(N), and says nothing.

    Parameters
    ----------
    draws
        (chain, draw, d), at least four draws of each chain.

    Returns
    -------
    Float64Array
        (d,)
    """
    from arviz_stats.base import array_stats

    return np.asarray(array_stats.ess(draws, chain_axis=0, draw_axis=1), dtype=np.float64)


def _normal_scores(x: Float64Array) -> Float64Array:
    """Replace the values of each code by normal quantiles of their ranks among all (chain, draw)."""
    ranks = stats.rankdata(x.reshape(-1, x.shape[-1]), axis=0)
    scores: Float64Array = stats.norm.ppf((ranks - 3 / 8) / (len(ranks) + 1 / 4)).reshape(x.shape)
    return scores
