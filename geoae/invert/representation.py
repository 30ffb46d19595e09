"""What the decoder cannot represent, and what that does to the data.

A model is m = D(z) + r with a code z of its own and a rest r that no code makes. The rest is seen in the data as
e = F(m) - F(D(z)). An inversion that takes the misfit for noise alone is sure of what is wrong, as soon as e is larger
than the noise. Here the mean and the covariance of e, and of r with e, are estimated from models that the decoder was
not trained on, so that misfits are weighed as they are, and so that what the data say of r is not lost.

References
----------
Kaipio and Somersalo (2007), Statistical inverse problems: discretization, model reduction and inverse crimes,
doi:10.1016/j.cam.2005.09.027. Matheron's rule: Chiles and Delfiner (2012), Geostatistics, chapter 7.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from geoae.errors import InputError
from geoae.invert.noise import Noise

Array = NDArray[np.float64]
FEWEST = 8
FOLDS = 5
SHRINKAGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Representation:
    """Held-out models beside what the decoder makes of them, and both their data.

    The covariance is that of the sample, shrunk towards its diagonal by the amount that makes left-out samples most
    likely under it and the noise.
    """

    rest: Array
    """(k, cells) held-out models less their decoded codes; 0 where cells are missing."""
    errors: Array
    """(k, data) data of the held-out models less those of their decoded codes."""
    noise: Noise
    """Of the data alone."""
    shrinkage: float = field(init=False)

    def __post_init__(self) -> None:
        if len(self.errors) < FEWEST:
            raise InputError(
                f"{len(self.errors)} held-out models are too few to tell what the decoder cannot represent; at least "
                f"{FEWEST} are needed, better some hundred. Hold out more, or give representation=False and read "
                "intervals that are too narrow."
            )
        object.__setattr__(self, "shrinkage", _best_shrinkage(self.errors, self.noise))

    @cached_property
    def total(self) -> Noise:
        """The noise and the representation error together: what a misfit is to be weighed by."""
        return self.noise.plus(self.errors.mean(0), _shrunk(self.errors - self.errors.mean(0), self.shrinkage))

    def rests(self, left: Array, rng: np.random.Generator) -> Array:
        """Draws of the rest r for each code of a sample, given what its data leave to be explained.

        Matheron's rule: a rest of a held-out model, with its error and a draw of the noise, is moved by the regression
        of r on e by as much as its data differ from those that are left. The regression is the one that was fitted
        without that model, so what remains has the spread it has for models that were never seen.

        Parameters
        ----------
        left
            (n, data) measured data less those of each decoded code.

        Returns
        -------
        Array
            (n, cells).
        """
        return self._given(self.rest, left, rng)

    def data_errors(self, left: Array, rng: np.random.Generator) -> Array:
        """As `rests`, draws (n, data) of what the rests do to the data."""
        return self._given(self.errors, left, rng)

    def _given(self, target: Array, left: Array, rng: np.random.Generator) -> Array:
        chosen = rng.integers(0, len(self.errors), len(left))
        moved = left - self.errors[chosen] - (self.noise.sample(len(left), rng) - self.noise.offset)
        shares = np.zeros((len(left), len(self.errors)))
        for fold, (kept, weights) in enumerate(self._regressions):
            rows = np.flatnonzero(chosen % FOLDS == fold)
            shares[np.ix_(rows, kept)] = moved[rows] @ weights.T
        # the weights of all samples add up to none, so their mean takes no part
        shares[np.arange(len(left)), chosen] += 1
        return shares @ target

    @cached_property
    def _regressions(self) -> list[tuple[NDArray[np.intp], Array]]:
        """Of each fold: the samples without it, and (samples, data) weights that a misfit gives to their rests."""
        found = []
        for fold in range(FOLDS):
            kept = np.flatnonzero(np.arange(len(self.errors)) % FOLDS != fold)
            centred = self.errors[kept] - self.errors[kept].mean(0)
            total = _shrunk(centred, self.shrinkage) + self.noise.dense
            # r and e are shrunk together: what they share by as much as what the data share among themselves
            weights = linalg.solve(total, centred.T, assume_a="pos").T * (1 - self.shrinkage) / (len(kept) - 1)
            found.append((kept, weights))
        return found

    def without(self, rows: NDArray[np.intp]) -> "Representation":
        """The same, as if these held-out models had not been there."""
        kept = np.setdiff1d(np.arange(len(self.errors)), rows)
        return Representation(self.rest[kept], self.errors[kept], self.noise)

    @property
    def ratio(self) -> float:
        """RMS of the representation error over that of the noise."""
        return float(np.sqrt(np.mean(self.errors**2 / self.noise.variance)))


def _shrunk(centred: Array, shrinkage: float) -> Array:
    covariance = centred.T @ centred / (len(centred) - 1)
    diagonal = np.diagonal(covariance).copy()
    covariance *= 1 - shrinkage
    np.fill_diagonal(covariance, diagonal)
    return covariance


def _best_shrinkage(errors: Array, noise: Noise) -> float:
    scores = np.zeros(len(SHRINKAGES))
    folds = np.arange(len(errors)) % FOLDS
    for fold in range(FOLDS):
        seen, left = errors[folds != fold], errors[folds == fold]
        white = left - seen.mean(0)
        for i, shrinkage in enumerate(SHRINKAGES):
            factor = np.linalg.cholesky(_shrunk(seen - seen.mean(0), shrinkage) + noise.dense)
            distance = linalg.solve_triangular(factor, white.T, lower=True)
            scores[i] -= 0.5 * np.sum(distance**2) + len(left) * np.log(np.diagonal(factor)).sum()
    return SHRINKAGES[int(np.argmax(scores))]
