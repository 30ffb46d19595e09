"""Fields end to end: several variables and files, catalogs and addresses, appending, files and stores."""

import warnings

import dask
import numpy as np
import pytest
import xarray as xr
import zarr
from typer.testing import CliRunner

import geoae
from geoae.cli import app
from geoae.errors import InputError, OutputExistsError, StoreError
from geoae.jobs.options import InferenceOptions
from tests.support import fields
from tests.support.denoising import denoise_files


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fields.saved(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(inputs, out, **more):
        return denoise_files(inputs, out, InferenceOptions(model, threads=1), **more)

    run.model = model
    return run


def series(n=8):
    """A field with bounds of its times, a grid mapping, a history, and a profile that is not a field."""
    x = fields.field(n, 16, 20)
    x.attrs["grid_mapping"] = "crs"
    data = x.to_dataset()
    data["time"].attrs["bounds"] = "time_bnds"
    data["time"].encoding["units"] = "hours since 1990-01-01"
    data["time_bnds"] = ("time", "bnds"), np.stack([x.time.values, x.time.values + np.timedelta64(6, "h")], 1)
    data["crs"] = (), 0, {"grid_mapping_name": "latitude_longitude"}
    data["profile"] = ("time",), np.arange(float(n))
    return data.assign_attrs(title="T", history="made")


def test_a_store_has_attributes_and_settings(run, model):
    """CF attributes, bounds and grid mapping come along; settings, source and its hash are named."""
    series().to_netcdf("a.nc")
    done = run(["a.nc"], "a.zarr", command="geoae denoise a.nc")
    assert [row.name for row in done.rows] == ["t2m"]
    assert (done.rows[0].slices, done.rows[0].units) == (8, "K")
    assert done.rows[0].std_removed > 0
    assert "profile (time) is not a field on a grid and is left out" in done.notes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xr.open_zarr("a.zarr")
    assert set(found.variables) == {"t2m", "time", "lat", "lon", "time_bnds", "crs"}
    assert found.t2m.attrs["units"] == "K"
    assert found.attrs["title"] == "T"
    assert found.attrs["history"].splitlines()[0] == "made"
    about = {k.removeprefix("geoae_"): v for k, v in found.attrs.items()}
    assert about["digest"] == geoae.load_model(model).digest
    assert (about["window"], about["overlap"], about["dims"]) == ([32, 32], [8, 8], ["lat", "lon"])
    assert about["source_hash"].startswith("sha256:")
    assert about["command"] == "geoae denoise a.nc"
    expected = geoae.denoise(xr.open_dataset("a.nc").t2m, model=model)
    np.testing.assert_array_equal(found.t2m.values, expected.values)


def test_netcdf_holds_the_same(run):
    """-o NAME.nc: the samples and attributes of the store."""
    series().to_netcdf("a.nc")
    run(["a.nc"], "a.zarr")
    run(["a.nc"], "b.nc")
    store, file = xr.open_zarr("a.zarr").load(), xr.open_dataset("b.nc").load()
    np.testing.assert_array_equal(file.t2m.values, store.t2m.values)
    assert file.attrs["geoae_digest"] == store.attrs["geoae_digest"]
    assert {"time_bnds", "crs"} <= set(file.variables)


def test_fields_in_a_group_of_a_file(run):
    """--group chooses it, for denoising, encoding and info; groups of one file are different inputs."""
    x = fields.field(4, 16, 20)
    for group, factor in (("a", 1), ("b", 2)):
        (factor * x).to_dataset().to_netcdf("g.nc", group=group, mode="a", engine="h5netcdf")
    with pytest.raises(InputError, match="choose one with --group a"):
        run(["g.nc"], "s.zarr")
    run(["g.nc"], "s.zarr", group="a")
    with pytest.raises(OutputExistsError, match="group a"):
        run(["g.nc"], "s.zarr", group="b")
    run(["g.nc"], "s.zarr", group="b", overwrite=True)
    run(["g.nc"], "a.nc", group="a")
    np.testing.assert_allclose(xr.open_zarr("s.zarr").t2m, 2 * xr.open_dataset("a.nc").t2m, rtol=1e-4)
    shown = CliRunner().invoke(app, ["info", "g.nc", "--group", "b"])
    assert "t2m" in shown.output
    assert CliRunner().invoke(app, ["encode", "g.nc", "-o", "c.zarr", "--group", "b"]).exit_code == 0
    assert geoae.open_codes("c.zarr").sizes["time"] == 4


def test_several_variables(run):
    """All fields on the grid, or those that are chosen."""
    x = fields.field(4, 16, 20)
    xr.Dataset({"u": x, "v": 2 * x, "w": 3 * x}).to_netcdf("a.nc")
    assert [row.name for row in run(["a.nc"], "a.zarr").rows] == ["u", "v", "w"]
    assert set(xr.open_zarr("a.zarr").data_vars) == {"u", "v", "w"}
    assert [row.name for row in run(["a.nc"], "b.zarr", var="w,u").rows] == ["w", "u"]


def test_later_times_are_appended(run):
    """New files, or all files again: only what comes later is added; once it is there nothing happens."""
    data = series(12)
    for i in range(3):
        data.isel(time=slice(4 * i, 4 * i + 4)).to_netcdf(f"p{i}.nc")
    run(["p0.nc"], "a.zarr", append=True)
    first = xr.open_zarr("a.zarr").t2m.values
    run(["p0.nc", "p1.nc"], "a.zarr", append=True)
    run(["p2.nc"], "a.zarr", append=True)
    found = xr.open_zarr("a.zarr")
    np.testing.assert_array_equal(found.time.values, data.time.values)
    np.testing.assert_array_equal(found.t2m.values[:4], first)
    assert np.isfinite(found.t2m.values).sum() == np.isfinite(data.t2m.values).sum()
    assert "nothing was appended" in run(["p?.nc"], "a.zarr", append=True).notes[-1]
    data.assign(t2m=data.t2m.assign_attrs(units="degC")).to_netcdf("c.nc")
    with pytest.raises(StoreError, match="other settings: units"):
        run(["c.nc"], "a.zarr", append=True)
    between = data.t2m[1:3].assign_coords(time=data.time.values[1:3] - np.timedelta64(3, "h"))
    between.to_netcdf("q.nc")
    with pytest.raises(StoreError, match="does not hold"):
        run(["q.nc"], "a.zarr", append=True)
    fields.field(3, 16, 20).isel(time=0, drop=True).to_netcdf("still.nc")
    with pytest.raises(InputError, match="no time"):
        run(["still.nc"], "b.zarr", append=True)


def packed(path, **attrs):
    """A field of 16-bit integers in steps of 0.01 K, of which the corner holds -327 K, outside its valid range."""
    x = fields.field(4, 16, 20, closes=True, gaps=0.1)
    x[:, 0, 0] = -27.0
    x.attrs |= {"valid_min": np.int16(-30000), **attrs}
    x.encoding = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 300.0, "_FillValue": np.int16(-32768)}
    x.to_dataset().to_netcdf(path)


