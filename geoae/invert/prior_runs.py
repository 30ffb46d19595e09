"""Runs of the forward model that are made once for an inversion, and estimates from these runs.

Held-out models give the representation error, starting points of searches, the cost of the most likely code of ordinary
data, and the distribution of data. Draws of the prior give starting points if no held-out models were run, and train a
net if runs are cheap.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Float64Array
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.held_out import HeldOut, run_held_out
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.misfit.runs import Runs
from geoae.invert.problem import Problem
from geoae.invert.protocols import LatentPrior
from geoae.invert.search import amortised
from geoae.invert.search.searches import FEW_CODES

N_PRIOR_RUNS = 200
"""Draws of the prior that are run for starting points if no held-out models were run."""
LIKELY = 0.99
"""Quantile of the held-out models' costs: other searches follow one that ends at a higher cost."""


@dataclass
class PriorRuns:
    """Held-out models and draws of the prior, each run when it is first needed."""

    space: LatentPrior
    forward: Forward
    used: NDArray[np.bool_]
    """Whether each datum of the forward model was measured."""
    models: Any
    """(k, *shape) held-out models; None: those saved with the prior."""
    n_models: int
    """Held-out models to run, at most."""
    seed: int
    held: HeldOut | None = None
    """The held-out models and their data; None before they are run."""
    draws: Runs | None = None
    """Draws of the prior and their data; None before they are run."""
    estimate: Representation | None = None
    """The representation error; None before it is estimated."""
    training: list[Runs | None] = field(default_factory=list)
    """The runs that a net is trained on, or None if no net is needed; empty before it is known. Inversions of other
    data share the list."""

    @property
    def held_out(self) -> HeldOut:
        """Held-out models and their data; the first use runs them."""
        if self.held is None:
            self.held = self.run_models(self.models)
        return self.held

    def run_models(self, models: Any, n: int | None = None) -> HeldOut:
        """Run the forward model on at most `n` models (k, *shape) and their decoded codes."""
        n = self.n_models if n is None else n
        return run_held_out(self.space, self.forward, n, self.seed, models).select_data(self.used)

    def estimate_representation(self, noise: Noise) -> Representation:
        """Return the representation error; the first call estimates it, given the noise."""
        if self.estimate is None:
            self.estimate = self.held_out.estimate_representation(noise)
        return self.estimate

    @property
    def is_comparable(self) -> bool:
        """Whether enough held-out models were run for data to be compared with theirs."""
        return self.held is not None and len(self.held.data) >= 2 * FEWEST

    def finished_runs(self, problem: Problem, seed: int) -> Runs:
        """Return the runs of held-out models, or those of draws of the prior if no held-out models were run."""
        if self.held is not None:
            return self.held.runs
        if self.draws is None:
            z = np.random.default_rng([seed, 3]).normal(size=(N_PRIOR_RUNS, self.space.d))
            data = problem.predict(z)
            has_data = np.isfinite(data).all(1)
            self.draws = Runs(z[has_data], data[has_data])
        return self.draws

    def likely_cost(self, problem: Problem, noise: Noise) -> float:
        """Compute the cost below which the codes of nearly all held-out models lie; infinite if that is unknown."""
        if self.held is None or not self.is_comparable:
            return np.inf
        return float(np.quantile(self.held.compute_costs(problem.noise, noise), LIKELY))

    def predict_code(self, problem: Problem) -> Float64Array | None:
        """Predict the code (d,) of the data by a net; None if runs are not cheap or there are few codes.

        The first call makes the runs that the net is trained on.
        """
        if not self.forward.cheap or self.space.d <= FEW_CODES:
            return None
        if not self.training:
            self.training.append(amortised.run_prior(problem, self.seed))
        (runs,) = self.training
        if runs is None:
            return None
        return amortised.train_predictor(runs, problem.noise).predict(problem.noise.whiten(problem.data))

    def compare(self, data: Float64Array, noise: Noise) -> dict[str, Any]:
        """Compare data (data,) with those of held-out models, for `diagnose`; empty if these models are too few."""
        if self.held is None or not self.is_comparable:
            return {}
        distance, distances = self.held.compute_distances(data, noise, self.seed)
        return {"distance": distance, "distances": distances, "surprises": self.held.compute_z_scores(data, noise)}
