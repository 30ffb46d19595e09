"""Readers of two made-up formats, in packages with entry points as pip installs them."""

import json
from pathlib import Path

import numpy as np
import xarray as xr

RECORDS = '''
"""Files that begin with TSTR: a line of JSON, then float32 samples, one channel after the other."""
import json
import dask.array as da
import numpy as np
import xarray as xr


def sniff(path):
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"TSTR"


def read(path):
    with open(path, "rb") as file:
        head, at = json.loads(file.readline()[4:]), file.tell()
    x = np.memmap(path, "<f4", "r", at).reshape(len(head["ids"]), -1)
    attrs = {"sampling_rate_hz": head["rate"], "gain": 3.0}
    times = np.datetime64(head["start"], "ns") + np.arange(x.shape[1]) * np.timedelta64(round(1e9 / head["rate"]), "ns")
    coords = {"id": ("channel", head["ids"]), "time": times}
    return xr.DataArray(da.from_array(x, chunks=(1, 1000)), coords, ("channel", "time"), attrs=attrs)
'''
FIELDS = '''
"""Files that begin with TSTF: a netCDF file follows."""
import io
import dask.array as da
import xarray as xr

kind = "fields"


def sniff(path):
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"TSTF"


def read(path):
    with open(path, "rb") as file:
        data = xr.open_dataset(io.BytesIO(file.read()[4:]), engine="h5netcdf").load()
    return [x.chunk() for x in data.data_vars.values()]
'''


def install(site: Path, package: str, module: str, *names: str) -> Path:
    """Write a package of one module with entry points in "geoae.readers" into a folder of sys.path."""
    site.mkdir(exist_ok=True)
    (site / f"{package}.py").write_text(module)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {package}\n" for name in names]
    (info / "entry_points.txt").write_text("[geoae.readers]\n" + "".join(lines))
    return site


def write_record(path: Path, ids: list[str], start: str, rate: float, x: np.ndarray) -> Path:
    """A file of the format of `RECORDS`; x has shape (channel, time)."""
    head = json.dumps({"ids": ids, "start": start, "rate": rate})
    path.write_bytes(b"TSTR" + head.encode() + b"\n" + np.ascontiguousarray(x, "<f4").tobytes())
    return path


def write_fields(path: Path, data: xr.Dataset) -> Path:
    """A file of the format of `FIELDS`."""
    plain = path.with_name(f"{path.name}.nc")
    data.to_netcdf(plain, engine="h5netcdf")
    path.write_bytes(b"TSTF" + plain.read_bytes())
    plain.unlink()
    return path