def test_names_of_variables_that_an_output_lacks(run):
    """They are told and left out, of coordinates too; what is in other files, and what comes along, stays named."""
    data = series(4)
    data.t2m.attrs |= {"cell_measures": "area: areacella volume: volcello", "ancillary_variables": "t2m_error"}
    data["t2m_error"] = ("lat", np.zeros(16))
    data["areacella"] = ("lat", np.ones(16))
    data["lat"].attrs["bounds"] = "lat_bnds"
    data.attrs["external_variables"] = "volcello"
    data.to_netcdf("a.nc")
    for target in ("s.zarr", "s.nc"):
        told = run(["a.nc"], target).notes
        for name, owner in (
            ("areacella (cell_measures", "t2m"),
            ("t2m_error (anc", "t2m"),
            ("lat_bnds (bounds", "lat"),
        ):
            assert [note for note in told if note.startswith(name) and f" of {owner}) is left out" in note]
        with xr.open_dataset(target, decode_cf=False, **({"engine": "zarr"} if target == "s.zarr" else {})) as found:
            assert found.t2m.attrs["cell_measures"] == "volume: volcello"
            assert "ancillary_variables" not in found.t2m.attrs
            assert "bounds" not in found.lat.attrs
            assert (found.t2m.attrs["grid_mapping"], found.time.attrs["bounds"]) == ("crs", "time_bnds")


