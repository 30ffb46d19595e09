"""Whether a posterior can be trusted: misfit, convergence of chains, and agreement of prior and data."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from geoae.invert.chains.convergence import MAX_R_HAT, effective_draws, has_enough_draws, r_hat
from geoae.invert.misfit.held_out import Z_SCORE
from geoae.invert.posterior.draws import Draws

MEMBERS = 8
"""Members of an ensemble for each code, at least. In calibrations, 90 % intervals contained 82 % of 64 codes with 3
members for each code, and 93 % of 20 codes with 10."""
FEW_HELD_OUT = 30
"""Held-out models from which the representation error, and so the width of intervals, is known roughly."""
UNUSUAL = 0.999
"""A code or a misfit is unusual if a smaller one has a larger probability than this."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Numbers to check before a posterior is used; `problems` explains which of them are bad."""

    chi2: float
    """Squared whitened misfit of the mean prediction per datum: near 1, or below 1 if errors are correlated."""
    chi2_noise: float
    """The same in units of the noise alone: above 1 where the decoder cannot fit the data."""
    chi2_p: float
    """Probability of a larger misfit, for data of models of the prior."""
    r_hat: float | None
    """Largest R-hat of all codes; None without chains, or if these are too short for it."""
    effective_draws: float
    """Smallest number of effective draws of all codes."""
    conflict_p: float | None
    """Share of held-out models whose data lie farther from the mean than the measured data; None if unknown."""
    distance: float
    """RMS of the mean code; at most about 1 for data that the prior explains."""
    distance_p: float
    """Probability of a larger code under the prior."""
    misfit_z: NDArray[np.float64]
    """(all data,) difference of each datum from its prediction by prior and other data, in standard deviations; NaN
    where a datum was not measured. Data of several dimensions are in C order."""
    problems: tuple[str, ...]
    """What is wrong, one sentence for each problem."""

    @property
    def unfit(self) -> NDArray[np.intp]:
        """Indices of data that no model of the prior fits, among all data, measured or not."""
        return np.flatnonzero(np.abs(self.misfit_z) > Z_SCORE)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        rows = [
            (
                "misfit, chi2 per datum",
                f"{self.chi2:.2f} (p = {self.chi2_p:.3f}); {self.chi2_noise:.2f} in units of the noise alone",
            ),
            ("chains, largest R-hat", "none" if self.r_hat is None else f"{self.r_hat:.3f}"),
            ("effective draws", f"{self.effective_draws:.0f}"),
            ("prior against data", "unknown" if self.conflict_p is None else f"p = {self.conflict_p:.3f}"),
            ("distance of the code", f"{self.distance:.2f} (p = {self.distance_p:.3f})"),
            ("data that cannot be fit", f"{len(self.unfit)} of {np.isfinite(self.misfit_z).sum()}"),
        ]
        lines = [f"{name:<26}{value}" for name, value in rows]
        return "\n".join(
            [*lines, *(f"! {problem}" for problem in self.problems)] if self.problems else [*lines, "no problem found"]
        )


def diagnose(posterior: Draws) -> Diagnosis:
    """Compute the diagnosis from the draws; no forward run is made."""
    p = posterior
    residual = p.data - p.predicted.mean(0) - p.noise.offset
    white, n = p.noise.whiten(residual), len(residual)
    squared_misfit = float(white @ white)
    white_by_noise = p.representation.noise.whiten(residual) if p.representation is not None else white
    chains = p.chains if p.chains is not None and has_enough_draws(p.chains) else None
    largest_r_hat = None if chains is None else float(r_hat(chains).max())
    n_effective = float(len(p.codes)) if chains is None else float(effective_draws(chains).min())
    distances = p.reference.get("distances")
    conflict = (
        None if distances is None else float((np.sum(distances > p.reference["distance"]) + 1) / (len(distances) + 1))
    )
    code = float(p.code @ p.code)
    misfit_z = np.full(n if p.used is None else p.used.size, np.nan)
    misfit_z[np.ones(n, bool) if p.used is None else p.used] = p.reference.get(
        "surprises", residual / np.sqrt(p.noise.variance)
    )
    diagnosis = Diagnosis(
        squared_misfit / n, float(white_by_noise @ white_by_noise) / n, float(stats.chi2.sf(squared_misfit, n)),
        largest_r_hat, n_effective, conflict,
        float(np.sqrt(code / len(p.code))), float(stats.chi2.sf(code, len(p.code))),
        misfit_z, (),
    )  # fmt: skip
    return replace(diagnosis, problems=tuple(_list_problems(diagnosis, p)))


def _list_problems(d: Diagnosis, p: Draws) -> list[str]:
    found = []
    if p.representation is None:
        found.append("the representation error was left out: intervals are too narrow if the decoder is not exact")
    elif len(p.representation.errors) < FEW_HELD_OUT:
        found.append(
            f"the representation error is estimated from {len(p.representation.errors)} held-out models only: "
            "intervals are rough; some hundred are better"
        )
    if d.chi2_p < 1 - UNUSUAL:
        found.append(
            "the misfit is larger than noise and representation error explain: check noise, forward model, prior"
        )
    if d.r_hat is not None and d.r_hat > MAX_R_HAT:
        found.append(f"the chains have not converged (R-hat {d.r_hat:.2f} > {MAX_R_HAT}): more draws, or several modes")
    if d.effective_draws < 100 and len(p.codes) > 1:
        found.append(f"only {d.effective_draws:.0f} effective draws: ends of intervals are rough")
    members, latent = p.info.get("n_members"), p.codes.shape[1]
    if members is not None and members < MEMBERS * latent:
        found.append(
            f"{members} members are few for {latent} codes: intervals are too narrow; more n_members, or laplace"
        )
    if d.conflict_p is not None and d.conflict_p < 0.01:
        found.append("the data are unlike those of any held-out model: the truth may lie outside the prior")
    if d.distance_p < 1 - UNUSUAL:
        found.append("the code is far from those of training models: its model is an extrapolation")
    if len(d.unfit) > 0:
        found.append(
            f"the prior cannot fit data {', '.join(map(str, d.unfit[:8]))}{' ...' if len(d.unfit) > 8 else ''}"
        )
    if p.info.get("n_failed"):
        found.append(f"{p.info['n_failed']} forward runs failed and were left out")
    if p.info.get("converged") is False:
        found.append("the search for the most likely code had not converged: more n_steps or time")
    return found
