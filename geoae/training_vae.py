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

from geoae import losses_vae as elbo
from geoae import nets, prior_data
from geoae.arrays import transforms
from geoae.arrays.transforms import Transform
from geoae.arrays.types import Array
from geoae.contracts import PriorContract
from geoae.errors import InputError
from geoae.latent.space import LatentSpace
from geoae.model import Model, contract_of
from geoae.nets.parts.couplings import Couplings
from geoae.nets.protocols import Loss, Variational
from geoae.prior_data import Cuts, Pool, PriorModels
from geoae.priors.linear import principal_components
from geoae.recipe_priors import PriorRecipe
from geoae.training.loop import Example, Lesson, Predict

GREY = (0.1, 0.9)
"""Decoded values between these are neither one facies nor the other."""
N_MAPPED = 48000
"""Training models whose codes the map to N(0, I) is fitted to."""
N_STANDARDISED = 200
"""Models kept aside from which on they tell the variance of a code to a tenth."""
MAP_STEPS, MAP_BATCH, MAP_RATE = 1200, 512, 3e-3
"""Steps of fitting the map, a multiple of 50; codes in each; highest learning rate. A map that is fitted for longer
draws more lifelike models, but bends codes so much that searches end early and Gaussians of codes fit worse."""
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
    net, o = nets.build(recipe.net.name, recipe.net.config), recipe.optimize
    if not isinstance(net, Variational):
        raise InputError(f"Net {recipe.net.name!r} has no posterior of codes. Choose vae.")
    if net.shape != models.shape:
        raise InputError(f"net.config.shape is {list(net.shape)}; the models have shape {list(models.shape)}.")
    rule, bernoulli = _transform(recipe, models, transform), net.likelihood == "bernoulli"
    rows = None if sensitivity is None else torch.from_numpy(_rows(sensitivity, math.prod(models.shape)))
    bound = _Bound(net, rule, o.free_bits, rows, o.data_weight)
    began = _cpu_s()

    def prepare(fresh: nn.Module) -> None:
        assert isinstance(fresh, Variational)
        bound.net = fresh
        _start_linear(fresh, models, rule)

    def contract(provenance: dict[str, Any]) -> PriorContract:
        return PriorContract(recipe.name, recipe.summary, net.shape, net.latent, recipe.units,
                             training=_training_facts(models), provenance=provenance)  # fmt: skip

    def finish(made: Model) -> None:
        complete(made, models, recipe)
        contract_of(made, PriorContract).training["cpu_minutes"] = round((_cpu_s() - began) / 60, 2)
        add_companions(made, models)

    windows = _Windows(models.training, rule, net.latent, recipe, 2 * math.log(net.noise))
    held_out = rule.apply(models.held_out.astype(np.float64))
    return Lesson(windows, bound, lambda predict: score(predict, held_out, bernoulli), contract, rule,
                  "reconstruction_db", prepare, finish)  # fmt: skip


@dataclass
class _Bound:
    """The negative evidence lower bound of a cell, as the loss of a batch."""

    net: Variational
    """The net that is trained."""
    rule: Transform
    free_bits: float
    sensitivity: Tensor | None
    """(data, cell), in units of the data's noise."""
    data_weight: float

    def __call__(self, estimate: Tensor, parts: tuple[Tensor, ...]) -> Loss:
        """Loss of the net's output (batch, cells + 2 latent) for the arrays of `_Windows`."""
        shown, weight, log_variance = parts
        cells, latent = math.prod(self.net.shape), self.net.latent
        output, mean, code_log_variance = estimate.split([cells, latent, latent], 1)
        x, counts = shown[:, 0].flatten(1), shown[:, 1].flatten(1)
        fit = self._log_likelihood(x, output, counts, log_variance)
        divergence = elbo.free_bits(elbo.kl_normal(mean, code_log_variance), self.free_bits)
        terms = {"kl": weight.mean() * divergence, "reconstruction": -fit.mean()}
        value = terms["kl"] + terms["reconstruction"]
        if self.sensitivity is not None and self.data_weight:
            terms["data"] = self.data_weight * 0.5 * self._squared_data_error(x, output, counts)
            value = value + terms["data"]
        return Loss(value / cells, {name: term.detach() / cells for name, term in terms.items()})

    def _log_likelihood(self, x: Tensor, output: Tensor, counts: Tensor, log_variance: Tensor) -> Tensor:
        """Log-likelihood (batch,) of cells that count."""
        if self.net.likelihood == "bernoulli":
            return elbo.log_bernoulli(x, output, counts)
        learned = self.net.learned_log_variance
        return elbo.log_gaussian(x, output, log_variance[:1] if learned is None else learned, counts)

    def _squared_data_error(self, x: Tensor, output: Tensor, counts: Tensor) -> Tensor:
        """Mean squared error of the data of decoded models, in units of their noise, to first order."""
        assert self.sensitivity is not None
        decoded = torch.sigmoid(output) if self.net.likelihood == "bernoulli" else output
        left = (self.rule.undo(decoded) - self.rule.undo(x)) * counts
        return (left @ self.sensitivity.to(left.device).mT).square().sum(1).mean()