def test_attributes_that_netcdf_cannot_hold(run):
    """Truth values, nothing, mappings and lists of lists, as zarr and HDF5 hold them, become text."""
    odd = {"flag": True, "nothing": None, "facts": {"a": [1, None]}, "rows": [[1], [2, 3]], "big": 2**70, "none": []}
    series(3).to_zarr("in.zarr", consolidated=False)
    group = zarr.open_group("in.zarr")
    for holder in (group, group["t2m"], group["lat"]):
        holder.attrs.update(odd)
    run(["in.zarr"], "a.nc")
    with xr.open_dataset("a.nc") as data:
        for attrs in (data.attrs, data.t2m.attrs, data.lat.attrs):
            assert [attrs[key] for key in odd][:5] == [
                "true", "none", '{"a": [1, null]}', "[[1], [2, 3]]", "1180591620717411303424"
            ]  # fmt: skip
    assert CliRunner().invoke(app, ["encode", "in.zarr", "-o", "c.zarr"]).exit_code == 0
    assert CliRunner().invoke(app, ["decode", "c.zarr", "-o", "d.nc"]).exit_code == 0
    with xr.open_dataset("d.nc") as data:
        assert data.t2m.attrs["facts"] == '{"a": [1, null]}'
    x = fields.field(2, 16, 20).assign_attrs(flag=np.bool_(True), start=np.datetime64("2000-01-01", "ns"), raw=b"abc")
    assert geoae.decode(geoae.encode(x)).attrs | {"processing": ""} == {
        **x.attrs, "flag": True, "start": "2000-01-01T00:00:00.000000000", "raw": "abc", "processing": ""
    }  # fmt: skip


def test_values_outside_the_valid_range_of_a_file(run, tmp_path):
    """They count as missing, stay as they are, and are named; the output has the range in its own units."""
    packed("a.nc")
    x = geoae.read("a.nc")
    assert x.attrs["valid_min"] == 0.0
    for target in ("s.zarr", "s.nc"):
        done = run(["a.nc"], target)
        (told,) = (note for note in done.notes if "valid range" in note)
        assert told == "t2m: 4 samples lie outside the valid range, from 0 on; they count as missing and stay unchanged"
        with xr.open_dataset(target, **({"engine": "zarr"} if target == "s.zarr" else {})) as data:
            assert data.t2m.attrs["valid_min"] == 0.0
            np.testing.assert_allclose(data.t2m[:, 0, 0], -27.0)
            np.testing.assert_allclose(data.t2m, geoae.denoise(x, model=run.model).compute(), rtol=1e-5)
    assert done.rows[0].std < 20
    assert done.rows[0].missing == pytest.approx(float((x.isnull() | (x < 0)).mean()))
    raw = xr.open_dataset("a.nc").t2m
    np.testing.assert_allclose(geoae.denoise(raw, model=run.model), geoae.denoise(x, model=run.model), rtol=1e-5)
    codes = geoae.encode(raw)
    back = geoae.decode(codes)
    xr.testing.assert_equal(back.isnull(), raw.isnull() | (raw < 0))
    run(["a.nc"], "c.zarr", codes=True)
    xr.testing.assert_equal(geoae.decode(geoae.open_codes("c.zarr")).isnull().compute(), back.isnull())


def test_valid_ranges_follow_the_units_of_a_catalog(run, tmp_path):
    """Both change together."""
    packed("a.nc")
    (tmp_path / "data_catalog.yml").write_text(
        "temp:\n  data_type: RasterDataset\n  uri: a.nc\n  driver: raster_xarray\n"
        "  data_adapter: {unit_add: {t2m: -273.15}}\n"
    )
    assert geoae.read("temp").attrs["valid_min"] == -273.15


