"""Bad fields: one line that says what came, what was expected and what to do; exit code 1, nothing lost, no warning."""

import errno
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from geoae.cli import app
from geoae.jobs.fields import store as job
from tests.support import fields


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fields.saved(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def denoise(tmp_path, model, monkeypatch):
    """`geoae denoise FILE -o out.zarr` with a small model, and what it says; warnings would be errors."""
    monkeypatch.chdir(tmp_path)

    def run(data, *options, out="out.zarr", name="a.nc"):
        if isinstance(data, xr.DataArray | xr.Dataset):
            Path(name).unlink(missing_ok=True)  # HDF5 refuses to write into a file that an error still holds open
            (data.to_dataset() if isinstance(data, xr.DataArray) else data).to_netcdf(name)
            data = [name]
        extra = () if "--model" in options else ("--model", str(model))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return CliRunner().invoke(app, ["denoise", *map(str, data), "-o", out, *extra, *map(str, options)])

    return run


def refused(result, *said, out="out.zarr", code=1):
    """One line with all that is `said`, the exit code, no output, nothing hidden left of it."""
    assert result.exit_code == code, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("geoae: ")
    for text in said:
        assert text in lines[0], lines[0]
    assert not Path(out).exists()
    assert not Path(f".{out}.part").exists()


def done(result, *said):
    assert result.exit_code == 0, result.output
    for text in said:
        assert text in result.output
    return xr.open_zarr("out.zarr").load() if Path("out.zarr").exists() else None


def small(**more):
    return fields.field(3, 16, 20, **more)


def test_unknown_variable(denoise):
    """The choices are listed."""
    refused(denoise(small(), "--var", "sst"), "no variable sst", "there are t2m")


def test_no_horizontal_dimensions(denoise):
    """How to name them is said, and naming them helps; so does leaving out what is no field."""
    x = xr.DataArray(small().values, dims=("time", "a", "b"), name="t2m")
    refused(denoise(x), "it is not clear which dimensions are horizontal", "--dims a,b")
    done(denoise(x, "--dims", "a,b"))
    refused(denoise(x, "--dims", "a,c", out="b.zarr"), "no dimension c", out="b.zarr")
    refused(denoise(x, "--dims", "a", out="b.zarr"), "1 horizontal dimensions", "--dims y,x", out="b.zarr")
    refused(denoise(small().isel(lat=0), out="b.zarr"), "only lon was found", out="b.zarr")


@pytest.mark.parametrize("sizes", [(8, 8), (8, 100), (33, 9)])
def test_grids_smaller_than_a_window(denoise, sizes):
    """From 8 x 8 on they are denoised."""
    found = done(denoise(fields.field(2, *sizes)))
    assert np.isfinite(found.t2m).any()


def test_grids_that_are_too_small(denoise):
    refused(denoise(fields.field(9, 5, 30)), "t2m has lat 5, too few", "at least 8", "--dims")
    refused(denoise(fields.field(9, 8, 0)), "no samples")


def test_missing_infinite_constant_slices(denoise):
    """They come back as they came; infinite samples are said."""
    x = small()
    x[0], x[1], x[2, 3, 4], x[2, 5, 5] = np.nan, 273.0, np.inf, -np.inf
    found = done(denoise(x), "2 samples are infinite").t2m
    np.testing.assert_array_equal(found[:2], x[:2])
    assert (found[2, 3, 4], found[2, 5, 5]) == (np.inf, -np.inf)
    done(denoise(xr.full_like(x, np.nan), "--overwrite"), "100.0%")


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint8", "float64"])
def test_types(denoise, dtype):
    """Whole numbers become float32; floats stay."""
    x = fields.field(3, 16, 20, gaps=0, dtype=np.float64) - 200
    found = done(denoise(x.astype(dtype))).t2m
    assert found.dtype == ("float64" if dtype == "float64" else "float32")


def test_packed_and_half_precision(denoise, tmp_path):
    """Packed samples come back unpacked, without attributes that are no longer true; float16 stays float16."""
    x = small()
    x.encoding = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}
    x.attrs["valid_range"] = np.array([-32000, 32000], np.int16)
    found = done(denoise(x)).t2m
    assert found.dtype.kind == "f"
    assert "scale_factor" not in found.attrs
    assert found.attrs["valid_range"] == [-40.0, 600.0]  # in the units of the samples now
    assert abs(found - small()).max() < 60
    small().astype(np.float16).to_dataset().to_zarr(tmp_path / "h.zarr", consolidated=False)
    assert done(denoise(["h.zarr"], "--overwrite")).t2m.dtype == np.float16


def test_text_is_refused(denoise):
    refused(denoise(xr.DataArray([["a"] * 9] * 9, dims=("lat", "lon"), name="s")), "no field")


def test_coordinates_out_of_order(denoise):
    """Descending ones are fine and stay; others are named, with what to do."""
    x = small()
    found = done(denoise(x))
    assert found.lat[0] > found.lat[-1]
    refused(
        denoise(x.isel(lat=[0, 2, 1, *range(3, 16)]), out="b.zarr"), "lat does not rise or fall", "sortby", out="b.zarr"
    )
    refused(
        denoise(x.isel(time=[0, 0, 1]), out="b.zarr"), "twice, at positions 0 and 1", "drop_duplicates", out="b.zarr"
    )


