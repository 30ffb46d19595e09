"""Finish a prior after training: make its codes N(0, I), and add the arrays that are stored beside the weights."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoae.arrays.transforms import Transform
from geoae.arrays.types import Array
from geoae.model import Model
from geoae.nets.parts.couplings import Couplings
from geoae.nets.protocols import Variational
from geoae.priors.data import ImageCuts, ModelPool, PriorModels
from geoae.priors.linear import fit_components
from geoae.priors.recipe import PriorRecipe
from geoae.priors.space import LatentSpace

GREY = (0.1, 0.9)
"""Decoded values between these belong to neither facies: grey cells."""


N_MAPPED = 48000
"""Number of training models for fitting the map of codes to N(0, I)."""


N_STANDARDISED = 200
"""Number of validation models from which on codes are standardised: it gives the variance of a code to 10 %."""


MAP_STEPS, MAP_BATCH, MAP_RATE = 1200, 512, 3e-3
"""Steps of fitting the map (a multiple of 50), codes in a step, highest learning rate. With more steps, drawn models
look more realistic, but the map is so nonlinear that searches end early and Gaussian posteriors fit worse."""


N_AGGREGATE = 8000
"""Number of training models for whitening, and of further ones for checking the distribution of codes. It gives the
variance of a code to 1.6 %, precise enough to report the smallest and the largest of 64 variances."""


REFINE = 30
"""Largest number of Gauss-Newton steps to the best codes of held-out models."""


def make_net_input(x: Array) -> NDArray[np.float32]:
    """Make the input of the net (n, 3, *shape): scaled models, their valid cells, and zeros for random numbers."""
    net_input = np.zeros((len(x), 3, *x.shape[1:]), np.float32)
    valid = ~np.isnan(x)
    net_input[:, 1] = valid
    np.copyto(net_input[:, 0], x, where=valid, casting="same_kind")
    return net_input


def finish_prior(made: Model, models: PriorModels, recipe: PriorRecipe) -> None:
    """Make the codes of training models N(0, I), and sharpen a bernoulli decoder."""
    net, rule = made.net, made.scaler
    assert isinstance(net, Variational)
    assert isinstance(rule, Transform)
    # any number of cuts can be drawn from an image; with a map to N(0, I), the sample is enough
    draws_more = isinstance(models.training, ImageCuts) and net.code_map is None
    means, log_variances = _compute_posterior(net, rule, _draw_models(models, 2**40) if draws_more else models.sample)
    means = means.double()
    covariance = torch.cov(means.T, correction=0).reshape(means.shape[1], -1)
    covariance = covariance + torch.diag(log_variances.double().exp().mean(0))
    net.whiten(means.mean(0), covariance + 1e-9 * torch.eye(len(covariance)))
    if net.code_map is not None:
        _fit_code_map(net, net.code_map, rule, models, recipe.optimize.seed)
    if net.likelihood == "bernoulli":
        _sharpen(made, recipe.max_grey)


def add_companions(made: Model, models: PriorModels) -> None:
    """Add the arrays that reports and inversions need: held-out models and their codes, training codes, components."""
    net, rule = made.net, made.scaler
    assert isinstance(net, Variational)
    assert isinstance(rule, Transform)
    mask = np.asarray(~np.isnan(models.sample).all(0))
    made.companions = {"mask": mask.astype(np.uint8), "held_out": models.held_out.astype(np.float32)}
    linear = fit_components(rule.apply(models.sample.astype(np.float64)), net.latent)
    basis, offset = (p.detach().numpy().copy() for p in (linear.from_code.weight, linear.from_code.bias))
    made.companions |= {"pca_basis": basis, "pca_offset": offset}
    made.companions["aggregate_codes"] = _draw_aggregate_codes(net, rule, models)
    space = LatentSpace(made)
    codes = space.encode(models.held_out.astype(np.float64), refine=REFINE)
    made.companions["held_out_codes"] = codes.astype(np.float32)


def _fit_code_map(net: Variational, code_map: Couplings, rule: Transform, models: PriorModels, seed: int) -> None:
    """Fit the map to N(0, I) to codes of training models; a validation tenth chooses the best step."""
    training = models.training
    n = min(N_MAPPED, len(training.models)) if isinstance(training, ModelPool) else N_MAPPED
    parts = [range(i, min(i + 500, n)) for i in range(0, n, 500)]
    codes = [_compute_posterior(net, rule, np.stack([training[2**40 + i] for i in part])) for part in parts]
    mean, log_variance = (torch.cat(part) for part in zip(*codes, strict=True))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    validation, rest = order.tensor_split([max(n // 10, 1)])

    def draw_codes(index: Tensor) -> Tensor:
        noise = torch.randn(len(index), mean.shape[1], generator=generator)
        return net.white(mean[index] + noise * (0.5 * log_variance[index]).exp())

    check = draw_codes(validation)
    optimizer = torch.optim.AdamW(code_map.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAP_RATE, total_steps=MAP_STEPS)
    best, kept = math.inf, code_map.state_dict()
    for step in range(MAP_STEPS + 1):
        if step % 50 == 0:  # also before the first step, so that the map never makes codes worse than white ones
            with torch.no_grad():
                mean_surprise = float(code_map.surprise(check))
            if mean_surprise < best:
                best, kept = mean_surprise, {name: value.clone() for name, value in code_map.state_dict().items()}
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
    """Draw training models with numbers from `first` on, which training does not reach."""
    training = models.training
    n = min(N_AGGREGATE, len(training.models)) if isinstance(training, ModelPool) else N_AGGREGATE
    return np.stack([training[first + i] for i in range(n)])


def _compute_posterior(net: Variational, rule: Transform, models: Array) -> tuple[Tensor, Tensor]:
    """Means and logarithms of variances (n, d) of the posteriors of models, in the layers' codes."""
    x = make_net_input(rule.apply(models.astype(np.float64)))[:, :1]
    with torch.no_grad():
        parts = [net.posterior(part) for part in torch.from_numpy(x).split(128)]
    return torch.cat([mean for mean, _ in parts]), torch.cat([log_variance for _, log_variance in parts])


def _draw_aggregate_codes(net: Variational, rule: Transform, models: PriorModels) -> Array:
    """Draw codes from the posteriors of training models that were not used for whitening."""
    mean, log_variance = _compute_posterior(net, rule, _draw_models(models, 2**41))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes = net.normal(mean + noise * (0.5 * log_variance).exp())
    found: Array = codes.numpy().astype(np.float32)
    return found


def _sharpen(made: Model, max_grey: float) -> None:
    """Sharpen the decoder until at most a share `max_grey` of the cells of drawn models is grey."""
    net = made.net
    assert isinstance(net, Variational)
    z = torch.from_numpy(LatentSpace(made).sample(100, 0)).float()
    with torch.no_grad():
        logits = torch.cat([net.logits(part) for part in z.split(50)]).abs().flatten()
    limit = math.log(GREY[1] / GREY[0])
    needed = limit / max(float(torch.quantile(logits[:: max(len(logits) // 10**6, 1)], max_grey)), 1e-3)
    net.sharpen(min(max(needed, 1.0), 20.0))
