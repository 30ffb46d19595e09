"""A small net that says from data which codes are likely: where to begin, learnt from many runs of the prior's models.

A search that begins in the wrong valley stays there, and a linear estimate of codes often lies in it where decoder or
physics are bent. Thousands of pairs of codes and data cost nothing but time where runs are cheap; what is learnt of
them once is where searches for any data begin.

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
from numpy.typing import NDArray

from geoae.invert.misfit.noise import Noise, decomposed
from geoae.invert.problem import Problem
from geoae.invert.search.starts import Runs
from geoae.model import one_thread

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
N_RUNS, FIRST, PART = 20_000, 1000, 500
"""Runs to learn from; those that tell whether there is anything to learn; and those made at once."""
AXES, SAMPLES = 200, 4000
"""Leading axes of white data that the net sees at most, and runs that tell them."""
WIDTH, BATCH, EPOCHS, RATE, DECAY = 256, 256, 40, 3e-3, 0.05


@dataclass(frozen=True, eq=False)
class Amortised:
    """A net, and what its input is made of."""

    net: Any
    middle: Array
    """(data,)"""
    axes: Array
    """(data, axes), scaled so that noisy data have variance one along each."""

    def code(self, measured: Array) -> Array:
        """(d,) of white data (data,)."""
        import torch

        x = torch.from_numpy(((measured - self.middle) @ self.axes).astype(np.float32))
        with torch.no_grad():
            found: Array = self.net(x[None])[0].double().numpy()
        return found


def prior_runs(problem: Problem, seed: int) -> Runs | None:
    """Codes of the prior with the data of their models; None where a straight line from codes to data is enough."""
    rng = np.random.default_rng([seed, 4])
    codes, data = _some(problem, FIRST, rng)
    if len(codes) < FIRST // 2 or _straight(Runs(codes, data), problem.noise):
        return None
    found = [(codes, data), *(_some(problem, PART, rng) for _ in range((N_RUNS - FIRST) // PART))]
    return Runs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _some(problem: Problem, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    codes = rng.normal(size=(n, problem.space.d))
    data = problem.predict(codes, some_must_work=False)
    there = np.isfinite(data).all(1)
    return codes[there], data[there]


def _straight(runs: Runs, noise: Noise) -> bool:
    """Whether what a straight line leaves of the data is less than their noise."""
    known = np.c_[np.ones(len(runs.codes)), runs.codes]
    white = runs.white(noise)
    left = white - known @ np.linalg.lstsq(known, white, rcond=None)[0]
    return bool((left**2).mean() < 1)


@lru_cache(maxsize=4)
def learn(runs: Runs, noise: Noise) -> Amortised:
    """Learn the mean code of noisy data; the noise of each run is drawn anew each time the net sees it.

    On one thread, so that where searches begin is the same on machines of more.
    """
    import torch

    white = runs.white(noise)
    middle = white.mean(0)
    _, _, axes = decomposed(white[:SAMPLES] - middle)
    axes = axes[:, :AXES]
    seen = (white - middle) @ axes
    scale = np.sqrt(seen.var(0) + 1)
    x, y = (torch.from_numpy(a.astype(np.float32)) for a in (seen / scale, runs.codes))
    sigma = torch.from_numpy((1 / scale).astype(np.float32))
    n_steps = max(EPOCHS * len(x) // BATCH, 1)
    with one_thread():
        random = torch.Generator().manual_seed(0)
        net = _net(x.shape[1], y.shape[1], random)
        optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY, fused=True)
        plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, n_steps)
        for _ in range(n_steps):
            rows = torch.randint(len(x), (BATCH,), generator=random)
            noisy = x[rows] + sigma * torch.randn(BATCH, x.shape[1], generator=random)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(noisy), y[rows]).backward()
            optimizer.step()
            plan.step()
    return Amortised(net.eval().requires_grad_(False), middle, axes / scale)


def _net(n_in: int, n_out: int, random: "torch.Generator") -> Any:
    """Two hidden layers."""
    from torch import nn

    sizes = (n_in, WIDTH, WIDTH, n_out)
    layers = [nn.Linear(i, o) for i, o in pairwise(sizes)]
    for layer in layers:
        nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=random)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.GELU(), layers[1], nn.GELU(), layers[2])
