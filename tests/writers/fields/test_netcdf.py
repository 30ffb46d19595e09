"""Tests of geoae.writers.fields.netcdf: xarray reads back what was written."""

import numpy as np
import pytest
import xarray as xr

from geoae.errors import InputError, OutputError, OutputExistsError
from geoae.stores.plan import plan_field
from geoae.stores.write import Origin
from geoae.writers.fields.netcdf import MAX_BYTES, check_netcdf, write_netcdf
from tests.support import fields

ORIGIN = Origin("a.nc", "12ab", "geoae denoise a.nc", {"title": "a test", "history": "2000-01-01 made"})


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_samples_coordinates_and_attributes_come_back(tmp_path, dtype):
    """Also gaps; half precision becomes float32 with a note; the history gets one more line."""
    x = fields.field(3, 12, 16).astype(dtype)
    samples = x.values.copy()
    samples[0, 1, 2] = np.nan
    notes = write_netcdf(tmp_path / "out.nc", plan_field(x), {"t2m": samples}, {"model": "m 1"}, ORIGIN)
    assert notes == (["t2m: netCDF has no float16, so it is float32"] if dtype == "f2" else [])
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["t2m"].values, samples)
        assert data["t2m"].dtype == ("f4" if dtype == "f2" else dtype)
        for name in ("time", "lat", "lon"):
            np.testing.assert_array_equal(data[name].values, x[name].values)
        assert data["t2m"].attrs["units"] == x.attrs["units"]
        assert data.attrs["title"] == "a test"
        old, new = data.attrs["history"].splitlines()
        assert old == "2000-01-01 made"
        assert new.endswith(": geoae denoise a.nc")
        assert (data.attrs["geoae_model"], data.attrs["geoae_source_hash"]) == ("m 1", "12ab")
    assert [path.name for path in tmp_path.iterdir()] == ["out.nc"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """The error is one line with the name of the file, and no temporary file is left."""

    def fail(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    (tmp_path / "out.nc").write_bytes(b"old")
    x = fields.field(2, 12, 16)
    with pytest.raises(OutputError, match=r"^[^\n]*out\.nc cannot be written: No space left on device\.$"):
        write_netcdf(tmp_path / "out.nc", plan_field(x), {"t2m": x.values}, {}, ORIGIN)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_outputs_are_checked_before_the_work(tmp_path, monkeypatch):
    """Size, existing files, long names, missing and closed folders; a valid output passes."""
    with pytest.raises(InputError, match=r"4\.0 GB.*-o out\.zarr"):
        check_netcdf(tmp_path / "out.nc", MAX_BYTES + 1, overwrite=False)
    with pytest.raises(OutputError, match="make it first"):
        check_netcdf(tmp_path / "missing" / "out.nc", 8, overwrite=False)
    check_netcdf(tmp_path / "out.nc", MAX_BYTES, overwrite=False)
    (tmp_path / "out.nc").touch()
    with pytest.raises(OutputExistsError, match="overwrite"):
        check_netcdf(tmp_path / "out.nc", 8, overwrite=False)
    check_netcdf(tmp_path / "out.nc", 8, overwrite=True)
    with pytest.raises(OutputExistsError):
        check_netcdf(tmp_path, 8, overwrite=True)
    with pytest.raises(OutputError, match="File name too long"):
        check_netcdf(tmp_path / ("x" * 300), 8, overwrite=False)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot be written to"):
        check_netcdf(tmp_path / "new.nc", 8, overwrite=False)
