"""Gridded fields: every kind of store gives the same lazy array; what is damaged or unclear is said in one line."""

import math
import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geoae
from geoae import readers
from geoae.errors import DamagedFileError, GeoAEError, InputError, MissingFileError, UnknownNameError
from geoae.labels import adapter
from geoae.labels.cf import grid_layout
from geoae.readers.fields import grids

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


@pytest.fixture(params=STORES)
def store(request, tmp_path) -> Path:
    write, name = STORES[request.param]
    write(made(), tmp_path / name)
    return tmp_path / name


def write(path: Path, data: xr.Dataset) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.to_netcdf(path, engine="h5netcdf")
    return path


@pytest.fixture
def nothing_is_read(monkeypatch):
    def refuse(*_):
        raise AssertionError("samples were read")

    monkeypatch.setattr(adapter._ChangedVariable, "read", refuse)


def test_every_store_gives_the_same_field(store):
    """Values, dimensions, coordinates, attributes, name; in chunks of dask; and in another process."""
    x, expected = geoae.read(store), made()["t2m"]
    assert grids.sniff(store)
    assert x.chunks is not None
    assert (x.name, x.dims, x.dtype.str, x.attrs) == ("t2m", expected.dims, expected.dtype.str, expected.attrs)
    np.testing.assert_array_equal(x.values, expected.values)
    for name in ("time", "lat", "lon"):
        np.testing.assert_array_equal(x[name].values, expected[name].values)
    assert x.encoding["source"] == str(store)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(x)).values, expected.values)


@pytest.mark.usefixtures("nothing_is_read")
def test_reading_reads_nothing(store):
    """Only metadata and coordinates, also of several files."""
    geoae.read(store)
    with pytest.raises(AssertionError, match="samples were read"):
        geoae.read(store).load()


def test_a_store_of_many_chunks_is_one_of_few_tasks(tmp_path):
    """100,000 chunks in the store are some hundred here, each of whole chunks of the store."""
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("t", shape=(100_000, 64, 64), chunks=(1, 64, 64), dtype="f4", dimension_names=("time", "y", "x"))
    x = geoae.read(tmp_path / "a.zarr")
    assert len(dict(x.__dask_graph__())) < 200
    assert x.encoding["preferred_chunks"] == {"time": 1, "y": 64, "x": 64}
    assert np.isnan(x[77_777, 3:5].values).all() or (x[77_777, 3:5].values == 0).all()


def test_a_part_reads_that_part(tmp_path, monkeypatch):
    """The edge of a window does not read the whole chunk that it lies in."""
    netcdf3(made(), tmp_path / "a.nc")
    shapes, get = [], adapter._ChangedVariable.read

    def noting(self, key):
        out = get(self, key)
        shapes.append(out.shape)
        return out

    monkeypatch.setattr(adapter._ChangedVariable, "read", noting)
    geoae.read(tmp_path / "a.nc")[1, 2:4, 5:8].compute()
    assert shapes
    assert set(shapes) <= {(2, 3), (1, 2, 3)}


