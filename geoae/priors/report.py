"""Scores of a prior on held-out models, beside those of as many principal components."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geoae.arrays.types import Array
from geoae.model import Model
from geoae.priors import statistics as stats
from geoae.priors.linear import decode_components, encode_components, reconstruct_with_components
from geoae.priors.space import LatentSpace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRIOR, PCA, MODELS = "prior", "PCA", "held-out models"
ACTIVE = 0.01
"""Variance of the posterior mean above which a code element is active (Burda et al., 2016, arXiv:1509.00519)."""
N_DRAWN = 1000
_VARIANCES = (("mean", "variance"), ("least", "least_variance"), ("most", "most_variance"))


@dataclass(frozen=True, repr=False)
class Report:
    """Scores and examples; ``print`` shows the table, `figure` the examples."""

    name: str
    units: str
    rows: tuple[tuple[str, dict[str, float]], ...]
    """Name of a score -> its values for the prior, PCA and the held-out models, where they exist."""
    verdict: str
    worst: tuple[int, ...]
    """Numbers of the held-out models with the largest errors."""
    examples: dict[str, Array]
    """Held-out models, their reconstructions, and drawn models, for the figure."""

    def __getitem__(self, key: str) -> dict[str, float]:
        return dict(self.rows)[key]

    def __str__(self) -> str:
        head = (f"{self.name}", PRIOR, PCA, MODELS)
        lines = [(name, *(_number(values.get(column)) for column in head[1:])) for name, values in self.rows]
        widths = [max(len(line[i]) for line in [head, *lines]) for i in range(4)]
        table = ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in
                           enumerate(zip(line, widths, strict=True))).rstrip() for line in [head, *lines]]  # fmt: skip
        worst = ", ".join(map(str, self.worst))
        return "\n".join([*table, self.verdict, f"Reconstructed worst: held-out models {worst}."])

    def __repr__(self) -> str:
        return str(self)

    def figure(self) -> "Figure":
        """Draw held-out models and their reconstructions, drawn models, and the worst reconstructions."""
        from geoae.plot.priors import plot_prior

        return plot_prior(self.examples, self.name, self.units)


def make_report(model: Model, seed: int = 0) -> Report:
    """Measure a prior on its held-out models.

    Raises
    ------
    InputError
        The model is no prior, or has no held-out models.
    """
    from geoae.nets.protocols import Samples

    space = LatentSpace(model)
    truth, estimate = space.representation_residuals()
    linear = reconstruct_with_components(space, truth)
    drawn = space.decode(space.sample(N_DRAWN, seed))
    drawn_linear = decode_components(space, space.sample(N_DRAWN, seed))
    errors = stats.rmse(truth, estimate)
    rows: list[tuple[str, dict[str, float]]] = [
        (f"RMSE of held-out models{f' ({space.units})' if space.units else ''}",
         {PRIOR: _rms(errors)} | ({} if linear is None else {PCA: _rms(stats.rmse(truth, linear))})),
        ("variogram of drawn models, relative error",
         {PRIOR: stats.variogram_error(truth, drawn)} |
         ({} if drawn_linear is None else {PCA: stats.variogram_error(truth, drawn_linear)})),
        ("mean of drawn models", {PRIOR: float(np.nanmean(drawn)), MODELS: float(np.nanmean(truth))}),
    ]  # fmt: skip
    if isinstance(model.net, Samples) and model.net.likelihood == "bernoulli":
        rows += _facies_rows(space, truth, {PRIOR: estimate, PCA: linear}, {PRIOR: drawn, PCA: drawn_linear})
    rows += _code_rows(space, truth, seed)
    worst = np.argsort(-errors)[:5]
    examples = {"held_out": truth[:5], "reconstructed": estimate[:5], "drawn": drawn[:5], "worst": truth[worst],
                "worst_reconstructed": estimate[worst]}  # fmt: skip
    verdict = _verdict(rows[0][1], space.d)
    return Report(space.name, space.units, tuple(rows), verdict, tuple(int(i) for i in worst), examples)


def _facies_rows(
    space: LatentSpace, truth: Array, estimates: dict[str, Array | None], drawn: dict[str, Array | None]
) -> list[tuple[str, dict[str, float]]]:
    low, high = space.transform.offset, space.transform.offset + space.transform.gain
    middle = (low + high) / 2
    valid = np.isfinite(truth)
    facies = truth[valid] > middle
    estimated = {k: v[valid] for k, v in estimates.items() if v is not None}
    drawn_models = {k: v for k, v in drawn.items() if v is not None}
    probability = {k: np.clip((v - low) / (high - low), 0, 1) for k, v in estimated.items()}
    return [
        ("facies accuracy (%)", {k: 100 * stats.accuracy(facies, v > middle) for k, v in estimated.items()}),
        ("IoU of the facies", {k: stats.iou(facies, v > middle) for k, v in estimated.items()}),
        ("Brier score", {k: stats.brier(facies, v) for k, v in probability.items()}),
        ("facies fraction (%)", {k: 100 * float((v[np.isfinite(v)] > middle).mean()) for k, v in drawn_models.items()}
         | {MODELS: 100 * float(facies.mean())}),
        ("grey cells of drawn models (%)", {k: 100 * stats.grey_share(v, low, high) for k, v in drawn_models.items()}
         | {MODELS: 100 * stats.grey_share(truth, low, high)}),
    ]  # fmt: skip


def _code_rows(space: LatentSpace, truth: Array, seed: int) -> list[tuple[str, dict[str, float]]]:
    import torch

    from geoae.nets.protocols import Variational

    net = space.model.net
    codes = space.encode(truth)
    active = float((codes.var(axis=0) > ACTIVE).sum())
    if isinstance(net, Variational):
        with torch.no_grad():
            x = torch.from_numpy(np.nan_to_num(space.transform.apply(truth))[:, None]).float()
            mean, log_variance = (torch.cat(p) for p in zip(*(net.posterior(p) for p in x.split(64)), strict=True))
            active = float((mean.var(0) > ACTIVE).sum())
            generator = torch.Generator().manual_seed(seed)
            drawn_codes = mean + torch.randn(mean.shape, generator=generator) * (0.5 * log_variance).exp()
            codes = net.normal(drawn_codes).double().numpy()
    normality = stats.measure_normality(codes)
    linear = encode_components(space, truth)
    # held-out models differ from training models, too: the codes of PCA show by how much
    both = [(PRIOR, normality)] + ([] if linear is None else [(PCA, stats.measure_normality(linear))])
    aggregate = space.model.companions.get("aggregate_codes")
    trained = {} if aggregate is None else stats.measure_normality(aggregate.astype(np.float64))
    jacobians = space.jacobian(space.sample(8, seed))[:, space.mask]
    condition = [float(np.linalg.cond(j)) for j in jacobians]
    return [
        (f"active codes, of {space.d}", {PRIOR: active}),
        *((f"variance of codes, {name}", {k: v[key] for k, v in both}) for name, key in _VARIANCES),
        *((f"variance of codes of training models, {n}", {PRIOR: trained[key]}) for n, key in _VARIANCES if trained),
        ("correlation of codes, most", {k: v["correlation"] for k, v in both}),
        ("distance of codes from N(0, 1), most", {k: v["distance"] for k, v in both}),
        ("condition of the decoder's Jacobian, median", {PRIOR: float(np.median(condition))}),
    ]  # fmt: skip


def _verdict(error: dict[str, float], d: int) -> str:
    if PCA not in error:
        return ""
    ratio = error[PRIOR] / max(error[PCA], 1e-300)
    if ratio < 1:
        return f"The error is {100 * (1 - ratio):.0f} % below that of {d} principal components."
    better = f"{d} principal components do better by {100 * (1 - 1 / ratio):.0f} %"
    return f"{better}: use geoae.fit(..., net='pca'), or train longer."


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
