"""Draws of codes given data, and what can be read from them: models, mean, spread, intervals, probabilities."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import Representation
from geoae.invert.misfit.values import Values
from geoae.invert.protocols import LatentPrior

N_MODELS = 400
"""Models that mean, spread, intervals and probabilities are computed from."""


@dataclass(frozen=True)
class Draws:
    """Draws of codes given data, and the models they stand for, with what no code can represent.

    Models are in the prior's units. Codes are decoded when models are asked for.
    """

    space: LatentPrior
    method: str
    codes: Float64Array
    """(draw, d); a single one where only the most likely code was searched for."""
    predicted: Float64Array
    """(draw, data) data of the decoded codes."""
    data: Float64Array
    """(data,) that were measured."""
    noise: Noise
    """What misfits were weighted by: the noise of the data, and the representation error where it was counted."""
    representation: Representation | None = None
    """The representation error; None where it was left out, and intervals are too narrow."""
    info: dict[str, Any] = field(default_factory=dict)
    """Runs, acceptance, convergence and the like."""
    chains: Float64Array | None = None
    """(chain, draw, d) of Markov chains."""
    reference: dict[str, Any] = field(default_factory=dict)
    """How data of held-out models are distributed; see `diagnose`."""
    seed: int = 0

    @property
    def code(self) -> Float64Array:
        """(d,) the mean code, or the most likely one."""
        return self.codes.mean(0)

    def sample(self, n: int = 1, seed: int = 0, residual: bool = True, *, rest: bool | None = None) -> Float64Array:
        """Draw `n` models (n, *shape); the same seed gives the same models.

        Parameters
        ----------
        n, seed
            How many, and which.
        residual
            Whether to add draws of what no code can represent. Without it, models are what the decoder makes, and
            spread too little. Where the prior's models have two values only, such as facies, those with the residual
            have these as well.
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
        if n < 1:
            raise InputError(f"n is {n}; draw at least one model.")
        rng = np.random.default_rng([self.seed, seed])
        if self.is_single:
            rows = np.zeros(n, np.intp)
        else:
            # each draw once before any comes twice
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
        """Mean model, (*shape); of a single code: its model, and what the data say of the residual.

        Of models with two values 0 and 1, it is the probability of 1.
        """
        return self._models.mean(0)

    def std(self) -> Float64Array:
        """Standard deviation of each cell, (*shape).

        Raises
        ------
        InputError
            There is only the most likely code.
        """
        self._require_spread()
        return self._models.std(0, ddof=1)

    def interval(self, level: float = 0.9) -> tuple[Float64Array, Float64Array]:
        """Lower and upper ends, (*shape) each, between which each cell lies with a probability of `level`.

        Raises
        ------
        InputError
            There is only the most likely code, or `level` is not between 0 and 1.
        """
        self._require_spread()
        if not 0 < level < 1:
            raise InputError(f"level is {level}; give a probability between 0 and 1, such as 0.9.")
        low, high = np.quantile(self._models, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return low, high

    def prob(self, condition: Callable[[Float64Array], Any]) -> Any:
        """Probability of what `condition` says of models (n, *shape).

        Parameters
        ----------
        condition
            Gives True or False for each cell, or for each model.

        Returns
        -------
        Float64Array or float
            (*shape), or a number.

        Raises
        ------
        InputError
            There is only the most likely code, or the condition gives something else.

        Examples
        --------
        ``posterior.prob(lambda m: m > 0.07)``
        """
        self._require_spread()
        found = np.asarray(condition(self._models))
        if found.dtype != bool or found.shape[:1] != (len(self._models),):
            raise InputError(
                f"The condition gave {found.dtype} of shape {found.shape} for models {self._models.shape}; it must "
                "give True or False for each cell or each model, such as lambda m: m > 0.07."
            )
        share = found.mean(0)
        return float(share) if share.ndim == 0 else share

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
                f"Spread and intervals are of {len(self.codes)} draws only.", stacklevel=3
            )  # of the caller of std, interval, prob
