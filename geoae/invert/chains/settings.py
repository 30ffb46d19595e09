"""Settings of Markov chains: their numbers of draws, time limit and checkpoint."""

from dataclasses import dataclass
from typing import NoReturn

from geoae.errors import InputError
from geoae.invert.checkpoints import Checkpoint
from geoae.invert.problem import Clock

CHECKPOINT_EVERY = 50
"""Draws after which the state is written to the checkpoint."""
MIN_DRAWS = 4
"""Draws of each chain, at least; with fewer, there is no posterior and no R-hat."""


@dataclass(frozen=True)
class ChainSettings:
    """Numbers of chains and draws, the seed, the time limit and the checkpoint of a run."""

    n_chains: int
    n_draws: int
    """Draws of each chain that are kept."""
    n_warmup: int
    """Draws of each chain before these, which are not kept."""
    seed: int
    clock: Clock
    checkpoint: Checkpoint
    n_learn: int = 0
    """Runs that an emulator is fitted to before the chains start, at most."""

    @property
    def n_steps(self) -> int:
        """Draws of each chain, including the warm-up."""
        return self.n_warmup + self.n_draws

    def raise_out_of_time(self, done: str) -> NoReturn:
        """Raise an error: the time limit was reached before there were draws.

        Raises
        ------
        InputError
            Always; its message has what was `done` and the file with the state.
        """
        raise InputError(
            f"The time limit of {self.clock.limit_s:g} s was over after {done}, so there are no draws yet. Give more "
            f"time.{self.checkpoint.hint}"
        )
