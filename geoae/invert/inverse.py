"""Inverse: from a prior, a forward model, data and noise to a posterior."""

import warnings
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from geoae.arrays.numbers import require_seed
from geoae.arrays.types import Float64Array
from geoae.files.paths import require_path
from geoae.invert.calibrate import Calibration, calibrate
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.data import read_data
from geoae.invert.misfit.held_out import HeldOut
from geoae.invert.misfit.noise import Noise, read_noise
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.options import read_options, require_at_least
from geoae.invert.posterior.posterior import Posterior
from geoae.invert.prior_runs import PriorRuns
from geoae.invert.probe import check_derivatives, require_dependence
from geoae.invert.problem import Clock, Problem
from geoae.invert.protocols import as_latent_prior
from geoae.invert.search.modes import N_STEPS, Mode, find_mode
from geoae.invert.solver import Solver


class Inverse:
    """Find the models of a prior that explain data, and their uncertainty.

    Misfits are weighted by the noise and the representation error together. The representation error is the effect on
    the data of what the prior's decoder cannot represent. It is estimated from models that the prior was not trained
    on, which takes two forward runs for each of these models, once.

    Parameters
    ----------
    latent
        The prior: a `LatentSpace`, a prior of `geoae.fit`, or the folder of one.
    forward
        A function from a model (*shape), in the prior's units, to data; a matrix (data, cells); or a `Forward`.
    data
        Measured data, in the shape of the forward model's data; NaN where a datum is missing.
    noise
        Standard deviation, one for each datum, or covariance (data, data).
    representation
        Whether to count the representation error. Without it, intervals are too narrow.
    n_representation
        Held-out models to run, at most. The best number is several times that of the data.
    held_out
        Models (n, *shape) that the prior was not trained on; None: those saved with it.
    seed
        Seed of all random numbers.
    **forward_options
        Options of `ForwardOptions`: jacobian, adjoint, batched, torch, cheap, workers, run_limit_s.

    Attributes
    ----------
    forward : Forward
        The forward model, which counts its runs.

    Raises
    ------
    InputError
        Shapes of data, noise and forward model disagree, noise is not positive, or values are complex. The forward
        model fails, gives the same data for all models, or has a Jacobian or adjoint that differs from its finite
        differences. The prior is none.
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
        self.use_representation, self.seed = representation, require_seed(seed)
        if representation:
            require_at_least(FEWEST, n_representation=n_representation)
        middle = self.forward.check(self.space.decode(np.zeros(self.space.d)), measured.shape)
        by_noise = Problem(self.space, self.forward, self.data, self.used, self.noise)
        require_dependence(by_noise, middle)
        check_derivatives(by_noise)
        self._prior_runs = PriorRuns(self.space, self.forward, self.used, held_out, n_representation, seed)

    def __repr__(self) -> str:
        missing = self.used.size - self.data.size
        data = f"{self.data.size} data" + (f", {missing} missing" if missing else "")
        with_error = "with" if self.use_representation else "WITHOUT"
        return f"Inverse({self.space!r}, {self.forward!r}, {data}, {with_error} representation error)"

    @property
    def held_out(self) -> HeldOut:
        """Held-out models and their data; the first use runs them."""
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
        """Make the runs that are made only once: of held-out models and, if runs are cheap, those to train a net.

        Otherwise the first `solve` makes them, and includes them in its counts.

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
            "map": the most likely code, without spread, in some thirty runs.
            "laplace": the Gaussian around it, or a mixture of Gaussians around several modes, weighted by height and
            volume.
            "rml": randomised maximum likelihood; each draw is the most likely code for perturbed data. It suits many
            codes, a nonlinear decoder and precise data. Draws spread too little if the data leave codes nearly free.
            "esmda": an ensemble smoother, from runs alone.
            "mcmc": Markov chains, which are correct for posteriors of any shape.
        seed
            Seed of the random numbers of this solution; None: the seed of the Inverse.
        n_draws
            Draws of the posterior (laplace 400, rml 100), or of each chain (mcmc: emulated 600, hmc 250, emcee 2000).
        time_limit_s
            Time after which the best result so far is returned. esmda has none before its end, and raises an error.
        checkpoint
            File for the state of rml, esmda and mcmc. The same call resumes from it after a kill.
        **options
            map, laplace, rml, mcmc: n_starts (searches from different starting points. The default is one; if it ends
            at a code less likely than those of 99 % of held-out models, others follow until three agree, 6 at most.
            It is always 6 for rml and mcmc other than emcee, and with 10 codes or fewer, except for map), n_steps
            (steps of each search: 14; with more than 10 codes 60 for rml and mcmc other than emcee).
            rml: n_refine (steps of each draw, at most: 3).
            esmda: n_members (200), n_steps (4).
            mcmc: sampler ("emulated", the default up to 32 codes: chains on an emulator of the data, corrected by runs;
            "hmc", for more codes: Hamiltonian chains with gradients; "emcee", without gradients: walkers), n_chains
            (8, 4, 4), n_warmup (120, 150, 150), n_learn (emulated only: runs that the emulator is fitted to before the
            chains start, at most: 2400).

        Raises
        ------
        InputError
            There is no such method or option, the forward model fails throughout, or the time limit is too short.
        """
        settings = read_options(method, {**options, "n_draws": n_draws})
        seed, clock = self.seed if seed is None else require_seed(seed), Clock(time_limit_s)
        before = self.forward.counts()
        path = None if checkpoint is None else require_path(checkpoint, "The checkpoint")
        problem = self.problem
        codes, predicted, chains, info = Solver(problem, self._prior_runs, self.noise, seed, clock, path).solve(
            method, settings
        )
        runs = {k: v - before[k] for k, v in self.forward.counts().items()}
        return Posterior(
            self.space, method, codes, predicted, self.data, problem.noise, self.representation,
            {**info, **runs, "seconds": round(clock.elapsed_s, 3)}, chains,
            self._prior_runs.compare(self.data, self.noise), seed, self.used,
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
        """Count how often intervals contain the truth, on held-out models with simulated data.

        Parameters
        ----------
        n
            Number of truths.
        method, options
            As for `solve`.
        truths
            Models (k, *shape) from which `n` are chosen; they must not be in the prior's training models or in
            `held_out`. None: held-out models, which are then left out of the estimate of the representation error.
        other_priors
            Name -> another prior to measure on the same truths, such as `geoae.priors.pca.pca_space(...)`. None: the
            principal components that a prior of `geoae.fit` was saved with. A Gaussian with the mean and covariance of
            the models themselves is always included. The former name `beside` still works.
        without_representation
            Whether to measure the coverage without the representation error as well. The former name `naive` still
            works.
        seed
            Seed of truths, noise and solutions.

        Raises
        ------
        InputError
            Too few held-out models are left besides the truths, or no truth can be inverted.
        """
        renamed: dict[str, Any] = {"beside": other_priors, "naive": without_representation}
        for old, new in (("beside", "other_priors"), ("naive", "without_representation")):
            if old in options:
                warnings.warn(f"calibrate({old}=...) is calibrate({new}=...).", DeprecationWarning, stacklevel=2)
                renamed[old] = options.pop(old)
        return calibrate(self, n, method, truths, renamed["beside"], bool(renamed["naive"]), seed, options)

    def with_data(self, data: Float64Array, held: HeldOut | None, representation: Representation | None) -> "Inverse":
        """Return the same inversion of other data (data,), with these estimates; no run is made."""
        other = copy(self)
        other.data = data
        other._prior_runs = replace(self._prior_runs, held=held, draws=None, estimate=representation)
        return other

    def with_prior(self, latent: Any) -> "Inverse":
        """Return the same inversion with another prior and its representation error."""
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
        """Run the forward model on at most `n` of the models (k, *shape) and on their decoded codes."""
        return self._prior_runs.run_models(models, n)

    def search(
        self, start: Float64Array, n_steps: int = N_STEPS, noise_factor: float = 1.0, *, soft: float | None = None
    ) -> Mode:
        """Search for a mode from the best of codes (n, d); see `find_mode`.

        `soft` is the former name of `noise_factor`.
        """
        if soft is not None:
            warnings.warn("search(soft=...) is search(noise_factor=...).", DeprecationWarning, stacklevel=2)
            noise_factor = soft
        return find_mode(self.problem, start, Clock(None), n_steps, noise_factor)