def test_files_that_do_not_fit(denoise):
    """Of several files each has to fit the first: other grids, units, variables and times that overlap are named."""
    x = fields.field(8, 16, 20)
    x[:3].to_dataset().to_netcdf("p1.nc")
    for name, other, said in [
        ("p2.nc", x[3:].isel(lat=slice(0, 12)), "lat of 12 there, of 16 here"),
        ("p3.nc", x[3:].assign_attrs(units="degC"), "units degC there, K here"),
        ("p4.nc", x[3:].rename("tos"), "no variable t2m"),
        ("p5.nc", x[2:], "overlap in time"),
    ]:
        other.to_dataset().to_netcdf(name)
        refused(denoise(["p1.nc", name]), name, said)
    x[3:].to_dataset().to_netcdf("p2.nc")
    assert done(denoise(["p2.nc", "p1.nc"])).sizes["time"] == 8
    refused(denoise(["q*.nc"], out="b.zarr"), "No file matches q*.nc", out="b.zarr")


def test_variables_on_two_grids(denoise):
    """A store holds one grid; --var chooses."""
    first, second = small().to_dataset(), (small() + 1).rename("v").to_dataset()
    first.to_netcdf("two.nc", group="a")
    other = second.isel(lat=slice(0, 12)).rename(lat="lat2", lon="lon2", time="time2")
    both = xr.merge([first, other])
    result = denoise(both)
    found = done(result)
    assert set(found.data_vars) == {"t2m", "v"}
    clash = both.assign_coords(lon2=first.lon.values + 1).rename(time2="when")
    done(denoise(clash, "--var", "v", "--overwrite"))
    refused(denoise(["two.nc"], out="b.zarr"), "groups a", out="b.zarr")


def test_stores_that_are_damaged(denoise, tmp_path):
    """Half-written and corrupt stores are said to be; a store of ours that is not finished as well."""
    small().chunk(time=1).to_dataset().to_zarr("in.zarr", consolidated=False)
    shutil.copytree("in.zarr", "cut.zarr")
    chunk = next(p for p in sorted(Path("cut.zarr/t2m").rglob("*")) if p.is_file() and p.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:20])
    result = denoise(["cut.zarr"])
    assert result.exit_code == 1
    assert "t2m cannot be read" in result.output
    assert len(result.output.strip().splitlines()) == 1
    shutil.rmtree(".out.zarr.part", ignore_errors=True)
    Path("in.zarr/t2m/zarr.json").write_text("{")
    refused(denoise(["in.zarr"]), "in.zarr")
    Path("bad.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    refused(denoise(["bad.nc"]), "bad.nc")
    refused(denoise(["none.nc"]), "none.nc does not exist")
    Path("empty.nc").write_bytes(b"")
    refused(denoise(["empty.nc"]), "empty.nc")


def test_a_store_that_is_not_finished(denoise, monkeypatch):
    """As an input it is refused, `info` and `status` say how far it is, and the same command finishes it."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    x = small()
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full)
        result = denoise(x)
    assert result.exit_code == 1
    assert "No space left on device" in result.output
    assert len(result.output.strip().splitlines()) == 1
    if Path(".out.zarr.part").exists():
        for verb in ("info", "status"):
            assert "0 of 1 block" in CliRunner().invoke(app, [verb, "out.zarr"]).output
        refused(denoise(["out.zarr"], out="b.zarr"), "out.zarr is unfinished", out="b.zarr")
    done(denoise(["a.nc"]))


def test_places_that_cannot_be_written(denoise, monkeypatch):
    x = small()
    refused(denoise(x, out="none/out.zarr"), "folder", "is not there", out="none/out.zarr")
    refused(denoise(x, out="none/out.nc"), "folder", "is not there", out="none/out.nc")
    refused(denoise(x, out="out.tif"), "a netCDF file: -o NAME.zarr", out="out.tif")
    refused(denoise(["a.nc"], out="https://host/a.zarr"), "URL", out="https://host/a.zarr")
    Path("out.zarr").mkdir()
    result = denoise(x)
    assert "not a zarr store" in result.output
    result = denoise(x, out="a.nc")
    assert result.exit_code == 1
    assert "a.nc is the input" in result.output

    def read_only(*_args, **_more):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(job.netcdf.xr.Dataset, "to_netcdf", read_only)
    refused(denoise(["a.nc"], out="b.nc"), "Read-only file system", out="b.nc")


def test_models_that_do_not_fit(denoise, tmp_path):
    """Trained on other units or dimensions: refused unless forced; models of records are refused."""
    other = fields.saved(tmp_path / "pascal", units="Pa", dims=("y", "x"))
    refused(denoise(small(), "--model", other), "units K", "was trained on Pa", "--force")
    done(denoise(small(), "--model", other, "--force"))
    refused(denoise(small(), "--model", "seismic", out="b.zarr"), "not a denoiser of gridded fields", out="b.zarr")
    refused(denoise(small(), "--model", "none", out="b.zarr"), "no model 'none'", out="b.zarr")


def test_other_settings_are_named(denoise):
    """Going on with, or writing over, what has other settings is refused with the difference."""
    done(denoise(small()))
    result = denoise(["a.nc"], "--dry", "0.5")
    assert result.exit_code == 1
    assert "dry: 0.0 -> 0.5" in result.output
    done(denoise(["a.nc"], "--dry", "0.5", "--overwrite"))


def test_options_of_recordings(denoise):
    refused(denoise(small(), "--id", "*Z", "--encoding", "INT32"), "--encoding, --id: not for gridded fields")
    refused(denoise(["a.nc"], "--highpass", "1"), "--highpass: not for gridded fields")
    refused(denoise(["a.nc"], "--chunks", "time", out="b.zarr"), "such as time=10", out="b.zarr", code=2)
    refused(denoise(["a.nc"], "--chunks", "level=2", out="b.zarr"), "no dimension level", out="b.zarr")
    refused(denoise(["a.nc"], "--shard", "0", out="b.zarr"), "shard is 0", out="b.zarr", code=2)
    refused(denoise(["a.nc"], "--append", out="b.nc"), "--append", "zarr", out="b.nc")
