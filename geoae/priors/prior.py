"""Prior: a model whose codes are distributed as N(0, I) over its training models."""

from geoae.model.model import Model
from geoae.priors.report import Report, make_report


class Prior(Model):
    """The result of `geoae.fit`; `geoae.LatentSpace` works with its codes."""

    def report(self) -> Report:
        """Scores on held-out models, beside those of principal components: see `geoae.priors.report`.

        Raises
        ------
        InputError
            No models were held out.
        """
        return make_report(self)
