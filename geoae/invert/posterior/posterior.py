"""What is known of a model after an inversion: draws, and what can be read from them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import Representation
from geoae.invert.misfit.values import Values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from geoae.invert.posterior.diagnose import Diagnosis
    from geoae.latent.space import LatentSpace

Array = NDArray[np.float64]
MODELS = 400
"""Draws that mean, spread, intervals and probabilities are taken of."""


@dataclass(frozen=True)
class Posterior:
    """Draws of codes given data, and the models they stand for, what no code can represent included.

    Models are in the prior's units. Draws are decoded when they are asked for.
    """

    space: "LatentSpace"
    method: str
    codes: Array
    """(draw, d); one of them for the most likely code alone."""
    predicted: Array
    """(draw, data) data of the decoded codes."""
    data: Array
    """(data,) that were measured."""
    noise: Noise
    """What misfits were weighed by: the noise of the data, and the representation error where it was on."""
    representation: Representation | None = None
    """What the decoder cannot represent; None where that was left out, and intervals are too narrow."""
    info: dict[str, Any] = field(default_factory=dict)
    """Runs, acceptance, convergence and the like."""
    chains: Array | None = None
    """(chain, draw, d) of Markov chains."""
    reference: dict[str, Any] = field(default_factory=dict)
    """What the prior leads to expect of the data; see `diagnose`."""
    seed: int = 0

    @property
    def code(self) -> Array:
        """(d,) the mean code, or the most likely one."""
        return self.codes.mean(0)

    def sample(self, n: int = 1, seed: int = 0, rest: bool = True) -> Array:
        """`n` models (n, *shape); the same seed gives the same models.

        Parameters
        ----------
        n, seed
            How many, and which.
        rest
            Whether they have what no code can represent; without, they are what the decoder makes, and are too sure.
            Where the prior's models have two values only, such as facies, those with the rest have these as well.

        Raises
        ------
        InputError
            `n` is below one.
        """
        if n < 1:
            raise InputError(f"n is {n}; draw at least one model.")
        rng = np.random.default_rng([self.seed, seed])
        if len(self.codes) == 1:
            rows = np.zeros(n, np.intp)
        else:
            # each draw once before any comes twice
            rows = np.concatenate([rng.permutation(len(self.codes)) for _ in range(-(-n // len(self.codes)))])[:n]
        models = self.space.decode(self.codes[rows])
        if rest and self.representation is not None:
            left = self.data - self.predicted[rows]
            values = Values.of(self.space)
            models = values.models(values.numbers(models) + self.representation.rests(left, rng).reshape(models.shape))
        return models

    @cached_property
    def _models(self) -> Array:
        return self.sample(1 if self._single and self.representation is None else MODELS)

    def mean(self) -> Array:
        """Mean model, (*shape); of a most likely code: its model, and what the data say of the rest.

        Of models with two values 0 and 1, it is the probability of 1.
        """
        return self._models.mean(0)

    def std(self) -> Array:
        """Standard deviation of each cell, (*shape).

        Raises
        ------
        InputError
            There is only the most likely code.
        """
        self._needs_spread()
        return self._models.std(0, ddof=1)

    def interval(self, level: float = 0.9) -> tuple[Array, Array]:
        """Lower and upper ends, (*shape) each, between which each cell lies with a probability of `level`.

        Raises
        ------
        InputError
            There is only the most likely code, or `level` is not between 0 and 1.
        """
        self._needs_spread()
        if not 0 < level < 1:
            raise InputError(f"level is {level}; give a probability between 0 and 1, such as 0.9.")
        low, high = np.quantile(self._models, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high

    def prob(self, condition: Callable[[Array], Any]) -> Any:
        """Probability of what `condition` says of models (n, *shape).

        Parameters
        ----------
        condition
            Gives True or False for each cell, or for each model.

        Returns
        -------
        Array or float
            (*shape), or a number.

        Raises
        ------
        InputError
            There is only the most likely code, or the condition gives something else.

        Examples
        --------
        ``posterior.prob(lambda m: m > 0.07)``
        """
        self._needs_spread()
        found = np.asarray(condition(self._models))
        if found.dtype != bool or found.shape[:1] != (len(self._models),):
            raise InputError(
                f"The condition gave {found.dtype} of shape {found.shape} for models {self._models.shape}; it must "
                "give True or False for each cell or each model, such as lambda m: m > 0.07."
            )
        share = found.mean(0)
        return float(share) if share.ndim == 0 else share

    def diagnose(self) -> "Diagnosis":
        """Whether to believe it: misfit, chains, conflict of prior and data; print it, or read its attributes."""
        from geoae.invert.posterior.diagnose import diagnose

        return diagnose(self)

    def plot(self, truth: Any = None) -> "Figure":
        """Draw mean, spread, the ends of the 90 % interval and draws; of profiles, a band."""
        from geoae.invert.posterior.figure import plot_posterior

        return plot_posterior(self, truth)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a zarr store of the codes and all that is needed to decode them, which happens when it is asked for.

        `geoae.invert.load` reads it.

        Raises
        ------
        OutputExistsError, OutputError
            Something is there already, or the place cannot be written to.
        """
        from geoae.invert.posterior.saved import save

        return save(self, Path(path), overwrite)

    def __repr__(self) -> str:
        kind = "one code" if self._single else f"{len(self.codes)} draws"
        told = "with" if self.representation is not None else "WITHOUT"
        what = f"{kind} of {self.space.d} numbers, models {self.space.shape}"
        return f"Posterior({self.method}: {what}, {told} representation error)"

    @property
    def _single(self) -> bool:
        return len(self.codes) == 1

    def _needs_spread(self) -> None:
        if self._single:
            raise InputError(
                f'The method "{self.method}" finds one code and no spread. For intervals and probabilities, use '
                'solve("laplace"), solve("rml"), solve("esmda") or solve("mcmc").'
            )
        if len(self.codes) < 20:
            warnings.warn(f"Spread and intervals are of {len(self.codes)} draws only.", stacklevel=3)


def load(path: str | Path, latent: "LatentSpace") -> Posterior:
    """The posterior that `Posterior.save` wrote.

    Parameters
    ----------
    path
        The store.
    latent
        The prior it was made with.

    Raises
    ------
    MissingFileError
        There is no such store.
    StoreError
        It is damaged, no posterior, or of another prior.
    """
    from geoae.invert.posterior.saved import read

    return Posterior(**read(Path(path), latent))
