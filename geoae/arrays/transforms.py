"""Transform models from physical units to numbers of unit scale for a net, and back, with derivatives.

Everything is element by element, for numpy arrays and torch tensors; NaN stays NaN.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Array
from geoae.errors import InputError, UnknownNameError

KINDS = ("affine", "log", "logit", "normal-score")
MAX_KNOTS = 257
"""Knots of a normal-score transform."""


@dataclass(frozen=True)
class Transform:
    """x = (f(m) - offset) / gain, where f is the identity, a logarithm, a logit between bounds, or normal scores."""

    kind: str = "affine"
    offset: float = 0.0
    gain: float = 1.0
    low: float = 0.0
    high: float = 1.0
    """Bounds of the logit, exclusive."""
    knots: tuple[float, ...] = ()
    """Increasing values of the normal-score transform, which is linear between them and beyond the ends."""
    scores: tuple[float, ...] = ()
    """The normal scores of `knots`."""

    def apply(self, m: Any) -> Any:
        """Scaled numbers from values in physical units.

        Raises
        ------
        InputError
            A value outside the domain: not above 0 (log), not between the bounds (logit), or infinite.
        """
        self._check(m)
        return (self._nonlinear(m) - self.offset) / self.gain

    def undo(self, x: Any) -> Any:
        """Values in physical units; the inverse of `apply`."""
        y = x * self.gain + self.offset
        if self.kind == "log":
            return _library(x).exp(y)
        if self.kind == "logit":
            return self.low + (self.high - self.low) * _sigmoid(y)
        if self.kind == "normal-score":
            return self._interpolate(y, "scores", "knots")
        return y

    def _nonlinear(self, m: Any) -> Any:
        if self.kind == "log":
            return _library(m).log(m)
        if self.kind == "logit":
            library = _library(m)
            return library.log(m - self.low) - library.log(self.high - m)
        if self.kind == "normal-score":
            return self._interpolate(m, "knots", "scores")
        return m

    def _check(self, m: Any) -> None:
        low, high = _domain(self)
        bad = (m <= low) | (m >= high)
        n = int(bad.sum())
        if n:
            values = m[bad]
            domain = {"log": "above 0", "logit": f"between {self.low:g} and {self.high:g}, bounds excluded"}
            wider = 'give wider bounds: transform={"kind": "logit", "low": .., "high": ..}'
            hint = {"log": 'mask them as NaN, or choose transform="affine"', "logit": f"mask them as NaN, or {wider}"}
            raise InputError(
                f"{n} values lie outside the domain of the {self.kind} transform: they reach from "
                f"{float(values.min()):g} to {float(values.max()):g}, and must be {domain.get(self.kind, 'finite')}; "
                f"{hint.get(self.kind, 'mask them as NaN')}."
            )

    @cached_property
    def _tables(self) -> dict[str, NDArray[np.float64]]:
        return {k: np.asarray(getattr(self, k), dtype=np.float64) for k in ("knots", "scores")}

    def _interpolate(self, x: Any, source: str, target: str) -> Any:
        a, b, i = self._find_piece(x, source, target)
        return b[i] + (x - a[i]) * ((b[i + 1] - b[i]) / (a[i + 1] - a[i]))

    def _find_piece(self, x: Any, source: str, target: str) -> tuple[Any, Any, Any]:
        """Both tables, and the number of the linear piece that holds each x."""
        a, b = self._tables[source], self._tables[target]
        if isinstance(x, np.ndarray | np.generic | float):
            return a, b, np.clip(np.searchsorted(a, x, side="right") - 1, 0, len(a) - 2)
        library = _library(x)
        a, b = (library.as_tensor(v, dtype=x.dtype, device=x.device) for v in (a, b))
        return a, b, (library.searchsorted(a, x.detach().contiguous(), right=True) - 1).clamp(0, len(a) - 2)


def fit_transform(kind: str | dict[str, Any] | Transform, models: Array) -> Transform:
    """Fit a transform whose numbers have mean 0 and standard deviation 1 over `models`.

    Parameters
    ----------
    kind
        "affine", "log", "logit" (between 0 and 1), "normal-score"; or a dict with the key "kind" and settings of
        `Transform`, such as ``{"kind": "logit", "low": 0.0, "high": 0.4}``; or a `Transform`, which is returned.
    models
        Any shape, physical units; NaN is ignored.

    Raises
    ------
    UnknownNameError
        The kind or a setting is unknown.
    InputError
        Values lie outside the domain, no value is finite, or all values are equal.
    """
    if isinstance(kind, Transform):
        return kind
    settings = dict(kind) if isinstance(kind, dict) else {"kind": kind}
    if settings.get("kind") not in KINDS:
        raise UnknownNameError(f"There is no transform {settings.get('kind')!r}. The kinds are: {', '.join(KINDS)}.")
    known = asdict(Transform())
    if unknown := sorted(settings.keys() - known):
        raise UnknownNameError(f"A transform has no setting {', '.join(unknown)}. It has: {', '.join(known)}.")
    values = np.asarray(models, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        raise InputError("The models hold no value that is not NaN, so there is nothing to learn.")
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    transform = replace(Transform(), **fields)
    if not transform.low < transform.high:
        raise InputError(f"transform: low {transform.low:g} must be below high {transform.high:g}.")
    if transform.kind == "normal-score" and not transform.knots:
        transform._check(values)
        knots, scores = _normal_scores(values)
        transform = replace(transform, knots=knots, scores=scores)
    if {"offset", "gain"} & settings.keys():
        return transform
    x = transform.apply(values)
    gain = float(x.std())
    if not gain > 1e-12 * max(abs(float(x.mean())), 1e-300):
        raise InputError(
            f"All models have the same value, {values[0]:g}, everywhere: there is nothing to learn. Give models that "
            "differ."
        )
    return replace(transform, offset=float(x.mean()), gain=gain)


def _normal_scores(values: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Quantiles and the normal scores of their probabilities; equal values share the mean of their ranks."""
    from scipy.special import ndtri

    ordered = np.sort(values)
    unique, first, n = np.unique(ordered, return_index=True, return_counts=True)
    if len(unique) < 2:
        raise InputError(f"All models have the same value, {unique[0]:g}, everywhere: there is nothing to learn.")
    p = (first + 0.5 * n) / len(ordered)
    scores = ndtri(np.clip(p, 0.5 / len(ordered), 1 - 0.5 / len(ordered)))
    # knots are evenly spaced in score: dense where values are dense, and few in the tails
    take = np.unique(np.searchsorted(scores, np.linspace(scores[0], scores[-1], MAX_KNOTS)).clip(0, len(unique) - 1))
    take = np.unique(np.r_[0, take, len(unique) - 1])
    return tuple(unique[take].tolist()), tuple(scores[take].tolist())


def _domain(t: Transform) -> tuple[float, float]:
    """Bounds of the values that a transform accepts, exclusive."""
    if t.kind == "log":
        return 0.0, np.inf
    return (t.low, t.high) if t.kind == "logit" else (-np.inf, np.inf)


def _library(x: Any) -> Any:
    """The library of x: numpy or torch."""
    if isinstance(x, np.ndarray | np.generic | float):
        return np
    import torch

    return torch


def _sigmoid(y: Any) -> Any:
    if _library(y) is np:
        from scipy.special import expit

        return expit(y)
    return y.sigmoid()
