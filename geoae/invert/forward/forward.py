"""The forward model: any callable from a model to data. Runs are counted, checked, and stopped after a time limit."""

import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy import sparse

from geoae.arrays.numbers import is_above_zero, read_reals
from geoae.arrays.types import Float64Array
from geoae.errors import InputError
from geoae.invert.forward.derivatives import call_adjoint, call_jacobian
from geoae.invert.forward.members import Member, close_pool, open_pool, run_many, run_one
from geoae.invert.forward.tensors import TensorFunction, is_module

RUN_LIMIT_S = 600.0
"""Default time limit of a run."""
WORKER_LOST = ("its worker was lost", "it ran longer")
"""Starts of the messages of runs after which a worker is not used again."""


@dataclass(frozen=True)
class ForwardOptions:
    """How a forward model is called.

    Raises
    ------
    InputError
        A derivative cannot be called, `workers` is not valid, or the limit is not positive.
    """

    jacobian: Callable[[Any], Any] | None = None
    """Function of a model (*shape) -> derivative of the data by the model: (data, *shape) or (data, cells), dense,
    sparse or a scipy LinearOperator."""
    adjoint: Callable[[Any, Any], Any] | None = None
    """Function (model, weights of the data) -> (*shape): the transposed derivative times the weights."""
    batched: bool | None = None
    """Whether the function takes models (n, *shape) and returns data (n, *data); None: as `function.batched`."""
    torch: bool | None = None
    """Whether the function takes and returns tensors with autograd; None: if it is an `nn.Module`."""
    cheap: bool | None = None
    """Whether tens of thousands of runs take little time; None: as `function.cheap`, or True for a matrix.
    These runs are then made once, to train a net that predicts starting points of searches."""
    workers: Any = None
    """None, a number of processes, a dask Client, or a pool of concurrent.futures; not used for batched functions."""
    run_limit_s: float | None = RUN_LIMIT_S
    """Time limit of a run, which fails after it. Compiled code can only be stopped in other processes."""

    def __post_init__(self) -> None:
        for name in ("jacobian", "adjoint"):
            if (function := getattr(self, name)) is not None and not callable(function):
                raise InputError(f"{name} is a {type(function).__name__}; give a function.")
        if self.run_limit_s is not None and not is_above_zero(self.run_limit_s):
            raise InputError(f"run_limit_s is {self.run_limit_s!r}; give seconds above zero, or None.")
        if self.workers is not None and not isinstance(self.workers, int):
            open_pool(self.workers)  # raises an error at once if it is no pool


