"""The forward model of a user: any callable from a model to data, counted, checked and stopped in time."""

import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.forward.members import Member, close_pool, open_pool, run_many, run_one

RUN_LIMIT_S = 600.0
WORKER_LOST = ("its worker was lost", "it ran longer")


@dataclass(frozen=True)
class ForwardOptions:
    """How a forward model is called.

    Raises
    ------
    InputError
        A derivative that cannot be called, workers that are none, or a limit that is not positive.
    """

    jacobian: Callable[[Any], Any] | None = None
    """model (*shape) -> derivative of the data by the model: (data, *shape) or (data, cells), dense, sparse or a scipy
    LinearOperator."""
    adjoint: Callable[[Any, Any], Any] | None = None
    """(model, weights of the data) -> (*shape): the transposed derivative times the weights."""
    batched: bool | None = None
    """Whether the function takes models (n, *shape) and gives data (n, *data); None: as `function.batched` says."""
    torch: bool | None = None
    """Whether it takes and gives tensors that autograd goes through; None: if it is an `nn.Module`."""
    cheap: bool | None = None
    """Whether tens of thousands of runs take little time; None: if it is a matrix, or `function.cheap` says so. They
    are then made once, to train a net that predicts starting points of searches."""
    workers: Any = None
    """None, a number of processes, a dask Client, or a pool of concurrent.futures; not for batched functions."""
    run_limit_s: float | None = RUN_LIMIT_S
    """A run that takes longer fails. Compiled code can only be stopped in processes."""

    def __post_init__(self) -> None:
        for name in ("jacobian", "adjoint"):
            if (given := getattr(self, name)) is not None and not callable(given):
                raise InputError(f"{name} is a {type(given).__name__}; give a function.")
        if self.run_limit_s is not None and not self.run_limit_s > 0:
            raise InputError(f"run_limit_s is {self.run_limit_s}; give seconds above zero, or None.")
        if self.workers is not None and not isinstance(self.workers, int):
            open_pool(self.workers)  # raises at once for what is no pool


