"""`geoae encode` and `geoae decode`: fields and records to stores of codes and back, through kills, and bad input."""

from pathlib import Path

import dask.array as da
import numpy as np
import obspy
import pytest
import xarray as xr
from typer.testing import CliRunner

import geoae
from geoae import ledger
from geoae.cli import app
from geoae.infer_codes import decode, encode
from geoae.jobs import codes as jobs
from geoae.model import load
from tests.coding import tiny_coder


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
    told = run("encode", folder / "u.nc", "-o", tmp_path / "c.zarr", "--model", folder / "coder")
    assert "u: 72 windows of 8 numbers, 1:8, rms error" in told
    model, x = load(folder / "coder"), geoae.read(folder / "u.nc")
    expected, codes = encode(x.compute(), model), geoae.open_codes(tmp_path / "c.zarr")
    assert isinstance(codes["code"].data, da.Array)
    for name in expected.variables:
        np.testing.assert_allclose(codes[name].values.astype(float), expected[name].values.astype(float), rtol=1e-5)
    back = geoae.decode(codes, model=folder / "coder")
    assert isinstance(back.data, da.Array)
    xr.testing.assert_allclose(back.compute(), decode(expected, model), rtol=1e-5)
    run("decode", tmp_path / "c.zarr", "-o", tmp_path / "d.zarr", "--model", folder / "coder")
    with xr.open_zarr(tmp_path / "d.zarr") as data:
        xr.testing.assert_allclose(data["u"].compute(), decode(expected, model), rtol=1e-5)
        assert data["u"].attrs["units"] == "m s-1"


def test_several_variables_share_a_store(folder, tmp_path):
    """Each is opened and decoded by its name."""
    store = tmp_path / "c.zarr"
    run("encode", folder / "wind.nc", "-o", store, "--model", folder / "coder", "--latent", 4)
    model = load(folder / "coder")
    for name in ("u", "v"):
        x = geoae.read(folder / "wind.nc", var=name).compute()
        codes = geoae.open_codes(store, name)
        assert codes.sizes["latent"] == 4
        xr.testing.assert_allclose(
            geoae.decode(codes, model=model).compute(), decode(encode(x, model, latent=4), model), rtol=1e-5
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


def test_a_run_that_was_stopped_goes_on(folder, tmp_path, monkeypatch):
    """Blocks that are there stay, the others are made, and the store is the same byte by byte."""
    monkeypatch.setattr("geoae.coding._CHUNK", 8 * 8 * 12)
    whole, target = tmp_path / "whole.zarr", tmp_path / "c.zarr"
    asked = jobs.CodeOptions(folder / "coder", threads=1)
    jobs.encode_store([folder / "u.nc"], whole, asked)
    n_blocks = ledger.status(whole).n_tasks
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
    told = refused("decode", tmp_path / "e.zarr", "-o", tmp_path / "d.zarr")
    assert "tiny-codes" in told
    assert "--model" in told
    run("decode", tmp_path / "e.zarr", "-o", tmp_path / "d.zarr", "--model", folder / "coder")
    assert "holds no codes" in refused("decode", tmp_path / "d.zarr", "-o", tmp_path / "f.zarr")