@settings(max_examples=200)
@given(data=st.data(), limit=st.integers(1, 1 << 12))
def test_chunks_are_whole_stored_chunks(data, limit):
    """No larger than the limit unless the stored ones are; multiples of them, or the whole dimension."""
    sizes = {dim: data.draw(st.integers(1, 300)) for dim in ("time", "y", "x")}
    stored = {dim: data.draw(st.integers(1, n)) for dim, n in sizes.items() if data.draw(st.booleans())}
    chunk = grids.grow_chunks(sizes, stored, ("y", "x"), limit)
    least = math.prod(stored.get(dim, 1) for dim in sizes)
    assert math.prod(chunk.values()) <= max(limit, least)
    for dim, n in sizes.items():
        assert chunk[dim] % stored.get(dim, 1) == 0 or chunk[dim] == n
    assert list(chunk) == list(sizes)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    dtype=st.sampled_from(["i1", "u1", "i2", "i4", "f4"]), scale=st.sampled_from([None, 0.01, -1.7, np.float32(0.5)]),
    offset=st.sampled_from([None, 273.15, -4.0]), fill=st.sampled_from([None, 7]),
    engine=st.sampled_from(["scipy", "h5netcdf"]),
)  # fmt: skip
def test_packed_numbers_are_decoded_as_xarray_does(tmp_path_factory, dtype, scale, offset, fill, engine):
    """And their encoding is kept: written again, the file holds the same integers."""
    if engine == "scipy" and dtype == "u1":
        return
    path = tmp_path_factory.mktemp("packed") / "a.nc"
    raw = np.arange(6, 12, dtype=dtype).reshape(2, 3)
    attrs = {"scale_factor": scale, "add_offset": offset, "_FillValue": fill if fill is None else raw.dtype.type(fill)}
    xr.Dataset({"z": (("y", "x"), raw, {k: v for k, v in attrs.items() if v is not None})}).to_netcdf(
        path, engine=engine
    )
    x = geoae.read(path)
    with xr.open_dataset(path, engine=engine) as expected:
        np.testing.assert_array_equal(x.values, expected["z"].values)
        assert x.dtype == expected["z"].dtype.newbyteorder("=")
        assert x.dtype.isnative
    encoding = {k: v for k, v in x.encoding.items() if k in ("dtype", "scale_factor", "add_offset", "_FillValue")}
    encoding["_FillValue"] = encoding.get("_FillValue", raw.dtype.type(100) if raw.dtype.kind in "iu" else None)
    x.to_dataset().to_netcdf(path.with_name("b.nc"), engine=engine, encoding={"z": encoding})
    with xr.open_dataset(path.with_name("b.nc"), engine=engine, decode_cf=False) as again:
        # integers come back exactly; floats to the rounding of what they were unpacked to
        unpacked = 0.0 if raw.dtype.kind in "iu" else np.finfo("f4").eps * abs((offset or 0) / (scale or 1))
        np.testing.assert_allclose(again["z"].values.astype("f8"), raw.astype("f8"), rtol=1e-5, atol=unpacked)


def test_one_variable_is_an_array_and_several_are_a_tree(tmp_path):
    """All variables on a grid, in the order of the file, at the root of the tree; or those that are named."""
    data = made()
    for name in ("u", "v"):
        data[name] = data["t2m"] * 2
    data["profile"] = ("time", np.zeros(3))
    tree = geoae.read(write(tmp_path / "a.nc", data))
    assert isinstance(tree, xr.DataTree)
    assert list(tree.data_vars) == ["t2m", "u", "v"]
    assert tree["u"].chunks is not None
    assert tree["t2m"].encoding["source"] == str(tmp_path / "a.nc")
    assert geoae.read(tmp_path / "a.nc", var="v").name == "v"
    assert [x.name for x in readers.read_records(tmp_path / "a.nc", var=["v", "u"])] == ["v", "u"]
    with pytest.raises(UnknownNameError, match=r"a\.nc has no variable w; there are t2m, u, v, profile\."):
        geoae.read(tmp_path / "a.nc", var="w")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_variables_of_a_plain_zarr_store_are_sorted(tmp_path, zarr_format):
    """zarr lists them in random order if the metadata are not consolidated."""
    data = made()
    for name in ("v", "a", "u"):
        data[name] = data["t2m"]
    zarr_store(zarr_format, consolidated=False)(data, tmp_path / "a.zarr")
    for _ in range(5):
        assert list(geoae.read(tmp_path / "a.zarr").data_vars) == ["a", "t2m", "u", "v"]


def test_dimensions_are_named_where_no_rule_finds_them(tmp_path):
    """As a list or as on the command line."""
    path = write(tmp_path / "a.nc", xr.Dataset({"t": (("time", "a", "b"), np.zeros((2, 3, 4)))}))
    with pytest.raises(InputError, match=r"a\.nc: t: .*time 2, a 3, b 4.*--dims a,b"):
        geoae.read(path)
    assert geoae.read(path, dims="a, b").dims == geoae.read(path, dims=("a", "b")).dims == ("time", "a", "b")
    with pytest.raises(InputError, match="no dimension c"):
        geoae.read(path, dims="a,c")


@pytest.mark.parametrize("order", [("1", "2", "3"), ("3", "1", "2")])
@pytest.mark.parametrize("falling", [False, True])
def test_files_are_joined_in_the_order_of_their_times(tmp_path, order, falling):
    """Whatever the order of the names; times that fall in the files fall in the whole."""
    whole = made(6)
    for k, name in enumerate(order):
        part = whole.isel(time=slice(2 * k, 2 * k + 2))
        write(tmp_path / f"{name}.nc", part.isel(time=slice(None, None, -1)) if falling else part)
    expected = whole["t2m"].isel(time=slice(None, None, -1)) if falling else whole["t2m"]
    for files in (str(tmp_path / "*.nc"), sorted(tmp_path.glob("*.nc"))):
        x = geoae.read(files)
        np.testing.assert_array_equal(x.values, expected.values)
        np.testing.assert_array_equal(x["time"].values, expected["time"].values)
        assert (x.dims, x.attrs, x.chunks[0]) == (expected.dims, expected.attrs, (2, 2, 2))
    assert x.encoding["source"] == tuple(str(tmp_path / f"{n}.nc") for n in (reversed(order) if falling else order))


