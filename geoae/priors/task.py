"""The training task of a prior: its models, the evidence lower bound as the loss, the score, and the last steps."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoae import nets
from geoae.arrays import transforms
from geoae.arrays.numbers import read_reals
from geoae.arrays.transforms import Transform
from geoae.arrays.types import Array
from geoae.errors import InputError
from geoae.model import Model, require_contract
from geoae.nets.protocols import Loss, Variational
from geoae.priors import data as prior_data
from geoae.priors import losses as elbo
from geoae.priors.contract import PriorContract
from geoae.priors.data import ImageCuts, ModelPool, PriorModels
from geoae.priors.finish import add_companions, finish_prior, make_net_input
from geoae.priors.linear import fit_components
from geoae.priors.recipe import PriorRecipe
from geoae.training.loop import Example, Predict, TrainingTask


def training_task(recipe: PriorRecipe, data: Path) -> TrainingTask:
    """Make the training task from the files that the recipe names, below the folder `data`.

    Raises
    ------
    InputError
        An array does not exist, has another shape than the net, or has values outside the domain of the transform.
    """
    d, seed, out = recipe.data, recipe.optimize.seed, recipe.hold_out
    if d.image:
        image = prior_data.read_array(data, d.image).astype(np.float32)
        image = 1 - image if d.invert else image
        models = prior_data.cut_models(image, d.shape, d.exclude, out.share, out.n, seed, d.mirror)
    else:
        file = d.models.partition(":")[0]
        coordinates = [prior_data.read_array(data, f"{file}:{name}") for name in out.by]
        groups = prior_data.label_blocks(coordinates, out.block) if coordinates else None
        array = prior_data.read_array(data, d.models)
        models = prior_data.divide_models(array, groups, out.share, out.n, seed, d.mirror)
    return make_prior_task(recipe, models, prior_data.read_array(data, d.sensitivity) if d.sensitivity else None)


def make_prior_task(
    recipe: PriorRecipe, models: PriorModels, sensitivity: Array | None = None, transform: Transform | None = None
) -> TrainingTask:
    """Make the training task from models in memory.

    `sensitivity` (data, cells) is the derivative of data by the cells of a model, in units of the noise: each row is
    divided by its sigma. `transform` replaces that of the recipe.
    """
    net, o = nets.build(recipe.net.name, recipe.net.config), recipe.optimize
    if not isinstance(net, Variational):
        raise InputError(f"Net {recipe.net.name!r} has no posterior of codes. Choose vae.")
    if net.shape != models.shape:
        raise InputError(f"net.config.shape is {list(net.shape)}; the models have shape {list(models.shape)}.")
    rule, bernoulli = _fit_transform(recipe, models, transform), net.likelihood == "bernoulli"
    rows = None if sensitivity is None else torch.from_numpy(_check_sensitivity(sensitivity, math.prod(models.shape)))
    bound = _Bound(net, rule, o.free_bits, rows, o.data_weight)
    start_s = _measure_cpu_s()

    def prepare(new_net: nn.Module) -> None:
        assert isinstance(new_net, Variational)
        bound.net = new_net
        _start_linear(new_net, models, rule)

    def contract(provenance: dict[str, Any]) -> PriorContract:
        return PriorContract(recipe.name, recipe.summary, net.shape, net.latent, recipe.units,
                             training=_training_facts(models), provenance=provenance)  # fmt: skip

    def finish(made: Model) -> None:
        finish_prior(made, models, recipe)
        require_contract(made, PriorContract).training["cpu_minutes"] = round((_measure_cpu_s() - start_s) / 60, 2)
        add_companions(made, models)

    windows = _Windows(models.training, rule, net.latent, recipe, 2 * math.log(net.noise))
    held_out = rule.apply(models.held_out.astype(np.float64))

    def score(predict: Predict) -> float:
        return score_reconstruction(predict, held_out, bernoulli)

    return TrainingTask(windows, bound, score, contract, rule, "reconstruction_db", prepare, finish)


@dataclass
class _Bound:
    """The loss of a batch: the negative evidence lower bound, divided by the number of cells."""

    net: Variational
    """The net in training."""
    rule: Transform
    free_bits: float
    sensitivity: Tensor | None
    """(data, cell), in units of the data's noise."""
    data_weight: float

    def __call__(self, estimate: Tensor, parts: tuple[Tensor, ...]) -> Loss:
        """Loss of the net's output (batch, cells + 2 latent) for the arrays of `_Windows`."""
        net_input, weight, log_variance = parts
        cells, latent = math.prod(self.net.shape), self.net.latent
        output, mean, code_log_variance = estimate.split([cells, latent, latent], 1)
        x, counts = net_input[:, 0].flatten(1), net_input[:, 1].flatten(1)
        fit = self._log_likelihood(x, output, counts, log_variance)
        divergence = elbo.free_bits(elbo.kl_normal(mean, code_log_variance), self.free_bits)
        terms = {"kl": weight.mean() * divergence, "reconstruction": -fit.mean()}
        value = terms["kl"] + terms["reconstruction"]
        if self.sensitivity is not None and self.data_weight:
            terms["data"] = self.data_weight * 0.5 * self._squared_data_error(x, output, counts)
            value = value + terms["data"]
        return Loss(value / cells, {name: term.detach() / cells for name, term in terms.items()})

    def _log_likelihood(self, x: Tensor, output: Tensor, counts: Tensor, log_variance: Tensor) -> Tensor:
        """Log-likelihood (batch,) of the valid cells."""
        if self.net.likelihood == "bernoulli":
            return elbo.log_bernoulli(x, output, counts)
        learned = self.net.learned_log_variance
        return elbo.log_gaussian(x, output, log_variance[:1] if learned is None else learned, counts)

    def _squared_data_error(self, x: Tensor, output: Tensor, counts: Tensor) -> Tensor:
        """Mean squared error of the data of decoded models, in units of their noise, to first order."""
        assert self.sensitivity is not None
        decoded = torch.sigmoid(output) if self.net.likelihood == "bernoulli" else output
        error = (self.rule.undo(decoded) - self.rule.undo(x)) * counts
        return (error @ self.sensitivity.to(error.device).mT).square().sum(1).mean()


