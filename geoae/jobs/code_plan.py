"""Codes in a store: how they are laid out, and how those of cleaned samples are made beside these."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae import coding
from geoae.blocks import Region, Task
from geoae.coding import Coding
from geoae.contracts import CodeContract
from geoae.devices import prepare
from geoae.errors import InputError, ModelFileError
from geoae.infer_codes import encode_region
from geoae.ledger import Ledger
from geoae.model import Model, contract_of, load
from geoae.readers.codes import open_codes
from geoae.writers.plan import StorePlan, plan_codes
from geoae.writers.store import read_region

Array = NDArray[Any]
_ENDLESS = 1 << 40


@dataclass(frozen=True)
class CodesAsked:
    """What is asked of the codes beside cleaned samples; the same words as on the command line."""

    model: str | Path | Model | None = None
    """None: the shipped one that fits."""
    latent: int | None = None
    """Numbers of a code; None: all."""
    force: bool = False
    """Take a model that was trained on other units."""


@dataclass(frozen=True)
class Coder:
    """A model with codes, and how much of them is kept."""

    model: Model
    latent: int | None = None
    force: bool = False
    """Whatever units the model was trained on."""

    def coding(self, x: xr.DataArray, dims: Sequence[str], prefix: str = "") -> Coding:
        """Where the windows of an array lie; errors are those of `geoae.coding.coding`."""
        return coding.coding(x, self.model, dims, self.latent, prefix)

    def plan(self, x: xr.DataArray, dims: Sequence[str], prefix: str = "", grows: str | None = None) -> StorePlan:
        """The part of a store for the codes of an array, to be added to the plan of the array itself."""
        coding.check_units(x, self.model, self.force)
        return plan_block(x, self.coding(x, dims, prefix), self.model, grows)

    def settings(self) -> dict[str, Any]:
        """What decides the codes, beside what decides the samples."""
        c = contract_of(self.model, CodeContract)
        return {
            "codes_model": self.model.name, "codes_digest": self.model.digest, "codes_window": list(c.window),
            "codes_latent": self.latent or c.latent, "codes_scaler": asdict(self.model.scaler),
        }  # fmt: skip

    def spec(self) -> dict[str, Any]:
        """All that a worker needs, in plain data."""
        folder = str(self.model.folder.absolute()) if self.model.folder else None
        return {"model": folder, "digest": self.model.digest, "latent": self.latent}


def coder(
    asked: CodesAsked | None, default: str, device: str = "auto", threads: int | None = None, remote: bool = False
) -> Coder | None:
    """What makes the codes that are asked for; None if there are to be none.

    Raises
    ------
    InputError
        The model has no codes; or, for workers that are to load it, no folder.
    UnknownNameError
        There is no such model.
    """
    if asked is None:
        return None
    model = load(asked.model or default)
    most = contract_of(model, CodeContract).latent
    if asked.latent is not None and not 0 < asked.latent <= most:
        raise InputError(f"latent is {asked.latent}; model {model.name!r} makes codes of 1 to {most} numbers.")
    if remote and model.folder is None:
        raise InputError(f"Model {model.name!r} comes from no folder, and workers load it from one. Save it first.")
    return Coder(model if remote else prepare(model, device, threads), asked.latent, asked.force)


def coder_of(spec: dict[str, Any] | None, device: str, threads: int | None = 1) -> Coder | None:
    """What `Coder.spec` tells a worker.

    Raises
    ------
    ModelFileError
        The model is not that which the run was begun with.
    """
    if spec is None:
        return None
    model = load(spec["model"])
    if model.digest != spec["digest"]:
        raise ModelFileError(
            f"{spec['model']} has changed: the run was begun with {spec['digest']}, a worker finds {model.digest}."
        )
    return Coder(prepare(model, device, threads), spec["latent"])


def plan_block(x: xr.DataArray, where: Coding, model: Model, grows: str | None = None) -> StorePlan:
    """A store, or the part of one, for the codes of an array; add it to `plan_field` of the array.

    The blocks of its part are those of `geoae.infer_codes.encode_region`, whatever else the store holds. They are no
    shorter along `grows`, which will be appended to, because there is little now.
    """
    shape = tuple(_ENDLESS if d == grows else n for d, n in zip(where.dims, where.shape, strict=True))
    plan = plan_codes(
        where.windows, where.latent, coords=coding.coordinates(x, where), of=str(x.name), units=x.attrs.get("units"),
        prefix=where.prefix, chunks=replace(where, shape=shape).blocks, grows=grows,
    )  # fmt: skip
    name = where.prefix + "code"
    return replace(plan, attrs={**plan.attrs, name: {**plan.attrs[name], **coding.facts(x, where, model)}})


def encoder(
    run: Ledger, variable: str, where: Coding, own: Coder, clean: Callable[[Task], Array]
) -> Callable[[Task], dict[str, Array]]:
    """Values of a block of the codes of a cleaned variable.

    Parameters
    ----------
    run
        Of the store that holds both.
    variable
        Its name, and that of its part.
    where, own
        Of its codes.
    clean
        Samples of a block of the variable, as they are stored.
    """
    read = cleaned_reader(run, variable, clean)

    def finite(region: Region) -> Array:
        x = read(region)
        x[np.isinf(x)] = np.nan  # which no code can stand for
        return x

    return lambda one: encode_region(finite, where, own.model, one.region)


def cleaned_reader(run: Ledger, variable: str, clean: Callable[[Task], Array]) -> Callable[[Region], Array]:
    """Cleaned samples by region: those of the store, to the last bit, whether or not they are in it yet.

    A block that is there is read, another is computed as it will be: no task waits for one of another part.
    """
    names = [part.name for part in run.parts]
    part = run.parts[names.index(variable)]
    before = sum(other.n_blocks for other in run.parts[: names.index(variable)])
    axis, n_old = part.grown or (0, 0)
    old = [n_old if a == axis else 0 for a in range(part.n_axes)]

    def read(region: Region) -> Array:
        found = np.empty([s.stop - s.start for s in region], part.variables[0].dtype)
        touched = (range((s.start + n) // b, -(-(s.stop + n) // b))
                   for s, n, b in zip(region, old, part.block, strict=True))  # fmt: skip
        for index in product(*touched):
            number = before + int(np.ravel_multi_index(index, part.counts))
            one = run.task(number)
            there = read_region(run.folder, number)
            block = clean(one) if there is None else there[variable]
            both = [(max(s.start, r.start), min(s.stop, r.stop)) for s, r in zip(region, one.region, strict=True)]
            inside, outside = (tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(both, of, strict=True))
                               for of in (one.region, region))  # fmt: skip
            found[outside] = block[inside]
        return found

    return read


def told(store: Path, names: Sequence[str]) -> list[str]:
    """A line on the codes of each variable of a finished store."""
    lines = []
    for name in names:
        codes = open_codes(store, name)
        error, n = (codes[key].values.astype(np.float64) for key in ("recon_error", "n_valid"))
        largest = float(np.nanmax(error, initial=0.0)) or 1.0  # squares stay inside float64 in any units
        rms = largest * np.sqrt(np.nansum((error / largest) ** 2 * n) / max(n.sum(), 1))
        about, units = codes["code"].attrs, codes["recon_error"].attrs.get("units", "1")
        ratio = np.prod(about["geoae_window"]) / codes.sizes["latent"]
        lines.append(
            f"codes of {name} by {about['geoae_model']} {about['geoae_digest']}: {n.size} windows of "
            f"{codes.sizes['latent']} numbers, 1:{ratio:.4g}, rms error {rms:.4g}{f' {units}' * (units != '1')}"
        )
    return lines
