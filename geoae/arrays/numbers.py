"""Numbers that a caller gives: real arrays, with NaN where they are masked, and seeds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoae.arrays.types import Float64Array
from geoae.errors import InputError


def read_reals(x: Any, subject: str) -> NDArray[Any]:
    """Return an array of real numbers in its own type; masked values become NaN.

    Parameters
    ----------
    x
        Anything that numpy makes an array of: lists, arrays, masked arrays, labelled arrays, tensors.
    subject
        Start of the message of an error, such as "The data are".

    Raises
    ------
    InputError
        It is no array, or its values are complex or no numbers.

    Examples
    --------
    >>> read_reals(np.ma.array([1, 2], mask=[False, True]), "The data are")
    array([ 1., nan])
    """
    no_numbers = f"{subject} a {type(x).__name__} that is no array of numbers."
    if isinstance(x, list | tuple) and any(isinstance(part, np.ma.MaskedArray) for part in x):
        x = np.ma.stack(x)
    if hasattr(x, "detach"):  # a tensor, maybe with a gradient or on a GPU
        x = x.detach().cpu()
    try:
        found = x if isinstance(x, np.ma.MaskedArray) else np.asarray(x)
        if found.dtype.kind == "O" and x is not None:
            found = found.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(no_numbers) from error
    if found.dtype.kind == "c":
        raise InputError(
            f"{subject} complex, and only real numbers are supported: stack both parts, as in "
            "numpy.stack([x.real, x.imag]), or give x.real."
        )
    if found.dtype.kind not in "biuf":
        raise InputError(no_numbers)
    if isinstance(found, np.ma.MaskedArray):
        has_nan = found.dtype.kind == "f"
        return np.ma.filled(found if has_nan else found.astype(np.float64), np.nan)
    return found


def read_floats(x: Any, subject: str) -> Float64Array:
    """Return a new float64 array, as `read_reals` does."""
    return np.array(read_reals(x, subject), dtype=np.float64)


def is_above_zero(x: Any) -> bool:
    """Whether an object is a number above zero, and not a text or None."""
    return isinstance(x, int | float | np.number) and bool(x > 0)


def require_seed(seed: Any) -> int:
    """Return a seed of random numbers.

    Raises
    ------
    InputError
        It is no whole number of at least 0.
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}; give a whole number of at least 0.")
    return int(seed)
