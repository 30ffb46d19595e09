"""Stores are the same byte by byte however they were written, open in plain xarray, and say how they were made."""

import json
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoae.errors import InputError, MissingFileError, OutputError, OutputExistsError, StoreError
from geoae.stores import ledger, provenance
from geoae.stores.codes import open_codes
from geoae.stores.plain import simplify_value
from geoae.stores.plan import Chunking, CodeVariables, plan_codes, plan_field
from geoae.stores.write import begin_store, write_region
from tests.support import store_worker as worker

ONE_LINE = r"^[^\n]+$"


@pytest.fixture(autouse=True)
def a_day(monkeypatch):
    """Stores that are compared are begun at one time."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", worker.EPOCH)


@pytest.fixture(scope="module")
def processes():
    """Where processes come from that have the libraries loaded, and nothing of this one."""
    return worker.ready_processes()


def made(target: Path, x: xr.DataArray, **options) -> Path:
    """A store that was written in one go."""
    run = worker.start(target, x, **options)
    worker.write_all(run, x)
    return run.finish()


def opened(target: Path) -> xr.Dataset:
    """As anyone opens it; warnings are errors."""
    with xr.open_zarr(target) as one, xr.open_dataset(target) as two:
        xr.testing.assert_identical(one.load(), two.load())
        return one


# --- what is in a store


def test_plain_xarray_gives_back_what_was_planned(tmp_path):
    """Dims, coordinates, attributes, dtype, gaps; provenance and history; no warning."""
    x = worker.field(0, 7)
    target = made(
        tmp_path / "out.zarr", x, attrs={"title": "a test", "history": "2000-01-01 made", "Conventions": "CF-1.0"}
    )
    data = opened(target)
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


def test_a_store_can_be_made_a_netcdf_file(tmp_path):
    """No attribute is of a kind that only zarr has."""
    target = made(
        tmp_path / "out.zarr", worker.field(0, 3), settings={"a": None, "b": True, "c": {"d": [1]}, "e": [1, "x"]}
    )
    data = opened(target)
    data.to_netcdf(tmp_path / "out.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf") as again:
        xr.testing.assert_equal(again.t2m.load(), data.t2m)
        assert [again.attrs[f"geoae_{k}"] for k in "abce"] == ["none", "true", '{"d": [1]}', '[1, "x"]']


def test_coordinates_of_all_kinds(tmp_path):
    """Text, times of any calendar, two-dimensional and scalar ones, with gaps; packed ones unpacked."""
    noleap = xr.date_range("1890-07-02", periods=4, freq="YS", calendar="noleap", use_cftime=True)
    lat = np.array([[10.0, 20.0, np.nan], [11.0, 21.0, 31.0]])
    x = xr.DataArray(
        np.zeros((4, 2, 3), np.float16),
        {
            "time": ("time", noleap, {"bounds": "time_bnds"}),
            "lat": (("y", "x"), lat, {"units": "degrees_north", "valid": np.float32(3), "raw": b"abc"}),
            "station": ("y", np.array(["A", "BCD"]), {"long_name": "name"}),
            "lead": ("time", np.array([0, 6, 12, 18], "timedelta64[h]").astype("timedelta64[ns]")),
            "height": 2.0,
            "flag": ("x", [True, False, True]),
            "when": ("y", np.array(["2000-01-01T00:00:00.000000001", "NaT"], "datetime64[ns]")),
        },
        ("time", "y", "x"),
        "tas",
        {"actual_range": np.array([1.0, 2.0]), "flags": np.array([1, 2], np.int8)},
    )
    x.encoding = {"grid_mapping": "crs", "scale_factor": 0.1, "dtype": "int16", "_FillValue": -1, "chunks": (1, 1, 1)}
    x["height"].encoding = {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -9}
    beside = xr.Dataset(
        {"crs": ((), 0, {"grid_mapping_name": "latitude_longitude"}), "time_bnds": (("time", "n"), [[0, 1]] * 4)}
    )
    run = begin_store(tmp_path / "out.zarr", plan_field(x, ["y", "x"], beside=beside), {})
    write_region(run.folder, 0, {"tas": x.values})
    with xr.open_zarr(run.finish(), decode_timedelta=True) as data:
        for name, coord in x.coords.items():
            np.testing.assert_array_equal(data[name].values.astype(coord.dtype), coord.values)
        assert data.tas.dtype == np.float16
        assert data.tas.attrs == {"flags": [1, 2], "grid_mapping": "crs"}
        assert data.lat.attrs == {"units": "degrees_north", "valid": 3.0, "raw": "abc"}
        assert "_FillValue" not in json.loads((tmp_path / "out.zarr" / "lat" / "zarr.json").read_text())["attributes"]
        assert data.crs.attrs["grid_mapping_name"] == "latitude_longitude"


def test_times_keep_their_units_where_those_hold_them(tmp_path):
    """Half hours are not rounded to the hours that the file counted in."""
    x = worker.field(0, 3)
    for step, units in ((60, "hours since 1900-01-01"), (30, "minutes since 2000-01-01 00:00:00")):
        times = np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(step, "m")
        y = x.assign_coords(time=times)
        y["time"].encoding = {"units": "hours since 1900-01-01", "calendar": "standard", "dtype": "int32"}
        data = opened(made(tmp_path / f"{step}.zarr", y))
        np.testing.assert_array_equal(data.time, times)
        assert data.time.encoding["units"] == units


def test_chunks_are_those_that_were_promised(tmp_path):
    """About a million samples, blosc with lz4 5 and bitshuffle, one file each; shards are whole chunks."""
    x = xr.DataArray(np.broadcast_to(np.float32(0), (100, 500, 600)), dims=("time", "y", "x"), name="u")
    for shard_chunks, block in ((1, (3, 500, 600)), (4, (12, 500, 600))):
        run = begin_store(
            tmp_path / f"{shard_chunks}.zarr",
            plan_field(x, ["y", "x"], chunking=Chunking(shard_chunks=shard_chunks)),
            {},
        )
        array = zarr.open_array(run.folder / "store" / "u", mode="r")
        assert array.chunks == (3, 500, 600)
        assert run.parts[0].block == block
        facts = json.loads((run.folder / "store" / "u" / "zarr.json").read_text())["codecs"][0]
        codec = facts["configuration"]["codecs"][1] if shard_chunks > 1 else array.metadata.to_dict()["codecs"][1]
        assert {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle"}.items() <= codec["configuration"].items()


SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=9)


@settings(max_examples=40)
@given(shape=SHAPES, data=st.data())
def test_any_shape_chunks_and_shards(shape, data, tmp_path_factory):
    """Blocks in any order give the array, in files as zarr writes them, also where all samples are the fill value."""
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


# --- who writes when


def test_several_processes_in_any_order_write_the_same_bytes(tmp_path, processes):
    """Even where each of them writes every block."""
    x = worker.field(0, 9)
    one = made(tmp_path / "one.zarr", x, shard_chunks=2)
    run = worker.start(tmp_path / "many.zarr", x, shard_chunks=2)
    writers = [processes.Process(target=worker.write_some, args=(run.folder, 9, seed)) for seed in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert worker.content(run.finish()) == worker.content(one)


def test_kills_at_any_time_cost_only_what_was_under_way(tmp_path, processes):
    """The same command again finishes the rest, new or appended; byte by byte the store of a run that was let be."""
    first, second = (0, 5), (5, 6)
    whole, moment, kills, stores = tmp_path / "whole.zarr", random.Random(0), 0, 0
    expected = []
    for piece in (first, second):
        expected.append(worker.content(made(whole, worker.field(*piece), append=("time",))))
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
                # what was there or all of it: a store that is being written is not taken for a finished one
                assert not target.exists() or worker.content(target) in (before, after)
            assert worker.content(target) == after
            lines = log.read_text().split("\n")
            done = [line.removeprefix("done ") for line in lines if line.startswith("done ")]
            assert len(set(done)) == len(done)
            for number in done:  # nothing that was done was begun again
                assert f"begin {number}" not in lines[lines.index(f"done {number}") :]
        stores += 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("way", ["new", "append"])
def test_kills_at_steps_of_the_layout_lose_nothing(tmp_path, processes, way):
    """Some of the renames, links and syncs; test_ledger has all of them that a store without zarr has."""
    first, piece = worker.field(0, 3), (0, 3) if way == "new" else (3, 2)
    x, options = worker.field(*piece), {"append": ("time",)}
    old = None if way == "new" else worker.content(made(tmp_path / "old.zarr", first, codes=False))
    new = worker.content(made(tmp_path / ("new.zarr" if old is None else "old.zarr"), x, codes=False, **options))
    step, exitcode = 1, None
    while exitcode != 0:
        path = tmp_path / f"{step}.zarr"
        if old is not None:
            made(path, first, codes=False)
        process = processes.Process(target=worker.run_and_die, args=(path, *piece, options, step))
        process.start()
        process.join()
        exitcode = process.exitcode
        assert not path.exists() or worker.content(path) in (old, new)
        assert worker.content(made(path, x, codes=False, **options)) == new
        step += 9
    assert step > 50
    assert not list(tmp_path.glob(".*"))


# --- growing


def test_a_store_that_grows_is_the_store_of_all(tmp_path):
    """Appended piece by piece, with blocks that were not full, or written at once: the same samples and coordinates."""
    pieces, at, grown = [4, 1, 6, 2], 0, tmp_path / "grown.zarr"
    for n in pieces:
        x = worker.field(at, n)
        run = worker.start(grown, x, append=("time",))
        before = worker.content(grown) if at else {}
        worker.write_all(run, x)
        assert at == 0 or worker.content(grown) == before  # until the last moment
        run.finish()
        at += n
        assert worker.start(grown, x, append=("time",)).finished  # the same command again
    once = opened(made(tmp_path / "once.zarr", worker.field(0, at)))
    data = opened(grown)
    assert data.attrs["history"].count("\n") == 3
    assert data.attrs["geoae_source_hash"].split("\n") == ["4", "1", "6", "2"]
    xr.testing.assert_identical(data.drop_attrs(deep=False), once.drop_attrs(deep=False))
    assert worker.content(grown / "t2m") == worker.content(tmp_path / "once.zarr" / "t2m")
    assert not list(tmp_path.glob(".*"))


def test_only_new_blocks_are_written_when_a_store_grows(tmp_path):
    """Those that were full are neither read nor written; a packed block of both is made of what was stored."""
    target = made(tmp_path / "out.zarr", worker.field(0, 5))
    run = worker.start(target, worker.field(5, 3), append=("time",))
    regions = [(run.task(i).part.name, run.task(i).region[0], run.task(i).block[0]) for i in run.pending()]
    assert regions == [("t2m", slice(0, 1), slice(4, 6)), ("t2m", slice(1, 3), slice(6, 8)),
                       ("code", slice(0, 1), slice(3, 6)), ("code", slice(1, 3), slice(6, 8))]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"settings": {"model": "m2", "window": (4, 4)}}, r"with other settings: model: m1 -> m2\. "),
        (lambda x: {"x": x.rename("t")}, "holds other variables"),
        (lambda x: {"x": x.astype("float64")}, r"holds t2m otherwise: dtype: float32 -> float64\."),
        (lambda x: {"x": x.isel(x=slice(3))}, r"holds t2m otherwise: sizes: \[6, 5\] -> \[6, 3\]\."),
        (lambda x: {"x": x.assign_coords(y=x.y + 1)}, "lies on another grid: its y differs"),
        (lambda x: {"x": x.drop_vars("y")}, "do not have the same coordinates: y"),
        (lambda x: {"x": x.assign_coords(time=x.time - np.timedelta64(6, "h"))}, "out of order or there twice"),
        (lambda x: {"append": ("lat",)}, r"dims time, y, x; expected one to append along of lat"),
    ],
)
def test_what_does_not_follow_is_not_appended(tmp_path, change, message):
    """Other settings, variables, grids and times are named, and the store stays as it was."""
    target = made(tmp_path / "out.zarr", worker.field(0, 4), codes=False)
    before, x = worker.content(target), worker.field(4, 2)
    options = {"x": x, "append": ("time",), **change(x)}
    with pytest.raises(StoreError, match=message) as caught:
        worker.start(target, codes=False, **options)
    assert "\n" not in str(caught.value)
    assert worker.content(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_a_damaged_store_does_not_grow(tmp_path):
    """What is missing or broken in it is said before anything is written."""
    target, x = made(tmp_path / "out.zarr", worker.field(0, 4), codes=False), worker.field(4, 2)
    broken = target / "t2m" / "c.1.0.0"
    broken.unlink()
    with pytest.raises(StoreError, match="damaged: 1 of its blocks are missing"):
        worker.start(target, x, codes=False, append=("time",))
    odd = made(tmp_path / "odd.zarr", worker.field(0, 3), codes=False)
    (odd / "t2m" / "c.1.0.0").write_bytes(b"no blosc")
    run = worker.start(odd, worker.field(3, 2), codes=False, append=("time",))
    with pytest.raises(StoreError, match="damaged: t2m cannot be read"):
        worker.write_all(run, worker.field(3, 2))
    blank = made(tmp_path / "blank.zarr", worker.field(0, 4), codes=False)
    (blank / "time" / "c" / "0").write_bytes(b"no blosc")
    with pytest.raises(StoreError, match=ONE_LINE):
        worker.start(blank, x, codes=False, append="time")
    (tmp_path / "two.zarr").mkdir()
    (tmp_path / "two.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(StoreError, match="not a zarr store of format 3"):
        worker.start(tmp_path / "two.zarr", x, append=("time",))
    xr.Dataset({"t2m": worker.field(0, 2)}).to_zarr(tmp_path / "xarray.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match="was not written by geoae"):
        worker.start(tmp_path / "xarray.zarr", x, append=("time",))


# --- what cannot be


def test_other_input_or_grid_does_not_go_on(tmp_path):
    """Each difference from the run that was begun is named."""
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


def test_writers_check_what_they_are_given(tmp_path):
    """Another shape, dtype or variable than the task's, and nothing is written."""
    run = worker.start(tmp_path / "out.zarr", worker.field(0, 4), codes=False)
    block = np.zeros((2, 6, 5), np.float32)
    for wrong in ({}, {"u": block}, {"t2m": block, "u": block}, {"t2m": block[:1]}, {"t2m": block + 1j},
                  {"t2m": np.zeros((2, 6, 5), "datetime64[s]")}):  # fmt: skip
        with pytest.raises(InputError, match=ONE_LINE):
            write_region(run.folder, 0, wrong)
    assert run.pending().tolist() == [0, 1]
    write_region(run.folder, 0, {"t2m": block.astype(np.float64)})
    assert run.pending().tolist() == [1]


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.rename(None),
        lambda x: x.rename("a/b"),
        lambda x: x.rename("__x"),
        lambda x: x.isel(time=slice(0)),
        lambda x: x.astype(str),
        lambda x: x.astype("datetime64[ns]"),
        lambda x: x.assign_coords(y=[object() for _ in range(6)]),
        lambda x: x.stack(space=("y", "x")),
        lambda x: x.isel(time=0, y=0, x=0),
    ],
)
def test_fields_that_no_store_holds_are_one_line(change):
    """Said before anything is written."""
    with pytest.raises(InputError, match=ONE_LINE):
        plan_field(change(worker.field(0, 2)))


