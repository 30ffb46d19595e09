"""Inverse: a prior, a forward model, data and noise; solved by several methods, and checked on simulated truths."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.calibrate import Calibration, calibrate
from geoae.invert.chains.samplers import COUNTS, choose_sampler
from geoae.invert.chains.settings import ChainSettings
from geoae.invert.checkpoints import Checkpoint, identify
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.data import read_data
from geoae.invert.misfit.held_out import HeldOut, run_held_out
from geoae.invert.misfit.noise import Noise, read_noise
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.misfit.runs import Runs
from geoae.invert.options import (
    EsmdaOptions,
    LaplaceOptions,
    McmcOptions,
    RmlOptions,
    SolverOptions,
    describe_options,
    read_options,
)
from geoae.invert.posterior.posterior import Posterior
from geoae.invert.problem import Clock, Problem
from geoae.invert.protocols import LatentPrior
from geoae.invert.search import amortised
from geoae.invert.search.modes import N_STEPS, Mode, Modes, find_mode
from geoae.invert.search.searches import FEW_CODES, SearchPlan, find_modes
from geoae.invert.solvers import esmda, laplace, rml

Solution = tuple[Float64Array, Float64Array, Float64Array | None, dict[str, Any]]
"""Codes (n, d), their data (n, data), chains (chain, draw, d) or None, and what is reported."""
N_PRIOR_RUNS = 200
"""Runs of draws of the prior from which starting points are estimated, where there are none of held-out models."""
LIKELY = 0.99
"""Share of held-out models whose codes cost less than the end of a search may: one that ends above is not trusted."""


class Inverse:
    """Models of a prior that explain data, and their uncertainty.

    What the decoder of the prior cannot represent is estimated from models that it was not trained on, and misfits are
    weighted by this representation error and the noise together. That takes two forward runs for each of those models,
    once.

    Parameters
    ----------
    latent
        The prior: a `LatentSpace`, or a model that makes one.
    forward
        A function from a model (*shape), in the prior's units, to data; a matrix; or a `Forward`.
    data
        What was measured, of the shape that the forward model gives; NaN where a datum is missing.
    noise
        Standard deviation, one for each datum, or covariance (data, data).
    representation
        Whether to count the representation error. Without it, intervals are too narrow.
    n_representation
        Held-out models to run, at most. More give a better estimate: several times the number of data is best.
    held_out
        Models (n, *shape) that the prior was not trained on; None: those saved with it.
    seed
        Of all random numbers.
    **forward_options
        Those of `ForwardOptions`: jacobian, adjoint, batched, torch, cheap, workers, run_limit_s.

    Attributes
    ----------
    forward : Forward
        Counts its runs.

    Raises
    ------
    InputError
        Shapes of data, noise and forward model that disagree; noise that is not positive; a forward model that fails.
    """

    def __init__(
        self,
        latent: Any,
        forward: Any,
        data: ArrayLike,
        noise: ArrayLike,
        *,
        representation: bool = True,
        n_representation: int = 2000,
        held_out: ArrayLike | None = None,
        seed: int = 0,
        **forward_options: Any,
    ):
        self.space: LatentPrior = _space(latent)
        self.forward = forward if isinstance(forward, Forward) else Forward(forward, **forward_options)
        measured = read_data(data)
        self.used = np.isfinite(measured).ravel()
        self.data = measured.ravel()[self.used]
        self.noise: Noise = read_noise(noise, measured.shape, self.used)
        self.use_representation, self.n_representation, self.seed = representation, n_representation, seed
        if representation and n_representation < FEWEST:
            raise InputError(f"n_representation is {n_representation}; at least {FEWEST} held-out models are needed.")
        self.forward.check(self.space.decode(np.zeros(self.space.d)), measured.shape)
        self.held_out_models = held_out
        self._held: HeldOut | None = None
        self._representation: Representation | None = None
        self._prior_runs: Runs | None = None
        self._training_runs: list[Runs | None] = []  # one list for all that `with_data` makes

    @property
    def held_out(self) -> HeldOut:
        """Held-out models and their data; they are run when this is first asked for."""
        if self._held is None:
            self._held = self._run_models(self.held_out_models, self.n_representation)
        return self._held

    @property
    def representation(self) -> Representation | None:
        """The representation error, or None where it is left out."""
        if self.use_representation and self._representation is None:
            self._representation = self.held_out.representation(self.noise)
        return self._representation

    @property
    def problem(self) -> Problem:
        """The inversion as a function of codes."""
        total = self.noise if self.representation is None else self.representation.total
        return Problem(self.space, self.forward, self.data, self.used, total)

    def prepare(self) -> "Inverse":
        """Make now the runs that are made once: of held-out models and, where runs are cheap, to train a net.

        Otherwise the first `solve` makes them, and counts them as its own.

        Raises
        ------
        InputError
            There are no held-out models, or all runs fail.
        """
        self._predicted_code()
        return self

    def solve(
        self,
        method: str = "laplace",
        *,
        seed: int | None = None,
        n_draws: int | None = None,
        time_limit_s: float | None = None,
        checkpoint: str | Path | None = None,
        **options: Any,
    ) -> Posterior:
        """Compute the posterior.

        Parameters
        ----------
        method
            "map": the most likely code, in some thirty runs; no spread. "laplace": the Gaussian around it, or a mixture
            of those around several modes, weighted by height and volume. "rml": each draw is the most likely code for
            perturbed data; for many codes of a nonlinear decoder and precise data; spreads too little where the data
            leave codes nearly free. "esmda": an ensemble, from runs alone. "mcmc": Markov chains, correct for
            posteriors of any form.
        seed
            Of the random numbers of this solution; None: that of the Inverse.
        n_draws
            Of the posterior (laplace 400, rml 100), or of each chain (mcmc: emulated 600, hmc 250, emcee 2000).
        time_limit_s
            The best so far is returned where there is one (all methods but esmda).
        checkpoint
            File for the state of rml, esmda and mcmc, from which the same call resumes after a kill.
        **options
            map, laplace, rml, mcmc: n_starts (searches from different starting points: one; where it ends at a code
            less likely than those of 99 % of held-out models, more until three agree, 6 at most; always 6 for rml and
            mcmc other than emcee, and with 10 codes or fewer, except for map), n_steps (of each search; 14, or with
            more than 10 codes 60 for rml and mcmc other than emcee).
            rml: n_refine (steps of each draw, 3 at most).
            esmda: n_members (200), n_steps (4).
            mcmc: sampler ("emulated", up to 32 codes: chains on an emulator of the data, corrected by runs; "hmc", for
            more: by gradients; "emcee", where there are none: walkers), n_chains (8, 4, 4), n_warmup (120, 150, 150),
            n_learn (of emulated: runs that the emulator is fitted to before the chains start, 2400 at most; fewer
            where enough).

        Raises
        ------
        InputError
            There is no such method or option, or the forward model fails throughout.
        """
        settings = read_options(method, {**options, "n_draws": n_draws})
        seed, clock = self.seed if seed is None else seed, Clock(time_limit_s)
        before = self.forward.counts()
        path = None if checkpoint is None else Path(checkpoint)
        codes, predicted, chains, info = self._solve(method, settings, seed, clock, path)
        runs = {k: v - before[k] for k, v in self.forward.counts().items()}
        return Posterior(
            self.space, method, codes, predicted, self.data, self.problem.noise, self.representation,
            {**info, **runs, "seconds": round(clock.elapsed_s, 3)}, chains, self._reference(), seed,
        )  # fmt: skip

    def calibrate(
        self,
        n: int = 50,
        method: str = "laplace",
        *,
        truths: ArrayLike | None = None,
        other_priors: dict[str, Any] | None = None,
        without_representation: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> Calibration:
        """Count how often intervals contain the truth, on held-out models with simulated data; print the result.

        Parameters
        ----------
        n
            Number of truths.
        method, options
            As for `solve`.
        truths
            Models (k, *shape) of which `n` are taken; neither the prior nor `held_out` may contain them. None:
            held-out models, which are then left out of the estimate of the representation error.
        other_priors
            Name -> another prior to be measured on the same truths, such as `geoae.priors.pca.pca_space(...)`. None:
            the principal components that a prior of `geoae.fit` was saved with. A Gaussian with the mean and
            covariance of the models themselves is always included. Its former name `beside` still works.
        without_representation
            Whether to measure the coverage without the representation error, too. Its former name `naive` still works.
        seed
            Of truths, noise and solutions.

        Raises
        ------
        InputError
            Too few held-out models are left apart from the truths.
        """
        renamed: dict[str, Any] = {"beside": other_priors, "naive": without_representation}
        for old, new in (("beside", "other_priors"), ("naive", "without_representation")):
            if old in options:
                warnings.warn(f"calibrate({old}=...) is calibrate({new}=...).", DeprecationWarning, stacklevel=2)
                renamed[old] = options.pop(old)
        return calibrate(self, n, method, truths, renamed["beside"], bool(renamed["naive"]), seed, options)

    def with_data(self, data: Float64Array, held: HeldOut | None, representation: Representation | None) -> "Inverse":
        """Return the same inversion of other data (data,), with these held-out models and representation error.

        No run is made.
        """
        other = self._copy()
        other.data, other._held, other._representation, other._prior_runs = data, held, representation, None
        return other

    def with_prior(self, latent: Any) -> "Inverse":
        """Return the same inversion with another prior; its representation error is estimated anew."""
        shape = self.forward.shape or ()
        full = np.full(self.used.size, np.nan)
        full[self.used] = self.data
        other = type(self)(
            latent, self.forward, full.reshape(shape), 1.0, representation=self.use_representation,
            n_representation=self.n_representation, held_out=self.held_out_models, seed=self.seed,
        )  # fmt: skip
        other.noise = self.noise
        return other

    def without_representation(self) -> "Inverse":
        """Return the same inversion with misfits weighted by the noise alone."""
        other = self._copy()
        other._representation, other.use_representation = None, False
        return other

    def run_truths(self, models: Any, n: int) -> HeldOut:
        """Run the forward model on at most `n` of some models (k, *shape) and their decoded codes."""
        return self._run_models(models, n)

    def search(
        self, start: Float64Array, n_steps: int = N_STEPS, noise_factor: float = 1.0, *, soft: float | None = None
    ) -> Mode:
        """Search for a mode from the best of codes (n, d); see `find_mode`. `soft` was the name of `noise_factor`."""
        if soft is not None:
            warnings.warn("search(soft=...) is search(noise_factor=...).", DeprecationWarning, stacklevel=2)
            noise_factor = soft
        return find_mode(self.problem, start, Clock(None), n_steps, noise_factor)

    def _copy(self) -> "Inverse":
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def _run_models(self, models: Any, n: int) -> HeldOut:
        return run_held_out(self.space, self.forward, n, self.seed, models).select_data(self.used)

    def _solve(self, method: str, options: SolverOptions, seed: int, clock: Clock, path: Path | None) -> Solution:
        if isinstance(options, EsmdaOptions):
            checkpoint = self._checkpoint(path, method, describe_options(options), seed)
            start = np.random.default_rng([seed, 2]).normal(size=(options.n_members, self.space.d))
            z, predicted, info = esmda.update_ensemble(self.problem, start, options.n_steps, seed, clock, checkpoint)
            return z, predicted, None, info
        if isinstance(options, McmcOptions):
            return self._sample_chains(options, seed, clock, path)
        plan = SearchPlan(options.n_starts, options.n_steps, method != "map", method == "rml")
        modes, n_searches = self._search_modes(plan, seed, clock)
        info = laplace.describe_search(modes, n_searches)
        if isinstance(options, RmlOptions):
            checkpoint = self._checkpoint(path, method, describe_options(options), seed)
            n = rml.N_DRAWS if options.n_draws is None else options.n_draws
            z, predicted, more = rml.draw_perturbed(self.problem, modes, n, options.n_refine, seed, clock, checkpoint)
            return z, predicted, None, {**info, **more}
        if isinstance(options, LaplaceOptions):
            n = laplace.N_DRAWS if options.n_draws is None else options.n_draws
            return *laplace.draw_mixture(self.problem, modes, n, seed), None, info
        return modes.modes[0].z[None], modes.modes[0].predicted[None], None, info

    def _sample_chains(self, options: McmcOptions, seed: int, clock: Clock, path: Path | None) -> Solution:
        sampler = choose_sampler(options.sampler, self.space.d, self.forward.differentiable)
        given = describe_options(options)
        counts = {k: getattr(sampler, k) if given[k] is None else given[k] for k in COUNTS}
        plan = SearchPlan(options.n_starts, options.n_steps, all_modes=True, for_sampling=sampler.stays_at_mode)
        modes, n_searches = self._search_modes(plan, seed, clock)
        checkpoint = self._checkpoint(path, "mcmc", describe_options(options, **counts), seed)
        settings = ChainSettings(**counts, seed=seed, clock=clock, checkpoint=checkpoint)
        draws, data, info = sampler.sample(self.problem, modes, settings)
        info = {**info, "n_modes": len(modes.modes), "n_searches": n_searches}
        return draws.reshape(-1, draws.shape[-1]), data.reshape(-1, data.shape[-1]), draws, info

    def _search_modes(self, plan: SearchPlan, seed: int, clock: Clock) -> tuple[Modes, int]:
        """The modes that searches find, and the number of searches."""
        return find_modes(
            self.problem, self._finished_runs(seed), self._likely_cost(), plan, seed, clock, self._predicted_code()
        )

    def _predicted_code(self) -> Float64Array | None:
        """The code (d,) that a net predicts from the data; None where runs are not cheap, or codes are few.

        The runs that the net is trained on are made when this is first asked for.
        """
        problem = self.problem
        if not self.forward.cheap or self.space.d <= FEW_CODES:
            return None
        if not self._training_runs:
            self._training_runs.append(amortised.run_prior(problem, self.seed))
        (runs,) = self._training_runs
        return (
            None
            if runs is None
            else amortised.train_predictor(runs, problem.noise).code(problem.noise.whiten(problem.data))
        )

    def _likely_cost(self) -> float:
        """The cost below which the codes of nearly all held-out models lie; infinite where that is unknown."""
        if self._held is None or len(self._held.data) < 2 * FEWEST:
            return np.inf
        return float(np.quantile(self._held.costs(self.problem.noise, self.noise), LIKELY))

    def _finished_runs(self, seed: int) -> Runs:
        """The runs of held-out models or, without these, of draws of the prior, which are made once."""
        if self._held is not None:
            return self._held.runs
        if self._prior_runs is None:
            z = np.random.default_rng([seed, 3]).normal(size=(N_PRIOR_RUNS, self.space.d))
            data = self.problem.predict(z)
            there = np.isfinite(data).all(1)
            self._prior_runs = Runs(z[there], data[there])
        return self._prior_runs

    def _reference(self) -> dict[str, Any]:
        """How the data compare with those of held-out models; empty where these are too few."""
        if self._held is None or len(self._held.data) < 2 * FEWEST:
            return {}
        distance, others = self._held.distances(self.data, self.noise, self.seed)
        z_scores = self._held.z_scores(self.data, self.noise)
        return {"distance": distance, "distances": others, "surprises": z_scores}

    def _checkpoint(self, path: Path | None, method: str, options: dict[str, Any], seed: int) -> Checkpoint:
        """The checkpoint of a solution, which no other data, prior, method or options can resume."""
        if path is None:
            return Checkpoint()
        total = self.problem.noise
        arrays = (self.data, self.noise.covariance, total.offset, total.variance, self.used)
        return Checkpoint(path, identify([method, options, seed, getattr(self.space, "digest", "")], *arrays))


def _space(latent: Any) -> Any:
    if hasattr(latent, "decode") and hasattr(latent, "held_out_codes"):
        return latent
    from geoae.priors.space import LatentSpace

    return LatentSpace(latent)
