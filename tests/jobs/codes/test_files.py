"""Names of outputs of codes, and decoded samples in a netCDF file."""

import obspy
import pytest
import xarray as xr

from geoae.jobs.codes.files import is_netcdf_output, require_store_name
from geoae.jobs.options import RunOptions, Workers
from tests.jobs.codes.test_store import folder, refused, run

__all__ = ["folder"]


def test_a_netcdf_file_holds_what_a_store_holds(folder, tmp_path):
    """Samples, coordinates and attributes; an existing file is not overwritten, and nothing else is left."""
    codes, model = tmp_path / "c.zarr", ("--model", folder / "coder")
    run("encode", folder / "wind.nc", "-o", codes, *model)
    run("decode", codes, "-o", tmp_path / "d.zarr", *model)
    assert "u: 72 windows" in run("decode", codes, "-o", tmp_path / "d.nc", *model)
    with xr.open_dataset(tmp_path / "d.nc") as found, xr.open_zarr(tmp_path / "d.zarr") as expected:
        xr.testing.assert_equal(found, expected)
        assert found["u"].attrs == expected["u"].attrs
    assert "is there already" in refused("decode", codes, "-o", tmp_path / "d.nc", *model)
    run("decode", codes, "-o", tmp_path / "d.nc", "--overwrite", *model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.zarr", "d.nc", "d.zarr"]


@pytest.mark.parametrize("name", ["c.nc", "c", "c.grib"])
def test_codes_go_to_stores_alone(folder, tmp_path, name):
    """Another name is refused, and names the right one."""
    printed = refused("encode", folder / "u.nc", "-o", tmp_path / name, "--model", folder / "coder")
    assert printed == f"geoae: Codes are written to a zarr store: -o c.zarr, not {name}."
    assert not list(tmp_path.iterdir())


def test_what_a_netcdf_file_cannot_take_is_refused(folder, tmp_path):
    """Records, workers, and other endings."""
    obspy.read().write(str(tmp_path / "x.mseed"), format="MSEED")
    model = ("--model", folder / "line")
    run("encode", tmp_path / "x.mseed", "-o", tmp_path / "c.zarr", *model)
    assert "A decoded record is written to a zarr store" in refused(
        "decode", tmp_path / "c.zarr", "-o", tmp_path / "d.nc", *model
    )
    printed = refused("decode", tmp_path / "c.zarr", "-o", tmp_path / "d.grib", *model)
    assert "zarr store or a netCDF file: -o d.zarr, not d.grib" in printed
    with pytest.raises(ValueError, match="Workers write the blocks of a zarr store"):
        is_netcdf_output(tmp_path / "d.nc", False, RunOptions(workers=Workers(None, 2)))
    require_store_name(tmp_path / "d.zarr")