def _rows(sensitivity: Array, cells: int) -> NDArray[np.float32]:
    found = np.asarray(sensitivity, dtype=np.float32)
    if found.ndim < 2 or math.prod(found.shape[1:]) != cells:
        raise InputError(f"sensitivity has shape {found.shape}; its rows must have the {cells} cells of a model.")
    return found.reshape(-1, cells)


@dataclass
class _Windows:
    """Input of the net, weight of the KL term at that step, and the logarithm of a cell's variance."""

    models: Pool | Cuts
    rule: Transform
    latent: int
    recipe: PriorRecipe
    log_variance: float

    def __getitem__(self, index: int) -> Example:
        return tuple(part[0] for part in self.batch([index]))

    def batch(self, indices: list[int]) -> Example:
        """The windows of several numbers, along a first dimension."""
        o = self.recipe.optimize
        steps = np.array(indices) // o.batch
        weight = o.beta * (np.minimum((steps + 1) / o.anneal_steps, 1.0) if o.anneal_steps else np.ones(len(steps)))
        shown = net_input(self.rule.apply(np.stack([self.models[i] for i in indices])))
        draws = shown[:, 2].reshape(len(indices), -1)
        for draw, index in zip(draws, indices, strict=True):
            draw[: self.latent] = np.random.default_rng((o.seed, 1, index)).standard_normal(self.latent, np.float32)
        return shown, weight[:, None].astype(np.float32), np.full((len(indices), 1), self.log_variance, np.float32)


def net_input(x: Array) -> NDArray[np.float32]:
    """(n, 3, *shape) as the net takes them: scaled models, where they count, and room for the numbers of a draw."""
    shown = np.zeros((len(x), 3, *x.shape[1:]), np.float32)
    there = ~np.isnan(x)
    shown[:, 1] = there
    np.copyto(shown[:, 0], x, where=there, casting="same_kind")
    return shown


def score(predict: Predict, held_out: Array, bernoulli: bool) -> float:
    """How much smaller the error of held-out models is than their variance, dB, as the means of their codes decode."""
    error, power = 0.0, 0.0
    average = np.nansum(held_out, axis=0) / np.maximum((~np.isnan(held_out)).sum(0), 1)
    for i in range(0, len(held_out), 128):
        x = held_out[i : i + 128]
        there = ~np.isnan(x)
        y = predict(net_input(x))[:, : x[0].size].reshape(x.shape).astype(np.float64)
        if bernoulli:
            y = 1 / (1 + np.exp(-np.clip(y, -30, 30)))
        error += float(np.square(np.nan_to_num(x) - y)[there].sum())
        power += float(np.square(np.nan_to_num(x) - average)[there].sum())
    return -10 * math.log10(max(error, 1e-30) / max(power, 1e-30))


def complete(made: Model, models: PriorModels, recipe: PriorRecipe) -> None:
    """Make codes N(0, I) over training models, and sharpen a bernoulli decoder."""
    net, rule = made.net, made.scaler
    assert isinstance(net, Variational)
    assert isinstance(rule, Transform)
    # cuts of an image are unlimited; the map to N(0, I) gives each code variance 1 by itself
    more = isinstance(models.training, Cuts) and net.code_map is None
    means, log_variances = _posterior(net, rule, _draw_models(models, 2**40) if more else models.some)
    means = means.double()
    covariance = torch.cov(means.T, correction=0).reshape(means.shape[1], -1)
    covariance = covariance + torch.diag(log_variances.double().exp().mean(0))
    net.whiten(means.mean(0), covariance + 1e-9 * torch.eye(len(covariance)))
    if net.code_map is not None:
        _fit_code_map(net, net.code_map, rule, models, recipe.optimize.seed)
    if net.likelihood == "bernoulli":
        _sharpen(made, recipe.max_grey)


def add_companions(made: Model, models: PriorModels) -> None:
    """Store what reports and inversions need beside the net: held-out models and their codes, training codes, PCA."""
    net, rule = made.net, made.scaler
    assert isinstance(net, Variational)
    assert isinstance(rule, Transform)
    mask = np.asarray(~np.isnan(models.some).all(0))
    made.companions = {"mask": mask.astype(np.uint8), "held_out": models.held_out.astype(np.float32)}
    linear = principal_components(rule.apply(models.some.astype(np.float64)), net.latent)
    basis, offset = (p.detach().numpy().copy() for p in (linear.from_code.weight, linear.from_code.bias))
    made.companions |= {"pca_basis": basis, "pca_offset": offset}
    made.companions["aggregate_codes"] = _aggregate_codes(net, rule, models)
    space = LatentSpace(made)
    codes = space.encode(models.held_out.astype(np.float64), refine=REFINE)
    made.companions["held_out_codes"] = codes.astype(np.float32)