def test_single_fields_are_joined_along_their_time(tmp_path):
    """Files without a time dimension, as one satellite pass each."""
    for k in (2, 0, 1):
        write(tmp_path / f"{k}.nc", made().isel(time=k))
    x = geoae.read(str(tmp_path / "?.nc"))
    assert x.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(x.values, made()["t2m"].values)
    for k in range(2):
        write(tmp_path / f"timeless{k}.nc", made().isel(time=k, drop=True))
    with pytest.raises(InputError, match=r"timeless0\.nc: t2m has no time.*along='member'"):
        geoae.read(str(tmp_path / "timeless?.nc"))


def test_members_are_joined_along_a_dimension_of_their_own(tmp_path):
    """In the order in which they are named; without that word, equal times are refused."""
    for k in range(2):
        write(tmp_path / f"{k}.nc", made().assign(t2m=made()["t2m"] + k))
    with pytest.raises(InputError, match=r"0\.nc and .*1\.nc overlap in time.*along='member'"):
        geoae.read(str(tmp_path / "?.nc"))
    x = geoae.read([tmp_path / "1.nc", tmp_path / "0.nc"], along="member")
    assert x.dims == ("member", "time", "lat", "lon")
    np.testing.assert_array_equal(x.isel(member=1).values, made()["t2m"].values)
    assert grid_layout(x).member == "member"


UNLIKE = {
    "units": (lambda d: d.assign(t2m=d["t2m"].assign_attrs(units="degC")), "units degC there, K here"),
    "size": (lambda d: d.isel(lat=slice(5)), "lat of 5 there, of 8 here"),
    "values": (lambda d: d.assign_coords(lat=d["lat"] + 0.5), "other values of lat"),
    "dimensions": (lambda d: d.isel(time=0), r"the dimensions \(lat, lon\) there, \(time, lat, lon\) here"),
    "names": (lambda d: d.rename(lat="y"), r"the dimensions \(time, y, lon\) there"),
    "variable": (lambda d: d.rename(t2m="tas"), "it has no variable t2m"),
    "calendar": (lambda d: d.convert_calendar("noleap"), "a time of another kind or calendar"),
    "coordinate": (lambda d: d.drop_vars("lon"), "no coordinate lon there"),
}


@pytest.mark.parametrize("what", UNLIKE)
def test_files_that_do_not_fit_are_named(tmp_path, what):
    """The file, and what is different about it."""
    change, said = UNLIKE[what]
    write(tmp_path / "1.nc", made(2))
    write(tmp_path / "2.nc", made(2, 2))
    write(tmp_path / "3.nc", change(made(2, 4)))
    with pytest.raises(InputError, match=rf"3\.nc does not fit .*1\.nc: .*{said}"):
        geoae.read(str(tmp_path / "?.nc"))


def test_coordinates_that_only_round_differently_fit(tmp_path):
    """Single precision in one file, double in another."""
    write(tmp_path / "1.nc", made(2))
    write(tmp_path / "2.nc", made(2, 2).assign_coords(lat=made()["lat"].astype("f4") + np.float32(1e-5)))
    assert geoae.read(str(tmp_path / "?.nc")).shape == (4, 8, 16)


def test_files_with_packings_of_their_own(tmp_path):
    """Each is decoded by its own; no packing is kept that would not fit them all."""
    for k, scale in enumerate((0.01, 0.02)):
        data = made(2, 2 * k).fillna(280.0)
        packing = {"dtype": "i2", "scale_factor": scale, "add_offset": 280.0, "_FillValue": -32768}
        data.to_netcdf(tmp_path / f"{k}.nc", engine="h5netcdf", encoding={"t2m": packing})
    x = geoae.read(str(tmp_path / "?.nc"))
    expected = np.concatenate([made(2, 2 * k).fillna(280.0)["t2m"].values for k in (0, 1)])
    assert np.abs(x.values - expected).max() < 0.011
    assert not {"scale_factor", "add_offset", "dtype", "_FillValue"} & x.encoding.keys()
    same = geoae.read(tmp_path / "0.nc").encoding
    assert (same["scale_factor"], same["add_offset"], same["dtype"]) == (0.01, 280.0, np.dtype("i2"))


