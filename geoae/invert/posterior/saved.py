"""A posterior in a zarr store: the codes, and what is needed to make models of them."""

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

FORMAT = 1


def save_draws(posterior: Draws, path: Path, overwrite: bool) -> Path:
    """Write draws to a zarr store; see `Posterior.save`."""
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} is there already; choose another name, or give overwrite=True.")
    with whole_folder(path) as part:
        _dataset(posterior).to_zarr(part, mode="w", consolidated=False)
    return path


def read_draws(path: Path, latent: LatentPrior) -> dict[str, Any]:
    """Read the fields of `Draws` from a store, by name; see `geoae.invert.load`."""
    if not path.exists():
        raise MissingFileError(f"There is no store {path}.")
    try:
        with xr.open_zarr(path, consolidated=False, chunks=None) as store:
            found = store.load()
    except Exception as error:  # whatever a damaged store makes its reader raise
        raise StoreError(f"{path} cannot be read as a zarr store ({one_line(error)}).") from error
    if found.attrs.get("geoae_posterior") != FORMAT or "code" not in found:
        raise StoreError(f"{path} holds no posterior with codes, or one of a newer geoae.")
    if found.attrs["geoae_digest"] != _digest(latent):
        raise StoreError(
            f"{path} has codes of model {found.attrs['geoae_model']!r} ({found.attrs['geoae_digest']}); the given "
            f"one is {latent.name!r} ({_digest(latent)}). Load the model that made them."
        )
    noise, representation = Noise(found["noise"].values, found["noise_offset"].values), None
    if "rest" in found:
        arrays = {name: found[name].values for name in ("rest", "errors", "held_out_code", "decoded_data")}
        representation = Representation(
            arrays["rest"], arrays["errors"], noise, arrays["held_out_code"], arrays["decoded_data"]
        )
        noise = representation.total
    chains = found["code"].values.reshape(found.attrs["chains"], -1, latent.d) if found.attrs["chains"] else None
    info = json.loads(found.attrs["about"])
    reference: dict[str, Any] = {}
    if "distances" in found:
        reference = {
            "distance": found.attrs["distance"],
            "distances": found["distances"].values,
            "surprises": found["surprises"].values,
        }
    return {
        "space": latent, "method": found.attrs["method"], "codes": found["code"].values,
        "predicted": found["predicted"].values, "data": found["data"].values, "noise": noise,
        "representation": representation, "info": info, "chains": chains, "reference": reference,
        "seed": int(found.attrs["seed"]),
    }  # fmt: skip


def _dataset(p: Draws) -> xr.Dataset:
    r = p.representation
    noise = p.noise if r is None else r.noise
    dims = ("datum",) if noise.covariance.ndim == 1 else ("datum", "other")
    variables: dict[str, Any] = {
        "code": (("draw", "latent"), p.codes), "predicted": (("draw", "datum"), p.predicted), "data": ("datum", p.data),
        "noise": (dims, noise.covariance), "noise_offset": ("datum", noise.offset),
    }  # fmt: skip
    attrs: dict[str, Any] = {
        "geoae_posterior": FORMAT, "geoae_digest": _digest(p.space), "geoae_model": p.space.name, "method": p.method,
        "seed": p.seed, "chains": 0 if p.chains is None else len(p.chains),
        "about": json.dumps(p.info, default=_to_builtin),
    }  # fmt: skip
    if r is not None and r.codes is not None and r.decoded_data is not None:
        variables |= {
            "rest": (("held_out", "cell"), r.residuals), "errors": (("held_out", "datum"), r.errors),
            "held_out_code": (("held_out", "latent"), r.codes), "decoded_data": (("held_out", "datum"), r.decoded_data),
        }  # fmt: skip
    if p.reference:
        variables["distances"] = ("reference", p.reference["distances"])
        variables["surprises"] = ("datum", p.reference["surprises"])
        attrs["distance"] = float(p.reference["distance"])
    return xr.Dataset(variables, attrs=attrs)


def _digest(space: Any) -> str:
    return str(getattr(space, "digest", ""))


def _to_builtin(x: Any) -> Any:
    if isinstance(x, np.generic):
        return x.item()
    raise InputError(f"{type(x).__name__} cannot be stored.")
