"""Plain arrays and lists that a verb is given: made into labelled arrays, and results made into what was given."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.arrays.numbers import read_reals
from geoae.errors import InputError

COMPONENTS = 3
"""Rows of an array, at most, that are the components of one sensor."""
_HINTS = {
    "ndarray": "Give the sampling rate of recordings, rate_hz=100.0; name the dimensions of a field, "
    "xarray.DataArray(x, dims=('y', 'x')).",
    "list": "Give paths, Traces, or arrays of one sort.",
    "tuple": "Give paths, Traces, or arrays of one sort.",
    "Series": "Give x.to_numpy() with the sampling rate, rate_hz=100.0.",
    "DataFrame": "Give x.to_numpy().T, whose last dimension is time, with the sampling rate, rate_hz=100.0.",
    "Tensor": "Give x.numpy() with the sampling rate, rate_hz=100.0.",
    "BytesIO": "Read it with obspy.read, which gives a Stream.",
    "SEGYFile": "Read the file with obspy.read, which gives a Stream.",
    "SUFile": "Read the file with obspy.read, which gives a Stream.",
    "SEG2": "Read the file with obspy.read, which gives a Stream.",
}


def label_array(x: Any, rate_hz: Any, are_separate: bool = False) -> xr.DataArray:
    """Name the dimensions of an array of recordings, whose last dimension is time; masked samples become NaN.

    Up to three rows before it are the components of one sensor; more rows, or rows that `are_separate`, are records of
    their own.

    Raises
    ------
    InputError
        The array holds no real numbers, has time in another place, or the rate is no number above 0.
    """
    samples = read_reals(x, "The samples are")
    if not isinstance(rate_hz, int | float | np.number) or not 0 < rate_hz < np.inf:
        raise InputError(f"rate_hz is {rate_hz!r}; give the sampling rate in Hz, a number above 0.")
    if samples.ndim == 0:
        raise InputError("rate_hz goes with an array of samples; a single number was given.")
    n = samples.shape[-1]
    if samples.ndim > 1 and n <= COMPONENTS < samples.shape[-2]:
        raise InputError(
            f"The array has shape {samples.shape}, so its last dimension, which is time, has {n} samples. Give the "
            "transposed array, x.T, if time comes first."
        )
    is_sensor = samples.ndim > 1 and samples.shape[-2] <= COMPONENTS and not are_separate
    rows = [] if samples.ndim == 1 else ["channel" if is_sensor else "row"]
    lead = [f"dim_{i}" for i in range(samples.ndim - 1 - len(rows))]
    return xr.DataArray(samples, dims=(*lead, *rows, "time"), attrs={"sampling_rate_hz": float(rate_hz)})


def unlabel_array(result: xr.DataArray, given: Any) -> NDArray[Any]:
    """Return samples as the array that was given: masked where it was masked."""
    mask = np.ma.getmask(given)
    return result.values if mask is np.ma.nomask else np.ma.array(result.values, mask=mask)


def is_list_of_numbers(x: Any) -> bool:
    """Whether an object is a list of numbers, or of lists of numbers, as JSON gives them."""
    return isinstance(x, list | tuple) and bool(x) and (isinstance(x[0], int | float) or is_list_of_numbers(x[0]))


def refuse_kind(verb: str, x: Any) -> InputError:
    """Make the error for an object that a verb does not take."""
    hint = _HINTS.get(type(x).__name__, "")
    return InputError(
        f"{verb} was given a {type(x).__name__}; it takes an ObsPy Stream or Trace, an xarray DataArray, Dataset or "
        f"DataTree, a plain array with rate_hz, the path of a file, or a list of these. {hint}".rstrip()
    )
