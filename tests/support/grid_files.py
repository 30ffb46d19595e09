"""Files and stores with gridded fields for tests of readers."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

DAYS = np.arange("2020-01-01", "2020-01-07", dtype="datetime64[D]").astype("datetime64[ns]")


def made(n: int = 3, start: int = 0, **attrs) -> xr.Dataset:
    """Daily fields on a global grid, with a gap; a mask, a list of names and bounds beside them."""
    rng = np.random.default_rng(start)
    x = rng.normal(280, 10, (n, 8, 16)).astype("f4")
    x[:, 2, 3] = np.nan
    about = {"units": "K", "standard_name": "air_temperature", **attrs}
    return xr.Dataset(
        {"t2m": (("time", "lat", "lon"), x, about), "lat_bnds": (("lat", "nv"), np.zeros((8, 2)))},
        {"time": DAYS[start : start + n], "lat": ("lat", np.linspace(70, -70, 8), {"bounds": "lat_bnds"}),
         "lon": np.arange(16) * 22.5, "city": ("lat", np.array(["a", "bb", "ccc", "d", "e", "f", "g", "h"]))},
    )  # fmt: skip


def netcdf3(data, path):
    data.drop_vars("city", errors="ignore").to_netcdf(path, engine="scipy")


def netcdf4(data, path):
    data.to_netcdf(path, engine="h5netcdf", encoding={"t2m": {"zlib": True, "chunksizes": (1, 8, 16)}})


def zarr_store(zarr_format: int, consolidated: bool = True):
    def write(data, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chunks = {"t2m": {"chunks": (1, 8, 8)}}
            data.to_zarr(path, zarr_format=zarr_format, consolidated=consolidated, encoding=chunks)

    return write


def zipped(zarr_format: int, inside: str = ""):
    def write(data, path):
        zarr_store(zarr_format)(data, path.parent / "store" / inside)
        made = shutil.make_archive(str(path.parent / "packed"), "zip", path.parent / "store")
        Path(made).rename(path)

    return write


STORES = {
    "netcdf3": (netcdf3, "a.nc"), "netcdf4": (netcdf4, "a.nc"), "zarr2": (zarr_store(2), "a.zarr"),
    "zarr3": (zarr_store(3), "a.zarr"), "zarr2-plain": (zarr_store(2, False), "a"),
    "zarr3-plain": (zarr_store(3, False), "a"),
    "zip2": (zipped(2), "a.zip"), "zip3": (zipped(3), "a.zip"), "zip-folder": (zipped(3, "a.zarr"), "a.zip"),
}  # fmt: skip


def write(path: Path, data: xr.Dataset) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.to_netcdf(path, engine="h5netcdf")
    return path
