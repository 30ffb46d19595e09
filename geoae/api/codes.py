"""geoae.encode and decode for a notebook: arrays to latent codes and back. Dask arrays stay lazy."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.api import plain
from geoae.codes import coding
from geoae.codes.infer import decode_codes, encode_array
from geoae.errors import InputError
from geoae.jobs.codes.store import load_model_of_codes
from geoae.jobs.options import split_names
from geoae.model import Model, load_model
from geoae.model.devices import prepare_model

_READ = "Read files with geoae.read, or encode them with `geoae encode`."
_ENCODE_HINTS = {
    "Dataset": "Choose a variable: encode(data['name']).",
    "DataTree": "Choose an array of one record: encode(tree['name/trace']).",
    "ndarray": "Give the sampling rate of recordings, rate_hz=100.0, or name the dimensions of a field.",
    "Stream": "Make an array of it: encode(geoae.read(stream)).",
    "Trace": "Make an array of it: encode(geoae.read(trace)).",
}


def encode(
    x: xr.DataArray | NDArray[Any],
    *,
    model: str | Path | Model | None = None,
    dims: str | Sequence[str] | None = None,
    latent: int | None = None,
    force: bool = False,
    device: str = "auto",
    threads: int | None = None,
    rate_hz: float | None = None,
) -> xr.Dataset:
    """Compress a field or record to latent codes of windows.

    Parameters
    ----------
    x
        An array, such as `geoae.read` returns, with any further dimensions. A dask array stays lazy. Or a plain array
        (..., time) of recordings, with `rate_hz`.
    model
        Name of a shipped model with codes, folder of a trained one, or a `Model`; None: the shipped one that fits.
    dims
        Dimensions of the windows, if metadata does not name them: ("y", "x"), "y,x", or "time".
    latent
        Length of a code: its first numbers are kept; None: all.
    force
        Accept a model that was trained on other units.
    device, threads
        As for `geoae.denoise`.
    rate_hz
        Sampling rate of a plain array.

    Returns
    -------
    Dataset
        ``code`` with offset, gain, recon_error (in the units of `x`), n_valid and missing of each window, for `decode`.

    Raises
    ------
    InputError
        The model has no codes or was trained on other units, the dimensions are unknown, or samples are infinite.
    """
    if rate_hz is not None and (isinstance(x, np.ndarray) or plain.is_list_of_numbers(x)):
        x = plain.label_array(x, rate_hz)
    elif rate_hz is not None:
        raise InputError(f"rate_hz is for plain arrays; a {type(x).__name__} has the rate of its samples.")
    if not isinstance(x, xr.DataArray):
        hint = next((text for kind, text in _ENCODE_HINTS.items() if kind in type(x).__name__), _READ)
        raise InputError(f"encode was given a {type(x).__name__}; it takes an xarray DataArray. {hint}")
    named = split_names(dims) if isinstance(dims, str) else dims
    loaded = prepare_model(load_model(model or coding.choose_default_model(x, named)), device, threads)
    return encode_array(x, loaded, named, latent, force)


def decode(
    codes: xr.Dataset, *, model: str | Path | Model | None = None, device: str = "auto", threads: int | None = None
) -> xr.DataArray:
    """Decode latent codes to a field or record in its units. Lazy codes give a lazy array.

    Parameters
    ----------
    codes
        Codes from `encode` or `open_codes`.
    model
        The model that made the codes; None: the shipped model of that name.

    Returns
    -------
    DataArray
        Dimensions, coordinates, attributes and dtype of the encoded array. Missing samples are missing again; codes
        that an earlier release made do not record them.

    Raises
    ------
    InputError
        `codes` are not codes, or were made by another model.
    UnknownNameError
        The model is not shipped and `model` is None.
    """
    if not isinstance(codes, xr.Dataset):
        raise InputError(
            f"decode was given a {type(codes).__name__}; it takes the Dataset that encode or open_codes returns. "
            "Decode stores with `geoae decode`."
        )
    coding.read_coding(codes)
    return decode_codes(codes, prepare_model(load_model_of_codes(codes, model), device, threads))
