"""Write denoised fields that fit in memory to one netCDF-4 file."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae._version import __version__
from geoae.errors import InputError, OutputError, OutputExistsError, one_line
from geoae.files.whole import output_errors, whole_file
from geoae.stores import provenance
from geoae.stores.lay_out import CONVENTIONS
from geoae.stores.plain import simplify_attrs, simplify_value
from geoae.stores.plan import StorePlan, make_attributes, make_coordinates
from geoae.stores.references import list_external
from geoae.stores.schema import PREFIX
from geoae.stores.write import Origin

MAX_BYTES = 1 << 32
"""Largest number of bytes of samples: they are held in memory."""


def check_netcdf(target: Path, n_bytes: int, overwrite: bool) -> None:
    """Check that a file can be written, before anything is computed.

    Raises
    ------
    InputError
        There are more samples than fit in memory.
    OutputExistsError, OutputError
        The file exists already, or its folder does not exist.
    """
    if n_bytes > MAX_BYTES:
        raise InputError(
            f"{target} would hold {n_bytes / 2**30:.1f} GB, and netCDF is written from memory at once. Choose a "
            f"zarr store, which is written block by block: -o {target.with_suffix('.zarr').name}."
        )
    with output_errors(target):
        if target.is_dir() or (target.exists() and not overwrite):
            raise OutputExistsError(f"{target} is there already; choose another output, or ask for --overwrite.")
        if not target.absolute().parent.is_dir():
            raise OutputError(f"The folder {target.absolute().parent} for the output is not there; make it first.")
        if not os.access(target.absolute().parent, os.W_OK | os.X_OK):
            raise OutputError(f"The folder {target.absolute().parent} cannot be written to; choose another output.")


def write_netcdf(
    target: Path,
    plan: StorePlan,
    samples: Mapping[str, NDArray[Any]],
    settings: Mapping[str, Any],
    origin: Origin,
) -> list[str]:
    """Write the variables of a plan with their samples and the attributes of a store, and return notes.

    Raises
    ------
    OutputError
        The disk is full or fails; no unfinished file is left.
    """
    dataset_attrs, notes = simplify_attrs(origin.attrs), []
    line = f"{provenance.format_now()} geoae {__version__}: {origin.command or 'called from Python'}"
    provenance_attrs = {**settings, "version": __version__, "command": origin.command, "source": origin.source,
           "source_hash": origin.source_hash}  # fmt: skip
    dataset_attrs |= {"Conventions": CONVENTIONS, "history": f"{dataset_attrs.get('history', '')}\n{line}".lstrip()}
    dataset_attrs |= {PREFIX + name: simplify_value(value) for name, value in provenance_attrs.items()}
    external = list_external(dataset_attrs)
    variables, attributes, encoding = {}, make_attributes(plan, external), {}
    for variable in (v for part in plan.parts for v in part.variables):
        x = samples[variable.name]
        if x.dtype.itemsize < 4:
            x = x.astype(np.float32)
            notes.append(f"{variable.name}: netCDF has no float16, so it is float32")
        variables[variable.name] = xr.Variable(variable.dims, x, attributes[variable.name])
        encoding[variable.name] = {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": x.dtype.type(np.nan)}
    try:
        dataset = make_coordinates(plan, external).assign(variables).assign_attrs(dataset_attrs)
        with whole_file(target) as part, warnings.catch_warnings():
            # bounds of time are stored in units of their own, which is valid
            warnings.filterwarnings("ignore", "Variable .* has datetime type and a bounds variable")
            dataset.to_netcdf(part, engine="h5netcdf", encoding=encoding)
    except (ValueError, TypeError, RuntimeError) as error:  # types raised for values that netCDF cannot hold
        raise OutputError(f"{target} cannot be written: {one_line(error)}.") from error
    return notes
