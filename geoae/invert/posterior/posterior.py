"""The posterior of an inversion: draws, with their diagnosis, figure and store as methods."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoae.invert.posterior.diagnose import Diagnosis, diagnose
from geoae.invert.posterior.draws import Draws
from geoae.invert.posterior.figure import plot_posterior
from geoae.invert.posterior.saved import read_draws, save_draws
from geoae.invert.protocols import LatentPrior

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Posterior(Draws):
    """What is known of a model after an inversion; see `Draws` for the models, their mean, spread and probabilities."""

    def diagnose(self) -> "Diagnosis":
        """Whether to believe it: misfit, chains, conflict of prior and data; print it, or read its attributes."""
        return diagnose(self)

    def plot(self, truth: Any = None) -> "Figure":
        """Draw mean, spread, the ends of the 90 % interval and draws; of profiles, a band."""
        return plot_posterior(self, truth)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write a zarr store of the codes and all that is needed to decode them, which happens when it is asked for.

        `geoae.invert.load` reads it.

        Raises
        ------
        OutputExistsError, OutputError
            Something is there already, or the place cannot be written to.
        """
        return save_draws(self, Path(path), overwrite)


def load_posterior(path: str | Path, latent: LatentPrior) -> Posterior:
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
    return Posterior(**read_draws(Path(path), latent))