def _fit_code_map(net: Variational, code_map: Couplings, rule: Transform, models: PriorModels, seed: int) -> None:
    """Fit the map to N(0, I) on codes of training models; a tenth that it does not see chooses the best step."""
    training = models.training
    n = min(N_MAPPED, len(training.models)) if isinstance(training, Pool) else N_MAPPED
    parts = [range(i, min(i + 500, n)) for i in range(0, n, 500)]
    codes = [_posterior(net, rule, np.stack([training[2**40 + i] for i in part])) for part in parts]
    mean, log_variance = (torch.cat(part) for part in zip(*codes, strict=True))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    aside, rest = order.tensor_split([max(n // 10, 1)])

    def draw_codes(some: Tensor) -> Tensor:
        noise = torch.randn(len(some), mean.shape[1], generator=generator)
        return net.white(mean[some] + noise * (0.5 * log_variance[some]).exp())

    check = draw_codes(aside)
    optimizer = torch.optim.AdamW(code_map.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAP_RATE, total_steps=MAP_STEPS)
    best, kept = math.inf, code_map.state_dict()
    for step in range(MAP_STEPS + 1):
        if step % 50 == 0:  # before the first step, too: codes are never less normal than white ones
            with torch.no_grad():
                found = float(code_map.surprise(check))
            if found < best:
                best, kept = found, {name: value.clone() for name, value in code_map.state_dict().items()}
        if step < MAP_STEPS:
            optimizer.zero_grad()
            codes_of_step = draw_codes(rest[torch.randint(len(rest), (MAP_BATCH,), generator=generator)])
            code_map.surprise(codes_of_step).backward()
            nn.utils.clip_grad_norm_(code_map.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    code_map.load_state_dict(kept)
    if len(check) >= N_STANDARDISED:
        code_map.standardise(check)


def _draw_models(models: PriorModels, first: int) -> Array:
    """Training models of the numbers from `first` on, which training does not reach."""
    training = models.training
    n = min(N_AGGREGATE, len(training.models)) if isinstance(training, Pool) else N_AGGREGATE
    return np.stack([training[first + i] for i in range(n)])


def _posterior(net: Variational, rule: Transform, models: Array) -> tuple[Tensor, Tensor]:
    """Means and logarithms of variances (n, d) of the layers' codes of models."""
    x = net_input(rule.apply(models.astype(np.float64)))[:, :1]
    with torch.no_grad():
        parts = [net.posterior(part) for part in torch.from_numpy(x).split(128)]
    return torch.cat([mean for mean, _ in parts]), torch.cat([log_variance for _, log_variance in parts])


def _aggregate_codes(net: Variational, rule: Transform, models: PriorModels) -> Array:
    """Codes drawn from the posteriors of other training models than those that the codes were whitened with."""
    mean, log_variance = _posterior(net, rule, _draw_models(models, 2**41))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = net.normal(mean + noise * (0.5 * log_variance).exp())
    found: Array = codes.numpy().astype(np.float32)
    return found


def _sharpen(made: Model, max_grey: float) -> None:
    """Make the decoder as steep as it takes for few cells of drawn models to be neither one facies nor the other."""
    net = made.net
    assert isinstance(net, Variational)
    z = torch.from_numpy(LatentSpace(made).sample(100, 0)).float()
    with torch.no_grad():
        logits = torch.cat([net.logits(part) for part in z.split(50)]).abs().flatten()
    limit = math.log(GREY[1] / GREY[0])
    needed = limit / max(float(torch.quantile(logits[:: max(len(logits) // 10**6, 1)], max_grey)), 1e-3)
    net.sharpen(min(max(needed, 1.0), 20.0))


def _start_linear(net: Variational, models: PriorModels, rule: Transform) -> None:
    """Start from principal components: training converges sooner than from random weights."""
    linear = principal_components(rule.apply(models.some.astype(np.float64)), net.latent)
    bernoulli = net.likelihood == "bernoulli"
    gain = 4.0 if bernoulli else 1.0  # the slope of a logistic function is 1/4 where it is steepest
    offset = gain * (linear.from_code.bias - (0.5 if bernoulli else 0.0))
    net.start_linear(linear.to_code.weight, linear.to_code.bias, gain * linear.from_code.weight, offset)


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


def _training_facts(models: PriorModels) -> dict[str, Any]:
    """What a contract records of the training models: where they come from, and their values."""
    some = models.some
    return {**models.says, "mean": float(np.nanmean(some)), "std": float(np.nanstd(some)),
            "range": [float(np.nanmin(some)), float(np.nanmax(some))]}  # fmt: skip
