"""Read records from zarr stores that geoae wrote, as lazy arrays (channel, time)."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoae.errors import DamagedFileError, StoreError, one_line
from geoae.labels.lazy_indexing import lazy_array
from geoae.labels.timeaxis import time_coordinates
from geoae.stores import provenance
from geoae.stores.schema import DOUBTS, KIND, RECORD, START_TIME

kind: Literal["records"] = "records"
"""What this reader reads; see `geoae.readers.protocols`."""

_BLOCK = 1 << 20
"""Samples of each channel that `find_valid_samples` reads at once."""


def sniff(path: str | Path) -> bool:
    """Whether a folder is a store of a record that geoae wrote. Never raises."""
    try:
        return provenance.read_settings(Path(path)).get(KIND) == RECORD
    except (StoreError, OSError):
        return False


def read(path: str | Path) -> xr.DataArray:
    """Read a record lazily: its samples are read when they are used.

    Dims (channel, time); coords channel (codes), id, and a lazy time axis. Gaps are NaN.

    Raises
    ------
    DamagedFileError
        Blocks of the store are missing, or it cannot be opened.
    """
    path = Path(path)
    try:
        parts = provenance.read_parts(path)
        missing = int((~provenance.find_done_blocks(path, parts)).sum())
        x = xr.open_zarr(path, chunks=None, drop_variables=["time"])[parts[0].name]
        start = int(np.datetime64(x.attrs.pop(START_TIME), "ns").astype(np.int64))
        rate = float(x.attrs["sampling_rate_hz"])
        for name in ("channel", "id"):  # other readers give text as objects, too
            x = x.assign_coords({name: ("channel", x[name].values.astype(object))})
        _check_labels(x, start, rate, provenance.read_settings(path))
    except Exception as error:  # what a damaged store does to zarr and xarray has many kinds
        raise DamagedFileError(f"{path} is damaged: {one_line(error)}. Make it anew with --overwrite.") from error
    if missing:
        raise DamagedFileError(
            f"{path} is damaged: {missing} of its blocks are missing. Make it anew with --overwrite."
        )
    samples = lazy_array(x.shape, x.dtype, partial(_read_samples, x.variable, path), slices_only=True)
    x = xr.DataArray(xr.Variable(x.dims, samples, x.attrs, x.encoding), coords=x.coords, name=x.name)
    return x.assign_coords(time_coordinates(start, rate, x.sizes["time"]))


def read_doubts(path: str | Path) -> xr.DataArray:
    """Read the flags of the samples of a record lazily: `DOUBTS` (channel, time), a bit for each flag.

    Raises
    ------
    DamagedFileError
        The store cannot be opened, or has no flags.
    """
    try:
        return xr.open_zarr(path, chunks=None, drop_variables=["time"])[DOUBTS]
    except Exception as error:  # see `read`
        raise DamagedFileError(f"{path} is damaged: {one_line(error)}. Make it anew with --overwrite.") from error


def _check_labels(x: xr.DataArray, start: int, rate: float, settings: Mapping[str, Any]) -> None:
    """Raise ValueError if labels differ from the settings, which hold them too: one of the two is damaged."""
    told = {"ids": list(x["id"].values), "start": str(np.datetime64(start, "ns")), "rate_hz": rate}
    told["samples"] = x.sizes["time"]
    for name, value in told.items():
        if name in settings and settings[name] != value:
            raise ValueError(f"its {name} are {value} in one place and {settings[name]} in another")


def _read_samples(x: xr.Variable, path: Path, key: tuple[Any, ...]) -> NDArray[Any]:
    try:
        return np.asarray(x[key].values)
    except Exception as error:  # codecs raise many types for a damaged chunk
        raise DamagedFileError(f"{path}: samples cannot be read: {one_line(error)}. Make it anew.") from error


def find_valid_samples(x: xr.DataArray) -> NDArray[np.bool_]:
    """Mask of the samples (channel, time) that are not missing. Reads block by block, to bound the memory."""
    n = x.sizes["time"]
    spans = (slice(start, start + _BLOCK) for start in range(0, n, _BLOCK))
    return np.concatenate([np.isfinite(x[:, span].values) for span in spans], axis=1)
