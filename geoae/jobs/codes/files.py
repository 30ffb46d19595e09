"""Decode codes into a netCDF file, and check the names of outputs of codes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoae.codes.coding import read_coding
from geoae.codes.infer import decode_region
from geoae.errors import InputError
from geoae.jobs.options import Progress, RunOptions
from geoae.model import Model
from geoae.stores.blocks import find_task
from geoae.stores.plan import StorePlan
from geoae.stores.runs import is_store
from geoae.stores.write import Origin
from geoae.writers.fields import netcdf


def require_store_name(target: Path) -> None:
    """Raise InputError unless the name of an output is that of a zarr store."""
    if not is_store(target):
        raise InputError(f"Codes are written to a zarr store: -o {target.stem or 'NAME'}.zarr, not {target.name}.")


def is_netcdf_output(target: Path, is_record: bool, run: RunOptions) -> bool:
    """Whether decoded samples go to a netCDF file, by the name of the output; else they go to a store.

    Raises
    ------
    InputError
        The name is neither that of a store nor of a netCDF file; or the file cannot hold what is decoded.
    """
    if is_store(target):
        return False
    store = f"-o {target.stem or 'NAME'}.zarr"
    if target.suffix.lower() not in (".nc", ".nc4"):
        raise InputError(f"Decoded samples are written to a zarr store or a netCDF file: {store}, not {target.name}.")
    if is_record:
        raise InputError(f"A decoded record is written to a zarr store, which geoae reads as a record: {store}.")
    if run.workers.are_other_processes:
        raise InputError(f"Workers write the blocks of a zarr store; a netCDF file is written at once: {store}.")
    return True


def write_decoded_netcdf(
    target: Path,
    plan: StorePlan,
    codes: Mapping[str, xr.Dataset],
    model: Model,
    made_with: tuple[Mapping[str, Any], Origin],
    overwrite: bool,
    progress: Progress,
) -> list[str]:
    """Decode codes, by the names of their variables, into a netCDF file, and return notes.

    Parameters
    ----------
    plan
        What the file holds, as for a store.
    made_with
        Settings and origin, for the attributes of the file.
    overwrite
        Replace a file that exists.
    """
    variables = [part.variables[0] for part in plan.parts]
    netcdf.check_netcdf(target, sum(int(np.prod(v.shape)) * np.dtype(v.dtype).itemsize for v in variables), overwrite)
    samples = {v.name: np.empty(v.shape, v.dtype) for v in variables}
    total = sum(part.n_blocks for part in plan.parts)
    for number in range(total):
        progress(number, total)
        task = find_task(plan.parts, number)
        of = codes[task.part.name]
        samples[task.part.name][task.region] = decode_region(of, read_coding(of), model, task.region)
    notes = netcdf.write_netcdf(target, plan, samples, *made_with)
    progress(total, total)
    return notes
