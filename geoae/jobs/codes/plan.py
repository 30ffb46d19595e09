"""Codes in a store: their layout, and how a run computes the codes of denoised samples in the same store."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.arrays.types import AnyArray
from geoae.codes.coding import Coding, check_units, make_code_attributes, make_code_coordinates, plan_coding
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
from geoae.stores.plan import Chunking, CodeVariables, StorePlan, check_name, plan_codes
from geoae.stores.write import read_region

_ENDLESS = 1 << 40


@dataclass(frozen=True)
class TruncatedCoder:
    """A model of codes, and the length to which codes are truncated."""

    model: Model
    latent: int | None = None
    force: bool = False
    """Accept a model that was trained on other units."""

    def coding(self, x: xr.DataArray, dims: Sequence[str], prefix: str = "") -> Coding:
        """The windows of an array and their codes. Errors: see `geoae.codes.coding.plan_coding`."""
        return plan_coding(x, self.model, dims, self.latent, prefix)

    def plan(self, x: xr.DataArray, dims: Sequence[str], prefix: str = "", grows: str | None = None) -> StorePlan:
        """Plan the codes of an array; add it to the plan of the array itself."""
        check_units(x, self.model, self.force)
        return plan_code_store(x, self.coding(x, dims, prefix), self.model, grows)

    def settings(self) -> dict[str, Any]:
        """Settings that decide the codes, in addition to those of the samples."""
        c = require_contract(self.model, CodeContract)
        return {
            "codes_model": self.model.name, "codes_digest": self.model.digest, "codes_window": list(c.window),
            "codes_latent": self.latent or c.latent, "codes_scaler": asdict(self.model.scaler),
        }  # fmt: skip

    def spec(self, device: str, threads: int | None) -> dict[str, Any]:
        """Everything that a worker needs, as plain data for `load_same_coder`."""
        return {**make_model_spec(self.model, device, threads), "latent": self.latent}


def load_coder(
    options: CodesWithSignal | None, default: str, inference: InferenceOptions, workers: Workers
) -> TruncatedCoder | None:
    """Load the model of the codes; None if no codes are written.

    Raises
    ------
    InputError
        The model has no codes, or workers cannot load it because it has no folder.
    UnknownNameError
        The model does not exist.
    """
    if options is None:
        return None
    model = load_for_run(options.model or default, inference.device, inference.threads, workers)
    longest = require_contract(model, CodeContract).latent
    if options.latent is not None and not 0 < options.latent <= longest:
        raise InputError(f"latent is {options.latent}; model {model.name!r} makes codes of 1 to {longest} numbers.")
    return TruncatedCoder(model, options.latent, options.force)


def load_same_coder(spec: dict[str, Any] | None) -> TruncatedCoder | None:
    """Load the coder that `TruncatedCoder.spec` describes; None for None.

    Raises
    ------
    ModelFileError
        The model has changed since the run was begun.
    """
    return None if spec is None else TruncatedCoder(load_same_model(spec), spec["latent"])


def plan_code_store(x: xr.DataArray, coding: Coding, model: Model, grows: str | None = None) -> StorePlan:
    """Plan a store, or a part of one, for the codes of an array.

    The blocks are those of `geoae.codes.infer.encode_region`, for any other content of the store. Along `grows`, the
    dimension to append along, their length does not depend on the present length of the array.
    """
    shape = tuple(_ENDLESS if d == grows else n for d, n in zip(coding.dims, coding.shape, strict=True))
    for name in (x.name, *x.dims):  # decoding writes a variable with these names
        check_name(name)
    stored = CodeVariables(
        variable=str(x.name), units=x.attrs.get("units"), prefix=coding.prefix, missing_bytes=coding.missing_bytes
    )
    chunking = Chunking(replace(coding, shape=shape).blocks, grows=grows)
    coords = make_code_coordinates(x, coding)
    plan = plan_codes(coding.code_sizes, coding.latent, coords=coords, stored=stored, chunking=chunking)
    code = coding.prefix + schema.CODE
    return replace(plan, attrs={**plan.attrs, code: {**plan.attrs[code], **make_code_attributes(x, coding, model)}})


def make_block_encoder(
    run: Ledger, variable: str, coding: Coding, coder: TruncatedCoder, denoise: Callable[[Task], AnyArray]
) -> Callable[[Task], dict[str, AnyArray]]:
    """Make the function that computes a block of the codes of a denoised variable.

    Parameters
    ----------
    run
        The run of the store that holds samples and codes.
    variable
        Name of the variable, and of its part of the store.
    coding
        The windows of the variable, and their codes.
    coder
        The model of the codes.
    denoise
        Computes the samples of a block of the variable, as they are stored.
    """
    read = make_cleaned_reader(run, variable, denoise)

    def read_finite(region: Region) -> AnyArray:
        x = read(region)
        x[np.isinf(x)] = np.nan  # no code can represent an infinite sample
        return x

    return lambda task: encode_region(read_finite, coding, coder.model, task.region)


def make_cleaned_reader(
    run: Ledger, variable: str, denoise: Callable[[Task], AnyArray]
) -> Callable[[Region], AnyArray]:
    """Make the function that returns denoised samples of a region, equal to those of the store in every bit.

    Blocks that exist in the store are read. Others are computed as they will be stored, so that no task waits for
    another one.
    """
    names = [part.name for part in run.parts]
    part = run.parts[names.index(variable)]
    before = sum(other.n_blocks for other in run.parts[: names.index(variable)])
    axis, n_old = part.grown or (0, 0)
    old = [n_old if a == axis else 0 for a in range(part.n_axes)]

    def read(region: Region) -> AnyArray:
        found = np.empty([s.stop - s.start for s in region], part.variables[0].dtype)
        indices = (range((s.start + n) // b, -(-(s.stop + n) // b))
                   for s, n, b in zip(region, old, part.block, strict=True))  # fmt: skip
        for index in product(*indices):
            number = before + int(np.ravel_multi_index(index, part.counts))
            task = run.task(number)
            stored = read_region(run.folder, number)
            block = denoise(task) if stored is None else stored[variable]
            shared = [(max(s.start, r.start), min(s.stop, r.stop)) for s, r in zip(region, task.region, strict=True)]
            in_block, in_region = (tuple(slice(a - s.start, b - s.start) for (a, b), s in zip(shared, of, strict=True))
                                   for of in (task.region, region))  # fmt: skip
            found[in_region] = block[in_block]
        return found

    return read


def describe_codes(store: Path, names: Sequence[str]) -> list[str]:
    """A line on the codes of each variable of a finished store: windows, length, compression ratio, rms error."""
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
