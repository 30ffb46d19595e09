"""Inverse: a prior, a forward model, data and noise; solved by several methods, and checked on simulated truths."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoae.errors import InputError
from geoae.invert.chains import hamiltonian as mcmc
from geoae.invert.chains import samplers
from geoae.invert.forward.forward import RUN_LIMIT_S, Forward
from geoae.invert.misfit.held_out import HeldOut, run_held_out
from geoae.invert.misfit.noise import Noise, read_noise
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.options import at_least
from geoae.invert.options import settings as options_of
from geoae.invert.posterior.posterior import MODELS, Posterior
from geoae.invert.problem import Clock, Problem
from geoae.invert.search import amortised, starts
from geoae.invert.search.modes import STEPS, Mode, Modes, find_mode
from geoae.invert.search.searches import FEW_CODES, Wish, find_modes
from geoae.invert.solvers import esmda, rml

if TYPE_CHECKING:
    from geoae.invert.calibrate import Calibration
    from geoae.latent.space import LatentSpace

Array = NDArray[np.float64]
PRIOR_RUNS = 200
"""To learn where to begin, where there are no runs on held-out models."""


class Inverse:
    """Models of a prior that explain data, and how sure they are.

    What the decoder of the prior cannot represent is estimated from models it was not trained on, and misfits are
    weighed by it and the noise together. That takes two forward runs for each of those models, once.

    Parameters
    ----------
    latent
        The prior: a `LatentSpace`, or a model that makes one.
    forward
        A function from a model (*shape), in the prior's units, to data; a matrix; or a `Forward`.
    data
        What was measured, of the shape that the forward model gives; NaN where there is nothing.
    noise
        Standard deviation, one for each datum, or covariance (data, data).
    representation
        Whether to count in what the decoder cannot represent. Without it, intervals are too narrow.
    n_representation
        Held-out models to run, at most. The more, the sharper: some times the number of data is best.
    held_out
        Models (n, *shape) that the prior was not trained on; None: those it brings along.
    seed
        Of all that is random.
    **forward_options
        Those of `Forward`: jacobian, adjoint, batched, torch, cheap, workers, run_limit_s.

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
        jacobian: Callable[[Any], Any] | None = None,
        adjoint: Callable[[Any, Any], Any] | None = None,
        batched: bool | None = None,
        torch: bool | None = None,
        cheap: bool | None = None,
        workers: Any = None,
        run_limit_s: float | None = RUN_LIMIT_S,
    ):
        self.space: LatentSpace = _space(latent)
        self.forward = forward if isinstance(forward, Forward) else Forward(
            forward, jacobian=jacobian, adjoint=adjoint, batched=batched, torch=torch, cheap=cheap,
            workers=workers, run_limit_s=run_limit_s,
        )  # fmt: skip
        measured = _data(data)
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
        self._learnt: starts.Runs | None = None
        self._many: list[starts.Runs | None] = []

    @property
    def held_out(self) -> HeldOut:
        """Held-out models and their data; the runs are made when this is first asked for."""
        if self._held is None:
            found = run_held_out(self.space, self.forward, self.n_representation, self.seed, self.held_out_models)
            self._held = found.observed(self.used)
        return self._held

    @property
    def representation(self) -> Representation | None:
        """What the decoder cannot represent, or None where it is left out."""
        if self.use_representation and self._representation is None:
            self._representation = self.held_out.representation(self.noise)
        return self._representation

    @property
    def problem(self) -> Problem:
        """The inversion as a function of codes."""
        total = self.noise if self.representation is None else self.representation.total
        return Problem(self.space, self.forward, self.data, self.used, total)

    def prepare(self) -> "Inverse":
        """Make now the runs that are made once: on held-out models and, where runs are cheap, to learn where to begin.

        Otherwise the first `solve` makes them, and counts them as its own.

        Raises
        ------
        InputError
            There are no held-out models, or all runs are lost.
        """
        self._expected()
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
        """Solve it.

        Parameters
        ----------
        method
            "map": the most likely code, in some thirty runs; no spread. "laplace": the Gaussian around it, or a mixture
            of those around several modes, each with the weight of its height and volume. "rml": draws that each
            explain data of their own: for many codes of a bent decoder and sharp data; too sure of what data leave
            wide open. "esmda": an ensemble, from runs alone. "mcmc": Markov chains, right for posteriors of any form.
        seed
            Of what is random here; None: that of the Inverse.
        n_draws
            Of the posterior (laplace 400, rml 100), or of each chain (mcmc: emulated 600, hmc 250, emcee 2000).
        time_limit_s
            The best so far is taken where there is one (all but esmda).
        checkpoint
            File for the state of rml, esmda and mcmc: the same call goes on from there after a kill.
        **options
            map, laplace, rml, mcmc: n_starts (searches from different starts: one; where it ends at a code less likely
            than those of 99 % of held-out models, more until three agree, 6 at most; 6 in any case for rml and mcmc
            but for emcee, and with 10 codes or fewer, map apart), n_steps (of each; 14, or 60 for rml and mcmc, emcee
            apart, with more codes).
            rml: n_refine (steps of each draw, 3 at most).
            esmda: n_members (200), n_steps (4).
            mcmc: sampler ("emulated", up to 32 codes: chains on an emulator of the data, which runs correct; "hmc", for
            more: by gradients; "emcee", where there are none: walkers), n_chains (8, 4, 4), n_warmup (120, 150, 150),
            n_learn (of emulated: runs before the chains that it learns from, 2400 at most; fewer where enough).

        Raises
        ------
        InputError
            There is no such method or option, or the forward model fails throughout.
        """
        settings = {**options_of(method, options), "n_draws": n_draws}
        solver = {
            "map": self._map, "laplace": self._laplace, "rml": self._rml, "esmda": self._esmda, "mcmc": self._mcmc
        }[method]  # fmt: skip
        seed, clock = self.seed if seed is None else seed, Clock(time_limit_s)
        before = self.forward.counts()
        path = None if checkpoint is None else Path(checkpoint)
        codes, predicted, chains, info = solver(settings, seed, clock, path)
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
        beside: dict[str, Any] | None = None,
        naive: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> "Calibration":
        """How often intervals contain the truth, on held-out models with simulated data; print it.

        Parameters
        ----------
        n
            Truths; they are kept out of what the representation error is estimated from.
        method, options
            As `solve`.
        truths
            Models (k, *shape) of which `n` are taken; none of them is known to the prior or to `held_out`. None:
            held-out models, which are then left out of what the representation error is estimated from.
        beside
            Name -> another prior to be measured on the same truths, such as `geoae.latent.pca.pca_space(...)`. None:
            the principal components that a prior of `geoae.fit` brings along. A Gaussian with mean and covariance of
            the models themselves is always there.
        naive
            Whether to measure what comes out without the representation error, too.
        seed
            Of truths, noise and solutions.

        Raises
        ------
        InputError
            Too few held-out models are left beside the truths.
        """
        from geoae.invert.calibrate import calibrate

        return calibrate(self, n, method, truths, beside, naive, seed, options)

    def with_data(self, data: Array, held: HeldOut | None, representation: Representation | None) -> "Inverse":
        """The same inversion of other data (data,), with what was learnt from runs given; no run is made."""
        other = object.__new__(Inverse)
        other.__dict__.update(self.__dict__)
        other.data, other._held, other._representation, other._learnt = data, held, representation, None
        return other

    def search(self, start: Array, n_steps: int = STEPS, soft: float = 1.0) -> Mode:
        """The mode that the steps reach from codes (n, d), of which they begin at the best; see `find_mode`."""
        return find_mode(self.problem, start, Clock(None), n_steps, soft)

    def _map(self, options: dict[str, Any], seed: int, clock: Clock, path: Path | None) -> tuple[Any, ...]:
        modes, n = self._modes(options, seed, clock)
        return modes.modes[0].z[None], modes.modes[0].predicted[None], None, _about(modes, n)

    def _laplace(self, options: dict[str, Any], seed: int, clock: Clock, path: Path | None) -> tuple[Any, ...]:
        n = MODELS if options["n_draws"] is None else options["n_draws"]
        at_least(2, n_draws=n)
        modes, n_searches = self._modes(options, seed, clock, "laplace")
        of, shift, white = modes.draw(n, np.random.default_rng([seed, 1]))
        codes, problem = np.stack([m.z for m in modes.modes])[of] + shift, self.problem
        if self.forward.matrix is not None:  # as cheap as a guess
            predicted = problem.predict(codes)
        else:
            predicted = np.stack([m.predicted for m in modes.modes])[of] + problem.noise.colour(white)
        return codes, predicted, None, _about(modes, n_searches)

    def _rml(self, options: dict[str, Any], seed: int, clock: Clock, path: Path | None) -> tuple[Any, ...]:
        n, n_refine = 100 if options["n_draws"] is None else options["n_draws"], options["n_refine"]
        at_least(2, n_draws=n)
        at_least(0, n_refine=n_refine)
        modes, n_searches = self._modes(options, seed, clock, "rml")
        identity = self._identity("rml", options, seed)
        z, predicted, about = rml.draws(self.problem, modes, n, n_refine, seed, clock, path, identity)
        return z, predicted, None, {**_about(modes, n_searches), **about}

    def _esmda(self, options: dict[str, Any], seed: int, clock: Clock, path: Path | None) -> tuple[Any, ...]:
        at_least(esmda.FEWEST, n_members=options["n_members"])
        start = np.random.default_rng([seed, 2]).normal(size=(options["n_members"], self.space.d))
        identity = self._identity("esmda", options, seed)
        z, predicted, about = esmda.ensemble(self.problem, start, options["n_steps"], seed, clock, path, identity)
        return z, predicted, None, about

    def _mcmc(self, options: dict[str, Any], seed: int, clock: Clock, path: Path | None) -> tuple[Any, ...]:
        sampler = samplers.chosen(options["sampler"], self.space.d, self.forward.differentiable)
        at_least(4, n_draws=options["n_draws"])
        at_least(1, n_chains=options["n_chains"])
        at_least(0, n_warmup=options["n_warmup"], n_learn=options["n_learn"])
        counts = {k: getattr(sampler, k) if options[k] is None else options[k] for k in samplers.COUNTS}
        modes, n_searches = self._modes(options, seed, clock, "mcmc" if sampler.begin else "laplace")
        identity = self._identity("mcmc", {**options, **counts}, seed)
        wanted = mcmc.Wanted(**counts, seed=seed, clock=clock, checkpoint=path, identity=identity)
        draws, data, about = sampler.sample(self.problem, modes, wanted)
        flat = (-1, draws.shape[-1]), (-1, data.shape[-1])
        about = {**about, "n_modes": len(modes.modes), "n_searches": n_searches}
        return draws.reshape(flat[0]), data.reshape(flat[1]), draws, about

    def _modes(self, options: dict[str, Any], seed: int, clock: Clock, kind: str = "map") -> tuple[Modes, int]:
        """What searches find, and how many there were; a method of what `kind` is to work with it."""
        at_least(1, n_starts=options["n_starts"], n_steps=options["n_steps"])
        wish = Wish(options["n_starts"], options["n_steps"], kind != "map", kind in ("rml", "mcmc"))
        return find_modes(self.problem, self._runs(seed), self._highest(), wish, seed, clock, self._expected())

    def _expected(self) -> Array | None:
        """The code (d,) that a net expects of the data; None where runs are not cheap, or codes are few.

        The runs to learn from are made when this is first asked for.
        """
        problem = self.problem
        if not self.forward.cheap or self.space.d <= FEW_CODES:
            return None
        if not self._many:  # the same list for all that `with_data` makes
            self._many.append(amortised.prior_runs(problem, self.seed))
        (runs,) = self._many
        return None if runs is None else amortised.learn(runs, problem.noise).code(problem.noise.whiten(problem.data))

    def _highest(self) -> float:
        """What the most likely code of hardly any held-out model costs more than; infinite where that is unknown."""
        if self._held is None or len(self._held.data) < 2 * FEWEST:
            return np.inf
        return float(np.quantile(self._held.costs(self.problem.noise, self.noise), UNUSUAL))

    def _runs(self, seed: int) -> starts.Runs | None:
        """Runs there are already, or some of the prior, once."""
        if self._held is not None:
            return self._held.runs
        if self._learnt is None:
            z = np.random.default_rng([seed, 3]).normal(size=(PRIOR_RUNS, self.space.d))
            data = self.problem.predict(z)
            there = np.isfinite(data).all(1)
            self._learnt = starts.Runs(z[there], data[there])
        return self._learnt

    def _reference(self) -> dict[str, Any]:
        if self._held is None or len(self._held.data) < 2 * FEWEST:
            return {}
        distance, others = self._held.distances(self.data, self.noise, self.seed)
        surprises = self._held.surprises(self.data, self.noise)
        return {"distance": distance, "distances": others, "surprises": surprises}

    def _identity(self, method: str, options: dict[str, Any], seed: int) -> str:
        digest = hashlib.sha256(
            json.dumps([method, options, seed, getattr(self.space, "digest", "")], default=str).encode()
        )
        total = self.problem.noise
        for array in (self.data, self.noise.covariance, total.offset, total.variance, self.used):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


UNUSUAL = 0.99
"""Share of held-out models of which the most likely codes cost less: a search that ends above is not trusted."""


def _about(found: Modes, n_searches: int) -> dict[str, Any]:
    mode = found.modes[0]
    return {"cost": mode.cost, "converged": mode.converged, "n_steps": mode.n_steps, "n_modes": len(found.modes),
            "n_searches": n_searches}  # fmt: skip


def _space(latent: Any) -> Any:
    if hasattr(latent, "decode") and hasattr(latent, "held_out_codes"):
        return latent
    from geoae.latent.space import LatentSpace

    return LatentSpace(latent)


def _data(data: ArrayLike) -> Array:
    try:
        measured = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The data are a {type(data).__name__} that is no array of numbers.") from error
    if np.isinf(measured).any():
        raise InputError(f"{int(np.isinf(measured).sum())} of the data are infinite; where there are none, give NaN.")
    if not np.isfinite(measured).any():
        raise InputError(f"None of the {measured.size} data is a number, so there is nothing to invert.")
    return np.atleast_1d(measured)
