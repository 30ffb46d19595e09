"""Codes in a store: how they are laid out, and how those of cleaned samples are made beside these."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.arrays.types import AnyArray
from geoae.codes import coding
from geoae.codes.coding import Coding
from geoae.codes.contract import CodeContract
from geoae.codes.infer import encode_region
from geoae.errors import InputError
from geoae.jobs.options import CodesWithSignal, InferenceOptions, Workers
from geoae.jobs.run import load_for_run, load_same_model, make_model_spec
from geoae.model import Model, require_contract
from geoae.stores import schema
from geoae.stores.blocks import Region, Task
from geoae.stores.codes import open_codes
from geoae.stores.ledger import Ledger
from geoae.stores.plan import Chunking, CodeVariables, StorePlan, plan_codes
from geoae.stores.write import read_region

_ENDLESS = 1 << 40


@dataclass(frozen=True)
class TruncatedCoder:
    """A model with codes, and how much of them is kept."""

    model: Model
    latent: int | None = None
    force: bool = False
    """Whatever units the model was trained on."""

    def coding(self, x: xr.DataArray, dims: Sequence[str], prefix: str = "") -> Coding:
        """Where the windows of an array lie; errors are those of `geoae.codes.coding.plan_coding`."""
        return coding.plan_coding(x, self.model, dims, self.latent, prefix)

    def plan(self, x: xr.DataArray, dims: Sequence[str], prefix: str = "", grows: str | None = None) -> StorePlan:
        """The part of a store for the codes of an array, to be added to the plan of the array itself."""
        coding.check_units(x, self.model, self.force)
        return plan_code_store(x, self.coding(x, dims, prefix), self.model, grows)

    def settings(self) -> dict[str, Any]:
        """What decides the codes, beside what decides the samples."""
        c = require_contract(self.model, CodeContract)
        return {
            "codes_model": self.model.name, "codes_digest": self.model.digest, "codes_window": list(c.window),
            "codes_latent": self.latent or c.latent, "codes_scaler": asdict(self.model.scaler),
        }  # fmt: skip

    def spec(self, device: str, threads: int = 1) -> dict[str, Any]:
        """All that a worker needs, in plain data for `load_same_coder`."""
        return {**make_model_spec(self.model, device, threads), "latent": self.latent}


def load_coder(
    asked: CodesWithSignal | None, default: str, how: InferenceOptions, workers: Workers
) -> TruncatedCoder | None:
    """The model of the codes that are asked for, and how much of a code is kept; None if there are to be no codes.

    Raises
    ------
    InputError
        The model has no codes; or, for workers that are to load it, no folder.
    UnknownNameError
        There is no such model.
    """
    if asked is None:
        return None
    model = load_for_run(asked.model or default, how.device, how.threads, workers)
    most = require_contract(model, CodeContract).latent
    if asked.latent is not None and not 0 < asked.latent <= most:
        raise InputError(f"latent is {asked.latent}; model {model.name!r} makes codes of 1 to {most} numbers.")
    return TruncatedCoder(model, asked.latent, asked.force)


def load_same_coder(spec: dict[str, Any] | None) -> TruncatedCoder | None:
    """What `Coder.spec` describes to a worker.

    Raises
    ------
    ModelFileError
        The model is not that which the run was begun with.
    """
    return None if spec is None else TruncatedCoder(load_same_model(spec), spec["latent"])


def plan_code_store(x: xr.DataArray, where: Coding, model: Model, grows: str | None = None) -> StorePlan:
    """A store, or the part of one, for the codes of an array; add it to `plan_field` of the array.

    The blocks of its part are those of `geoae.codes.infer.encode_region`, whatever else the store holds. They are no
    shorter along `grows`, which will be appended to, because there is little now.
    """
    shape = tuple(_ENDLESS if d == grows else n for d, n in zip(where.dims, where.shape, strict=True))
    stored = CodeVariables(of=str(x.name), units=x.attrs.get("units"), prefix=where.prefix)
    chunking = Chunking(replace(where, shape=shape).blocks, grows=grows)
    coords = coding.make_code_coordinates(x, where)
    plan = plan_codes(where.code_sizes, where.latent, coords=coords, stored=stored, chunking=chunking)
    name = where.prefix + schema.CODE
    return replace(
        plan, attrs={**plan.attrs, name: {**plan.attrs[name], **coding.make_code_attributes(x, where, model)}}
    )


def make_block_encoder(
    run: Ledger, variable: str, where: Coding, coder: TruncatedCoder, clean: Callable[[Task], AnyArray]
) -> Callable[[Task], dict[str, AnyArray]]:
    """Make the function that computes a block of the codes of a cleaned variable.

    Parameters
    ----------
    run
        Of the store that holds both.
    variable
        Its name, and that of its part.
    where
        Where the windows of its codes lie.
    coder
        Makes the codes.
    clean
        Computes the samples of a block of the variable, as they are stored.
    """
    read = make_cleaned_reader(run, variable, clean)

    def finite(region: Region) -> AnyArray:
        x = read(region)
        x[np.isinf(x)] = np.nan  # no code can represent an infinite sample
        return x

    return lambda task: encode_region(finite, where, coder.model, task.region)


def make_cleaned_reader(run: Ledger, variable: str, clean: Callable[[Task], AnyArray]) -> Callable[[Region], AnyArray]:
    """Make the function that gives cleaned samples of a region, equal to those of the store in every bit.

    A block that is in the store is read. Another is computed as it will be stored, so that no task waits for another.
    """
    names = [part.name for part in run.parts]
    part = run.parts[names.index(variable)]
    before = sum(other.n_blocks for other in run.parts[: names.index(variable)])
    axis, n_old = part.grown or (0, 0)
    old = [n_old if a == axis else 0 for a in range(part.n_axes)]

    def read(region: Region) -> AnyArray:
        found = np.empty([s.stop - s.start for s in region], part.variables[0].dtype)
        touched = (range((s.start + n) // b, -(-(s.stop + n) // b))
                   for s, n, b in zip(region, old, part.block, strict=True))  # fmt: skip
        for index in product(*touched):
            number = before + int(np.ravel_multi_index(index, part.counts))
            task = run.task(number)
            stored = read_region(run.folder, number)
            block = clean(task) if stored is None else stored[variable]
            shared = [(max(s.start, r.start), min(s.stop, r.stop)) for s, r in zip(region, task.region, strict=True)]
            in_block, in_region = (tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(shared, of, strict=True))
                                   for of in (task.region, region))  # fmt: skip
            found[in_region] = block[in_block]
        return found

    return read


def describe_codes(store: Path, names: Sequence[str]) -> list[str]:
    """A line on the codes of each variable of a finished store."""
    lines = []
    for name in names:
        codes = open_codes(store, name)
        error, n = (codes[key].values.astype(np.float64) for key in (schema.RECON_ERROR, schema.N_VALID))
        largest = float(np.nanmax(error, initial=0.0)) or 1.0  # squares stay inside float64 in any units
        rms = largest * np.sqrt(np.nansum((error / largest) ** 2 * n) / max(n.sum(), 1))
        attrs, units = codes[schema.CODE].attrs, codes[schema.RECON_ERROR].attrs.get("units", "1")
        ratio = np.prod(attrs[schema.WINDOW]) / codes.sizes[schema.LATENT]
        lines.append(
            f"codes of {name} by {attrs[schema.MODEL_NAME]} {attrs[schema.MODEL_DIGEST]}: {n.size} windows of "
            f"{codes.sizes[schema.LATENT]} numbers, 1:{ratio:.4g}, rms error {rms:.4g}{f' {units}' * (units != '1')}"
        )
    return lines
