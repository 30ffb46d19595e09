"""Codes for a notebook: arrays to latent codes and back, lazily where they are lazy."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from geoae.codes import coding
from geoae.codes import infer as infer_codes
from geoae.errors import InputError
from geoae.jobs.codes.store import load_model_of_codes
from geoae.jobs.options import split_names
from geoae.model import Model, load_model
from geoae.model.devices import prepare_model


def encode(
    x: xr.DataArray,
    *,
    model: str | Path | Model | None = None,
    dims: str | Sequence[str] | None = None,
    latent: int | None = None,
    force: bool = False,
    device: str = "auto",
    threads: int | None = None,
) -> xr.Dataset:
    """Compress a field or record to latent codes of windows.

    Parameters
    ----------
    x
        As `geoae.read` gives; any dimensions beside those that windows lie along. A dask array stays lazy.
    model
        Name of a shipped model with codes, folder of a trained one, or a loaded `Model`; None: the one that fits.
    dims
        Dimensions that windows lie along, where metadata does not tell: ("y", "x"), "y,x", or "time".
    latent
        Numbers of a code: the first so many; None: all that the model makes.
    force
        Take a model that was trained on arrays of other units.
    device, threads
        As for `geoae.denoise`.

    Returns
    -------
    Dataset
        ``code`` with offset, gain, recon_error (in the units of `x`) and n_valid of each window; `decode` takes it.

    Raises
    ------
    InputError
        The model has no codes or is of other units, the dimensions are not clear, or there are infinite samples.
    """
    if not isinstance(x, xr.DataArray):
        raise InputError(
            f"encode was given a {type(x).__name__}; it takes an xarray DataArray. Of a Dataset choose a variable, "
            "encode(data['name']); files are read by geoae.read, or encoded by `geoae encode`."
        )
    named = split_names(dims) if isinstance(dims, str) else dims
    loaded = prepare_model(load_model(model or coding.choose_default_model(x, named)), device, threads)
    return infer_codes.encode_array(x, loaded, named, latent, force)


def decode(
    codes: xr.Dataset, *, model: str | Path | Model | None = None, device: str = "auto", threads: int | None = None
) -> xr.DataArray:
    """The field or record that codes stand for, in its units, lazily where the codes are lazy.

    Parameters
    ----------
    codes
        From `encode`, or `open_codes`.
    model
        The one that made them; None: the shipped one of its name.

    Returns
    -------
    DataArray
        With the dimensions, coordinates, attributes and dtype of what was encoded. Missing samples get values, NaN
        only where a whole window was missing.

    Raises
    ------
    InputError
        Not codes, or those of another model.
    UnknownNameError
        The model is not shipped; give its folder.
    """
    coding.read_coding(codes)
    return infer_codes.decode_codes(codes, prepare_model(load_model_of_codes(codes, model), device, threads))
