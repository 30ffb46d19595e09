"""A posterior in a zarr store: its codes, and the runs that the representation error is estimated from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.errors import InputError, MissingFileError, OutputExistsError, StoreError, one_line
from geoae.files.whole import whole_folder
from geoae.invert.misfit.noise import Noise
from geoae.invert.misfit.representation import Representation
from geoae.invert.posterior.draws import Draws
from geoae.invert.protocols import LatentPrior
from geoae.stores import schema

FORMAT = 1
_HELD_OUT = (schema.RESIDUALS, schema.REPRESENTATION_ERRORS, schema.HELD_OUT_CODE, schema.DECODED_DATA)


def save_draws(posterior: Draws, path: Path, overwrite: bool) -> Path:
    """Write draws to a zarr store; see `Posterior.save`."""
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} is there already; choose another name, or give overwrite=True.")
    with whole_folder(path) as part:
        _to_dataset(posterior).to_zarr(part, mode="w", consolidated=False)
    return path


def read_draws(path: Path, latent: LatentPrior) -> dict[str, Any]:
    """Read the fields of `Draws` from a store, by name; see `geoae.invert.load`."""
    if not path.exists():
        raise MissingFileError(f"There is no store {path}.")
    try:
        with xr.open_zarr(path, consolidated=False, chunks=None) as store:
            dataset = store.load()
    except Exception as error:  # readers of damaged stores raise errors of many kinds
        raise StoreError(f"{path} cannot be read as a zarr store ({one_line(error)}).") from error
    if dataset.attrs.get(schema.POSTERIOR_FORMAT) != FORMAT or schema.CODE not in dataset:
        raise StoreError(f"{path} holds no posterior with codes, or one of a newer geoae.")
    if dataset.attrs[schema.MODEL_DIGEST] != _digest(latent):
        raise StoreError(
            f"{path} has codes of model {dataset.attrs[schema.MODEL_NAME]!r} ({dataset.attrs[schema.MODEL_DIGEST]}), "
            f"not of {latent.name!r} ({_digest(latent)}). Give the prior of the inversion."
        )
    noise, representation = Noise(dataset[schema.NOISE].values, dataset[schema.NOISE_OFFSET].values), None
    if schema.RESIDUALS in dataset:
        arrays = {name: dataset[name].values for name in _HELD_OUT}
        representation = Representation(
            arrays[schema.RESIDUALS],
            arrays[schema.REPRESENTATION_ERRORS],
            noise,
            arrays[schema.HELD_OUT_CODE],
            arrays[schema.DECODED_DATA],
        )
        noise = representation.total
    chains = (
        dataset[schema.CODE].values.reshape(dataset.attrs[schema.N_CHAINS], -1, latent.d)
        if dataset.attrs[schema.N_CHAINS]
        else None
    )
    info = json.loads(dataset.attrs[schema.INFO])
    reference: dict[str, Any] = {}
    if schema.DISTANCES in dataset:
        reference = {
            "distance": dataset.attrs[schema.DISTANCE],
            "distances": dataset[schema.DISTANCES].values,
            "surprises": dataset[schema.SURPRISES].values,
        }
    return {
        "space": latent, "method": dataset.attrs[schema.METHOD], "codes": dataset[schema.CODE].values,
        "predicted": dataset[schema.PREDICTED].values, "data": dataset[schema.DATA].values, "noise": noise,
        "representation": representation, "info": info, "chains": chains, "reference": reference,
        "seed": int(dataset.attrs[schema.SEED]),
        "used": dataset[schema.MEASURED].values.astype(bool) if schema.MEASURED in dataset else None,
    }  # fmt: skip


def _to_dataset(p: Draws) -> xr.Dataset:
    r = p.representation
    noise = p.noise if r is None else r.noise
    dims = ("datum",) if noise.covariance.ndim == 1 else ("datum", "other")
    variables: dict[str, Any] = {
        schema.CODE: (("draw", schema.LATENT), p.codes), schema.PREDICTED: (("draw", "datum"), p.predicted),
        schema.DATA: ("datum", p.data), **({} if p.used is None else {schema.MEASURED: ("given", p.used)}),
        schema.NOISE: (dims, noise.covariance), schema.NOISE_OFFSET: ("datum", noise.offset),
    }  # fmt: skip
    attrs: dict[str, Any] = {
        schema.POSTERIOR_FORMAT: FORMAT, schema.MODEL_DIGEST: _digest(p.space), schema.MODEL_NAME: p.space.name,
        schema.METHOD: p.method,
        schema.SEED: p.seed, schema.N_CHAINS: 0 if p.chains is None else len(p.chains),
        schema.INFO: json.dumps(p.info, default=_to_builtin),
    }  # fmt: skip
    if r is not None and r.codes is not None and r.decoded_data is not None:
        variables |= {
            schema.RESIDUALS: (("held_out", "cell"), r.residuals),
            schema.REPRESENTATION_ERRORS: (("held_out", "datum"), r.errors),
            schema.HELD_OUT_CODE: (("held_out", schema.LATENT), r.codes),
            schema.DECODED_DATA: (("held_out", "datum"), r.decoded_data),
        }  # fmt: skip
    if p.reference:
        variables[schema.DISTANCES] = ("reference", p.reference["distances"])
        variables[schema.SURPRISES] = ("datum", p.reference["surprises"])
        attrs[schema.DISTANCE] = float(p.reference["distance"])
    return xr.Dataset(variables, attrs=attrs)


def _digest(space: Any) -> str:
    return str(getattr(space, "digest", ""))


def _to_builtin(x: Any) -> Any:
    if isinstance(x, np.generic):
        return x.item()
    raise InputError(f"{type(x).__name__} cannot be stored.")