def test_plans_that_cannot_be_are_one_line():
    """Unknown dims, names that come twice, grids that differ, windows that do not fit."""
    x = worker.field(0, 4)
    for wrong in (
        lambda: plan_field(x, ["lat"]),
        lambda: plan_field(x, chunking=Chunking({"time": 0})),
        lambda: plan_field(x, chunking=Chunking(shard_chunks=0)),
        lambda: plan_field(x, chunking=Chunking(grows="step")),
        lambda: plan_field(x, beside=xr.Dataset({"b": ("time", [1])})),
        lambda: plan_field(x) + plan_field(x),
        lambda: plan_field(x) + plan_field(x.rename("y2").isel(time=slice(2))),
        lambda: plan_field(x) + plan_field(x.rename("y2").drop_vars("time").isel(time=slice(2))),
        lambda: plan_field(x) + plan_codes({"time": 3}, 4),
        lambda: plan_codes({"window": 0}, 4),
        lambda: plan_codes({}, 4),
        lambda: plan_codes({"window": 3}, 4, stored=CodeVariables(statistics=["mean"])),
        lambda: plan_codes({"window": 3}, 4, coords={"t0": ("window", [1, 2])}),
        lambda: plan_codes({"window": 3}, 4, coords={"t0": [1, 2, 3, 4], "y": ("t0", [1])}),
    ):
        with pytest.raises(InputError, match=ONE_LINE):
            wrong()


