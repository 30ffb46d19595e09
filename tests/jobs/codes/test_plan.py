"""`geoae denoise --codes`: cleaned samples and their codes in one store, through kills, and bad input."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import geoae
from geoae.cli import app
from geoae.cluster import work as cluster
from geoae.errors import GeoAEError, InputError, ModelFileError, OutputExistsError, StoreError
from geoae.jobs.fields import worker as field_worker
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records import plan as record_plan
from geoae.jobs.records import worker as record_worker
from geoae.model import load_model
from geoae.stores import ledger
from tests.conftest import tiny_model
from tests.jobs.codes.test_store import files, refused, run
from tests.jobs.records.test_store import record
from tests.support import fields
from tests.support.coding import tiny_coder
from tests.support.denoising import denoise_files

BESIDE = "code offset gain recon_error n_valid missing"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Denoisers and models of codes of fields and of records, and something of each to denoise."""
    path = tmp_path_factory.mktemp("models")
    fields.saved(path / "field")
    tiny_model().save(path / "trace", "# tiny")
    for name, ndim, window in (("coder", 2, 8), ("line", 1, 64)):
        tiny_coder(ndim, window).save(path / name, "# a card\n")
    x = fields.field(6, 19, 27)
    x.to_dataset().to_netcdf(path / "t.nc")
    xr.Dataset({"u": x, "v": 2 * x}).to_netcdf(path / "uv.nc")
    record(path / "a.mseed", 5000)
    return path


@pytest.fixture
def small(monkeypatch):
    """Many blocks: of samples, and of codes that do not end where those do."""
    monkeypatch.setattr(record_plan, "CHUNK_SAMPLES", 2400)
    monkeypatch.setattr("geoae.codes.coding._CHUNK", 64 * 36)


def denoise(folder: Path, name: str, target: Path, **more):
    """As the command does it, by the models of the folder."""
    is_record = name.endswith("mseed")
    more = {"codes": True, "codes_model": folder / ("line" if is_record else "coder"), **more}
    if not is_record:
        more = {"chunks": "time=2,lat=19,lon=20", **more}
    options = InferenceOptions(folder / ("trace" if is_record else "field"), threads=1)
    return denoise_files([folder / name], target, options, **more)


def check_errors(store: Path, name: str, model: Path) -> None:
    """What codes give back differs from the cleaned samples by the error that is stored with them."""
    codes = geoae.open_codes(store, name).load()
    with xr.open_zarr(store) as data:
        left = (geoae.decode(codes, model=model, threads=1).astype("f8") - data[name].astype("f8")).values
    window = codes["code"].attrs["geoae_window"]
    places = [codes[f"{p}_index"].values for p in (("y0", "x0") if len(window) == 2 else ("t0",))]
    found = np.empty(codes["recon_error"].shape)
    for index in np.ndindex(*(len(p) for p in places)):
        at = (..., *(slice(p[i], p[i] + w) for p, i, w in zip(places, index, window, strict=True)))
        axes = tuple(range(-len(window), 0))
        n = np.isfinite(left[at]).sum(axes)
        np.testing.assert_array_equal(codes["n_valid"].values[(..., *index)], n)
        with np.errstate(invalid="ignore"):
            found[(..., *index)] = np.sqrt(np.nansum(left[at] ** 2, axes) / n)
    expected = codes["recon_error"].values
    assert np.isfinite(expected).any()
    flush = [slice(0, len(p) - 1) for p in places]  # the last window overlaps another, which decodes
    scale = float(np.nanmax(np.abs(codes["offset"].values)))
    # decoded samples are float32: 6e-8 of a sample is rounding
    np.testing.assert_allclose(found[(..., *flush)], expected[(..., *flush)], rtol=1e-5, atol=6e-8 * scale)


