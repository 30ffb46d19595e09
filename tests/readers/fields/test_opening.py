"""Tests of geoae.readers.fields.opening: every format opens, and faulty files are errors of one line."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import geoae
from geoae import readers
from geoae.errors import DamagedFileError, GeoAEError, InputError, MissingFileError
from geoae.readers.fields import grids
from tests.support.grid_files import STORES, made, write, zarr_store


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_variables_of_a_plain_zarr_store_are_sorted(tmp_path, zarr_format):
    """zarr lists them in random order if the metadata are not consolidated."""
    data = made()
    for name in ("v", "a", "u"):
        data[name] = data["t2m"]
    zarr_store(zarr_format, consolidated=False)(data, tmp_path / "a.zarr")
    for _ in range(5):
        assert list(geoae.read(tmp_path / "a.zarr").data_vars) == ["a", "t2m", "u", "v"]


@pytest.mark.parametrize("kind", ["h5netcdf", "scipy", "zarr"])
def test_a_variable_without_a_name_gets_one(tmp_path, kind):
    """xdas writes recordings so. xarray reads the name as None."""
    data = made().rename({"t2m": "__values__"})
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.nc")
    if kind == "zarr":
        data.to_zarr(path, zarr_format=2)
    else:
        data.to_netcdf(path, engine=kind)
    x = geoae.read(path)
    assert x.name == "values"
    np.testing.assert_array_equal(x.values, made()["t2m"].values)
    assert [row.name for row in geoae.info(path).fields] == ["values"]
    xr.Dataset({"__values__": data["__values__"], "values": data["__values__"]}).to_netcdf(tmp_path / "b.nc")
    assert set(geoae.read(tmp_path / "b.nc").data_vars) == {"values", "values_"}


def test_times_that_are_no_dates_stay_numbers(tmp_path):
    """`months since`, as in climatologies, is no fixed time."""
    data = made().assign_coords(time=("time", [0.5, 1.5, 2.5], {"units": "months since 1900-01-01"}))
    x = geoae.read(write(tmp_path / "a.nc", data))
    assert list(x["time"].values) == [0.5, 1.5, 2.5]


def test_calendars_of_models(tmp_path):
    """Years of 360 days, and years outside the range of nanoseconds, are read without a warning."""
    data = made().assign_coords(time=("time", [0, 30, 60], {"units": "days since 0850-02-28", "calendar": "360_day"}))
    x = geoae.read(write(tmp_path / "a.nc", data))
    assert [str(t)[:10] for t in x["time"].values] == ["0850-02-28", "0850-03-28", "0850-04-28"]


def test_samples_with_units_of_time_are_samples(tmp_path):
    """A wave period in seconds is no timedelta."""
    x = geoae.read(write(tmp_path / "a.nc", made(units="s")))
    assert (x.dtype, x.attrs["units"]) == (np.float32, "s")


def test_groups_are_listed_and_chosen(tmp_path):
    """The error for a store without fields at its root lists the groups."""
    made().to_netcdf(tmp_path / "a.nc", engine="h5netcdf", group="PRODUCT")
    made().drop_vars("city").to_zarr(tmp_path / "a.zarr", group="PRODUCT", consolidated=False)
    for name in ("a.nc", "a.zarr"):
        with pytest.raises(InputError, match="but the groups PRODUCT: choose one with --group PRODUCT"):
            geoae.read(tmp_path / name)
        np.testing.assert_array_equal(geoae.read(tmp_path / name, group="PRODUCT").values, made()["t2m"].values)
        with pytest.raises(GeoAEError, match="nowhere"):
            geoae.read(tmp_path / name, group="nowhere")


def test_nested_groups_are_listed_by_their_paths(tmp_path):
    """Only those that hold variables."""
    data = made().drop_vars("city")
    for group in ("a/b", "a/c", "d"):
        data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", group=group, mode="a")
        data.to_zarr(tmp_path / "a.zarr", group=group, consolidated=False)
    for name in ("a.nc", "a.zarr"):
        with pytest.raises(InputError, match="but the groups a/b, a/c, d: choose one with --group a/b "):
            geoae.read(tmp_path / name)
        assert geoae.read(tmp_path / name, group="a/c").shape == (3, 8, 16)


def test_coordinates_of_outer_groups_belong_to_a_group(tmp_path):
    """As CF has it: the nearest coordinate counts, and those of other sizes are not of this grid."""
    data = made().drop_vars("city")
    lon = ("lon", data.lon.values, {"units": "degrees_east"})
    root = xr.Dataset(coords={"time": data.time, "lat": data.lat.variable, "lon": lon, "depth": ("z", [1.0, 2.0])})
    root.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    later = xr.Dataset(coords={"time": data.time + np.timedelta64(1, "h")})
    later.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", group="in", mode="a")
    bare = data.drop_vars(["time", "lat", "lon", "lat_bnds"])
    bare.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", group="in/side", mode="a")
    x = geoae.read(tmp_path / "a.nc", group="in/side")
    assert set(x.coords) == {"time", "lat", "lon"}
    np.testing.assert_array_equal(x.lon, data.lon)
    np.testing.assert_array_equal(x.time, data.time + np.timedelta64(1, "h"))
    np.testing.assert_array_equal(x.values, data["t2m"].values)


@pytest.mark.parametrize("magic", [b"II*\0", b"MM\0*", b"II+\0"])
def test_a_tiff_image_names_its_library(tmp_path, monkeypatch, magic):
    """By its content, whatever its name; with the library it is read by xarray's engine of it."""
    for name in ("a.tif", "a"):
        (tmp_path / name).write_bytes(magic + bytes(200))
        assert readers.find_reader(tmp_path / name) == "grids"
        monkeypatch.setattr("importlib.util.find_spec", lambda library: None)
        with pytest.raises(
            InputError, match=r"^\S+a(.tif)? is a TIFF image, which needs rioxarray: pip install 'rioxarray'\.$"
        ):
            geoae.read(tmp_path / name)
        monkeypatch.undo()


