"""What is done to a prior after its training: whitened and bent codes, and the arrays kept beside the weights."""

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


def make_net_input(x: Array) -> NDArray[np.float32]:
    """(n, 3, *shape) as the net takes them: scaled models, where they count, and room for the numbers of a draw."""
    shown = np.zeros((len(x), 3, *x.shape[1:]), np.float32)
    there = ~np.isnan(x)
    shown[:, 1] = there
    np.copyto(shown[:, 0], x, where=there, casting="same_kind")
    return shown


def finish_prior(made: Model, models: PriorModels, recipe: PriorRecipe) -> None:
    """Make codes N(0, I) over training models, and sharpen a bernoulli decoder."""
    net, rule = made.net, made.scaler
    assert isinstance(net, Variational)
    assert isinstance(rule, Transform)
    # cuts of an image are unlimited; the map to N(0, I) gives each code variance 1 by itself
    more = isinstance(models.training, ImageCuts) and net.code_map is None
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
    linear = fit_components(rule.apply(models.some.astype(np.float64)), net.latent)
    basis, offset = (p.detach().numpy().copy() for p in (linear.from_code.weight, linear.from_code.bias))
    made.companions |= {"pca_basis": basis, "pca_offset": offset}
    made.companions["aggregate_codes"] = _aggregate_codes(net, rule, models)
    space = LatentSpace(made)
    codes = space.encode(models.held_out.astype(np.float64), refine=REFINE)
    made.companions["held_out_codes"] = codes.astype(np.float32)


def _fit_code_map(net: Variational, code_map: Couplings, rule: Transform, models: PriorModels, seed: int) -> None:
    """Fit the map to N(0, I) on codes of training models; a tenth that it does not see chooses the best step."""
    training = models.training
    n = min(N_MAPPED, len(training.models)) if isinstance(training, ModelPool) else N_MAPPED
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
    n = min(N_AGGREGATE, len(training.models)) if isinstance(training, ModelPool) else N_AGGREGATE
    return np.stack([training[first + i] for i in range(n)])


def _posterior(net: Variational, rule: Transform, models: Array) -> tuple[Tensor, Tensor]:
    """Means and logarithms of variances (n, d) of the layers' codes of models."""
    x = make_net_input(rule.apply(models.astype(np.float64)))[:, :1]
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