def plain(store: Path) -> xr.Dataset:
    """The store as xarray opens it, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return xr.open_zarr(store)


def test_a_field_and_its_codes_share_a_store(folder, tmp_path, small):
    """The command writes both; samples are those without codes, and codes those of the samples."""
    printed = run("denoise", folder / "t.nc", "-o", tmp_path / "a.zarr", "--model", folder / "field", "--codes",
               "--codes-model", folder / "coder")  # fmt: skip
    assert "codes of t2m by tiny-codes" in printed
    assert "72 windows of 8 numbers, 1:8, rms error" in printed
    data = plain(tmp_path / "a.zarr")
    assert data["code"].dims == ("time", "window_y", "window_x", "latent")
    assert data["t2m"].attrs["ancillary_variables"] == BESIDE
    assert data["code"].attrs["geoae_of"] == "t2m"
    assert data.attrs["geoae_codes_digest"] == load_model(folder / "coder").digest
    run("denoise", folder / "t.nc", "-o", tmp_path / "b.zarr", "--model", folder / "field")
    np.testing.assert_array_equal(data["t2m"].values, plain(tmp_path / "b.zarr")["t2m"].values)
    check_errors(tmp_path / "a.zarr", "t2m", folder / "coder")
    expected = geoae.encode(data["t2m"].compute(), model=folder / "coder")
    np.testing.assert_allclose(data["code"].values, expected["code"].values, rtol=1e-5, atol=1e-6)
    run("decode", tmp_path / "a.zarr", "-o", tmp_path / "d.zarr", "--model", folder / "coder")
    assert plain(tmp_path / "d.zarr")["t2m"].shape == data["t2m"].shape


def test_several_fields_have_codes_of_their_own(folder, tmp_path):
    """Each is opened by its name, and names its own ancillary variables."""
    done = denoise(folder, "uv.nc", tmp_path / "a.zarr", latent=4)
    assert sum(note.startswith("codes of") for note in done.notes) == 2
    ledger.load_run.cache_clear()  # as in a process of its own
    assert any("is already finished" in note for note in denoise(folder, "uv.nc", tmp_path / "a.zarr", latent=4).notes)
    data = plain(tmp_path / "a.zarr")
    for name in ("u", "v"):
        assert data[name].attrs["ancillary_variables"].split()[0] == f"{name}_code"
        assert geoae.open_codes(tmp_path / "a.zarr", name).sizes["latent"] == 4
        check_errors(tmp_path / "a.zarr", name, folder / "coder")


def test_a_record_and_its_codes_share_a_store(folder, tmp_path, small):
    """code (channel, window, latent) beside the trace, which still reads as the record that it is."""
    done = denoise(folder, "a.mseed", tmp_path / "a.zarr")
    assert any(note.startswith("codes of trace by tiny-codes") for note in done.notes)
    data = plain(tmp_path / "a.zarr")
    assert data["code"].dims == ("channel", "window", "latent")
    assert data["code"].shape == (3, 79, 8)
    assert data["trace"].attrs["ancillary_variables"] == f"flags {BESIDE}"
    assert data["t0"].values[0] == data["time"].values[0]
    check_errors(tmp_path / "a.zarr", "trace", folder / "line")
    denoise(folder, "a.mseed", tmp_path / "b.zarr", codes=False, codes_model=None)
    xr.testing.assert_identical(geoae.read(tmp_path / "a.zarr").drop_attrs().compute(),
                                geoae.read(tmp_path / "b.zarr").drop_attrs().compute())  # fmt: skip
    ledger.load_run.cache_clear()  # as in a process of its own
    again = denoise(folder, "a.mseed", tmp_path / "a.zarr")
    assert any("is already finished" in note for note in again.notes)
    assert [row.rms_out for row in again.rows] == [row.rms_out for row in done.rows]


@pytest.mark.parametrize("name", ["t.nc", "a.mseed"])
def test_the_store_is_the_same_for_any_kept_blocks(folder, tmp_path, small, monkeypatch, name):
    """Stopped anywhere, or with codes made before all samples are: the same bytes."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    whole, target = tmp_path / "whole.zarr", tmp_path / "a.zarr"
    denoise(folder, name, whole)
    n_tasks = ledger.read_store_status(whole).n_tasks
    n_codes = len(list((whole / "code").glob("c.*")))
    assert n_codes > 1
    assert n_tasks - n_codes > 2

    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done in limits:
            limits.remove(done)
            raise StoppedError

    limits = {2, n_tasks - n_codes, n_tasks - 1}
    for _ in range(3):
        with pytest.raises(StoppedError):
            denoise(folder, name, target, progress=stop)
        with pytest.raises(GeoAEError, match="not finished"):
            geoae.open_codes(target)
    denoise(folder, name, target)
    assert files(target) == files(whole)
    forwards = cluster.run_tasks
    monkeypatch.setattr(
        cluster, "run_tasks", lambda numbers, *rest, **more: forwards(list(numbers)[::-1], *rest, **more)
    )
    denoise(folder, name, tmp_path / "c.zarr")
    assert files(tmp_path / "c.zarr") == files(whole)


def test_codes_grow_with_their_field(folder, tmp_path):
    """--append adds the codes of what is new."""
    with xr.open_dataset(folder / "t.nc") as data:
        data.isel(time=slice(0, 3)).to_netcdf(tmp_path / "p0.nc")
        data.isel(time=slice(3, 6)).to_netcdf(tmp_path / "p1.nc")
    models = {"codes": True, "codes_model": folder / "coder", "append": True}
    for i in range(2):
        names = [tmp_path / f"p{k}.nc" for k in range(i + 1)]
        denoise_files(names, tmp_path / "a.zarr", InferenceOptions(folder / "field", threads=1), **models)
    assert geoae.open_codes(tmp_path / "a.zarr").sizes["time"] == 6
    check_errors(tmp_path / "a.zarr", "t2m", folder / "coder")


