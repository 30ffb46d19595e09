"""An inversion as a function of codes: misfit, Jacobian and gradient, for every kind of forward model."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.numbers import is_above_zero
from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.forward.forward import Forward
from geoae.invert.misfit.noise import Noise
from geoae.invert.protocols import LatentPrior

STEP = 0.02
"""Step of finite differences in codes, whose standard deviation under the prior is one."""
MAX_EXCESS = 500.0
"""No run is made for codes whose cost is this far above that of the most likely code: their relative probability is
exp(-500)."""


@dataclass(frozen=True)
class Problem:
    """Codes z, N(0, I) under the prior, whose models are to have the data `data` within `noise`."""

    space: LatentPrior
    forward: Forward
    data: Float64Array
    """(data,) measured data."""
    used: NDArray[np.bool_]
    """Whether each datum of the forward model was measured."""
    noise: Noise
    """Noise that misfits are weighted by, including the representation error if it is counted."""

    def predict(self, z: Float64Array, some_must_work: bool = True) -> Float64Array:
        """Compute the data (n, data) of codes (n, d); NaN where a run failed."""
        return self.forward.run(self.space.decode(z), some_must_work)[:, self.used]

    def misfit(self, predicted: Float64Array) -> Float64Array:
        """Compute measured data less predictions (..., data), whitened."""
        return self.noise.whiten(self.data - predicted - self.noise.offset)

    def cost(self, z: Float64Array, predicted: Float64Array) -> Float64Array:
        """Compute the cost (n,), half the squared misfit plus half the squared code; infinite where a run failed.

        This is -log posterior, up to a constant.
        """
        value = 0.5 * (self.misfit(predicted) ** 2).sum(-1) + 0.5 * (z**2).sum(-1)
        return np.where(np.isfinite(value), value, np.inf)

    def run_likely(self, z: Float64Array, lowest: float) -> tuple[Float64Array, Float64Array]:
        """Compute cost (n,) and data (n, data) of codes (n, d); infinite and NaN where a run fails or is left out.

        No run is made for codes that are `MAX_EXCESS` more costly than `lowest`, the cost of the most likely code, by
        their prior alone. Trajectories that diverge propose such codes, which are always rejected.
        """
        predicted, likely = np.full((len(z), len(self.data)), np.nan), _is_likely(z, lowest)
        if likely.any():
            predicted[likely] = self.predict(z[likely], some_must_work=False)
        with np.errstate(over="ignore"):
            return self.cost(z, predicted), predicted

    def gradient_likely(self, z: Float64Array, lowest: float) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Compute `gradient` of codes that `run_likely` runs; infinite cost, zero gradient and NaN data of others."""
        cost, slope, predicted = np.full(len(z), np.inf), np.zeros_like(z), np.full((len(z), len(self.data)), np.nan)
        if (likely := _is_likely(z, lowest)).any():
            cost[likely], slope[likely], predicted[likely] = self.gradient(z[likely])
        return cost, slope, predicted

    def jacobian(self, z: Float64Array, predicted: Float64Array) -> Float64Array:
        """Compute the derivative (data, d) of whitened predictions at one code (d,) with data `predicted`."""
        return self.jacobians(z[None], predicted[None])[0]

    def jacobians(self, z: Float64Array, predicted: Float64Array) -> Float64Array:
        """Compute the derivatives (n, data, d) of whitened predictions at codes (n, d) with data `predicted`."""
        forward = self.forward
        if forward.torch:
            slopes = np.stack([self._torch_jacobian(code)[self.used] for code in z])
        elif forward.matrix is not None or forward.jacobian_of is not None:
            cells = np.nan_to_num(self.space.jacobian(z)).reshape(len(z), -1, self.space.d)
            slopes = np.stack([
                np.asarray(forward.jacobian(m) @ c)[self.used] for m, c in zip(self.space.decode(z), cells, strict=True)
            ])  # fmt: skip
        else:
            slopes = np.stack([self._differences(*pair) for pair in zip(z, predicted, strict=True)])
        return self.noise.whiten(slopes.swapaxes(1, 2)).swapaxes(1, 2)

    def gradient(self, z: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Compute cost (n,), its gradient (n, d) and predictions (n, data) at codes (n, d).

        Raises
        ------
        InputError
            The forward model has no derivative.
        """
        if not self.forward.differentiable:
            raise InputError(
                "Gradients need a forward model of torch, or one with a Jacobian or an adjoint: Inverse(..., "
                'jacobian=... or adjoint=...). Without a sampler, solve("mcmc") needs runs alone.'
            )
        if self.forward.torch:
            predicted, slope = self._torch_gradient(z)
        else:
            models = self.space.decode(z)
            predicted = self.forward.run(models, some_must_work=False)[:, self.used]
            slope = self.space.vjp(z, self.forward.adjoint(models, self._weights(predicted)))
        return self.cost(z, predicted), slope + z, predicted

    def _weights(self, predicted: Float64Array) -> Float64Array:
        """Gradient (n, all data) of half the squared misfit by the forward model's data; 0 for data not measured."""
        white = np.nan_to_num(self.misfit(predicted))
        full = np.zeros((len(predicted), self.used.size))
        full[:, self.used] = -self.noise.whiten_adjoint(white)
        return full

    def _differences(self, z: Float64Array, predicted: Float64Array) -> Float64Array:
        """Derivative (data, d) by finite differences at one code; 0 where runs failed."""
        slope = (self.predict(z + STEP * np.eye(len(z))) - predicted).T / STEP
        failed = ~np.isfinite(slope).all(0)
        if failed.any():  # backward differences, where runs of the forward differences failed
            slope[:, failed] = (predicted - self.predict(z - STEP * np.eye(len(z))[failed])).T / STEP
        return np.nan_to_num(slope)

    def _torch_data(self, z: Any) -> Any:
        """Data (n, all data) of codes (n, d), as tensors."""
        import torch

        models = self.space.decode(z)
        tensors = self.forward.tensors
        assert tensors is not None
        if self.forward.batched:
            return tensors.apply(models).reshape(len(z), -1)
        return torch.stack([tensors.apply(m).reshape(-1) for m in models])

    def _torch_jacobian(self, z: Float64Array) -> Float64Array:
        import torch

        self.forward.n_jacobians += 1

        def data(code: Any) -> Any:
            return self._torch_data(code[None])[0]

        at = torch.from_numpy(z)
        try:
            found = torch.func.jacfwd(data)(at)
        except (RuntimeError, NotImplementedError):  # an operation without a forward derivative
            found = torch.autograd.functional.jacobian(data, at)
        return found.detach().cpu().numpy().astype(np.float64)

    def _torch_gradient(self, z: Float64Array) -> tuple[Float64Array, Float64Array]:
        import torch

        self.forward.n_runs += len(z)
        self.forward.n_gradients += len(z)
        codes = torch.from_numpy(np.ascontiguousarray(z)).requires_grad_()
        data = self._torch_data(codes)
        predicted = data.detach().cpu().numpy().astype(np.float64)[:, self.used]
        # not backward(), which would add to the gradients of the parameters of the caller's module
        (slope,) = torch.autograd.grad(data, codes, torch.from_numpy(self._weights(predicted)).to(data))
        return predicted, slope.numpy().astype(np.float64)


def _is_likely(z: Float64Array, lowest: float) -> NDArray[np.bool_]:
    with np.errstate(over="ignore", invalid="ignore"):
        is_likely: NDArray[np.bool_] = 0.5 * (z**2).sum(1) < lowest + MAX_EXCESS
    return is_likely


class Clock:
    """Time since the start of a solution, and its limit."""

    def __init__(self, limit_s: float | None):
        if limit_s is not None and not is_above_zero(limit_s):
            raise InputError(f"time_limit_s is {limit_s!r}; give seconds above zero, or None.")
        self.start, self.limit_s = time.monotonic(), limit_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self.limit_s is not None and self.elapsed_s > self.limit_s