class Forward:
    """A forward model: data of models, with counts of what was computed.

    Parameters
    ----------
    function
        model (*shape) -> data, in numpy or torch; or a matrix (data, cells), dense or sparse, of a linear problem.
    **options
        Those of `ForwardOptions`: jacobian, adjoint, batched, torch, cheap, workers, run_limit_s.

    Attributes
    ----------
    n_runs, n_jacobians, n_gradients, n_failed : int
        Computed so far; a gradient is one forward and one backward pass.
    problems : Counter
        Messages of failed runs, and how often each came.

    Raises
    ------
    InputError
        It cannot be called.
    """

    def __init__(self, function: Any, **options: Any):
        self.matrix = function if _is_matrix(function) else None
        if self.matrix is None and not callable(function):
            raise InputError(
                f"The forward model is a {type(function).__name__}; give a function from a model to data, or a matrix."
            )
        self.options = given = ForwardOptions(**options)
        self.function = function
        self.jacobian_of = given.jacobian or getattr(function, "jacobian", None)
        self.adjoint_of = given.adjoint or getattr(function, "adjoint", None)
        self.batched = bool(getattr(function, "batched", False) if given.batched is None else given.batched)
        self.torch = _is_module(function) if given.torch is None else given.torch
        is_cheap = getattr(function, "cheap", self.matrix is not None) if given.cheap is None else given.cheap
        self.cheap = bool(is_cheap)
        self.workers, self.run_limit_s = given.workers, given.run_limit_s
        self._pool: Any = None
        self._close: Any = None
        self.n_runs = self.n_jacobians = self.n_gradients = self.n_failed = 0
        self.problems: Counter[str] = Counter()
        self.shape: tuple[int, ...] | None = None
        """Of the data of one model; None before the first run."""

    @property
    def differentiable(self) -> bool:
        """Whether gradients cost about as much as runs."""
        return self.torch or any(x is not None for x in (self.matrix, self.jacobian_of, self.adjoint_of))

    def check(self, model: Float64Array, shape: tuple[int, ...]) -> None:
        """Run the model in the middle of the prior, before many others.

        Raises
        ------
        InputError
            It fails, takes too long, or gives data of another shape than `shape`, or that are not finite.
        """
        if self.matrix is not None and self.matrix.shape[1] != model.size:
            raise InputError(
                f"The matrix of the forward model has shape {self.matrix.shape}, so it is for models of "
                f"{self.matrix.shape[1]} cells; the prior's models {model.shape} have {model.size}."
            )
        self.shape = shape
        (member,) = self._members(model[None])
        if member.data is None:
            raise InputError(
                f"The forward model failed for the model that the prior has in its middle: {member.problem}. It was "
                f"called with {self._called_with(model)}."
            )
        if not np.isfinite(member.data).all():
            bad = int((~np.isfinite(member.data)).sum())
            raise InputError(
                f"The forward model gives {bad} of {member.data.size} data that are not finite for the model that the "
                "prior has in its middle, so it will do so for most. Does it take models in the prior's units?"
            )

    def run(self, models: Float64Array, some_must_work: bool = True) -> Float64Array:
        """Data (n, data) of models (n, *shape); a row of NaN for each run that failed.

        Raises
        ------
        InputError
            All of three or more runs failed, and `some_must_work`.
        """
        size = int(np.prod(self.shape or (0,)))
        data = np.full((len(models), size), np.nan)
        n_failed = 0
        for row, member in enumerate(self._members(models)):
            if member.data is not None and np.isfinite(member.data).all():
                data[row] = member.data.ravel()
                continue
            n_failed += 1
            self.problems[member.problem or "data that are not finite"] += 1
        self.n_failed += n_failed
        if some_must_work and n_failed == len(models) and n_failed > 2:
            raise InputError(
                f"All {n_failed} runs of the forward model failed, most often with: "
                f"{self.problems.most_common(1)[0][0]}."
            )
        return data

    def jacobian(self, model: Float64Array) -> Any:
        """Derivative (data, cells) at one model, as a matrix of some kind, from `jacobian` or of the matrix."""
        self.n_jacobians += 1
        if self.matrix is not None:
            return self.matrix
        assert self.jacobian_of is not None
        found = self.jacobian_of(model)
        if isinstance(found, np.ndarray):
            found = found.reshape(int(np.prod(self.shape or (0,))), -1)
        expected = (int(np.prod(self.shape or (0,))), model.size)
        if found.shape != expected:
            raise InputError(
                f"The Jacobian of the forward model has shape {found.shape}; expected {expected}: data by cells."
            )
        return found

    def adjoint(self, models: Float64Array, weights: Float64Array) -> Float64Array:
        """The transposed derivative at models (n, *shape) times weights (n, data): (n, *shape). Not for torch."""
        self.n_gradients += len(models)
        if self.matrix is not None:
            return np.asarray(weights @ self.matrix).reshape(models.shape)
        shape = self.shape or ()
        if self.adjoint_of is not None:
            return np.stack([self.adjoint_of(m, w.reshape(shape)) for m, w in zip(models, weights, strict=True)])
        assert self.jacobian_of is not None
        return np.stack([(self.jacobian(m).T @ w).reshape(m.shape) for m, w in zip(models, weights, strict=True)])

    def counts(self) -> dict[str, int]:
        """Numbers of runs, Jacobians, gradients and failed runs so far."""
        return {k: getattr(self, k) for k in ("n_runs", "n_jacobians", "n_gradients", "n_failed")}

    def _members(self, models: Float64Array) -> Sequence[Member]:
        self.n_runs += len(models)
        if self.matrix is not None:
            # cells that are always missing do not contribute
            return [
                Member(row) for row in np.asarray((self.matrix @ np.nan_to_num(models.reshape(len(models), -1)).T).T)
            ]
        call = _TorchCall(self.function) if self.torch else self.function
        if self.batched:
            found = self._batch(call, models)
        else:
            found = run_many(call, list(models), self.run_limit_s, self._open_pool())
            if self._close is not None and any(m.data is None and m.problem.startswith(WORKER_LOST) for m in found):
                self._close()  # a process that hangs or died is not used again
                self._pool = self._close = None
        return [self._shaped(member) for member in found]

    def _open_pool(self) -> Any:
        if self._pool is None:
            self._pool = open_pool(self.workers)
            if self._pool is not None and self._pool is not self.workers:
                self._close = weakref.finalize(self, close_pool, self._pool)
        return self._pool

    def _batch(self, call: Callable[[Any], Any], models: Float64Array) -> Sequence[Member]:
        whole = run_one(call, models, self.run_limit_s)
        if whole.data is not None and len(whole.data) == len(models):
            return [Member(row) for row in whole.data]
        if len(models) == 1 or whole.data is not None:
            problem = whole.problem or f"data of shape {whole.data.shape} for {len(models)} models"  # type: ignore[union-attr]
            return [Member(None, problem)] * len(models)
        # one failing member must not fail the others
        half = len(models) // 2
        return [*self._batch(call, models[:half]), *self._batch(call, models[half:])]

    def _shaped(self, member: Member) -> Member:
        if member.data is None or self.shape is None:
            return member
        shape = self.shape
        if member.data.shape == shape or (member.data.ndim == 1 and member.data.size == np.prod(shape)):
            return member
        return Member(None, f"it gave data of shape {member.data.shape}, and the data have {shape}")

    def _called_with(self, model: Float64Array) -> str:
        kind = "a tensor" if self.torch else "an array"
        return f"{kind} of shape {(1, *model.shape) if self.batched else model.shape}"


class _TorchCall:
    """A function of tensors, called with arrays."""

    def __init__(self, function: Any):
        self.function = function

    def __call__(self, model: Float64Array) -> Float64Array:
        import torch

        with torch.no_grad():
            found = self.function(torch.from_numpy(np.ascontiguousarray(model)))
        if not isinstance(found, torch.Tensor):
            raise TypeError(f"it gave a {type(found).__name__}, and a forward model of torch gives a tensor")
        return found.cpu().numpy().astype(np.float64)


def _is_matrix(x: Any) -> bool:
    return (isinstance(x, np.ndarray) and x.ndim == 2) or sparse.issparse(x)


def _is_module(x: Any) -> bool:
    return any(kind.__module__.startswith("torch.nn") for kind in type(x).__mro__)