def test_infinite_samples_count_as_missing(folder, tmp_path):
    """They stay in the samples, and no code knows of them."""
    with xr.open_dataset(folder / "t.nc") as data:
        x = data["t2m"].copy(deep=True)
        x[1, 4, 3] = np.inf
        x.to_netcdf(tmp_path / "inf.nc")
    options = InferenceOptions(folder / "field", threads=1)
    denoise_files([tmp_path / "inf.nc"], tmp_path / "a.zarr", options, codes=True, codes_model=folder / "coder")
    data = plain(tmp_path / "a.zarr")
    assert np.isinf(data["t2m"].values[1, 4, 3])
    assert not np.isinf(data["code"].values).any()
    n = np.isfinite(data["t2m"].values[1, :8, :8]).sum()
    assert data["n_valid"].values[1, 0, 0] == n


def test_another_model_of_codes_is_refused(folder, tmp_path):
    """A store that is there or begun is not gone on with by other codes: each is named."""
    target = tmp_path / "a.zarr"
    tiny_coder(2, 8, seed=1).save(tmp_path / "other", "# a card\n")
    denoise(folder, "t.nc", target)
    with pytest.raises(OutputExistsError, match="codes_digest"):
        denoise(folder, "t.nc", target, codes_model=tmp_path / "other")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoise(folder, "t.nc", tmp_path / "b.zarr", progress=stop)
    with pytest.raises(StoreError, match="codes_latent"):
        denoise(folder, "t.nc", tmp_path / "b.zarr", latent=4)
    with pytest.raises(StoreError, match="codes_model"):
        denoise(folder, "t.nc", tmp_path / "b.zarr", codes=False, codes_model=None)


def test_bad_input_is_one_line(folder, tmp_path):
    """Nothing is written where the codes cannot be."""
    fielded = ("denoise", folder / "t.nc", "--model", folder / "field", "-o")
    traced = ("denoise", folder / "a.mseed", "--model", folder / "trace", "-o")
    store = tmp_path / "x.zarr"
    assert "Choose -o x.zarr" in refused(*fielded, tmp_path / "x.nc", "--codes")
    assert "Choose -o NAME.zarr" in refused(*traced, tmp_path / "x.mseed", "--codes")
    for words, name, other in ((fielded, "coder", "line"), (traced, "line", "coder")):
        codes = ("--codes", "--codes-model")
        assert "is not a model with codes" in refused(*words, store, *codes, words[3])
        assert "There is no model 'nobody'" in refused(*words, store, *codes, "nobody")
        assert "The shipped model for" in refused(*words, store, *codes, folder / other)
        assert "codes of 1 to 8" in refused(*words, store, *codes, folder / name, "--latent", 9)
        assert "--latent needs --codes" in refused(*words, store, "--latent", 4)
        assert "--codes-model needs --codes" in refused(*words, store, "--codes-model", folder / name)
    with xr.open_dataset(folder / "t.nc") as data:
        data.rename(t2m="code").to_netcdf(tmp_path / "code.nc")
    named = ("denoise", tmp_path / "code.nc", "--model", folder / "field", "-o", store)
    assert "code twice" in refused(*named, "--codes", "--codes-model", folder / "coder")
    assert not list(tmp_path.glob("*x*"))


def test_a_model_that_workers_cannot_load_is_refused(folder, tmp_path):
    """Said before anything is begun."""
    with pytest.raises(InputError, match="comes from no folder"):
        denoise(folder, "t.nc", tmp_path / "a.zarr", codes_model=tiny_coder(), workers=2)


@pytest.mark.parametrize("name", ["t.nc", "a.mseed"])
def test_workers_load_the_models_of_their_spec(folder, tmp_path, small, monkeypatch, name):
    """From plain data they write the same blocks; another model of codes in that folder is refused."""
    printed, here = [], cluster.run_tasks

    def far(numbers, make, spec, **options):
        printed.append(json.loads(json.dumps(spec)))
        yield from here(numbers, make, printed[-1])

    denoise(folder, name, tmp_path / "whole.zarr")
    monkeypatch.setattr(cluster, "run_tasks", far)
    denoise(folder, name, tmp_path / "a.zarr", workers=2)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "whole.zarr")
    changed = {**printed[0], "codes": {**printed[0]["codes"], "digest": "0000"}}
    make = field_worker.make_field_worker if name == "t.nc" else record_worker.make_record_worker
    monkeypatch.setattr(ledger, "load_run", lambda folder: ledger.Ledger(tmp_path, tmp_path, (), {}, ""))
    with pytest.raises(ModelFileError, match="the run was begun with 0000"):
        make(changed)


def test_help_names_the_options_of_codes():
    """--help names the three options."""
    printed = CliRunner().invoke(app, ["denoise", "--help"], env={"COLUMNS": "200"}).output
    assert {"--codes", "--codes-model", "--latent"} <= set(printed.replace(",", " ").split())


@pytest.mark.parametrize("name", ["a.mseed", "t.nc"])
def test_a_dry_run_refuses_a_model_without_codes(folder, tmp_path, name):
    """Not only the run itself; and nothing is written."""
    other = folder / ("trace" if name.endswith("mseed") else "field")
    with pytest.raises(InputError, match="a model with codes"):
        denoise(folder, name, tmp_path / "x.zarr", codes_model=other, dry_run=True)
    assert not list(tmp_path.iterdir())
