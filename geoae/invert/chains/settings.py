"""How many chains and draws are made, and what a sampler needs to stop in time and to resume."""

from dataclasses import dataclass
from typing import NoReturn

from geoae.errors import InputError
from geoae.invert.checkpoints import Checkpoint
from geoae.invert.problem import Clock

CHECKPOINT_EVERY = 50
"""Draws after which the state is written."""
MIN_DRAWS = 4
"""Of each chain: with fewer, there is no posterior and no R-hat."""


@dataclass(frozen=True)
class ChainSettings:
    """Numbers of chains and draws, the seed, the time limit and the checkpoint of a run."""

    n_chains: int
    n_draws: int
    """Draws of each chain that are kept, after `n_warmup` that are not."""
    n_warmup: int
    seed: int
    clock: Clock
    checkpoint: Checkpoint
    n_learn: int = 0
    """Runs that an emulator learns from before the chains start, at most."""

    @property
    def n_steps(self) -> int:
        """Draws of each chain, those of the warm-up among them."""
        return self.n_warmup + self.n_draws

    def raise_out_of_time(self, done: str) -> NoReturn:
        """Raise the error of a time limit that was reached before there were draws.

        Raises
        ------
        InputError
            It says what was done, and where the state is.
        """
        raise InputError(
            f"The time limit of {self.clock.limit_s:g} s was over after {done}, so there are no draws yet. Give more "
            f"time.{self.checkpoint.hint}"
        )
