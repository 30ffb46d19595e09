"""Stores are identical byte by byte in whatever order they are written, and open in plain xarray."""

import random
import signal

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoae.errors import InputError, OutputError, OutputExistsError, StoreError
from geoae.stores.plan import Chunking, plan_field
from geoae.stores.write import begin_store, write_region
from tests.support import store_worker as worker
from tests.support.store_worker import open_store, write_store

ONE_LINE = r"^[^\n]+$"


def test_xarray_reads_back_what_was_planned(tmp_path):
    """Dims, coordinates, attributes, dtype, gaps; provenance and history; no warning."""
    x = worker.field(0, 7)
    target = write_store(
        tmp_path / "out.zarr", x, attrs={"title": "a test", "history": "2000-01-01 made", "Conventions": "CF-1.0"}
    )
    data = open_store(target)
    np.testing.assert_array_equal(data.t2m, x + 1)
    assert data.t2m.dtype == x.dtype
    assert data.t2m.dims == x.dims
    for name in x.coords:
        np.testing.assert_array_equal(data[name], x[name])
        assert data[name].dtype == x[name].dtype
    assert data.t2m.attrs == {**x.attrs, "ancillary_variables": "code offset gain recon_error n_valid"}
    assert data.code.dims == ("time", "window_y", "latent")
    assert data.gain.attrs["units"] == "K"
    assert data.attrs["history"] == ("2000-01-01 made\n2001-09-09T01:46:40Z geoae "
                                     f"{data.attrs['geoae_version']}: geoae denoise")  # fmt: skip
    expected = {"title": "a test", "Conventions": "CF-1.11", "geoae_model": "m1", "geoae_window": [4, 4],
                "geoae_source_hash": "7", "geoae_command": "geoae denoise"}  # fmt: skip
    assert expected.items() <= data.attrs.items()


def test_a_store_can_be_copied_to_netcdf(tmp_path):
    """Every attribute is of a type that netCDF has."""
    target = write_store(
        tmp_path / "out.zarr", worker.field(0, 3), settings={"a": None, "b": True, "c": {"d": [1]}, "e": [1, "x"]}
    )
    data = open_store(target)
    data.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as again:
        xr.testing.assert_equal(again.t2m.load(), data.t2m)
        assert [again.attrs[f"geoae_{k}"] for k in "abce"] == ["none", "true", '{"d": [1]}', '[1, "x"]']


SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=9)


@settings(max_examples=40)
@given(shape=SHAPES, data=st.data())
def test_any_shape_chunks_and_shards(shape, data, tmp_path_factory):
    """Blocks in any order give the array, in files as zarr writes them, even if all samples are the fill value."""
    dims = "abc"[: len(shape)]
    chunks = {dim: data.draw(st.integers(1, n)) for dim, n in zip(dims, shape, strict=True)}
    dtype = data.draw(st.sampled_from(["float32", "float64", "int16", "float16", "bool", "complex64"]))
    fill = np.array(np.nan if np.dtype(dtype).kind in "fc" else 0).astype(dtype)
    values = np.where(np.arange(np.prod(shape)).reshape(shape) % 5 < 3, fill, 3).astype(dtype)
    if data.draw(st.booleans()):
        values[:] = fill
    x = xr.DataArray(values, dims=tuple(dims), name="u")
    folder = tmp_path_factory.mktemp("any")
    run = begin_store(folder / "out.zarr", plan_field(x, chunking=Chunking(chunks, data.draw(st.integers(1, 5)))), {})
    for number in data.draw(st.permutations(range(run.n_tasks))):
        assert not run.is_done(number)
        write_region(run.folder, number, {"u": values[run.task(number).region]})
        assert run.is_done(number)
    target = run.finish()
    with xr.open_zarr(target, chunks=None) as one:
        np.testing.assert_array_equal(one.u, values)
    with zarr.config.set({"array.write_empty_chunks": True}):
        (folder / "again" / "u").mkdir(parents=True)
        (folder / "again" / "u" / "zarr.json").write_bytes((target / "u" / "zarr.json").read_bytes())
        zarr.open_array(folder / "again" / "u", mode="r+")[...] = values
    assert worker.content(folder / "again" / "u") == worker.content(target / "u")


