"""Prior: a model whose codes are N(0, I) over the models that it was made from."""

from geoae.model.model import Model
from geoae.priors.report import Report, make_report


class Prior(Model):
    """What `geoae.fit` gives; `geoae.LatentSpace` works with its codes."""

    def report(self) -> Report:
        """What it is worth, measured on held-out models beside principal components: see `geoae.priors.report`.

        Raises
        ------
        InputError
            No models were held out.
        """
        return make_report(self)
