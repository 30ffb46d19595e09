"""How a prior is trained: models or cuts of an image, the evidence lower bound, and what is done once it is over."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoae import losses_vae as terms
from geoae import nets, prior_data, transforms
from geoae.contracts import PriorContract
from geoae.errors import InputError
from geoae.latent.space import LatentSpace
from geoae.model import Model, contract_of
from geoae.prior_data import Cuts, Pool, PriorModels
from geoae.priors.linear import principal_components
from geoae.recipe_priors import PriorRecipe
from geoae.training import Answer, Example, Lesson
from geoae.transforms import Transform

Array = NDArray[np.floating[Any]]
LEAST_VARIANCE = 1e-4
GREY = (0.1, 0.9)
N_BENT = 48000
"""Training models whose codes a map is fitted to that makes them N(0, I)."""
N_SURE = 200
"""Models aside from which on they tell the variance of a code to a tenth."""
BENDING, BENT, BENT_RATE = 1200, 512, 3e-3
"""Steps of that, a multiple of 50; codes in each; learning rate at its highest. A map that is fitted for longer draws
more lifelike models, but bends codes so much that searches end early and Gaussians of codes fit worse."""
N_AGGREGATE = 8000
"""Training models that codes are made N(0, I) over, and as many others that tell how near their distribution is: they
tell the variance of each code to 1.6 %, so that the least and the most of 64 mean something."""
REFINE = 30
"""Gauss-Newton steps, at most, to the best codes of held-out models."""


def lesson(recipe: PriorRecipe, data: Path) -> Lesson:
    """Models of the files that the recipe names, below the folder `data`.

    Raises
    ------
    InputError
        There is no such array, its shape is not that of the net, or the transform does not take its values.
    """
    d, seed, out = recipe.data, recipe.optimize.seed, recipe.hold_out
    if d.image:
        image = prior_data.read_array(data, d.image).astype(np.float32)
        image = 1 - image if d.invert else image
        models = prior_data.from_image(image, d.shape, d.exclude, out.share, out.n, seed, d.mirror)
    else:
        file = d.models.partition(":")[0]
        coordinates = [prior_data.read_array(data, f"{file}:{name}") for name in out.by]
        groups = prior_data.blocks(coordinates, out.block) if coordinates else None
        array = prior_data.read_array(data, d.models)
        models = prior_data.from_models(array, groups, out.share, out.n, seed, d.mirror)
    return lesson_of(recipe, models, prior_data.read_array(data, d.sensitivity) if d.sensitivity else None)


def lesson_of(
    recipe: PriorRecipe, models: PriorModels, sensitivity: Array | None = None, transform: Transform | None = None
) -> Lesson:
    """As `lesson`, of models in memory.

    `sensitivity` (data, cells) is what data see of a model, in units of their noise: the derivative of a forward
    calculation divided by sigma, row by row. `transform` stands in for that of the recipe.
    """
    net: Any = nets.build(recipe.net.name, recipe.net.config)
    shape, config, o = models.shape, net.config, recipe.optimize
    if not hasattr(net, "posterior"):
        raise InputError(f"Net {recipe.net.name!r} has no posterior of codes. Choose vae.")
    if tuple(config.shape) != shape:
        raise InputError(f"net.config.shape is {list(config.shape)}; the models have shape {list(shape)}.")
    rule = _transform(recipe, models, transform)
    cells, latent, bernoulli = math.prod(shape), config.latent, config.likelihood == "bernoulli"
    sees = None if sensitivity is None else torch.from_numpy(_rows(sensitivity, cells))

    def loss(estimate: Tensor, parts: tuple[Tensor, ...]) -> Tensor:
        shown, weight, log_variance = parts
        output, mean, code_log_variance = estimate.split([cells, latent, latent], 1)
        x, counts = shown[:, 0].flatten(1), shown[:, 1].flatten(1)
        if bernoulli:
            fit = terms.log_bernoulli(x, output, counts)
        else:
            spread = net_variance() if config.likelihood == "learned" else log_variance[:1]
            fit = terms.log_gaussian(x, output, spread, counts)
        divergence = terms.free_bits(terms.kl_normal(mean, code_log_variance), o.free_bits)
        value = weight.mean() * divergence - fit.mean()
        if sees is not None and o.data_weight:
            left = (rule.undo(torch.sigmoid(output) if bernoulli else output) - rule.undo(x)) * counts
            value = value + o.data_weight * 0.5 * (left @ sees.to(left.device).mT).square().sum(1).mean()
        return value / cells

    learning: list[Any] = []

    def net_variance() -> Tensor:
        found: Tensor = learning[0].log_variance
        return found

    def prepare(fresh: nn.Module) -> None:
        learning.append(fresh)
        _begin_linear(fresh, models, rule, bernoulli)

    began = _cpu_s()

    def contract(provenance: dict[str, Any]) -> PriorContract:
        return PriorContract(recipe.name, recipe.summary, shape, latent, recipe.units, training=_says(models),
                             provenance=provenance)  # fmt: skip

    def finish(made: Model) -> None:
        complete(made, models, recipe)
        contract_of(made, PriorContract).training["cpu_minutes"] = round((_cpu_s() - began) / 60, 2)
        lay_beside(made, models)

    windows = _Windows(models.training, rule, shape, latent, recipe, 2 * math.log(config.noise))
    held_out = rule.apply(models.held_out.astype(np.float64))
    return Lesson(windows, loss, lambda answer: score(answer, held_out, bernoulli), contract, rule,
                  "reconstruction_db", prepare, finish)  # fmt: skip


def _rows(sensitivity: Array, cells: int) -> NDArray[np.float32]:
    found = np.asarray(sensitivity, dtype=np.float32)
    if found.ndim < 2 or math.prod(found.shape[1:]) != cells:
        raise InputError(f"sensitivity has shape {found.shape}; its rows must have the {cells} cells of a model.")
    return found.reshape(-1, cells)


@dataclass
class _Windows:
    """What the net is shown of a model, and how much the KL term weighs by then."""

    models: Pool | Cuts
    rule: Transform
    shape: tuple[int, ...]
    latent: int
    recipe: PriorRecipe
    log_variance: float

    def __getitem__(self, index: int) -> Example:
        return tuple(part[0] for part in self.many([index]))

    def many(self, indices: list[int]) -> Example:
        """Those of several numbers at once."""
        o = self.recipe.optimize
        steps = np.array(indices) // o.batch
        weight = o.beta * (np.minimum((steps + 1) / o.anneal_steps, 1.0) if o.anneal_steps else np.ones(len(steps)))
        shown = show(self.rule.apply(np.stack([self.models[i] for i in indices])))
        draws = shown[:, 2].reshape(len(indices), -1)
        for draw, index in zip(draws, indices, strict=True):
            draw[: self.latent] = np.random.default_rng((o.seed, 1, index)).standard_normal(self.latent, np.float32)
        return shown, weight[:, None].astype(np.float32), np.full((len(indices), 1), self.log_variance, np.float32)


def show(x: Array) -> NDArray[np.float32]:
    """(n, 3, *shape) as the net takes them: scaled models, where they count, and room for the numbers of a draw."""
    shown = np.zeros((len(x), 3, *x.shape[1:]), np.float32)
    there = ~np.isnan(x)
    shown[:, 1] = there
    np.copyto(shown[:, 0], x, where=there, casting="same_kind")
    return shown


def score(answer: Answer, held_out: Array, bernoulli: bool) -> float:
    """How much smaller the error of held-out models is than their variance, dB, as the means of their codes decode."""
    error, power = 0.0, 0.0
    average = np.nansum(held_out, axis=0) / np.maximum((~np.isnan(held_out)).sum(0), 1)
    for i in range(0, len(held_out), 128):
        x = held_out[i : i + 128]
        there = ~np.isnan(x)
        y = answer(show(x))[:, : x[0].size].reshape(x.shape).astype(np.float64)
        if bernoulli:
            y = 1 / (1 + np.exp(-np.clip(y, -30, 30)))
        error += float(np.square(np.nan_to_num(x) - y)[there].sum())
        power += float(np.square(np.nan_to_num(x) - average)[there].sum())
    return -10 * math.log10(max(error, 1e-30) / max(power, 1e-30))


def complete(made: Model, models: PriorModels, recipe: PriorRecipe) -> None:
    """Make codes N(0, I) over training models, and sharpen a bernoulli decoder."""
    net: Any = made.net
    rule = made.scaler
    assert isinstance(rule, Transform)
    # of cuts there are as many as one likes; a map that bends codes gives each of them variance 1 by itself
    more = isinstance(models.training, Cuts) and not net.config.couplings
    means, log_variances = _posterior(net, rule, _drawn(models, 2**40) if more else models.some)
    means = means.double()
    covariance = torch.cov(means.T, correction=0).reshape(means.shape[1], -1)
    covariance = covariance + torch.diag(log_variances.double().exp().mean(0))
    net.whiten(means.mean(0), covariance + 1e-9 * torch.eye(len(covariance)))
    if net.config.couplings:
        _bend(net, rule, models, recipe.optimize.seed)
    if net.likelihood == "bernoulli":
        _sharpen(made, recipe.max_grey)


def lay_beside(made: Model, models: PriorModels) -> None:
    """What a report and inversions need beside the net: held-out models and their codes, those of training, PCA."""
    net: Any = made.net
    rule = made.scaler
    assert isinstance(rule, Transform)
    mask = np.asarray(~np.isnan(models.some).all(0))
    made.companions = {"mask": mask.astype(np.uint8), "held_out": models.held_out.astype(np.float32)}
    linear = principal_components(rule.apply(models.some.astype(np.float64)), net.latent)
    basis, offset = (p.detach().numpy().copy() for p in (linear.from_code.weight, linear.from_code.bias))
    made.companions |= {"pca_basis": basis, "pca_offset": offset, "aggregate_codes": _aggregate(net, rule, models)}
    space = LatentSpace(made)
    codes = space.encode(models.held_out.astype(np.float64), refine=REFINE)
    made.companions["held_out_codes"] = codes.astype(np.float32)


def _bend(net: Any, rule: Transform, models: PriorModels, seed: int) -> None:
    """Fit the map that makes codes N(0, I), on codes of training models; those that it does not see say when to end."""
    training = models.training
    n = min(N_BENT, len(training.models)) if isinstance(training, Pool) else N_BENT
    parts = [range(i, min(i + 500, n)) for i in range(0, n, 500)]
    codes = [_posterior(net, rule, np.stack([training[2**40 + i] for i in part])) for part in parts]
    mean, log_variance = (torch.cat(part) for part in zip(*codes, strict=True))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    aside, rest = order.tensor_split([max(n // 10, 1)])

    def drawn(some: Tensor) -> Tensor:
        noise = torch.randn(len(some), mean.shape[1], generator=generator)
        return net.white(mean[some] + noise * (0.5 * log_variance[some]).exp())

    check, bend = drawn(aside), net.bend
    optimizer = torch.optim.AdamW(bend.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, BENT_RATE, total_steps=BENDING)
    best, kept = math.inf, bend.state_dict()
    for step in range(BENDING + 1):
        if step % 50 == 0:  # before the first step, too: codes are never less normal than white ones
            with torch.no_grad():
                found = float(bend.surprise(check))
            if found < best:
                best, kept = found, {name: value.clone() for name, value in bend.state_dict().items()}
        if step < BENDING:
            optimizer.zero_grad()
            bend.surprise(drawn(rest[torch.randint(len(rest), (BENT,), generator=generator)])).backward()
            nn.utils.clip_grad_norm_(bend.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    bend.load_state_dict(kept)
    if len(check) >= N_SURE:
        bend.standardise(check)


def _drawn(models: PriorModels, first: int) -> Array:
    """Training models, from a number on that the training does not reach."""
    training = models.training
    n = min(N_AGGREGATE, len(training.models)) if isinstance(training, Pool) else N_AGGREGATE
    return np.stack([training[first + i] for i in range(n)])


def _posterior(net: Any, rule: Transform, models: Array) -> tuple[Tensor, Tensor]:
    """Means and logarithms of variances (n, d) of the layers' codes of models."""
    seen = show(rule.apply(models.astype(np.float64)))[:, :1]
    with torch.no_grad():
        parts = [net.posterior(p) for p in torch.from_numpy(seen).split(128)]
    return torch.cat([mean for mean, _ in parts]), torch.cat([log_variance for _, log_variance in parts])


