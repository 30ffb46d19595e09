"""The posterior of an inversion: draws, with their diagnosis, figure and store as methods."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoae.files.paths import require_path
from geoae.invert.posterior.diagnose import Diagnosis, diagnose
from geoae.invert.posterior.draws import Draws
from geoae.invert.posterior.figure import plot_posterior
from geoae.invert.posterior.saved import read_draws, save_draws
from geoae.invert.protocols import as_latent_prior

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Posterior(Draws):
    """The result of an inversion; see `Draws` for models, their mean, spread, intervals and probabilities."""

    def diagnose(self) -> "Diagnosis":
        """Compute whether the posterior can be trusted; print the result, or read its attributes."""
        return diagnose(self)

    def plot(self, truth: Any = None) -> "Figure":
        """Plot mean, spread, 90 % interval and draws of images; mean and intervals of profiles."""
        return plot_posterior(self, truth)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write codes and representation error to a zarr store; `geoae.invert.load` reads it.

        Models are not stored; they are decoded from the codes when they are needed.

        Raises
        ------
        OutputExistsError, OutputError
            The path exists and `overwrite` is False, or it cannot be written to.
        """
        return save_draws(self, require_path(path, "The store of a posterior"), overwrite)


def load_posterior(path: str | Path, latent: Any) -> Posterior:
    """Load a posterior that `Posterior.save` wrote.

    Parameters
    ----------
    path
        The store.
    latent
        The prior of the inversion: a `LatentSpace`, a prior of `geoae.fit`, or the folder of one.

    Raises
    ------
    InputError
        `path` is no path, or `latent` is no prior.
    MissingFileError
        There is no such store.
    StoreError
        The store is damaged, holds no posterior, or belongs to another prior.
    """
    return Posterior(**read_draws(require_path(path, "The store of a posterior"), as_latent_prior(latent)))
