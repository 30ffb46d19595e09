"""Contracts of denoising gridded fields: any chunks, units, gaps and interruptions give the same samples."""

import signal
import subprocess
import sys
import warnings

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geoae
from geoae.errors import InputError
from geoae.jobs.options import InferenceOptions
from tests.support import fields
from tests.support.denoising import denoise_files
from tests.support.fields import assert_close as close
from tests.support.store_worker import EPOCH, content

few = settings(max_examples=12, suppress_health_check=list(HealthCheck))
MODEL = fields.tiny_model()
WITH_OVERVIEW = fields.tiny_model(overview=2)
SIZES = st.tuples(st.integers(1, 5), st.integers(8, 50), st.integers(8, 60))


def denoise(x, model=MODEL, **options):
    return geoae.denoise(x, model=model, threads=1, **options)


def chunked(x, data):
    """`x` as a dask array with random chunks along every dimension."""
    chunks = {}
    for dim, n in x.sizes.items():
        cuts = data.draw(st.lists(st.integers(1, max(n - 1, 1)), max_size=3), label=dim)
        edges = [0, *sorted({c for c in cuts if c < n}), n]
        chunks[dim] = tuple(int(d) for d in np.diff(edges))
    return x.chunk(chunks)


@few
@given(sizes=SIZES, closes=st.booleans(), alone=st.booleans(), data=st.data())
def test_any_chunks_give_the_same_samples(sizes, closes, alone, data):
    """Lazy fields stay lazy, in the same chunks, and have the samples of fields in memory, for any chunks."""
    x = fields.field(*sizes, closes=closes)
    x, model = (x[0], WITH_OVERVIEW) if alone else (x, MODEL)
    expected, removed = denoise(x, model, return_noise=True)
    lazy = chunked(x, data)
    found, noise = denoise(lazy, model, return_noise=True)
    assert found.chunks == noise.chunks == lazy.chunks
    with dask.config.set(scheduler="synchronous"):
        close(found.values, expected.values)
        np.testing.assert_allclose(noise.values, removed.values, rtol=0, atol=1e-4)


@few
@given(
    sizes=SIZES, order=st.permutations(["time", "lat", "lon", "member"]), flip=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64, np.float16, np.int16, np.uint8, ">f4"]),
)  # fmt: skip
def test_labels_come_back(sizes, order, flip, dtype):
    """Dims, coords, attributes, name and dtype are kept; the order of dims changes no sample."""
    x = fields.field(*sizes, dtype=np.float64) - 200
    x = x.fillna(0) if np.dtype(dtype).kind in "iu" else x
    x = x.astype(dtype).expand_dims(member=[1, 2]).assign_coords(mask=("lat", np.arange(sizes[1])))
    x = x.isel(lat=slice(None, None, -1)) if flip else x
    x.encoding = {"scale_factor": 0.1, "dtype": "int16", "grid_mapping": "crs"}
    turned = x.transpose(*order)
    found = denoise(turned)
    assert found.dims == turned.dims
    assert found.name == x.name
    assert found.dtype == (np.float32 if np.dtype(dtype).kind in "iu" else np.dtype(dtype).newbyteorder("="))
    assert {k: v for k, v in found.attrs.items() if k != "processing"} == x.attrs
    assert "denoise(model='tiny'" in found.attrs["processing"]
    assert found.encoding == {"grid_mapping": "crs"}
    assert turned.attrs == x.attrs
    xr.testing.assert_identical(found.coords.to_dataset(), turned.coords.to_dataset())
    close(found.transpose(*x.dims).values, denoise(x).values, 1e-3 if dtype == np.float16 else 1e-5)


@few
@given(sizes=SIZES, dtype=st.sampled_from([np.float32, np.float64]), dry=st.floats(0, 1))
def test_a_model_that_removes_nothing_returns_the_input(sizes, dtype, dry):
    """The result has the same bits, with gaps; signal and noise of any model add up to the input."""
    x = fields.field(*sizes, dtype=dtype)
    np.testing.assert_array_equal(denoise(x, fields.identity()).values, x.values)
    signal, noise = denoise(x, return_noise=True, dry=dry)
    np.testing.assert_array_equal(np.isnan(signal), np.isnan(x))
    there = np.isfinite(x.values)
    eps = float(np.finfo(dtype).eps) * 600
    np.testing.assert_allclose((signal + noise).values[there], x.values[there], rtol=0, atol=eps)


