"""The solution of an inversion by one of the methods: searches, draws around modes, ensembles, or Markov chains."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.chains.samplers import COUNTS, choose_sampler
from geoae.invert.chains.settings import ChainSettings
from geoae.invert.checkpoints import Checkpoint, identify
from geoae.invert.misfit.noise import Noise
from geoae.invert.options import (
    EsmdaOptions,
    LaplaceOptions,
    McmcOptions,
    RmlOptions,
    SolverOptions,
    describe_options,
)
from geoae.invert.prior_runs import PriorRuns
from geoae.invert.problem import Clock, Problem
from geoae.invert.search.modes import Modes
from geoae.invert.search.searches import SearchPlan, find_modes
from geoae.invert.solvers import esmda, laplace, rml


class Solution(NamedTuple):
    """Draws of codes, and how they were computed."""

    codes: Float64Array
    """(n, d)"""
    predicted: Float64Array
    """(n, data) data of the decoded codes."""
    chains: Float64Array | None
    """(chain, draw, d), of Markov chains only."""
    info: dict[str, Any]
    """Steps, searches, acceptance and the like, as `Posterior.info` reports them."""


@dataclass(frozen=True)
class Solver:
    """Solve one problem with one seed and time limit."""

    problem: Problem
    prior_runs: PriorRuns
    noise: Noise
    """Of the data alone."""
    seed: int
    clock: Clock
    checkpoint_path: Path | None

    def solve(self, method: str, options: SolverOptions) -> Solution:
        """Solve the problem by the method that the options are of.

        Raises
        ------
        InputError
            The forward model fails throughout, or the time limit is too short.
        """
        if isinstance(options, EsmdaOptions):
            return self._update_ensemble(options)
        if isinstance(options, McmcOptions):
            return self._sample_chains(options)
        plan = SearchPlan(options.n_starts, options.n_steps, method != "map", method == "rml")
        modes, n_searches = self._find_modes(plan)
        info = laplace.describe_search(modes, n_searches)
        if isinstance(options, RmlOptions):
            checkpoint = self._checkpoint(method, describe_options(options))
            n = rml.N_DRAWS if options.n_draws is None else options.n_draws
            codes, predicted, more_info = rml.draw_perturbed(
                self.problem, modes, n, options.n_refine, self.seed, self.clock, checkpoint
            )
            return Solution(codes, predicted, None, {**info, **more_info})
        if isinstance(options, LaplaceOptions):
            n = laplace.N_DRAWS if options.n_draws is None else options.n_draws
            return Solution(*laplace.draw_mixture(self.problem, modes, n, self.seed), None, info)
        return Solution(modes.modes[0].z[None], modes.modes[0].predicted[None], None, info)

    def _update_ensemble(self, options: EsmdaOptions) -> Solution:
        checkpoint = self._checkpoint("esmda", describe_options(options))
        members = np.random.default_rng([self.seed, 2]).normal(size=(options.n_members, self.problem.space.d))
        codes, predicted, info = esmda.update_ensemble(
            self.problem, members, options.n_steps, self.seed, self.clock, checkpoint
        )
        return Solution(codes, predicted, None, info)

    def _sample_chains(self, options: McmcOptions) -> Solution:
        sampler = choose_sampler(options.sampler, self.problem.space.d, self.problem.forward.differentiable)
        asked = describe_options(options)
        counts = {k: getattr(sampler, k) if asked[k] is None else asked[k] for k in COUNTS}
        plan = SearchPlan(options.n_starts, options.n_steps, all_modes=True, for_sampling=sampler.stays_at_mode)
        modes, n_searches = self._find_modes(plan)
        checkpoint = self._checkpoint("mcmc", describe_options(options, **counts))
        settings = ChainSettings(**counts, seed=self.seed, clock=self.clock, checkpoint=checkpoint)
        chains, data, info = sampler.sample(self.problem, modes, settings)
        info = {**info, "n_modes": len(modes.modes), "n_searches": n_searches}
        return Solution(chains.reshape(-1, chains.shape[-1]), data.reshape(-1, data.shape[-1]), chains, info)

    def _find_modes(self, plan: SearchPlan) -> tuple[Modes, int]:
        """The modes that searches find, and the number of searches."""
        runs = self.prior_runs.finished_runs(self.problem, self.seed)
        likely_cost = self.prior_runs.likely_cost(self.problem, self.noise)
        predicted_code = self.prior_runs.predict_code(self.problem)
        return find_modes(self.problem, runs, likely_cost, plan, self.seed, self.clock, predicted_code)

    def _checkpoint(self, method: str, options: dict[str, Any]) -> Checkpoint:
        """The checkpoint of this solution, which a call with other data, prior, method or options cannot resume."""
        if self.checkpoint_path is None:
            return Checkpoint()
        total, digest = self.problem.noise, getattr(self.problem.space, "digest", "")
        arrays = (self.problem.data, self.noise.covariance, total.offset, total.variance, self.problem.used)
        return Checkpoint(self.checkpoint_path, identify([method, options, self.seed, digest], *arrays))
