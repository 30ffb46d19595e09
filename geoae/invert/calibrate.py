"""How often intervals contain the truth: held-out models as truths, with data simulated from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoae.errors import GeoAEError, InputError
from geoae.invert.chains.convergence import r_hat
from geoae.invert.misfit.held_out import run_held_out
from geoae.invert.misfit.representation import FEWEST
from geoae.invert.posterior.diagnose import R_HAT

if TYPE_CHECKING:
    from geoae.invert.inverse import Inverse
    from geoae.invert.misfit.held_out import HeldOut

Array = NDArray[np.float64]
LEVELS = (0.5, 0.8, 0.9, 0.95)
GAUSSIAN = "Gaussian, all cells"
DRAWS = 200


@dataclass(frozen=True)
class Coverage:
    """Of one prior and method."""

    cells: tuple[float, ...]
    """Share of cells of all truths inside their intervals, one a level."""
    codes: tuple[float, ...] | None
    """The same of the truths' codes; None where there are no codes."""
    data: tuple[float, ...]
    """The same of the truths' data without noise."""
    rmse: float
    """Of the mean model."""
    width: float
    """Mean width of 90 % intervals of cells: of two that are honest, the narrower one knows more."""
    failed: tuple[str, ...]
    """Of each truth that could not be inverted, why."""
    accuracy: float | None = None
    """Of models with two values, such as facies: share of cells for which the likelier one is right."""
    brier: float | None = None
    """Of these, the mean square error of their probability."""
    r_hat: tuple[float, ...] = ()
    """Of the chains of each truth, the largest of all codes; none where there are no chains."""


@dataclass(frozen=True)
class Calibration:
    """Coverage beside that of other priors; print it."""

    n: int
    results: dict[str, Coverage]
    """Name of prior and method -> coverage."""

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
                met = sum(r <= R_HAT for r in c.r_hat)
                lines.append(
                    f"{'':<4}chains met (R-hat <= {R_HAT}) for {met} of {len(c.r_hat)}; median {np.median(c.r_hat):.3f}"
                )
            if c.failed:
                lines.append(f"! {name}: {len(c.failed)} of the truths could not be inverted. The first: {c.failed[0]}")
        return "\n".join(lines)


def calibrate(
    inverse: "Inverse",
    n: int,
    method: str,
    truths: Any,
    beside: dict[str, Any] | None,
    naive: bool,
    seed: int,
    options: dict[str, Any],
) -> Calibration:
    """See `Inverse.calibrate`."""
    if method == "map":
        raise InputError('The method "map" gives no intervals; calibrate "laplace", "rml", "esmda" or "mcmc".')
    rng = np.random.default_rng(seed)
    chosen, rest = _divided(inverse, n, truths, rng)
    noisy = chosen.data + inverse.noise.sample(n, rng)
    results = {f"{inverse.space.name}, {method}": _coverage(inverse, chosen, rest, noisy, method, seed, options)}
    if naive:
        plain = inverse.with_data(inverse.data, rest, None)
        plain.use_representation = False
        name = f"{inverse.space.name}, {method}, without rest"
        results[name] = _coverage(plain, chosen, rest, noisy, method, seed, options)
    for name, space in (_components(inverse) if beside is None else beside).items():
        other, theirs, known = _other(inverse, space, chosen)
        results[f"{name}, {method}"] = _coverage(other, theirs, known, noisy, method, seed, options)
    results[GAUSSIAN] = _gaussian(inverse, chosen, rest, noisy, rng)
    return Calibration(n, results)


def _divided(inverse: "Inverse", n: int, truths: Any, rng: np.random.Generator) -> tuple["HeldOut", "HeldOut"]:
    """Truths, and held-out models that are none."""
    held = inverse.held_out
    if truths is not None:
        found = run_held_out(inverse.space, inverse.forward, n, inverse.seed, truths).observed(inverse.used)
        if not 1 <= n <= len(found.models):
            raise InputError(f"n is {n}; {len(found.models)} of the truths could be run. Give fewer, or more truths.")
        return found, held
    if not 1 <= n <= len(held.models) - FEWEST:
        raise InputError(
            f"n is {n}; {len(held.models)} held-out models could be run, and {FEWEST} or more must be left to estimate "
            "the representation error. Give fewer truths, or a prior with more held out."
        )
    rows = np.sort(rng.choice(len(held.models), n, replace=False))
    return held.only(rows), held.only(np.setdiff1d(np.arange(len(held.models)), rows))


def _components(inverse: "Inverse") -> dict[str, Any]:
    if not hasattr(inverse.space, "model"):
        return {}
    from geoae.latent.pca import components_of

    found = components_of(inverse.space)
    return {} if found is None else {found.name: found}