def test_places_that_cannot_be_are_one_line(tmp_path):
    """URLs, and stores that are there."""
    with pytest.raises(InputError, match="is a URL"):
        worker.start("s3://bucket/out.zarr", worker.field(0, 2))
    made(tmp_path / "out.zarr", worker.field(0, 2))
    with pytest.raises(OutputExistsError, match=ONE_LINE):
        worker.start(tmp_path / "out.zarr", worker.field(0, 3))
    with pytest.raises(OutputError, match=ONE_LINE):
        worker.start(tmp_path / "out.zarr" / "t2m" / "c.0.0.0", worker.field(0, 3))


# --- codes


def test_codes_open_with_what_decodes_them(tmp_path):
    """Lazily, with scaling, error and places of the windows, under the same names in every store."""
    t0 = np.datetime64("2010-01-01", "ns") + np.arange(5) * np.timedelta64(1, "h")
    places = {"t0": ("window", t0), "source_id": ("window", ["XX.A"] * 3 + ["XX.B"] * 2)}
    x = xr.DataArray(np.zeros((2, 30)), dims=("channel", "time"), name="v")
    stored = CodeVariables("v", "m/s", "v_", ("offset", "slope", "gain", "recon_error"), ["E", "N", "Z"])
    plan = plan_field(x) + plan_codes({"window": 5}, 3, coords=places, stored=stored)
    run = begin_store(tmp_path / "out.zarr", plan, {"model": "m"})
    with pytest.raises(StoreError, match=r"is not finished: 0 of 2 blocks are done\. Run the command"):
        open_codes(tmp_path / "out.zarr")
    write_region(run.folder, 0, {"v": x.values})
    scale = {f"v_{name}": np.full((5, 3), i) for i, name in enumerate(("offset", "slope", "gain"))}
    write_region(run.folder, 1, {"v_code": np.ones((5, 3)), "v_recon_error": np.zeros(5), **scale})
    run.finish()
    for variable in (None, "v", "v_code"):
        codes = open_codes(tmp_path / "out.zarr", variable)
        assert {n: v.dims for n, v in codes.data_vars.items()} == {
            "code": ("window", "latent"), "offset": ("window", "component"), "slope": ("window", "component"),
            "gain": ("window", "component"), "recon_error": ("window",)}  # fmt: skip
        assert codes.code.chunks is not None
        assert codes.gain.attrs["units"] == "m/s"
        np.testing.assert_array_equal(codes.t0, t0)
        assert codes.component.values.tolist() == ["E", "N", "Z"]
        assert codes.source_id.values.tolist() == ["XX.A"] * 3 + ["XX.B"] * 2
        assert codes.attrs["geoae_model"] == "m"
        assert float(codes.gain.sum()) == 30
    with pytest.raises(InputError, match="codes of v; say which: variable='u'"):
        open_codes(tmp_path / "out.zarr", "u")


