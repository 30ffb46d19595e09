"""How often intervals contain the truth, counted on held-out models with simulated data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from geoae.arrays.numbers import require_seed
from geoae.arrays.types import Float64Array
from geoae.errors import GeoAEError, InputError
from geoae.invert.chains.convergence import MAX_R_HAT, has_enough_draws, r_hat
from geoae.invert.misfit.held_out import HeldOut
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import FEWEST, Representation
from geoae.invert.options import require_at_least
from geoae.invert.posterior.draws import Draws
from geoae.invert.protocols import LatentPrior

LEVELS = (0.5, 0.8, 0.9, 0.95)
GAUSSIAN = "Gaussian, all cells"
N_DRAWS = 200
"""Models drawn from each posterior, at most."""


class Inversion(Protocol):
    """An inversion that can be solved for other data and with other priors, as a calibration needs it."""

    space: LatentPrior
    noise: Noise
    """Of the data alone."""
    use_representation: bool
    """Whether misfits are weighted by the representation error, too."""

    @property
    def held_out(self) -> HeldOut:
        """Held-out models and their data."""

    def run_truths(self, models: Any, n: int) -> HeldOut:
        """Run the forward model on at most `n` models (k, *shape)."""

    def with_data(self, data: Float64Array, held: HeldOut | None, representation: Representation | None) -> "Inversion":
        """Return the inversion of other data (data,), with these held-out models and representation error."""

    def with_prior(self, latent: Any) -> "Inversion":
        """Return the inversion with another prior."""

    def without_representation(self) -> "Inversion":
        """Return the inversion with misfits weighted by the noise alone."""

    def solve(self, method: str = ..., *, seed: int | None = ..., **options: Any) -> Draws:
        """Solve it."""


@dataclass(frozen=True)
class Coverage:
    """Coverage of the intervals of one prior and method, and their width."""

    cells: tuple[float, ...]
    """Share of the cells of all truths inside their intervals, for each level."""
    codes: tuple[float, ...] | None
    """The same share of the truths' codes; None where there are no codes."""
    data: tuple[float, ...]
    """The same share of the truths' data without noise."""
    rmse: float
    """Root mean squared error of the mean model."""
    width: float
    """Mean width of the 90 % intervals of cells. Of two calibrated posteriors, the narrower one is better."""
    failed: tuple[str, ...]
    """The error of each truth that could not be inverted."""
    accuracy: float | None = None
    """Facies models only: share of cells whose more probable facies is right."""
    brier: float | None = None
    """Facies models only: mean squared error of the probabilities."""
    r_hat: tuple[float, ...] = ()
    """Largest R-hat of all codes, for each truth; empty without chains."""


@dataclass(frozen=True, repr=False)
class Calibration:
    """Coverage of a prior, and of other priors for comparison; `print` shows a table."""

    n: int
    results: dict[str, Coverage]
    """Name of prior and method -> coverage."""

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        head = "".join(f"{f'{100 * level:.0f} %':>8}" for level in LEVELS)
        lines = [
            f"{self.n} simulated truths; share inside intervals of",
            f"{'':<44}{head}{'RMSE':>12}{'width 90 %':>12}",
        ]
        for name, c in self.results.items():
            for kind, shares in (("cells", c.cells), ("codes", c.codes), ("data", c.data)):
                if shares is None:
                    continue
                row = f"{f'{name}, {kind}':<44}" + "".join(f"{100 * share:8.1f}" for share in shares)
                lines.append(row + (f"{c.rmse:12.4g}{c.width:12.4g}" if kind == "cells" else ""))
            if c.accuracy is not None and c.brier is not None:
                lines.append(f"{'':<4}right facies {100 * c.accuracy:.2f} % of cells, Brier score {c.brier:.4f}")
            if c.r_hat:
                converged = sum(r <= MAX_R_HAT for r in c.r_hat)
                share = f"chains converged (R-hat <= {MAX_R_HAT}) for {converged} of {len(c.r_hat)}"
                lines.append(f"{'':<4}{share}; median {np.median(c.r_hat):.3f}")
            if c.failed:
                lines.append(f"! {name}: {len(c.failed)} of the truths could not be inverted. The first: {c.failed[0]}")
        return "\n".join(lines)