def test_other_samples_of_times_that_are_there_are_refused(run):
    """They were not used, and nothing was written; files that are in the store are told from others by content."""
    data = series(8)
    for name, part, factor in (("a", slice(0, 4), 1), ("b", slice(4, 8), 1), ("new", slice(4, 8), 2)):
        data.isel(time=part).assign(t2m=data.t2m[part] * factor).to_netcdf(f"{name}.nc")
    data.to_zarr("all.zarr", consolidated=False)
    run(["a.nc"], "s.zarr", append=True)
    notes = run(["a.nc", "b.nc"], "s.zarr", append=True).notes
    assert "4 of 8 times are in s.zarr already and stay as they are" in notes
    assert any("neighbours in time" in note for note in notes)
    for known in (["b.nc"], ["a.nc"], ["a.nc", "b.nc"]):
        done = run(known, "s.zarr", append=True)
        assert done.is_unchanged
        assert done.notes[-1] == "s.zarr already holds all of these times; nothing was appended"
    shown = CliRunner().invoke(app, ["denoise", "b.nc", "-o", "s.zarr", "--append", "--model", str(run.model)])
    assert "left as it was: s.zarr" in shown.output
    before = xr.open_zarr("s.zarr").load()
    with pytest.raises(StoreError, match=r"from other input than new\.nc; nothing was appended"):
        run(["a.nc", "new.nc"], "s.zarr", append=True)
    xr.testing.assert_identical(xr.open_zarr("s.zarr").load(), before)
    done = run(["all.zarr"], "s.zarr", append=True)
    assert done.is_unchanged
    assert done.notes[-1].endswith("Whether its samples differ is not known")


def test_fields_of_one_moment_are_appended_too(run):
    """Files with a scalar time get the dimension."""
    data = fields.field(3, 16, 20)
    for i in range(3):
        data[i].to_dataset().to_netcdf(f"m{i}.nc")
        run([f"m{i}.nc"], "a.zarr", append=True)
    found = xr.open_zarr("a.zarr").t2m
    assert found.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(found.time.values, data.time.values)


def test_names_of_the_catalog_patterns_and_addresses(run, tmp_path):
    """A catalog name, with its change of units; a pattern; a URL."""
    x = fields.field(4, 16, 20)
    x[:2].to_dataset().to_netcdf("a0.nc")
    x[2:].to_dataset().to_netcdf("a1.nc")
    (tmp_path / "data_catalog.yml").write_text(
        "temp:\n  data_type: RasterDataset\n  uri: a*.nc\n  driver: raster_xarray\n"
        "  data_adapter: {unit_add: {t2m: -273.15}}\n  metadata: {unit: degC}\n"
    )
    run(["temp"], "c.zarr")
    run(["a*.nc"], "g.zarr")
    found, kelvin = xr.open_zarr("c.zarr").t2m, xr.open_zarr("g.zarr").t2m
    assert found.attrs["units"] == "degC"
    np.testing.assert_allclose(found.values, kelvin.values - 273.15, atol=2e-3)
    x.to_dataset().to_zarr(tmp_path / "in.zarr", zarr_format=2, consolidated=True)
    run([f"file://{tmp_path}/in.zarr"], "u.zarr")
    np.testing.assert_array_equal(xr.open_zarr("u.zarr").t2m.values, kelvin.values)
    assert xr.open_zarr("u.zarr").attrs["geoae_source_hash"].startswith("metadata:")
    with pytest.raises(InputError, match="-o NAME"):
        run(["temp"], None)
    assert [p.name for p in run(["in.zarr"], None).outputs] == ["in.denoised.zarr"]


def save(x, path):
    if path.suffix == ".nc":
        x.to_netcdf(path)
    else:
        x.to_dataset(name="t2m").to_zarr(path, mode="w", consolidated=False)


def test_kinds_of_data_in_memory(model):
    """DataArrays, Datasets and trees; what is no field comes back as it is; records are told from fields."""
    data = series(3)
    found = geoae.denoise(data, model=model)
    xr.testing.assert_identical(found.drop_vars("t2m"), data.drop_vars("t2m"))
    tree = geoae.denoise(xr.DataTree.from_dict({"/a": data}), model=model)
    np.testing.assert_array_equal(tree["/a/t2m"].values, found.t2m.values)
    bare = xr.DataArray(data.t2m.values, dims=("k", "a", "b"))
    with pytest.raises(InputError, match=r"dims=\('a', 'b'\)"):
        geoae.denoise(bare, model=model)
    signal = geoae.denoise(bare, model=model, dims="a,b")
    assert signal.dims == ("k", "a", "b")
    with pytest.raises(InputError, match="not a denoiser of gridded fields"):
        geoae.denoise(data.t2m, model="seismic")
    lazy = geoae.denoise(data.chunk({"time": 1}), model=model)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_allclose(lazy.t2m.values, found.t2m.values, rtol=1e-6)