def _other(inverse: "Inverse", space: Any, truths: "HeldOut") -> tuple["Inverse", "HeldOut", "HeldOut"]:
    """The inversion with another prior, the truths as that sees them, and held-out models that are none of them."""
    data = np.where(inverse.used, 0.0, np.nan).reshape(inverse.forward.shape or ())
    other = type(inverse)(
        space, inverse.forward, data, 1.0, representation=inverse.use_representation,
        n_representation=inverse.n_representation, held_out=inverse.held_out_models, seed=inverse.seed,
    )  # fmt: skip
    other.noise = inverse.noise
    mine, codes = other.held_out, np.asarray(other.space.encode(truths.models))
    # its own held-out models tell what it cannot represent, but not those that are the truths
    known = set(_names(truths.models))
    apart = np.array([i for i, name in enumerate(_names(mine.models)) if name not in known], dtype=np.intp)
    theirs = type(truths)(truths.models, codes, other.space.decode(codes), truths.data, truths.data, mine.values)
    return other, theirs, mine.only(apart)


def shares(truth: Array, draws: Array, rng: np.random.Generator) -> Array:
    """(...) share of draws (n, ...) below the truth (...), ties broken at random: uniform where draws are honest."""
    below, equal = (draws < truth).sum(0), (draws == truth).sum(0)
    return (below + rng.uniform(size=truth.shape) * (equal + 1)) / (len(draws) + 1)


def _coverage(
    inverse: "Inverse",
    truths: "HeldOut",
    rest: "HeldOut",
    noisy: Array,
    method: str,
    seed: int,
    options: dict[str, Any],
) -> Coverage:
    rng = np.random.default_rng([seed, 1])
    representation = rest.representation(inverse.noise) if inverse.use_representation else None
    codes, models, data = [], _Models(inverse), []
    failed: list[str] = []
    met: list[float] = []
    for i, measured in enumerate(noisy):
        one = inverse.with_data(measured, rest, representation)
        try:
            posterior = one.solve(method, seed=seed + i, **options)
        except GeoAEError as error:
            failed.append(f"number {i}: {error}")
            continue
        models.add(truths.models[i], posterior.sample(min(len(posterior.codes), DRAWS), seed=i), rng)
        codes.append(shares(truths.codes[i], posterior.codes, rng))
        if posterior.chains is not None:
            met.append(float(r_hat(posterior.chains).max()))
        seen = posterior.predicted
        if representation is not None:
            seen = seen + representation.data_errors(posterior.data - seen, rng)
        data.append(shares(truths.data[i], seen, rng))
    if not codes:
        raise InputError(f"None of the {len(noisy)} truths could be inverted. The first, {failed[0]}")
    return models.coverage(codes, data, failed, met)


def _gaussian(
    inverse: "Inverse", truths: "HeldOut", rest: "HeldOut", noisy: Array, rng: np.random.Generator
) -> Coverage:
    prior, models, data = rest.gaussian(inverse.noise), _Models(inverse), []
    for truth, clean, measured in zip(truths.models, truths.data, noisy, strict=True):
        left = np.broadcast_to(measured, (DRAWS, len(measured)))
        models.add(truth, rest.values.models(prior.rests(left, rng).reshape(-1, *truth.shape)), rng)
        data.append(shares(clean, prior.data_errors(left, rng), rng))
    return models.coverage(None, data, ())


class _Models:
    """What draws of models say of truths, collected over truths."""

    def __init__(self, inverse: "Inverse"):
        self.mask, self.facies = np.asarray(inverse.space.mask), inverse.held_out.values.facies
        self.shares: list[Array] = []
        self.errors: list[Array] = []
        self.widths: list[float] = []

    def add(self, truth: Array, draws: Array, rng: np.random.Generator) -> None:
        draws, truth = draws[:, self.mask], truth[self.mask]
        self.shares.append(shares(truth, draws, rng))
        self.errors.append(draws.mean(0) - truth)
        self.widths.append(float(np.ptp(np.quantile(draws, [0.05, 0.95], axis=0), axis=0).mean()))

    def coverage(
        self, codes: list[Array] | None, data: list[Array], failed: Sequence[str], met: Sequence[float] = ()
    ) -> Coverage:
        rmse = float(np.sqrt(np.mean(np.square(self.errors))))
        right = brier = None
        if self.facies is not None:
            apart = self.facies[1] - self.facies[0]
            # the likelier facies is the right one where the mean is less than half the difference away
            right, brier = float(np.mean(np.abs(self.errors) < apart / 2)), (rmse / apart) ** 2
        of_codes = None if codes is None else _at_levels(codes)
        return Coverage(
            _at_levels(self.shares), of_codes, _at_levels(data), rmse, float(np.mean(self.widths)), tuple(failed),
            right, brier, tuple(met),
        )  # fmt: skip


def _at_levels(found: list[Array]) -> tuple[float, ...]:
    away = np.abs(np.stack(found) - 0.5)
    return tuple(float((away <= level / 2).mean()) for level in LEVELS)


def _names(models: Array) -> list[bytes]:
    """Bytes of each model, to tell which are the same."""
    return [model.astype(np.float32).tobytes() for model in models]