def calibrate(
    inverse: Inversion,
    n: int,
    method: str,
    truths: Any,
    other_priors: dict[str, Any] | None,
    without_representation: bool,
    seed: int,
    options: dict[str, Any],
) -> Calibration:
    """Measure coverage on `n` truths; see `Inverse.calibrate`."""
    if method == "map":
        raise InputError('The method "map" gives no intervals; calibrate "laplace", "rml", "esmda" or "mcmc".')
    require_at_least(1, n=n)
    rng = np.random.default_rng(require_seed(seed))
    chosen, remaining = _choose_truths(inverse, n, truths, rng)
    noisy = chosen.data + inverse.noise.sample(n, rng)
    solver = (method, seed, options)
    results = {f"{inverse.space.name}, {method}": _measure_coverage(inverse, chosen, remaining, noisy, *solver)}
    if without_representation:
        name = f"{inverse.space.name}, {method}, without residual"
        results[name] = _measure_coverage(inverse.without_representation(), chosen, remaining, noisy, *solver)
    for name, space in (_load_components(inverse) if other_priors is None else other_priors).items():
        other = inverse.with_prior(space)
        encoded, unused = _encode_truths(other, chosen)
        results[f"{name}, {method}"] = _measure_coverage(other, encoded, unused, noisy, *solver)
    results[GAUSSIAN] = _measure_gaussian_coverage(inverse, chosen, remaining, noisy, rng)
    return Calibration(n, results)


def _choose_truths(inverse: Inversion, n: int, truths: Any, rng: np.random.Generator) -> tuple[HeldOut, HeldOut]:
    """Choose truths; also the held-out models that the representation error is estimated from."""
    held = inverse.held_out
    if truths is not None:
        found = inverse.run_truths(truths, n)
        if not 1 <= n <= len(found.models):
            raise InputError(f"n is {n}; {len(found.models)} of the truths could be run. Give fewer, or more truths.")
        return found, held
    if not 1 <= n <= len(held.models) - FEWEST:
        raise InputError(
            f"n is {n}; {len(held.models)} held-out models could be run, and {FEWEST} or more must be left to estimate "
            "the representation error. Give fewer truths, a prior with more held out, or other models as truths=."
        )
    rows = np.sort(rng.choice(len(held.models), n, replace=False))
    return held.select(rows), held.select(np.setdiff1d(np.arange(len(held.models)), rows))


def _load_components(inverse: Inversion) -> dict[str, Any]:
    """Name and space of the principal components that were saved with a prior; empty if there are none."""
    from geoae.priors.pca import make_components_space
    from geoae.priors.space import LatentSpace

    if not isinstance(inverse.space, LatentSpace):
        return {}
    found = make_components_space(inverse.space)
    return {} if found is None else {found.name: found}


def _encode_truths(other: Inversion, truths: HeldOut) -> tuple[HeldOut, HeldOut]:
    """Encode the truths with another prior; also its held-out models without the truths."""
    held, codes = other.held_out, np.asarray(other.space.encode(truths.models))
    are_truths = set(_fingerprints(truths.models))
    rows = np.array([i for i, name in enumerate(_fingerprints(held.models)) if name not in are_truths], dtype=np.intp)
    encoded = HeldOut(truths.models, codes, other.space.decode(codes), truths.data, truths.data, held.values)
    return encoded, held.select(rows)


def rank_truth(truth: Float64Array, draws: Float64Array, rng: np.random.Generator) -> Float64Array:
    """Rank (...) of the truth (...) among draws (n, ...), as a share; ties are broken at random.

    The ranks of many truths are uniform between 0 and 1 if the draws are calibrated.
    """
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    return (below + rng.uniform(size=truth.shape) * (equal + 1)) / (len(draws) + 1)


