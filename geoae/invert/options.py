"""Options of each method: one frozen object for each, checked when it is created.

None stands for the method's default. The order of the fields is part of the identity of checkpoints.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from geoae.errors import InputError

FEWEST_MEMBERS = 10
"""Members of an ensemble, at least."""


@dataclass(frozen=True)
class MapOptions:
    """Options of "map"."""

    n_starts: int | None = None
    """Searches from different starting points."""
    n_steps: int | None = None
    """Steps of each search, at most."""
    n_draws: int | None = None
    """Not used: there is one code."""

    def __post_init__(self) -> None:
        require_at_least(1, n_starts=self.n_starts, n_steps=self.n_steps)


@dataclass(frozen=True)
class LaplaceOptions:
    """Options of "laplace"."""

    n_starts: int | None = None
    n_steps: int | None = None
    n_draws: int | None = None

    def __post_init__(self) -> None:
        require_at_least(1, n_starts=self.n_starts, n_steps=self.n_steps)
        require_at_least(2, n_draws=self.n_draws)


@dataclass(frozen=True)
class RmlOptions:
    """Options of "rml"."""

    n_refine: int = 3
    """Levenberg-Marquardt steps of each draw, at most."""
    n_starts: int | None = None
    n_steps: int | None = None
    n_draws: int | None = None

    def __post_init__(self) -> None:
        require_at_least(0, n_refine=self.n_refine)
        require_at_least(1, n_starts=self.n_starts, n_steps=self.n_steps)
        require_at_least(2, n_draws=self.n_draws)


@dataclass(frozen=True)
class EsmdaOptions:
    """Options of "esmda"."""

    n_members: int = 200
    """Draws of the prior in the ensemble."""
    n_steps: int = 4
    """Assimilations of the data."""
    n_draws: int | None = None
    """Not used: there are as many draws as members."""

    def __post_init__(self) -> None:
        require_at_least(FEWEST_MEMBERS, n_members=self.n_members)
        require_at_least(1, n_steps=self.n_steps)


@dataclass(frozen=True)
class McmcOptions:
    """Options of "mcmc"; None stands for the sampler's default."""

    sampler: str | None = None
    n_chains: int | None = None
    n_warmup: int | None = None
    """Draws of each chain that are not kept."""
    n_learn: int | None = None
    """Runs that an emulator is fitted to before the chains start, at most."""
    n_starts: int | None = None
    n_steps: int | None = None
    n_draws: int | None = None
    """Draws of each chain."""

    def __post_init__(self) -> None:
        require_at_least(4, n_draws=self.n_draws)
        require_at_least(0, n_warmup=self.n_warmup, n_learn=self.n_learn)
        require_at_least(1, n_chains=self.n_chains, n_starts=self.n_starts, n_steps=self.n_steps)


SolverOptions = MapOptions | LaplaceOptions | RmlOptions | EsmdaOptions | McmcOptions
OPTIONS: dict[str, type[SolverOptions]] = {
    "map": MapOptions,
    "laplace": LaplaceOptions,
    "rml": RmlOptions,
    "esmda": EsmdaOptions,
    "mcmc": McmcOptions,
}


def read_options(method: str, keywords: dict[str, Any]) -> SolverOptions:
    """Convert keyword arguments to the options of a method.

    Raises
    ------
    InputError
        There is no such method or option, or a value is not valid.
    """
    if method not in OPTIONS:
        raise InputError(f"method is {method!r}; choose {', '.join(OPTIONS)}.")
    known = [f.name for f in fields(OPTIONS[method])]
    if unknown := sorted(keywords.keys() - set(known)):
        raise InputError(f"solve({method!r}) has no option {', '.join(unknown)}; it has {', '.join(known)}.")
    return OPTIONS[method](**keywords)


def describe_options(options: SolverOptions, **chosen: Any) -> dict[str, Any]:
    """Return all options by name, with the defaults that a method has `chosen`."""
    return {**asdict(options), **chosen}


def require_at_least(least: int, **numbers: Any) -> None:
    """Require whole numbers of at least `least`, or None.

    Raises
    ------
    InputError
        A number is not whole, or is smaller.
    """
    for name, value in numbers.items():
        if value is not None and (not isinstance(value, int | np.integer) or value < least):
            raise InputError(f"{name} is {value!r}; give a whole number of at least {least}.")
