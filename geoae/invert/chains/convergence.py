"""Whether Markov chains have converged to one distribution, and how many independent draws they are worth.

References
----------
Vehtari et al. (2021), Rank-normalization, folding, and localization: an improved R-hat, doi:10.1214/20-BA1221.
"""

import numpy as np

from geoae.arrays.types import Float64Array


def r_hat(draws: Float64Array) -> Float64Array:
    """Split, rank-normalised R-hat of each parameter; 1 where chains agree, 1.05 at most where they can be used.

    Parameters
    ----------
    draws
        (chain, draw, d), at least four draws.

    Returns
    -------
    Float64Array
        (d,), the larger of those of the values and of their distances from the median; NaN where all draws are equal.
    """
    from arviz_stats.base import array_stats

    if len(draws) == 1:  # ArviZ compares chains before it splits them
        half = draws.shape[1] // 2
        draws = np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])
    with np.errstate(invalid="ignore"):  # a code that is the same in all draws
        return np.asarray(array_stats.rhat(draws, chain_axis=0, draw_axis=1), dtype=np.float64)


def effective_draws(draws: Float64Array) -> Float64Array:
    """Effective sample size (d,) of draws (chain, draw, d): so many independent ones are worth the same."""
    from arviz_stats.base import array_stats

    return np.asarray(array_stats.ess(draws, chain_axis=0, draw_axis=1), dtype=np.float64)