def _measure_coverage(
    inverse: Inversion,
    truths: HeldOut,
    remaining: HeldOut,
    noisy: Float64Array,
    method: str,
    seed: int,
    options: dict[str, Any],
) -> Coverage:
    """Solve for the noisy data (n, data) of the truths, and count how often intervals contain the truths."""
    rng = np.random.default_rng([seed, 1])
    representation = remaining.estimate_representation(inverse.noise) if inverse.use_representation else None
    codes, scores, data = [], _ModelScores(inverse), []
    failed: list[str] = []
    largest_r_hat: list[float] = []
    for i, measured in enumerate(noisy):
        inversion = inverse.with_data(measured, remaining, representation)
        try:
            posterior = inversion.solve(method, seed=seed + i, **options)
        except GeoAEError as error:
            failed.append(f"number {i}: {error}")
            continue
        scores.add(truths.models[i], posterior.sample(min(len(posterior.codes), N_DRAWS), seed=i), rng)
        codes.append(rank_truth(truths.codes[i], posterior.codes, rng))
        if posterior.chains is not None and has_enough_draws(posterior.chains):
            largest_r_hat.append(float(r_hat(posterior.chains).max()))
        predicted = posterior.predicted
        if representation is not None:
            predicted = predicted + representation.draw_errors(posterior.data - predicted, rng)
        data.append(rank_truth(truths.data[i], predicted, rng))
    if not codes:
        raise InputError(f"None of the {len(noisy)} truths could be inverted. The first, {failed[0]}")
    return scores.summarise(codes, data, failed, largest_r_hat)


def _measure_gaussian_coverage(
    inverse: Inversion, truths: HeldOut, remaining: HeldOut, noisy: Float64Array, rng: np.random.Generator
) -> Coverage:
    """Measure the coverage of the Gaussian of all cells: mean and covariance of the models, conditioned on the data."""
    prior, scores, data = remaining.fit_gaussian(inverse.noise), _ModelScores(inverse), []
    for truth, clean, measured in zip(truths.models, truths.data, noisy, strict=True):
        # no code explains a part of the data, so the misfit is all of them
        misfit = np.broadcast_to(measured, (N_DRAWS, len(measured)))
        draws = remaining.values.to_models(prior.draw_residuals(misfit, rng).reshape(-1, *truth.shape))
        scores.add(truth, draws, rng)
        data.append(rank_truth(clean, prior.draw_errors(misfit, rng), rng))
    return scores.summarise(None, data, ())


class _ModelScores:
    """Ranks of truths among draws of models, errors of mean models, and widths of intervals, collected over truths."""

    def __init__(self, inverse: Inversion):
        self.mask, self.facies = np.asarray(inverse.space.mask), inverse.held_out.values.facies
        self.ranks: list[Float64Array] = []
        self.errors: list[Float64Array] = []
        self.widths: list[float] = []

    def add(self, truth: Float64Array, draws: Float64Array, rng: np.random.Generator) -> None:
        draws, truth = draws[:, self.mask], truth[self.mask]
        self.ranks.append(rank_truth(truth, draws, rng))
        self.errors.append(draws.mean(0) - truth)
        self.widths.append(float(np.ptp(np.quantile(draws, [0.05, 0.95], axis=0), axis=0).mean()))

    def summarise(
        self,
        codes: list[Float64Array] | None,
        data: list[Float64Array],
        failed: Sequence[str],
        r_hats: Sequence[float] = (),
    ) -> Coverage:
        rmse = float(np.sqrt(np.mean(np.square(self.errors))))
        accuracy = brier = None
        if self.facies is not None:
            step = self.facies[1] - self.facies[0]
            # the more probable facies is right where the mean is closer to the truth than to the other value
            accuracy, brier = float(np.mean(np.abs(self.errors) < step / 2)), (rmse / step) ** 2
        code_shares = None if codes is None else _share_inside(codes)
        return Coverage(
            _share_inside(self.ranks), code_shares, _share_inside(data), rmse, float(np.mean(self.widths)),
            tuple(failed), accuracy, brier, tuple(r_hats),
        )  # fmt: skip


def _share_inside(ranks: list[Float64Array]) -> tuple[float, ...]:
    """Share of ranks inside the central interval of each level."""
    from_median = np.abs(np.stack(ranks) - 0.5)
    return tuple(float((from_median <= level / 2).mean()) for level in LEVELS)


def _fingerprints(models: Float64Array) -> list[bytes]:
    """Bytes of each model, to find equal ones."""
    return [model.astype(np.float32).tobytes() for model in models]