@few
@given(
    sizes=SIZES,
    closes=st.booleans(),
    exponent=st.integers(-30, 30),
    offset=st.floats(-1e4, 1e4),
    sign=st.sampled_from([1, -1]),
)
def test_units_do_not_matter(sizes, closes, exponent, offset, sign):
    """f(k x + c) = k f(x) + c for k > 0, for example from kelvin to degrees Celsius."""
    x = fields.field(*sizes, closes=closes, dtype=np.float64)
    k = 2.5 * 10.0**exponent
    base = denoise(x).values
    close(denoise(x * k).values, base * k)
    close(denoise(x + offset).values, base + offset, 1e-4)


@few
@given(
    sizes=SIZES, gap=st.tuples(st.integers(0, 59), st.integers(0, 69)), what=st.sampled_from([np.nan, np.inf, -np.inf])
)
def test_gaps_stay_gaps(sizes, gap, what):
    """Missing and infinite samples are unchanged, and both count as missing."""
    x = fields.field(*sizes)
    x[:, gap[0] % sizes[1] :, gap[1] % sizes[2] :] = np.nan
    other = x.where(~np.isnan(x), what)
    signal, noise = denoise(other, return_noise=True)
    missing = np.isnan(x.values)
    np.testing.assert_array_equal(signal.values[missing], other.values[missing])
    assert not noise.values[missing].any()
    np.testing.assert_array_equal(signal.values[~missing], denoise(x).values[~missing])


@few
@given(sizes=SIZES, value=st.floats(-1e6, 1e6), slices=st.sampled_from(["all", "one"]))
def test_constant_and_empty_slices_are_unchanged(sizes, value, slices):
    """Slices that are constant or missing are unchanged, for any neighbours."""
    x = fields.field(*sizes, dtype=np.float64)
    which = slice(None) if slices == "all" else slice(0, 1)
    for level in (value, np.nan):
        x[which] = level
        np.testing.assert_array_equal(denoise(x).values[which], x.values[which])


def repeat_columns(x, n):
    """The field with its first columns once more at its end, 360 degrees later."""
    more = x.isel(lon=slice(n))
    joined = xr.concat([x, more.assign_coords(lon=more.lon + 360.0)], "lon")
    return joined.assign_coords(lon=joined.lon.assign_attrs(x.lon.attrs))


@few
@given(
    sizes=st.tuples(st.integers(1, 5), st.integers(16, 50), st.integers(16, 60)), alone=st.booleans(),
    n=st.integers(1, 2), data=st.data(),
)  # fmt: skip
def test_repeated_longitudes_stay_the_same(sizes, alone, n, data):
    """0 and 360 degrees have the same samples, and the others are those of the field without a repeated column."""
    x = fields.field(*sizes, closes=True)
    x, model = (x[0], WITH_OVERVIEW) if alone else (x, MODEL)
    whole = repeat_columns(x, n)
    expected, (found, noise) = denoise(x, model), denoise(whole, model, return_noise=True)
    close(found.isel(lon=slice(0, -n)).values, expected.values)
    close(found.isel(lon=slice(-n, None)).values, expected.isel(lon=slice(n)).values)
    assert found.shape == noise.shape == whole.shape
    with dask.config.set(scheduler="synchronous"):
        close(denoise(chunked(whole, data), model).values, found.values)


@few
@given(sizes=SIZES, closes=st.booleans(), units=st.sampled_from([1.0, 1e-9, 1e6]), data=st.data())
def test_samples_outside_the_valid_range_are_missing(sizes, closes, units, data):
    """They change nothing else and come back as they came; no valid sample leaves the range."""
    x = fields.field(*sizes, closes=closes, dtype=np.float64) * units
    low, high = (float(x.quantile(q)) for q in (0.2, 0.8))
    x.attrs |= {"valid_min": low, "valid_max": high}
    missing = x.where((x >= low) & (x <= high))
    found, noise = denoise(x, return_noise=True)
    expected = denoise(missing.drop_attrs()).clip(low, high)
    inside = np.isfinite(missing.values)
    np.testing.assert_array_equal(found.values[~inside], x.values[~inside])
    assert not noise.values[~inside].any()
    close(found.values[inside], expected.values[inside])
    assert found.attrs["valid_min"] == low
    with dask.config.set(scheduler="synchronous"):
        close(denoise(chunked(x, data)).values, found.values)