def test_several_processes_in_any_order_write_the_same_bytes(tmp_path, processes):
    """Even where each of them writes every block."""
    x = worker.field(0, 9)
    one = write_store(tmp_path / "one.zarr", x, shard_chunks=2)
    run = worker.start(tmp_path / "many.zarr", x, shard_chunks=2)
    writers = [processes.Process(target=worker.write_some, args=(run.folder, 9, seed)) for seed in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert worker.content(run.finish()) == worker.content(one)


def test_a_kill_at_any_time_costs_only_the_block_in_progress(tmp_path, processes):
    """The same command finishes the rest, and the store equals that of an undisturbed run byte by byte."""
    first, second = (0, 5), (5, 6)
    whole, moment, kills, stores = tmp_path / "whole.zarr", random.Random(0), 0, 0
    expected = []
    for piece in (first, second):
        expected.append(worker.content(write_store(whole, worker.field(*piece), append=("time",))))
    while kills < 24:
        target = tmp_path / f"{stores}.zarr"
        for (start, n), before, after in ((first, None, expected[0]), (second, *expected)):
            log, exitcode = tmp_path / f"{stores}.{start}.log", None
            while exitcode != 0:
                process = processes.Process(target=worker.run, args=(target, start, n, 0.02, log))
                process.start()
                process.join(moment.uniform(0.02, 0.3) if kills < 24 else None)
                process.kill()
                process.join()
                exitcode = process.exitcode
                assert exitcode in (0, -signal.SIGKILL)
                kills += exitcode != 0
                # the old store or the complete new one: an unfinished store does not have the name
                assert not target.exists() or worker.content(target) in (before, after)
            assert worker.content(target) == after
            lines = log.read_text().split("\n")
            done = [line.removeprefix("done ") for line in lines if line.startswith("done ")]
            assert len(set(done)) == len(done)
            for number in done:  # no finished block is computed again
                assert f"begin {number}" not in lines[lines.index(f"done {number}") :]
        stores += 1
    assert not list(tmp_path.glob(".*"))


def test_a_run_does_not_resume_with_another_input_or_grid(tmp_path):
    """The error names each difference."""
    worker.start(tmp_path / "out.zarr", worker.field(0, 4))
    for changes, message in (
        ({"source": "x.nc"}, r"source: 2000-01-01T00:00:00.000000000 -> x.nc"),
        ({"source_hash": "ff"}, "source_hash: 4 -> ff"),
        ({"settings": {"model": "m1", "window": [8, 8]}}, r"window: \[4, 4\] -> \[8, 8\]"),
        ({"shard_chunks": 2}, "variable t2m: .* files of 2x6x5 -> .* files of 4x6x5"),
        ({"x": worker.field(0, 4).assign_coords(y=np.arange(6) + 0.5)}, "coordinates: .* -> "),
        ({"codes": False}, "variable code: .* -> none"),
    ):
        with pytest.raises(StoreError, match=message):
            worker.start(tmp_path / "out.zarr", **{"x": worker.field(0, 4), **changes})
    worker.start(tmp_path / "out.zarr", worker.field(0, 4))


def test_blocks_of_another_shape_dtype_or_variable_are_refused(tmp_path):
    """Nothing is written for them."""
    run = worker.start(tmp_path / "out.zarr", worker.field(0, 4), codes=False)
    block = np.zeros((2, 6, 5), np.float32)
    for wrong in ({}, {"u": block}, {"t2m": block, "u": block}, {"t2m": block[:1]}, {"t2m": block + 1j},
                  {"t2m": np.zeros((2, 6, 5), "datetime64[s]")}):  # fmt: skip
        with pytest.raises(InputError, match=ONE_LINE):
            write_region(run.folder, 0, wrong)
    assert run.pending().tolist() == [0, 1]
    write_region(run.folder, 0, {"t2m": block.astype(np.float64)})
    assert run.pending().tolist() == [1]


def test_impossible_targets_are_refused_in_one_line(tmp_path):
    """URLs, finished stores, and paths inside a store."""
    with pytest.raises(InputError, match="is a URL"):
        worker.start("s3://bucket/out.zarr", worker.field(0, 2))
    write_store(tmp_path / "out.zarr", worker.field(0, 2))
    with pytest.raises(OutputExistsError, match=ONE_LINE):
        worker.start(tmp_path / "out.zarr", worker.field(0, 3))
    with pytest.raises(OutputError, match=ONE_LINE):
        worker.start(tmp_path / "out.zarr" / "t2m" / "c.0.0.0", worker.field(0, 3))