def test_times_that_are_no_dates_stay_numbers(tmp_path):
    """`months since` is no fixed time; climatologies have it."""
    data = made().assign_coords(time=("time", [0.5, 1.5, 2.5], {"units": "months since 1900-01-01"}))
    x = geoae.read(write(tmp_path / "a.nc", data))
    assert list(x["time"].values) == [0.5, 1.5, 2.5]


def test_calendars_of_models(tmp_path):
    """360 days, and years that nanoseconds do not reach, are read without a word."""
    data = made().assign_coords(time=("time", [0, 30, 60], {"units": "days since 0850-02-28", "calendar": "360_day"}))
    x = geoae.read(write(tmp_path / "a.nc", data))
    assert [str(t)[:10] for t in x["time"].values] == ["0850-02-28", "0850-03-28", "0850-04-28"]


def test_samples_with_units_of_time_are_samples(tmp_path):
    """A wave period in seconds is no timedelta."""
    x = geoae.read(write(tmp_path / "a.nc", made(units="s")))
    assert (x.dtype, x.attrs["units"]) == (np.float32, "s")


@pytest.mark.parametrize("dtype", ["f2", "f8", "i2", "u1"])
def test_types_come_as_they_are(tmp_path, dtype):
    """Half precision and integers without packing too."""
    data = xr.Dataset({"t": (("y", "x"), np.arange(12, dtype=dtype).reshape(3, 4))})
    data.to_zarr(tmp_path / "a.zarr", consolidated=False)
    assert geoae.read(tmp_path / "a.zarr").dtype == dtype


def test_curvilinear_coordinates_are_lazy_and_kept(tmp_path):
    """Two-dimensional positions come along, whether the file marks them as coordinates or not."""
    lat, lon = (np.random.default_rng(k).normal(size=(6, 7)) for k in (0, 1))
    data = xr.Dataset({"sst": (("p", "q"), lat * lon), "lat": (("p", "q"), lat, {"units": "degrees_north"}),
                       "lon": (("p", "q"), lon, {"units": "degrees_east"})})  # fmt: skip
    x = geoae.read(write(tmp_path / "a.nc", data))
    assert set(x.coords) == {"lat", "lon"}
    assert x["lat"].chunks is not None
    np.testing.assert_array_equal(x["lat"].values, lat)


def test_groups_are_listed_and_chosen(tmp_path):
    """A store whose root holds no field says which groups there are."""
    made().to_netcdf(tmp_path / "a.nc", engine="h5netcdf", group="PRODUCT")
    made().drop_vars("city").to_zarr(tmp_path / "a.zarr", group="PRODUCT", consolidated=False)
    for name in ("a.nc", "a.zarr"):
        with pytest.raises(InputError, match="but the groups PRODUCT: choose one with group='PRODUCT'"):
            geoae.read(tmp_path / name)
        np.testing.assert_array_equal(geoae.read(tmp_path / name, group="PRODUCT").values, made()["t2m"].values)
        with pytest.raises(GeoAEError, match="nowhere"):
            geoae.read(tmp_path / name, group="nowhere")


def test_what_differs_has_another_name_in_the_graph(tmp_path):
    """Equal variables of two groups, conversions or states of a file are not taken for each other."""
    for group in ("A", "B"):
        made(1 if group == "A" else 2).isel(time=[-1]).to_netcdf(
            tmp_path / "a.nc", mode="a", engine="h5netcdf", group=group
        )
    names = {geoae.read(tmp_path / "a.nc", group=group).data.name for group in ("A", "A", "B")}
    assert len(names) == 2
    other = grids.read(tmp_path / "a.nc", group="A", adapter=adapter.Adapter(unit_add={"t2m": 1.0}))[0]
    assert other.data.name not in names


@pytest.mark.parametrize(("kind", "keep"), [(k, n) for k in ("netcdf3", "netcdf4") for n in (6, 100, 0.5, 0.98)])
def test_files_that_are_cut_off(tmp_path, kind, keep):
    """One line with the name of the file."""
    STORES[kind][0](made(), tmp_path / "whole.nc")
    content = (tmp_path / "whole.nc").read_bytes()
    (tmp_path / "a.nc").write_bytes(content[: keep if keep > 1 else int(keep * len(content))])
    with pytest.raises(DamagedFileError, match=r"^[^\n]*a\.nc[^\n]*$"):
        geoae.read(tmp_path / "a.nc").load()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("content", [b"", b"junk" * 30])
