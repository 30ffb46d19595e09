"""Derivatives that a caller's functions give: their shapes, and messages for those that cannot be used."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from geoae.arrays.numbers import read_floats, read_reals
from geoae.arrays.types import Float64Array
from geoae.errors import GeoAEError, InputError, one_line


def call_jacobian(function: Callable[[Any], Any], model: Float64Array, data_shape: tuple[int, ...]) -> Any:
    """Call a Jacobian at one model (*shape): a matrix (data, cells), dense, sparse or a LinearOperator.

    Raises
    ------
    InputError
        The function raises an error, or gives another shape, values that are not finite, or no numbers.
    """
    found = _call("Jacobian", function, model.copy())
    expected = (math.prod(data_shape), model.size)
    if not (sparse.issparse(found) or isinstance(found, LinearOperator)):
        found = read_reals(found, "The Jacobian of the forward model is")
        if _is_data_by_cells(found.shape, data_shape, model.shape):
            found = found.reshape(expected)
    if found.shape != expected:
        raise InputError(
            f"The Jacobian of the forward model has shape {found.shape}; expected {expected}: data by cells."
        )
    values = found.data if sparse.issparse(found) else found
    if isinstance(values, np.ndarray) and not np.isfinite(values).all():
        n_invalid = int((~np.isfinite(values)).sum())
        raise InputError(f"The Jacobian of the forward model has {n_invalid} values that are not finite.")
    return found


def call_adjoint(function: Callable[[Any, Any], Any], model: Float64Array, weights: Float64Array) -> Float64Array:
    """Call an adjoint at one model (*shape) with weights in the shape of the data: (*shape).

    Raises
    ------
    InputError
        The function raises an error, or gives another shape, values that are not finite, or no numbers.
    """
    found = read_floats(
        _call("adjoint", function, model.copy(), weights.copy()), "What the adjoint of the forward model gives is"
    )
    if found.size != model.size or found.shape not in (model.shape, (model.size,)):
        raise InputError(
            f"The adjoint of the forward model gives shape {found.shape}; expected that of a model, {model.shape}."
        )
    if not np.isfinite(found).all():
        n_invalid = int((~np.isfinite(found)).sum())
        raise InputError(f"The adjoint of the forward model gives {n_invalid} values that are not finite.")
    return found.reshape(model.shape)


def _call(name: str, function: Callable[..., Any], *arguments: Float64Array) -> Any:
    try:
        return function(*arguments)
    except GeoAEError:
        raise
    except Exception as error:  # a caller's function can raise any error
        described = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"The {name} of the forward model failed: {described}.") from error


def _is_data_by_cells(found: tuple[int, ...], data: tuple[int, ...], model: tuple[int, ...]) -> bool:
    """Whether a shape is (*data, *model), where both, one datum too, may be flat. A transposed matrix is not."""
    rows = {data, (math.prod(data),), *([()] if math.prod(data) == 1 else [])}
    return found in {row + cells for row in rows for cells in (model, (math.prod(model),))}
