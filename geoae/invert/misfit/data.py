"""Measured data: checks of the input."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoae.arrays.numbers import read_floats
from geoae.errors import InputError


def read_data(data: ArrayLike) -> NDArray[np.float64]:
    """Convert data of any shape to floats; NaN where a datum is missing or masked.

    Raises
    ------
    InputError
        The data are no array of real numbers, hold infinite values, or are all NaN.
    """
    measured = read_floats(data, "The data are")
    if np.isinf(measured).any():
        raise InputError(f"{int(np.isinf(measured).sum())} of the data are infinite; give NaN for missing data.")
    if not np.isfinite(measured).any():
        raise InputError(f"None of the {measured.size} data is a number, so there is nothing to invert.")
    return np.atleast_1d(measured)