def test_a_valid_range_that_no_sample_fits_is_refused():
    """Such as that of kelvin after a change to degrees Celsius that kept the attributes."""
    x = fields.field(2).assign_attrs(valid_min=-5.0, valid_max=40.0)
    with pytest.raises(InputError, match="All samples of t2m lie outside its valid range, -5 to 40"):
        denoise(x)


def test_the_seam_is_as_smooth_as_elsewhere():
    """Removed noise changes from the last column to the first as between other columns."""
    x = fields.field(4, 40, 100, closes=True, gaps=0)
    noise = denoise(x, return_noise=True)[1]
    step = np.sqrt(((noise - noise.roll(lon=1)) ** 2).mean(("time", "lat")).values)
    assert step[0] < 1.5 * np.median(step)


def run(source, target, model, **more):
    return denoise_files([source], target, InferenceOptions(model, threads=1), **more)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return fields.saved(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "a.nc"
    fields.field(9, 40, 56, closes=True).to_netcdf(path)
    return path


@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(chunks=st.tuples(st.integers(2, 9), st.integers(15, 40), st.integers(20, 56)), shard=st.integers(1, 8))
def test_any_chunk_and_shard_of_the_store_gives_the_same_samples(saved, source, tmp_path_factory, chunks, shard):
    """The store has the samples of the field in memory, and xarray opens it without a warning."""
    target = tmp_path_factory.mktemp("out") / "a.zarr"
    run(source, target, saved, chunks=dict(zip(("time", "lat", "lon"), chunks, strict=True)), shard=shard)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = xr.open_zarr(target)
        found = store["t2m"].values
    x = xr.open_dataset(source)["t2m"]
    close(found, denoise(x, saved).values)
    assert store["t2m"].encoding["chunks"] == tuple(min(c, n) for c, n in zip(chunks, x.shape, strict=True))
    xr.testing.assert_equal(store["t2m"].coords.to_dataset(), x.coords.to_dataset())


VICTIM = """
import os, signal, sys
from geoae.jobs.fields import worker
from geoae.jobs.denoise import denoise_files
from geoae.jobs.options import DenoiseOptions

def deadly(folder, number, values, write=worker.write_region, left=[int(sys.argv[4])]):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(folder, number, values)

worker.write_region = deadly
options = DenoiseOptions.from_keywords(out=sys.argv[2], model=sys.argv[3], threads=1, chunks={"time": 2})
denoise_files([sys.argv[1]], options)
"""


def test_killed_runs_resume_and_end_with_the_same_bytes(saved, source, tmp_path, monkeypatch):
    """A run is killed at any block and resumed; finished blocks are not computed again."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    run(source, tmp_path / "whole.zarr", saved, chunks={"time": 2})
    target = tmp_path / "killed.zarr"
    for after in (0, 2):
        done = subprocess.run(
            [sys.executable, "-c", VICTIM, str(source), str(target), str(saved), str(after)], check=False
        )
        assert done.returncode == -signal.SIGKILL
        assert not target.exists()
    found = run(source, target, saved, chunks={"time": 2})
    assert found.notes == ["killed.zarr: 2 of 5 blocks existed already; the table covers the others"]
    assert content(target) == content(tmp_path / "whole.zarr")
    assert "nothing was computed" in run(source, target, saved, chunks={"time": 2}).notes[0]


@pytest.mark.slow
def test_two_workers_write_the_bytes_of_one(saved, source, tmp_path, monkeypatch):
    """Each process loads the model and opens the source."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    run(source, tmp_path / "one.zarr", saved, chunks={"time": 2})
    run(source, tmp_path / "two.zarr", saved, chunks={"time": 2}, workers=2)
    assert content(tmp_path / "two.zarr") == content(tmp_path / "one.zarr")
