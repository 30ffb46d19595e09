"""Tests of geoae.readers.fields.grids: every kind of store gives the same lazy array."""

import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geoae
from geoae import readers
from geoae.errors import DamagedFileError, InputError, UnknownNameError
from geoae.labels import adapter
from geoae.readers.fields import grids
from tests.support.grid_files import STORES, made, netcdf3, write, zarr_store


@pytest.fixture(params=STORES)
def store(request, tmp_path) -> Path:
    write, name = STORES[request.param]
    write(made(), tmp_path / name)
    return tmp_path / name


@pytest.fixture
def nothing_is_read(monkeypatch):
    def refuse(*_):
        raise AssertionError("samples were read")

    monkeypatch.setattr(adapter._ChangedVariable, "read", refuse)


def test_every_store_gives_the_same_field(store):
    """Values, dimensions, coordinates, attributes and name are equal, in chunks of dask and in another process."""
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
    """Opening reads only metadata and coordinates."""
    geoae.read(store)
    with pytest.raises(AssertionError, match="samples were read"):
        geoae.read(store).load()


def test_a_store_of_many_chunks_is_one_of_few_tasks(tmp_path):
    """100,000 chunks in the store become some hundred larger chunks."""
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
    """They are multiples of stored chunks or the whole dimension; only stored chunks may exceed the limit."""
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
    """The encoding is kept: when the field is written again, the file has the same integers."""
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


def test_horizontal_dimensions_may_be_named(tmp_path):
    """As a list, or as text as on the command line."""
    path = write(tmp_path / "a.nc", xr.Dataset({"t": (("time", "a", "b"), np.zeros((2, 3, 4)))}))
    with pytest.raises(InputError, match=r"a\.nc: t: .*time 2, a 3, b 4.*--dims a,b"):
        geoae.read(path)
    assert geoae.read(path, dims="a, b").dims == geoae.read(path, dims=("a", "b")).dims == ("time", "a", "b")
    with pytest.raises(InputError, match="no dimension c"):
        geoae.read(path, dims="a,c")


@pytest.mark.parametrize("dtype", ["f2", "f8", "i2", "u1"])
def test_types_are_kept(tmp_path, dtype):
    """Also half precision, and integers without packing."""
    data = xr.Dataset({"t": (("y", "x"), np.arange(12, dtype=dtype).reshape(3, 4))})
    data.to_zarr(tmp_path / "a.zarr", consolidated=False)
    assert geoae.read(tmp_path / "a.zarr").dtype == dtype


def test_curvilinear_coordinates_are_lazy_and_kept(tmp_path):
    """Two-dimensional coordinates are kept, whether the file marks them as coordinates or not."""
    lat, lon = (np.random.default_rng(k).normal(size=(6, 7)) for k in (0, 1))
    data = xr.Dataset({"sst": (("p", "q"), lat * lon), "lat": (("p", "q"), lat, {"units": "degrees_north"}),
                       "lon": (("p", "q"), lon, {"units": "degrees_east"})})  # fmt: skip
    x = geoae.read(write(tmp_path / "a.nc", data))
    assert set(x.coords) == {"lat", "lon"}
    assert x["lat"].chunks is not None
    np.testing.assert_array_equal(x["lat"].values, lat)


def test_different_fields_have_different_names_in_the_graph(tmp_path):
    """Equally named variables of two groups or with two conversions do not share dask keys."""
    for group in ("A", "B"):
        made(1 if group == "A" else 2).isel(time=[-1]).to_netcdf(
            tmp_path / "a.nc", mode="a", engine="h5netcdf", group=group
        )
    names = {geoae.read(tmp_path / "a.nc", group=group).data.name for group in ("A", "A", "B")}
    assert len(names) == 2
    other = grids.read(tmp_path / "a.nc", group="A", adapter=adapter.Adapter(unit_add={"t2m": 1.0}))[0]
    assert other.data.name not in names


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("content", [b"", b"junk" * 30])
def test_damaged_chunks_are_errors_when_they_are_used(tmp_path, zarr_format, content):
    """The store opens; the error names the variable, also through dask."""
    zarr_store(zarr_format)(made(), tmp_path / "a.zarr")
    chunk = max((p for p in (tmp_path / "a.zarr" / "t2m").rglob("*") if p.name[-1].isdigit() and p.is_file()), key=str)
    chunk.write_bytes(content)
    x = geoae.read(tmp_path / "a.zarr")
    assert np.isfinite(x[0].values[0]).all()
    with pytest.raises(DamagedFileError, match=r"^[^\n]*a\.zarr: t2m cannot be read: [^\n]*$"):
        x.compute()


def test_files_are_closed_after_an_error(tmp_path):
    """The file can be overwritten in the same process."""
    path = write(tmp_path / "a.nc", made().isel(lat=[0, 2, 1]))
    with pytest.raises(InputError, match=r"a\.nc: t2m: coordinate lat"):
        geoae.read(path)
    write(path, made())
    assert geoae.read(path).shape == (3, 8, 16)


def test_hdf5_without_dimension_scales_is_no_grid(tmp_path):
    """Such a file may be a recording."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["waves"] = np.zeros((3, 4))
    assert not grids.sniff(tmp_path / "a.h5")
    assert grids.sniff(write(tmp_path / "b.nc", made()))


def test_unknown_selections_are_refused(tmp_path):
    """`ids` is an argument for recordings."""
    with pytest.raises(InputError, match=r"reader 'grids' .* does not know ids; it takes var, dims, along, group"):
        geoae.read(write(tmp_path / "a.nc", made()), ids="*")


def test_sniff_loads_no_library(tmp_path):
    """The first bytes of a file are enough."""
    (tmp_path / "day.mseed").write_bytes(b"000001D " * 64)
    code = f"""
import sys
from geoae.readers.fields import grids
assert not grids.sniff({str(tmp_path / "day.mseed")!r})
print(sorted({{"dask", "zarr", "h5py", "h5netcdf", "cfgrib", "scipy", "torch", "obspy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