def _aggregate(net: Any, rule: Transform, models: PriorModels) -> Array:
    """Codes drawn from the posteriors of other training models than those that the codes were whitened with."""
    mean, log_variance = _posterior(net, rule, _drawn(models, 2**41))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = net.normal(mean + noise * (0.5 * log_variance).exp())
    found: Array = codes.numpy().astype(np.float32)
    return found


def _sharpen(made: Model, max_grey: float) -> None:
    """Make the decoder as steep as it takes for few cells of drawn models to be neither one facies nor the other."""
    net: Any = made.net
    z = torch.from_numpy(LatentSpace(made).sample(100, 0)).float()
    with torch.no_grad():
        logits = torch.cat([net.unsharpened(part) for part in z.split(50)]).abs().flatten()
        limit = math.log(GREY[1] / GREY[0])
        needed = limit / max(float(torch.quantile(logits[:: max(len(logits) // 10**6, 1)], max_grey)), 1e-3)
        net.sharpness.fill_(min(max(needed, 1.0), 20.0))


def _begin_linear(net: Any, models: PriorModels, rule: Transform, bernoulli: bool) -> None:
    """Start from principal components, so that nothing has to be unlearnt."""
    linear = principal_components(rule.apply(models.some.astype(np.float64)), net.latent)
    gain = 4.0 if bernoulli else 1.0  # the slope of a logistic function is 1/4 where it is steepest
    net.fit(linear.to_code.weight, linear.to_code.bias, gain * linear.from_code.weight,
            gain * (linear.from_code.bias - (0.5 if bernoulli else 0.0)))  # fmt: skip


def _transform(recipe: PriorRecipe, models: PriorModels, ready: Transform | None) -> Transform:
    if recipe.net.config.get("likelihood") != "bernoulli":
        rule = transforms.fit(ready or recipe.transform, models.some)
        rule.apply(models.held_out)  # values outside its domain are refused now, not in the middle of a training
        if isinstance(models.training, Pool):
            rule.apply(models.training.models)
        return rule
    low, high = float(np.nanmin(models.some)), float(np.nanmax(models.some))
    if not low < high:
        raise InputError(f"All models have the same value, {low:g}, everywhere: there is nothing to learn.")
    return Transform("affine", low, high - low)


def _cpu_s() -> float:
    """Seconds that processors have worked for this process; what was spent before a resumed training is not in it."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _says(models: PriorModels) -> dict[str, Any]:
    some = models.some
    return {**models.says, "mean": float(np.nanmean(some)), "std": float(np.nanstd(some)),
            "range": [float(np.nanmin(some)), float(np.nanmax(some))]}  # fmt: skip