class Forward:
    """A forward model, which computes the data of models and counts its runs.

    Parameters
    ----------
    function
        Function of a model (*shape) -> data, in numpy or torch; or the matrix (data, cells), dense or sparse, of a
        linear problem.
    **options
        Options of `ForwardOptions`: jacobian, adjoint, batched, torch, cheap, workers, run_limit_s.

    Attributes
    ----------
    n_runs, n_jacobians, n_gradients, n_failed : int
        Numbers of runs, Jacobians, gradients (a forward and a backward pass each) and failed runs so far.
    problems : Counter
        Messages of failed runs, and how often each occurred.

    Raises
    ------
    InputError
        The function cannot be called, or there is no such option.
    """

    def __init__(self, function: Any, **options: Any):
        self.matrix = _read_matrix(function)
        if self.matrix is None and not callable(function):
            raise InputError(
                f"The forward model is a {type(function).__name__}; give a function from a model to data, or a matrix."
            )
        known = [f.name for f in fields(ForwardOptions)]
        if unknown := sorted(options.keys() - set(known)):
            raise InputError(f"A forward model has no option {', '.join(unknown)}; it has {', '.join(known)}.")
        self.options = chosen = ForwardOptions(**options)
        self.function = function
        self.jacobian_of = chosen.jacobian or getattr(function, "jacobian", None)
        self.adjoint_of = chosen.adjoint or getattr(function, "adjoint", None)
        self.batched = bool(getattr(function, "batched", False) if chosen.batched is None else chosen.batched)
        self.torch = is_module(function) if chosen.torch is None else chosen.torch
        self.tensors = TensorFunction.of(function) if self.torch else None
        is_cheap = getattr(function, "cheap", self.matrix is not None) if chosen.cheap is None else chosen.cheap
        self.cheap = bool(is_cheap)
        self.workers, self.run_limit_s = chosen.workers, chosen.run_limit_s
        self._pool: Any = None
        self._close: Any = None
        self.n_runs = self.n_jacobians = self.n_gradients = self.n_failed = 0
        self.problems: Counter[str] = Counter()
        self.shape: tuple[int, ...] | None = None
        """Shape of the data of one model; None before `check`."""

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"Forward({'matrix' if self.matrix is not None else name}: {self.n_runs} runs)"

    @property
    def differentiable(self) -> bool:
        """Whether gradients cost about as much as runs."""
        return self.torch or any(x is not None for x in (self.matrix, self.jacobian_of, self.adjoint_of))

    def check(self, model: Float64Array, shape: tuple[int, ...]) -> Float64Array:
        """Run the model in the middle of the prior once, before many runs are made; return its data.

        Raises
        ------
        InputError
            The run fails, takes too long, or gives data of another shape than `shape` or data that are not finite.
        """
        if self.matrix is not None and self.matrix.shape[1] != model.size:
            raise InputError(
                f"The matrix of the forward model has shape {self.matrix.shape}, so it is for models of "
                f"{self.matrix.shape[1]} cells; the prior's models {model.shape} have {model.size}."
            )
        self.shape = shape
        member = self._run_first(model)
        if member.data is None:
            hint = "" if self.torch or "ensor" not in member.problem else " For a function of tensors, give torch=True."
            raise InputError(
                f"The forward model failed for the model in the middle of the prior: {member.problem}. It was "
                f"called with {self._describe_call(model)}.{hint}"
            )
        if not np.isfinite(member.data).all():
            n_invalid = int((~np.isfinite(member.data)).sum())
            raise InputError(
                f"The forward model gives {n_invalid} of {member.data.size} data that are not finite for the model in "
                "the middle of the prior, and probably for most models. Does it take models in the prior's units?"
            )
        return member.data.ravel()

    def _run_first(self, model: Float64Array) -> Member:
        """Run one model; a function of torch that does not take tensors of one type gets another."""
        (member,) = self._run_members(model[None])
        if self.tensors is None or member.data is not None or "type" not in member.problem:
            return member
        first = self.tensors.dtype
        for dtype in self.tensors.other_types():
            self.tensors.dtype = dtype
            (other,) = self._run_members(model[None])
            if other.data is not None:
                return other
        self.tensors.dtype = first
        return member

    def run(self, models: Float64Array, some_must_work: bool = True) -> Float64Array:
        """Compute the data (n, data) of models (n, *shape); a row of NaN for each run that fails.

        Raises
        ------
        InputError
            Three or more runs are made, all fail, and `some_must_work` is True.
        """
        size = int(np.prod(self.shape or (0,)))
        data = np.full((len(models), size), np.nan)
        n_failed = 0
        for row, member in enumerate(self._run_members(models)):
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
        """Compute the derivative (data, cells) at one model (*shape), as a matrix of any kind.

        Raises
        ------
        InputError
            The Jacobian fails, or gives another shape or values that are not finite.
        """
        self.n_jacobians += 1
        if self.matrix is not None:
            return self.matrix
        assert self.jacobian_of is not None
        return call_jacobian(self.jacobian_of, model, self.shape or ())

    def adjoint(self, models: Float64Array, weights: Float64Array) -> Float64Array:
        """Compute the transposed derivative at models (n, *shape) times weights (n, data): (n, *shape).

        A torch function has no adjoint here; its gradients come from autograd.
        """
        self.n_gradients += len(models)
        if self.matrix is not None:
            return np.asarray(weights @ self.matrix).reshape(models.shape)
        shape = self.shape or ()
        if self.adjoint_of is not None:
            return np.stack(
                [call_adjoint(self.adjoint_of, m, w.reshape(shape)) for m, w in zip(models, weights, strict=True)]
            )
        assert self.jacobian_of is not None
        return np.stack([(self.jacobian(m).T @ w).reshape(m.shape) for m, w in zip(models, weights, strict=True)])

    def counts(self) -> dict[str, int]:
        """Return the numbers of runs, Jacobians, gradients and failed runs so far."""
        return {k: getattr(self, k) for k in ("n_runs", "n_jacobians", "n_gradients", "n_failed")}

    def _run_members(self, models: Float64Array) -> Sequence[Member]:
        self.n_runs += len(models)
        if self.matrix is not None:
            # cells that are missing in all models do not contribute
            return [
                Member(row) for row in np.asarray((self.matrix @ np.nan_to_num(models.reshape(len(models), -1)).T).T)
            ]
        call = self.function if self.tensors is None else self.tensors
        if self.batched:
            members = self._run_batch(call, models)
        else:
            members = run_many(call, list(models), self.run_limit_s, self._open_pool())
            if self._close is not None and any(m.data is None and m.problem.startswith(WORKER_LOST) for m in members):
                self._close()  # processes that hang or have died are not used again
                self._pool = self._close = None
        return [self._check_shape(member) for member in members]

    def _open_pool(self) -> Any:
        if self._pool is None:
            self._pool = open_pool(self.workers)
            if self._pool is not None and self._pool is not self.workers:
                self._close = weakref.finalize(self, close_pool, self._pool)
        return self._pool

    def _run_batch(self, call: Callable[[Any], Any], models: Float64Array) -> Sequence[Member]:
        whole = run_one(call, models, self.run_limit_s)
        if whole.data is not None and len(whole.data) == len(models):
            return [Member(row) for row in whole.data]
        if len(models) == 1 or whole.data is not None:
            problem = whole.problem or f"data of shape {whole.data.shape} for {len(models)} models"  # type: ignore[union-attr]
            return [Member(None, problem)] * len(models)
        # halved until the member that fails is alone, so that the others do not fail with it
        half = len(models) // 2
        return [*self._run_batch(call, models[:half]), *self._run_batch(call, models[half:])]

    def _check_shape(self, member: Member) -> Member:
        if member.data is None or self.shape is None:
            return member
        shape = self.shape
        flat, wanted = (tuple(n for n in one if n > 1) for one in (member.data.shape, shape))
        if flat in (wanted, (int(np.prod(shape)),)):  # axes of one datum do not count
            return member
        return Member(None, f"it gave data of shape {member.data.shape}, and the data have {shape}")

    def _describe_call(self, model: Float64Array) -> str:
        kind = "a tensor" if self.torch else "an array"
        return f"{kind} of shape {(1, *model.shape) if self.batched else model.shape}"


def _read_matrix(x: Any) -> Any:
    """Return a matrix (data, cells) of real numbers, dense or sparse, or None for anything else."""
    if sparse.issparse(x):
        read_reals(np.zeros(1, x.dtype), "The matrix of the forward model is")
        return x
    # arrays, labelled arrays and tables
    is_matrix = getattr(x, "ndim", None) == 2 and not callable(x)
    return read_reals(x, "The matrix of the forward model is") if is_matrix else None