@pytest.mark.parametrize(("kind", "keep"), [(k, n) for k in ("netcdf3", "netcdf4") for n in (6, 100, 0.5, 0.98)])
def test_files_that_are_cut_off(tmp_path, kind, keep):
    """One line with the name of the file."""
    STORES[kind][0](made(), tmp_path / "whole.nc")
    content = (tmp_path / "whole.nc").read_bytes()
    (tmp_path / "a.nc").write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(DamagedFileError, match=r"^[^\n]*a\.nc[^\n]*$"):
        geoae.read(tmp_path / "a.nc").load()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("content", ["", "{", "[]", None])
def test_half_written_stores(tmp_path, zarr_format, content):
    """Incomplete and missing metadata are errors of one line."""
    zarr_store(zarr_format, False)(made(), tmp_path / "a.zarr")
    metadata = tmp_path / "a.zarr" / "t2m" / (".zarray" if zarr_format == 2 else "zarr.json")
    metadata.unlink() if content is None else metadata.write_text(content)
    with pytest.raises(GeoAEError, match=r"^[^\n]*a\.zarr[^\n]*$"):
        geoae.read(tmp_path / "a.zarr")


def test_what_is_no_field(tmp_path):
    """A bare array, an empty group, an empty file, text, a scalar, and a missing file."""
    zarr.save_array(str(tmp_path / "bare.zarr"), np.zeros((3, 4)))
    zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
    (tmp_path / "empty.nc").touch()
    (tmp_path / "text.nc").write_text("no field\n" * 40)
    write(tmp_path / "scalar.nc", xr.Dataset({"t": ((), 1.0)}))
    write(tmp_path / "none.nc", made().isel(time=slice(0, 0)))
    said = {
        "bare.zarr": "bare zarr array", "empty.zarr": "holds no field, nothing", "empty.nc": "neither netCDF nor zarr",
        "text.nc": "neither netCDF nor zarr", "scalar.nc": "holds no field, only t", "none.nc": "no samples .time 0",
    }  # fmt: skip
    for name, words in said.items():
        with pytest.raises(GeoAEError, match=words):
            geoae.read(tmp_path / name)
    with pytest.raises(MissingFileError, match=r"nowhere\.nc does not exist"):
        geoae.read(tmp_path / "nowhere.nc")
    with pytest.raises(MissingFileError, match=r"\*\.h5"):
        geoae.read(str(tmp_path / "*.h5"))
    assert not any(grids.sniff(tmp_path / name) for name in ("empty.nc", "text.nc", "nowhere.nc", "."))


