"""Measured data: checks of the input."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoae.errors import InputError


def read_data(data: ArrayLike) -> NDArray[np.float64]:
    """Convert data of any shape to floats; NaN where a datum is missing.

    Raises
    ------
    InputError
        The data are no array of numbers, hold infinite values, or are all NaN.
    """
    try:
        measured = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"The data are a {type(data).__name__} that is no array of numbers.") from error
    if np.isinf(measured).any():
        raise InputError(f"{int(np.isinf(measured).sum())} of the data are infinite; give NaN for missing data.")
    if not np.isfinite(measured).any():
        raise InputError(f"None of the {measured.size} data is a number, so there is nothing to invert.")
    return np.atleast_1d(measured)
