"""A small net that predicts codes from data, as a starting point of searches; trained on runs of the prior's models.

A search that starts near a wrong mode ends there. If decoder or physics are nonlinear, a linear estimate of the code is
often near a wrong mode. If runs are cheap, the net is trained once on thousands of pairs of codes and data, and then
used for all measured data.

References
----------
Meier, Curtis and Trampert (2007), Global crustal thickness from neural network inversion of surface wave data,
doi:10.1111/j.1365-246X.2007.03373.x; Smith and Topin (2019), Super-convergence, arXiv:1708.07120 (the learning rate).
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from geoae.arrays.types import Float64Array
from geoae.invert.misfit.noise import Noise, thin_svd
from geoae.invert.misfit.runs import Runs
from geoae.invert.problem import Problem
from geoae.model import use_one_thread

if TYPE_CHECKING:
    import torch

N_RUNS, N_FIRST, N_AT_ONCE = 20_000, 1000, 500
"""Runs to train on; first runs, which show whether data are linear in codes; and runs in one batch."""
N_AXES, N_SAMPLES = 200, 4000
"""Principal axes of whitened data that are the net's input, at most; runs from which they are computed."""
WIDTH, BATCH, EPOCHS, RATE, DECAY = 256, 256, 40, 3e-3, 0.05


@dataclass(frozen=True, eq=False)
class CodePredictor:
    """A net that predicts codes, and the axes that its input is projected on."""

    net: Any
    mean: Float64Array
    """(data,) mean of whitened data."""
    axes: Float64Array
    """(data, axes), scaled so that noisy data have unit variance along each axis."""

    def predict(self, measured: Float64Array) -> Float64Array:
        """Predict the code (d,) of whitened data (data,)."""
        import torch

        x = torch.from_numpy(((measured - self.mean) @ self.axes).astype(np.float32))
        with torch.no_grad():
            found: Float64Array = self.net(x[None])[0].double().numpy()
        return found


def run_prior(problem: Problem, seed: int) -> Runs | None:
    """Run the forward model for draws of the prior; None if data are a linear function of codes within the noise."""
    rng = np.random.default_rng([seed, 4])
    codes, data = _run_codes(problem, N_FIRST, rng)
    if len(codes) < N_FIRST // 2 or _is_linear(Runs(codes, data), problem.noise):
        return None
    found = [(codes, data), *(_run_codes(problem, N_AT_ONCE, rng) for _ in range((N_RUNS - N_FIRST) // N_AT_ONCE))]
    return Runs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _run_codes(problem: Problem, n: int, rng: np.random.Generator) -> tuple[Float64Array, Float64Array]:
    codes = rng.normal(size=(n, problem.space.d))
    data = problem.predict(codes, some_must_work=False)
    has_data = np.isfinite(data).all(1)
    return codes[has_data], data[has_data]


def _is_linear(runs: Runs, noise: Noise) -> bool:
    """Whether a linear fit of data to codes has residuals below the noise."""
    design = np.c_[np.ones(len(runs.codes)), runs.codes]
    white = runs.whiten(noise)
    residual = white - design @ np.linalg.lstsq(design, white, rcond=None)[0]
    return bool((residual**2).mean() < 1)


@lru_cache(maxsize=4)
def train_predictor(runs: Runs, noise: Noise) -> CodePredictor:
    """Train a net to predict the mean code of noisy data; the noise is drawn anew in each step.

    Training runs on one thread, so that searches start at the same code for any number of threads.
    """
    import torch

    white = runs.whiten(noise)
    mean = white.mean(0)
    _, _, axes = thin_svd(white[:N_SAMPLES] - mean)
    axes = axes[:, :N_AXES]
    scores = (white - mean) @ axes
    scale = np.sqrt(scores.var(0) + 1)
    x, y = (torch.from_numpy(a.astype(np.float32)) for a in (scores / scale, runs.codes))
    sigma = torch.from_numpy((1 / scale).astype(np.float32))
    n_steps = max(EPOCHS * len(x) // BATCH, 1)
    with use_one_thread():
        random = torch.Generator().manual_seed(0)
        net = _build_net(x.shape[1], y.shape[1], random)
        optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, n_steps)
        for _ in range(n_steps):
            rows = torch.randint(len(x), (BATCH,), generator=random)
            noisy = x[rows] + sigma * torch.randn(BATCH, x.shape[1], generator=random)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(noisy), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return CodePredictor(net.eval().requires_grad_(False), mean, axes / scale)


def _build_net(n_in: int, n_out: int, random: "torch.Generator") -> Any:
    """Build a net of two hidden layers with random weights."""
    from torch import nn

    sizes = (n_in, WIDTH, WIDTH, n_out)
    layers = [nn.Linear(i, o) for i, o in pairwise(sizes)]
    for layer in layers:
        nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=random)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.GELU(), layers[1], nn.GELU(), layers[2])