def test_damaged_chunks_are_told_when_they_are_used(tmp_path, zarr_format, content):
    """The store opens; the variable that cannot be read is named, through dask too."""
    zarr_store(zarr_format)(made(), tmp_path / "a.zarr")
    chunk = max((p for p in (tmp_path / "a.zarr" / "t2m").rglob("*") if p.name[-1].isdigit() and p.is_file()), key=str)
    chunk.write_bytes(content)
    x = geoae.read(tmp_path / "a.zarr")
    assert np.isfinite(x[0].values[0]).all()
    with pytest.raises(DamagedFileError, match=r"^[^\n]*a\.zarr: t2m cannot be read: [^\n]*$"):
        x.compute()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("content", ["", "{", "[]", None])
def test_half_written_stores(tmp_path, zarr_format, content):
    """Metadata that is cut off, or not there."""
    zarr_store(zarr_format, False)(made(), tmp_path / "a.zarr")
    metadata = tmp_path / "a.zarr" / "t2m" / (".zarray" if zarr_format == 2 else "zarr.json")
    metadata.unlink() if content is None else metadata.write_text(content)
    with pytest.raises(GeoAEError, match=r"^[^\n]*a\.zarr[^\n]*$"):
        geoae.read(tmp_path / "a.zarr")


def test_what_is_no_field(tmp_path):
    """A bare array, an empty group, an empty file, text under the name of a field, nothing at all."""
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


def test_a_file_that_could_not_be_used_is_closed(tmp_path):
    """It can be written anew in the same session."""
    path = write(tmp_path / "a.nc", made().isel(lat=[0, 2, 1]))
    with pytest.raises(InputError, match=r"a\.nc: t2m: coordinate lat"):
        geoae.read(path)
    write(path, made())
    assert geoae.read(path).shape == (3, 8, 16)


def test_other_hdf5_is_left_to_others(tmp_path):
    """Without the dimension scales of netCDF-4, HDF5 may be a recording."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["waves"] = np.zeros((3, 4))
    assert not grids.sniff(tmp_path / "a.h5")
    assert grids.sniff(write(tmp_path / "b.nc", made()))


def test_a_selection_that_the_reader_does_not_know_is_refused(tmp_path):
    """`ids` is for recordings."""
    with pytest.raises(InputError, match=r"reader 'grids' .* does not know ids; it takes var, dims, along, group"):
        geoae.read(write(tmp_path / "a.nc", made()), ids="*")


def test_addresses(tmp_path):
    """Stores and files behind fsspec are read; protocols without their library are refused with its name."""
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
    """Times and levels are dimensions, missing samples NaN, and no index file is left beside it."""
    path, expected = grib
    x = geoae.read(path)
    assert grids.sniff(path)
    assert x.dims == ("time", "isobaricInhPa", "latitude", "longitude")
    np.testing.assert_allclose(x.values, expected, atol=1e-4)
    assert [p.name for p in path.parent.iterdir()] == ["a.grib2"]


def test_grib_with_several_kinds_of_levels(grib, capfd):
    """Each variable has its own place in the tree, and none is left out."""
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
    """A message that is not whole does not just go missing."""
    path, _ = grib
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedFileError, match=r"^[^\n]*a\.grib2 cannot be opened as GRIB[^\n]*$"):
        geoae.read(path)
    assert capfd.readouterr() == ("", "")


def test_grib_without_its_library(tmp_path, monkeypatch):
    """The extra is named."""
    find = grids.stores.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "cfgrib" else find(name, *a))
    (tmp_path / "a.grib").write_bytes(b"GRIB" + bytes(100))
    with pytest.raises(InputError, match=r"a\.grib is GRIB, which needs cfgrib: pip install 'geoae\[grib\]'"):
        geoae.read(tmp_path / "a.grib")


def test_looking_at_a_recording_loads_no_backend(tmp_path):
    """Whether a file is a grid is seen in its first bytes."""
    (tmp_path / "day.mseed").write_bytes(b"000001D " * 64)
    code = f"""
import sys
from geoae.readers.fields import grids
assert not grids.sniff({str(tmp_path / "day.mseed")!r})
print(sorted({{"dask", "zarr", "h5py", "h5netcdf", "cfgrib", "scipy", "torch", "obspy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
