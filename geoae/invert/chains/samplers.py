"""Which Markov chains are run, how many, and for how long, where the caller leaves that open."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoae.errors import InputError
from geoae.invert.chains.emulated import emulated
from geoae.invert.chains.hamiltonian import Wanted, hamiltonian, walkers
from geoae.invert.problem import Problem
from geoae.invert.search.modes import Modes

Array = NDArray[np.float64]


class Sampler(NamedTuple):
    """One kind of chains."""

    sample: Callable[[Problem, Modes, Wanted], tuple[Array, Array, dict[str, Any]]]
    n_chains: int
    n_warmup: int
    n_draws: int
    n_learn: int
    """Runs that an emulator learns from, at most."""
    begin: bool
    """Whether chains begin at what searches find, and do not come from one mode to another."""


SAMPLERS = {
    "emulated": Sampler(emulated, 8, 120, 600, 2400, True),
    "hmc": Sampler(hamiltonian, 4, 150, 250, 0, True),
    "emcee": Sampler(walkers, 4, 150, 2000, 0, False),
}
MANY = 32
"""Codes beyond which no emulator is learnt unless a caller wants one: between boreholes the forward model agrees with
60 % of the trajectories on an emulator of 20 codes, and with 2 % on one of 64."""
COUNTS = ("n_chains", "n_warmup", "n_draws", "n_learn")
OPTIONS = {"sampler": None, "n_chains": None, "n_warmup": None, "n_learn": None}


def chosen(name: str | None, d: int, differentiable: bool) -> Sampler:
    """The sampler that is asked for, or the one for so many codes and such a forward model.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name is None:
        name = "emulated" if d <= MANY else "hmc" if differentiable else "emcee"
    if not isinstance(name, str) or name not in SAMPLERS:
        raise InputError(f"sampler is {name!r}; choose " + ", ".join(f'"{known}"' for known in SAMPLERS) + ".")
    return SAMPLERS[name]
