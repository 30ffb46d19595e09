"""`geoae encode` and `geoae decode`: fields and records to stores of codes and back, through kills, and bad input."""

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import obspy
import pytest
import xarray as xr
from typer.testing import CliRunner

import geoae
from geoae.cli import app
from geoae.codes.infer import decode_codes, encode_array
from geoae.errors import GeoAEError, LossWarning
from geoae.jobs.codes import store as jobs
from geoae.jobs.options import CodeOptions, RunOptions, Workers
from geoae.model import load_model
from geoae.stores import ledger
from tests.support.coding import tiny_coder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two models, and u and v on a grid with a gap."""
    path = tmp_path_factory.mktemp("codes")
    for name, ndim, window in (("coder", 2, 8), ("line", 1, 64)):
        tiny_coder(ndim, window).save(path / name, "# a card\n")
    rng = np.random.default_rng(0)
    coords = {
        "time": np.arange("2000-01", "2000-07", dtype="datetime64[M]").astype("datetime64[ns]"),
        "lat": ("lat", np.linspace(-40, 40, 19), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(27) * 2.0, {"units": "degrees_east"}),
    }
    dims = ("time", "lat", "lon")
    u = rng.normal(size=(6, 19, 27)).cumsum(-1).astype("f4")
    u[0, :3, :3] = np.nan
    data = xr.Dataset({"u": (dims, u, {"units": "m s-1"}), "v": (dims, 2 * u[::-1], {"units": "m s-1"})}, coords)
    data.to_netcdf(path / "wind.nc")
    data[["u"]].to_netcdf(path / "u.nc")
    return path


def run(*words: object) -> str:
    """What the command prints; it must end well."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: object) -> str:
    """The one line of a command that fails."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 1
    lines = done.output.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def files(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("c.*") if p.is_file()}


def test_a_field_goes_to_codes_and_back(folder, tmp_path):
    """The store holds what `encode` gives, and decodes to the field: lazily in Python, block by block in a store."""
    printed = run("encode", folder / "u.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder")
    assert "u: 72 windows of 8 numbers, 1:8, rms error" in printed
    assert f"wrote {tmp_path / 'c.zarr'} (model tiny-codes " in printed
    again = run("encode", folder / "u.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder")
    assert f"left as it was: {tmp_path / 'c.zarr'}" in again
    model, x = load_model(folder / "coder"), geoae.read(folder / "u.nc")
    expected, codes = encode_array(x.compute(), model), geoae.open_codes(tmp_path / "c.zarr")
    assert isinstance(codes["code"].data, da.Array)
    for name in expected.variables:
        np.testing.assert_allclose(codes[name].values.astype(float), expected[name].values.astype(float), rtol=1e-5)
    back = geoae.decode(codes, model=folder / "coder")
    assert isinstance(back.data, da.Array)
    xr.testing.assert_allclose(back.compute(), decode_codes(expected, model), rtol=1e-5)
    run("decode", tmp_path / "c.zarr", "-o", tmp_path / "d.zarr", "--model", folder / "coder")
    with xr.open_zarr(tmp_path / "d.zarr") as data:
        xr.testing.assert_allclose(data["u"].compute(), decode_codes(expected, model), rtol=1e-5)
        assert data["u"].attrs["units"] == "m s-1"


class StopError(GeoAEError):
    """Ends a run when its workers would start."""


@pytest.mark.parametrize(
    "words",
    ["denoise u.nc --codes --codes-model coder", "encode u.nc --model coder", "decode c.zarr --model coder"],
    ids=["denoise", "encode", "decode"],
)
def test_each_worker_has_the_threads_that_were_asked_for(folder, tmp_path, monkeypatch, words):
    """Both for libraries and for the model of a worker; no worker is started here."""
    if "c.zarr" in words:
        run("encode", folder / "u.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder")
    started = {}

    def stop(numbers, make, spec, **how):
        started.update(spec=spec, **how)
        raise StopError

    monkeypatch.setattr("geoae.cluster.work.run_tasks", stop)
    places = {"u.nc": folder / "u.nc", "coder": folder / "coder", "c.zarr": tmp_path / "c.zarr"}
    named = [str(places.get(word, word)) for word in words.split()]
    refused(*named, "-o", tmp_path / "out.zarr", "--workers", 2, "--threads", 3)
    assert (started["workers"], started["threads"], started["spec"]["threads"]) == (2, 3, 3)
    assert (started["spec"].get("codes") or {"threads": 3})["threads"] == 3


def test_missing_points_come_back_as_missing(folder, tmp_path):
    """In a store, block by block and lazily, and from `denoise --codes`."""
    run("encode", folder / "wind.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder")
    run("decode", tmp_path / "c.zarr", "-o", tmp_path / "d.zarr", "--model", folder / "coder")
    run("denoise", folder / "u.nc", "-o", tmp_path / "s.zarr", "--codes", "--codes-model", folder / "coder")
    with xr.open_zarr(tmp_path / "d.zarr") as data, xr.open_dataset(folder / "wind.nc") as before:
        assert before["u"].isnull().any()
        xr.testing.assert_equal(data.isnull(), before.isnull())
        for store in ("c", "s"):
            back = geoae.decode(geoae.open_codes(tmp_path / f"{store}.zarr", "u"), model=folder / "coder")
            xr.testing.assert_equal(back.isnull(), before["u"].isnull())


def test_an_input_that_is_refused_leaves_nothing_in_the_way(folder, tmp_path, monkeypatch):
    """The corrected input is encoded under the same name; blocks that were done are not kept."""
    monkeypatch.setattr("geoae.codes.coding._CHUNK", 8 * 8 * 12)
    source, target = tmp_path / "a.nc", tmp_path / "c.zarr"
    for last in (np.inf, 1.0):
        with xr.open_dataset(folder / "u.nc") as data:
            x = data["u"].load()
            x[-1, -1, -1] = last
            x.to_netcdf(tmp_path / "new.nc")
        (tmp_path / "new.nc").rename(source)  # the refused one is open still
        words = ("encode", source, "-o", target, "--model", folder / "coder")
        if last == np.inf:
            assert "infinite samples" in refused(*words)
            assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]
    run(*words)


def test_codes_are_not_denoised(folder, tmp_path):
    """They are no field, however many windows there are."""
    with xr.open_dataset(folder / "u.nc") as data:
        data.isel(time=[0]).pad(lat=(0, 60), lon=(0, 60), mode="edge").assign_coords(
            lat=("lat", np.linspace(-60, 60, 79), data.lat.attrs), lon=("lon", np.arange(87) * 2.0, data.lon.attrs)
        ).to_netcdf(tmp_path / "a.nc")
    run("encode", tmp_path / "a.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder")
    printed = refused("denoise", tmp_path / "c.zarr", "-o", tmp_path / "d.zarr")
    assert printed == "geoae: code holds latent codes of u; samples were expected. Decode them first: geoae decode."


@pytest.mark.parametrize("name", ["my field", "a;b"])
def test_names_that_cannot_be_decoded_are_refused(folder, tmp_path, name):
    """A store of samples could not hold them; this is said before anything is encoded."""
    with xr.open_dataset(folder / "u.nc") as data:
        data.rename(u=name).to_netcdf(tmp_path / "a.nc")
        data.rename(time=name).to_netcdf(tmp_path / "b.nc")
    for source in ("a.nc", "b.nc"):
        printed = refused("encode", tmp_path / source, "-o", tmp_path / "c.zarr", "--model", folder / "coder")
        assert "cannot be the name of a variable or dim in a store" in printed


def test_names_that_begin_with_those_of_others(folder, tmp_path):
    """Variables whose codes have names that begin alike are kept apart, and so are their coordinates."""
    with xr.open_dataset(folder / "u.nc") as data:
        x = data["u"].assign_coords(u_height=2.0).load()
    xr.Dataset({"u": x, "u_code": -x, "v": x}).to_netcdf(tmp_path / "a.nc")
    run("encode", tmp_path / "a.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder")
    for name, sign in (("u", 1), ("u_code", -1), ("v", 1)):
        back = geoae.decode(geoae.open_codes(tmp_path / "c.zarr", name), model=folder / "coder").compute()
        assert back.name == name
        assert float(back["u_height"]) == 2.0
        assert np.corrcoef(back.values[1:].ravel(), sign * x.values[1:].ravel())[0, 1] > 0.5


def test_several_variables_share_a_store(folder, tmp_path):
    """Each is opened and decoded by its name."""
    store = tmp_path / "c.zarr"
    run("encode", folder / "wind.nc", "-o", store, "--model", folder / "coder", "--latent", 4)
    model = load_model(folder / "coder")
    for name in ("u", "v"):
        x = geoae.read(folder / "wind.nc", var=name).compute()
        codes = geoae.open_codes(store, name)
        assert codes.sizes["latent"] == 4
        xr.testing.assert_allclose(
            geoae.decode(codes, model=model).compute(), decode_codes(encode_array(x, model, latent=4), model), rtol=1e-5
        )
    run("decode", store, "-o", tmp_path / "d.zarr", "--model", folder / "coder", "--var", "v")
    with xr.open_zarr(tmp_path / "d.zarr") as data:
        assert list(data.data_vars) == ["v"]


def test_a_record_goes_to_codes_and_back(folder, tmp_path):
    """Ids, times and units as they were; the store that comes out reads as a record."""
    obspy.read().write(str(tmp_path / "x.mseed"), format="MSEED")
    run("encode", tmp_path / "x.mseed", "-o", tmp_path / "c.zarr", "--model", folder / "line")
    run("decode", tmp_path / "c.zarr", "-o", tmp_path / "d.zarr", "--model", folder / "line")
    x, back = geoae.read(tmp_path / "x.mseed"), geoae.read(tmp_path / "d.zarr")
    np.testing.assert_array_equal(back["time"].values, x["time"].values)
    assert back["id"].values.tolist() == x["id"].values.tolist()
    assert back.sizes == x.sizes


def test_lost_samples_of_a_record_are_told(folder, tmp_path):
    """The rest is encoded; the exit code is 1, also where notes are not printed."""
    obspy.read().write(str(tmp_path / "x.mseed"), format="MSEED")
    (tmp_path / "x.mseed").write_bytes((tmp_path / "x.mseed").read_bytes()[:-100])
    printed = refused("encode", "-q", tmp_path / "x.mseed", "-o", tmp_path / "c.zarr", "--model", folder / "line")
    assert "no whole record" in printed
    assert (tmp_path / "c.zarr").is_dir()
    with pytest.warns(LossWarning, match="no whole record"):
        geoae.read(tmp_path / "x.mseed")


def test_an_interrupted_run_is_resumed(folder, tmp_path, monkeypatch):
    """Blocks that are there stay, the others are made, and the store is the same byte by byte."""
    monkeypatch.setattr("geoae.codes.coding._CHUNK", 8 * 8 * 12)
    whole, target = tmp_path / "whole.zarr", tmp_path / "c.zarr"
    asked = CodeOptions(folder / "coder", threads=1)
    jobs.encode_store([folder / "u.nc"], whole, asked)
    n_blocks = ledger.read_store_status(whole).n_tasks
    assert n_blocks > 3
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.encode_store([folder / "u.nc"], target, asked, progress=stop)
    with pytest.raises(Exception, match="not finished"):
        geoae.open_codes(target)
    found = jobs.encode_store([folder / "u.nc"], target, asked)
    assert any("2 of" in note for note in found.notes)
    assert files(target) == files(whole)


def test_codes_grow_in_time(folder, tmp_path, monkeypatch):
    """--append adds what is new, through a stop and whatever the blocks, and the codes are those of one go."""
    monkeypatch.setattr("geoae.codes.coding._CHUNK", 8 * 8 * 12)
    asked = CodeOptions(folder / "coder", threads=1, append=True)
    with xr.open_dataset(folder / "wind.nc") as data:
        for name, times in (("p0", slice(0, 2)), ("p1", slice(2, 5)), ("p2", slice(5, 6))):
            data.isel(time=times).to_netcdf(tmp_path / f"{name}.nc")
    parts, whole, target = [tmp_path / f"p{i}.nc" for i in range(3)], tmp_path / "whole.zarr", tmp_path / "c.zarr"
    jobs.encode_store([folder / "wind.nc"], whole, replace(asked, append=False))
    jobs.encode_store(parts[:1], target, asked)

    def stop(done: int, total: int) -> None:
        if done == 6:  # of 4 that were there and 6 that are new
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.encode_store(parts[:2], target, asked, progress=stop)
    jobs.encode_store(parts[:2], target, asked)
    made = jobs.encode_store(parts[2:], target, asked, RunOptions(workers=Workers(None, 2)))
    assert made.rows["u"]["windows"] == 12
    assert "nothing was appended" in jobs.encode_store(parts, target, asked).notes[-1]
    with pytest.raises(GeoAEError, match="other settings: latent"):
        jobs.encode_store(parts, target, replace(asked, latent=1))
    for name in ("u", "v"):
        found, expected = (geoae.open_codes(store, name).compute() for store in (target, whole))
        xr.testing.assert_allclose(found, expected, rtol=1e-6)
        back = geoae.decode(found, model=folder / "coder")
        assert back.sizes == {"time": 6, "lat": 19, "lon": 27}
    with xr.open_dataset(folder / "wind.nc") as data:
        moved = data.isel(time=slice(0, 1)).assign_coords(time=data["time"][:1] + np.timedelta64(5, "D"))
        moved.to_netcdf(tmp_path / "between.nc")
    with pytest.raises(GeoAEError, match="ends at time"):
        jobs.encode_store([tmp_path / "between.nc"], target, asked)


def test_records_and_fields_without_time_cannot_be_appended(folder, tmp_path):
    """A record is encoded as a whole, and a field without time has nothing that comes later."""
    obspy.read().write(str(tmp_path / "x.mseed"), format="MSEED")
    printed = refused("encode", tmp_path / "x.mseed", "-o", tmp_path / "c.zarr", "--model", folder / "line", "--append")
    assert "is a record" in printed
    assert "along time" in refused("encode", folder / "u.nc", "-o", tmp_path / "c.zarr", "--dims", "time", "--append")
    assert "--append" in printed
    with xr.open_dataset(folder / "u.nc") as data:
        data.isel(time=0, drop=True).to_netcdf(tmp_path / "still.nc")
    printed = refused(
        "encode", tmp_path / "still.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder", "--append"
    )
    assert "no time" in printed


def test_other_units_are_refused_unless_forced(folder, tmp_path):
    """By `encode`, by `denoise --codes` and in Python; how units are written does not count."""
    coder = load_model(folder / "coder")
    for name, units in (("pa", "Pa"), ("ms", "m s**-1")):
        replace(coder, contract=replace(coder.contract, units=units), folder=None).save(tmp_path / name, "# a card\n")
    asked = ("encode", folder / "u.nc", "-o", tmp_path / "c.zarr", "--model", tmp_path / "pa")
    printed = refused(*asked)
    assert "u has units m s-1" in printed
    assert "was trained on Pa" in printed
    assert "--force" in printed
    run(*asked, "--force")
    run("encode", folder / "u.nc", "-o", tmp_path / "d.zarr", "--model", tmp_path / "ms")
    x = geoae.read(folder / "u.nc").compute()
    with pytest.raises(GeoAEError, match="trained on Pa"):
        geoae.encode(x, model=tmp_path / "pa")
    xr.testing.assert_equal(
        geoae.encode(x, model=tmp_path / "pa", force=True)["code"], geoae.encode(x, model=folder / "coder")["code"]
    )
    beside = ("denoise", folder / "u.nc", "-o", tmp_path / "e.zarr", "--codes", "--codes-model", tmp_path / "pa")
    assert "trained on Pa" in refused(*beside)
    run(*beside, "--force")
    obspy.read().write(str(tmp_path / "x.mseed"), format="MSEED")
    assert "--force" in refused("denoise", tmp_path / "x.mseed", "-o", tmp_path / "f.zarr", "--force")


def test_bad_input_is_one_line(folder, tmp_path):
    """Nothing to encode or decode, or not by this model: said in one line."""
    out = ("-o", tmp_path / "c.zarr")
    assert "is not a model with codes" in refused("encode", folder / "u.nc", *out, "--model", "seismic")
    assert "no variable" in refused("encode", folder / "u.nc", *out, "--model", folder / "coder", "--var", "w").lower()
    assert "codes of 1 to 8" in refused("encode", folder / "u.nc", *out, "--model", folder / "coder", "--latent", 9)
    assert "2 dimensions" in refused("encode", folder / "u.nc", *out, "--model", folder / "coder", "--dims", "lat")
    with xr.open_dataset(folder / "u.nc") as data:
        data["u"].where(data.lat < 30, np.inf).to_netcdf(tmp_path / "inf.nc")
    assert "infinite samples" in refused(
        "encode", tmp_path / "inf.nc", *out, "--model", folder / "coder", "--overwrite"
    )
    run("encode", folder / "u.nc", "-o", tmp_path / "e.zarr", "--model", folder / "coder")
    printed = refused("decode", tmp_path / "e.zarr", "-o", tmp_path / "d.zarr")
    assert "tiny-codes" in printed
    assert "--model" in printed
    run("decode", tmp_path / "e.zarr", "-o", tmp_path / "d.zarr", "--model", folder / "coder")
    assert "holds no codes" in refused("decode", tmp_path / "d.zarr", "-o", tmp_path / "f.zarr")
