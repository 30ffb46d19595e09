"""Inverse: a prior, a forward model, data and noise; solved by several methods, and checked on simulated truths."""

import warnings
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.calibrate import Calibration, calibrate
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.data import read_data
from geoae.invert.misfit.held_out import HeldOut
from geoae.invert.misfit.noise import Noise, read_noise
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.options import read_options
from geoae.invert.posterior.posterior import Posterior
from geoae.invert.prior_runs import PriorRuns
from geoae.invert.problem import Clock, Problem
from geoae.invert.protocols import Decodes, LatentPrior
from geoae.invert.search.modes import N_STEPS, Mode, find_mode
from geoae.invert.solver import Solver


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
        self.space = as_latent_prior(latent)
        self.forward = forward if isinstance(forward, Forward) else Forward(forward, **forward_options)
        measured = read_data(data)
        self.used = np.isfinite(measured).ravel()
        self.data = measured.ravel()[self.used]
        self.noise: Noise = read_noise(noise, measured.shape, self.used)
        self.use_representation, self.seed = representation, seed
        if representation and n_representation < FEWEST:
            raise InputError(f"n_representation is {n_representation}; at least {FEWEST} held-out models are needed.")
        self.forward.check(self.space.decode(np.zeros(self.space.d)), measured.shape)
        self._prior_runs = PriorRuns(self.space, self.forward, self.used, held_out, n_representation, seed)

    @property
    def held_out(self) -> HeldOut:
        """Held-out models and their data; they are run when this is first asked for."""
        return self._prior_runs.held_out

    @property
    def representation(self) -> Representation | None:
        """The representation error, or None where it is left out."""
        return self._prior_runs.estimate_representation(self.noise) if self.use_representation else None

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
        self._prior_runs.predict_code(self.problem)
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
        problem = self.problem
        codes, predicted, chains, info = Solver(problem, self._prior_runs, self.noise, seed, clock, path).solve(
            method, settings
        )
        runs = {k: v - before[k] for k, v in self.forward.counts().items()}
        return Posterior(
            self.space, method, codes, predicted, self.data, problem.noise, self.representation,
            {**info, **runs, "seconds": round(clock.elapsed_s, 3)}, chains,
            self._prior_runs.compare(self.data, self.noise), seed,
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
        other = copy(self)
        other.data = data
        other._prior_runs = replace(self._prior_runs, held=held, draws=None, estimate=representation)
        return other

    def with_prior(self, latent: Any) -> "Inverse":
        """Return the same inversion with another prior; its representation error is estimated anew."""
        shape = self.forward.shape or ()
        full = np.full(self.used.size, np.nan)
        full[self.used] = self.data
        other = type(self)(
            latent, self.forward, full.reshape(shape), 1.0, representation=self.use_representation,
            n_representation=self._prior_runs.n_models, held_out=self._prior_runs.models, seed=self.seed,
        )  # fmt: skip
        other.noise = self.noise
        return other

    def without_representation(self) -> "Inverse":
        """Return the same inversion with misfits weighted by the noise alone."""
        other = copy(self)
        other._prior_runs, other.use_representation = replace(self._prior_runs, estimate=None), False
        return other

    def run_truths(self, models: Any, n: int) -> HeldOut:
        """Run the forward model on at most `n` of some models (k, *shape) and their decoded codes."""
        return self._prior_runs.run_models(models, n)

    def search(
        self, start: Float64Array, n_steps: int = N_STEPS, noise_factor: float = 1.0, *, soft: float | None = None
    ) -> Mode:
        """Search for a mode from the best of codes (n, d); see `find_mode`. `soft` was the name of `noise_factor`."""
        if soft is not None:
            warnings.warn("search(soft=...) is search(noise_factor=...).", DeprecationWarning, stacklevel=2)
            noise_factor = soft
        return find_mode(self.problem, start, Clock(None), n_steps, noise_factor)


def as_latent_prior(prior: Any) -> LatentPrior:
    """Return what has the functions of a `LatentSpace` as it is, and the `LatentSpace` of a model or its folder."""
    if isinstance(prior, Decodes):
        return cast(LatentPrior, prior)
    from geoae.priors.space import LatentSpace

    return LatentSpace(prior)