def test_urls(tmp_path):
    """Stores and files of fsspec are read; unknown protocols are an error."""
    import fsspec

    memory = fsspec.filesystem("memory")
    made().drop_vars("city").to_zarr("memory://grids/a.zarr", consolidated=False)
    with memory.open("/grids/a.nc", "wb") as file:
        file.write(write(tmp_path / "a.nc", made()).read_bytes())
    for name in ("a.zarr", "a.nc"):
        np.testing.assert_array_equal(geoae.read(f"memory://grids/{name}").values, made()["t2m"].values)
    for name in ("b.zarr", "b.nc"):
        with pytest.raises(MissingFileError, match=f"memory://grids/{name} does not exist"):
            geoae.read(f"memory://grids/{name}")
    for name in ("a.zarr", "a.nc"):
        with pytest.raises(InputError, match=rf"^nothing://x/{name} cannot be opened[^\n]*nothing"):
            geoae.read(f"nothing://x/{name}")


def message(values: np.ndarray, **keys) -> bytes:
    """One GRIB message of a global grid."""
    import eccodes

    handle = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
    n_lat, n_lon = values.shape
    grid = {
        "Ni": n_lon, "Nj": n_lat, "latitudeOfFirstGridPointInDegrees": 60.0, "longitudeOfFirstGridPointInDegrees": 0.0,
        "latitudeOfLastGridPointInDegrees": 60.0 - 10 * (n_lat - 1), "jDirectionIncrementInDegrees": 10.0,
        "longitudeOfLastGridPointInDegrees": 360 - 360 / n_lon, "iDirectionIncrementInDegrees": 360 / n_lon,
        "bitmapPresent": 1, "missingValue": 9999,
    }  # fmt: skip
    for key, value in {**grid, **keys}.items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, np.nan_to_num(values, nan=9999).ravel())
    content = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    return content


@pytest.fixture
def grib(tmp_path) -> tuple[Path, np.ndarray]:
    pytest.importorskip("cfgrib")
    x = np.random.default_rng(0).normal(size=(3, 2, 12, 24))
    x[0, 0, 3, 4] = np.nan
    levels = [
        message(x[i, j], dataDate=20200101 + i, level=p, shortName="t")
        for i in range(3)
        for j, p in enumerate((850, 500))
    ]
    (tmp_path / "a.grib2").write_bytes(b"".join(levels))
    return tmp_path / "a.grib2", x


def test_grib(grib):
    """Times and levels are dimensions, missing samples are NaN, and no index file is written."""
    path, expected = grib
    x = geoae.read(path)
    assert grids.sniff(path)
    assert x.dims == ("time", "isobaricInhPa", "latitude", "longitude")
    np.testing.assert_allclose(x.values, expected, atol=1e-4)
    assert [p.name for p in path.parent.iterdir()] == ["a.grib2"]


def test_grib_with_several_kinds_of_levels(grib, capfd):
    """Every variable is in the tree."""
    path, x = grib
    near = {"dataDate": 20200101, "typeOfLevel": "heightAboveGround"}
    ground = [message(x[0, 0], level=2, shortName="2t", **near), message(x[0, 1], level=10, shortName="10u", **near)]
    path.write_bytes(path.read_bytes() + b"".join(ground))
    tree = geoae.read(path)
    assert {x.name for x in readers.read_records(path)} == {"t", "t2m", "u10"}
    assert float(tree["t2m"]["heightAboveGround"]) == 2
    assert float(tree["u10"]["heightAboveGround"]) == 10
    assert geoae.read(path, var="t").shape == x.shape
    assert capfd.readouterr() == ("", "")


def test_grib_that_is_cut_off(grib, capfd):
    """An incomplete message is an error."""
    path, _ = grib
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedFileError, match=r"^[^\n]*a\.grib2 cannot be opened as GRIB[^\n]*$"):
        geoae.read(path)
    assert capfd.readouterr() == ("", "")


def test_grib_without_its_library(tmp_path, monkeypatch):
    """The error names the optional dependency."""
    find = grids.opening.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "cfgrib" else find(name, *a))
    (tmp_path / "a.grib").write_bytes(b"GRIB" + bytes(100))
    with pytest.raises(InputError, match=r"a\.grib is GRIB, which needs cfgrib: pip install 'geoae\[grib\]'"):
        geoae.read(tmp_path / "a.grib")
