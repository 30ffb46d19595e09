"""Draws of codes given data, and their models, mean, spread, intervals and probabilities."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.numbers import is_above_zero, require_seed
from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import Representation
from geoae.invert.misfit.values import Values
from geoae.invert.protocols import LatentPrior

N_MODELS = 400
"""Number of models that mean, spread, intervals and probabilities are computed from."""


@dataclass(frozen=True)
class Draws:
    """Draws of codes given data, and models: decoded codes plus draws of the residual that no code can represent.

    Models are in the prior's units. They are decoded when they are needed.
    """

    space: LatentPrior
    method: str
    codes: Float64Array
    """(draw, d); a single code for the method "map"."""
    predicted: Float64Array
    """(draw, data) data of the decoded codes."""
    data: Float64Array
    """(data,) measured data."""
    noise: Noise
    """Noise that misfits were weighted by, including the representation error if it was counted."""
    representation: Representation | None = None
    """The representation error; None if it was left out, which makes intervals too narrow."""
    info: dict[str, Any] = field(default_factory=dict)
    """Numbers of runs, acceptance, convergence and the like."""
    chains: Float64Array | None = None
    """(chain, draw, d) of Markov chains; None for other methods."""
    reference: dict[str, Any] = field(default_factory=dict)
    """Comparison with the data of held-out models; see `diagnose`."""
    seed: int = 0
    """Seed of draws of models."""
    used: NDArray[np.bool_] | None = None
    """(all data,) whether each datum was measured, in C order of the data that were given; None: all were."""

    @property
    def code(self) -> Float64Array:
        """(d,) mean code, or the most likely one of "map"."""
        return self.codes.mean(0)

    def sample(self, n: int = 1, seed: int = 0, residual: bool = True, *, rest: bool | None = None) -> Float64Array:
        """Draw `n` models (n, *shape); the same seed gives the same models.

        Parameters
        ----------
        n, seed
            Number of models, and seed of their random choice.
        residual
            Whether to add draws of the residual that no code can represent. Models without it are those of the
            decoder, and spread too little. Models of facies with the residual have the two values of the prior's.
        rest
            The former name of `residual`.

        Raises
        ------
        InputError
            `n` is below one.
        """
        if rest is not None:
            warnings.warn("sample(rest=...) is sample(residual=...).", DeprecationWarning, stacklevel=2)
            residual = rest
        if not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"n is {n!r}; draw at least one model.")
        rng = np.random.default_rng([self.seed, require_seed(seed)])
        if self.is_single:
            rows = np.zeros(n, np.intp)
        else:
            # each code is used once before any is used twice
            rows = np.concatenate([rng.permutation(len(self.codes)) for _ in range(-(-n // len(self.codes)))])[:n]
        models = np.asarray(self.space.decode(self.codes[rows]))
        if residual and self.representation is not None:
            misfit = self.data - self.predicted[rows]
            values = Values.of_prior(self.space)
            residuals = self.representation.draw_residuals(misfit, rng).reshape(models.shape)
            models = values.to_models(values.to_numbers(models) + residuals)
        return models

    @cached_property
    def _models(self) -> Float64Array:
        return self.sample(1 if self.is_single and self.representation is None else N_MODELS)

    def mean(self) -> Float64Array:
        """Compute the mean model (*shape); of a single code, its model plus the mean of draws of the residual.

        For facies models with values 0 and 1, it is the probability of 1.
        """
        return self._models.mean(0)

    def std(self) -> Float64Array:
        """Compute the standard deviation of each cell, (*shape).

        Raises
        ------
        InputError
            There is only the most likely code.
        """
        self._require_spread()
        return self._models.std(0, ddof=1)

    def interval(self, level: float = 0.9) -> tuple[Float64Array, Float64Array]:
        """Compute the ends of the central interval of each cell, (*shape) each, with probability `level`.

        Raises
        ------
        InputError
            There is only the most likely code, or `level` is not between 0 and 1.
        """
        self._require_spread()
        if not is_above_zero(level) or not level < 1:
            raise InputError(f"level is {level!r}; give a probability between 0 and 1, such as 0.9.")
        low, high = np.quantile(self._models, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high

    def prob(self, condition: Callable[[Float64Array], Any]) -> Any:
        """Compute the probability that a condition on models holds.

        Parameters
        ----------
        condition
            Function of models (n, *shape) that returns True or False for each cell, or for each model.

        Returns
        -------
        Float64Array or float
            (*shape), or a number.

        Raises
        ------
        InputError
            There is only the most likely code, or the condition does not return True or False.

        Examples
        --------
        ``posterior.prob(lambda m: m > 0.07)``
        """
        self._require_spread()
        is_met = np.asarray(condition(self._models))
        if is_met.dtype != bool or is_met.shape[:1] != (len(self._models),):
            raise InputError(
                f"The condition gave {is_met.dtype} of shape {is_met.shape} for models {self._models.shape}; it must "
                "give True or False for each cell or each model, such as lambda m: m > 0.07."
            )
        probability = is_met.mean(0)
        return float(probability) if probability.ndim == 0 else probability

    def __repr__(self) -> str:
        kind = "one code" if self.is_single else f"{len(self.codes)} draws"
        has = "with" if self.representation is not None else "WITHOUT"
        what = f"{kind} of {self.space.d} numbers, models {self.space.shape}"
        return f"{type(self).__name__}({self.method}: {what}, {has} representation error)"

    @property
    def is_single(self) -> bool:
        """Whether there is only the most likely code."""
        return len(self.codes) == 1

    def _require_spread(self) -> None:
        if self.is_single:
            raise InputError(
                f'The method "{self.method}" finds one code and no spread. For intervals and probabilities, use '
                'solve("laplace"), solve("rml"), solve("esmda") or solve("mcmc").'
            )
        if len(self.codes) < 20:
            warnings.warn(
                f"Spread and intervals are estimated from {len(self.codes)} draws only.", stacklevel=3
            )  # the caller of std, interval or prob