def _check_sensitivity(sensitivity: Array, cells: int) -> NDArray[np.float32]:
    """Sensitivity (data, cells) of any shape (data, ...) with as many cells as a model."""
    rows = read_reals(sensitivity, "The sensitivity is").astype(np.float32)
    if rows.ndim < 2 or math.prod(rows.shape[1:]) != cells:
        raise InputError(f"sensitivity has shape {rows.shape}; its rows must have the {cells} cells of a model.")
    return rows.reshape(-1, cells)


@dataclass
class _Windows:
    """Training examples: input of the net, weight of the KL term at that step, logarithm of the variance of a cell."""

    models: ModelPool | ImageCuts
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
        net_input = make_net_input(self.rule.apply(np.stack([self.models[i] for i in indices])))
        draws = net_input[:, 2].reshape(len(indices), -1)
        for draw, index in zip(draws, indices, strict=True):
            draw[: self.latent] = np.random.default_rng((o.seed, 1, index)).standard_normal(self.latent, np.float32)
        return net_input, weight[:, None].astype(np.float32), np.full((len(indices), 1), self.log_variance, np.float32)


def score_reconstruction(predict: Predict, held_out: Array, bernoulli: bool) -> float:
    """Variance of held-out models over the mean squared error of their reconstructions, in dB."""
    error, power = 0.0, 0.0
    average = np.nansum(held_out, axis=0) / np.maximum((~np.isnan(held_out)).sum(0), 1)
    for i in range(0, len(held_out), 128):
        x = held_out[i : i + 128]
        valid = ~np.isnan(x)
        y = predict(make_net_input(x))[:, : x[0].size].reshape(x.shape).astype(np.float64)
        if bernoulli:
            y = 1 / (1 + np.exp(-np.clip(y, -30, 30)))
        error += float(np.square(np.nan_to_num(x) - y)[valid].sum())
        power += float(np.square(np.nan_to_num(x) - average)[valid].sum())
    return -10 * math.log10(max(error, 1e-30) / max(power, 1e-30))


def _start_linear(net: Variational, models: PriorModels, rule: Transform) -> None:
    """Start the net from principal components, from which training converges faster than from random weights."""
    linear = fit_components(rule.apply(models.sample.astype(np.float64)), net.latent)
    bernoulli = net.likelihood == "bernoulli"
    gain = 4.0 if bernoulli else 1.0  # the steepest slope of the logistic function is 1/4
    offset = gain * (linear.from_code.bias - (0.5 if bernoulli else 0.0))
    net.start_linear(linear.to_code.weight, linear.to_code.bias, gain * linear.from_code.weight, offset)


def _fit_transform(recipe: PriorRecipe, models: PriorModels, given: Transform | None) -> Transform:
    if recipe.net.config.get("likelihood") != "bernoulli":
        rule = transforms.fit_transform(given or recipe.transform, models.sample)
        rule.apply(models.held_out)  # values outside its domain raise an error now, not during training
        if isinstance(models.training, ModelPool):
            rule.apply(models.training.models)
        return rule
    low, high = float(np.nanmin(models.sample)), float(np.nanmax(models.sample))
    if not low < high:
        raise InputError(f"All models have the same value, {low:g}, everywhere: there is nothing to learn.")
    return Transform("affine", low, high - low)


def _measure_cpu_s() -> float:
    """CPU time of this process and its children in seconds; a resumed training counts from its last start."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _training_facts(models: PriorModels) -> dict[str, Any]:
    """What the contract records of the training models: their division, mean, standard deviation and range."""
    sample = models.sample
    return {**models.division, "mean": float(np.nanmean(sample)), "std": float(np.nanstd(sample)),
            "range": [float(np.nanmin(sample)), float(np.nanmax(sample))]}  # fmt: skip
