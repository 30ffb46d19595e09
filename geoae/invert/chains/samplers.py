"""The samplers with their default numbers of chains and draws, and the choice of one."""

from collections.abc import Callable
from typing import Any, NamedTuple

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.chains.emulated import sample_emulated
from geoae.invert.chains.hamiltonian import sample_hamiltonian
from geoae.invert.chains.settings import ChainSettings
from geoae.invert.chains.walkers import sample_walkers
from geoae.invert.problem import Problem
from geoae.invert.search.modes import Modes


class Sampler(NamedTuple):
    """A sampler and its defaults."""

    sample: Callable[[Problem, Modes, ChainSettings], tuple[Float64Array, Float64Array, dict[str, Any]]]
    n_chains: int
    n_warmup: int
    n_draws: int
    n_learn: int
    """Runs that an emulator is fitted to before the chains start, at most."""
    stays_at_mode: bool
    """Whether chains hardly move from one mode to another, so that searches must find all modes before they start."""


SAMPLERS = {
    "emulated": Sampler(sample_emulated, 8, 120, 600, 2400, True),
    "hmc": Sampler(sample_hamiltonian, 4, 150, 250, 0, True),
    "emcee": Sampler(sample_walkers, 4, 150, 2000, 0, False),
}
MAX_EMULATED = 32
"""Largest number of codes for which the emulator is the default. For crosshole data, 60 % of the trajectories are
accepted with an emulator of 20 codes, and 2 % with one of 64."""
COUNTS = ("n_chains", "n_warmup", "n_draws", "n_learn")
"""Options whose defaults depend on the sampler."""


def choose_sampler(name: str | None, d: int, differentiable: bool) -> Sampler:
    """Return the sampler of a name; for None, the default for `d` codes and a forward model with or without gradients.

    Raises
    ------
    InputError
        There is no sampler of that name.
    """
    if name is None:
        name = "emulated" if d <= MAX_EMULATED else "hmc" if differentiable else "emcee"
    if not isinstance(name, str) or name not in SAMPLERS:
        raise InputError(f"sampler is {name!r}; choose " + ", ".join(f'"{known}"' for known in SAMPLERS) + ".")
    return SAMPLERS[name]