def test_stores_without_codes_are_one_line(tmp_path):
    """None in it, none of geoae, damaged, or not there."""
    target = made(tmp_path / "out.zarr", worker.field(0, 3), codes=False)
    with pytest.raises(StoreError, match=r"^\S+ holds no codes, only t2m\. Make them with [^\n]+$"):
        open_codes(target)
    with pytest.raises(MissingFileError, match=ONE_LINE):
        open_codes(tmp_path / "none.zarr")
    coded = made(tmp_path / "codes.zarr", worker.field(0, 6))
    (coded / "gain" / "c.1.0").unlink()
    with pytest.raises(StoreError, match="damaged: 1 blocks of its codes are missing"):
        open_codes(coded)
    (coded / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match=ONE_LINE):
        open_codes(coded)


def test_values_that_attributes_hold():
    """Numbers, text, and lists of one kind."""
    assert simplify_value(np.array([1, 2], np.int16)) == [1, 2]
    assert simplify_value([1.0, float("nan")]) == '[1.0, "nan"]'
    assert simplify_value(Path("a")) == "a"
    assert simplify_value([]) == []


def test_a_finished_store_says_how_it_is_divided(tmp_path):
    """As the run said it, shards and all."""
    run = worker.start(tmp_path / "out.zarr", worker.field(0, 9), shard_chunks=2)
    worker.write_all(run, worker.field(0, 9))
    assert provenance.read_parts(run.finish()) == run.parts
    assert ledger.read_store_status(tmp_path / "out.zarr").n_done == run.n_tasks
