"""The layout of a store: chunks and compression, and the growth of a store that is appended to."""

import json

import numpy as np
import pytest
import xarray as xr
import zarr

from geoae.errors import StoreError
from geoae.stores.blocks import Variable
from geoae.stores.plan import Chunking, plan_field
from geoae.stores.write import begin_store
from tests.support import store_worker as worker
from tests.support.store_worker import open_store, write_store

ONE_LINE = r"^[^\n]+$"


def test_chunks_shards_and_compression_are_those_of_the_plan(tmp_path):
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


@pytest.mark.parametrize("way", ["new", "append"])
def test_a_kill_during_the_layout_loses_nothing(tmp_path, processes, way):
    """Every ninth of the renames, links and syncs; test_ledger has every step for a store without zarr."""
    first, piece = worker.field(0, 3), (0, 3) if way == "new" else (3, 2)
    x, options = worker.field(*piece), {"append": ("time",)}
    old = None if way == "new" else worker.content(write_store(tmp_path / "old.zarr", first, codes=False))
    new = worker.content(write_store(tmp_path / ("new.zarr" if old is None else "old.zarr"), x, codes=False, **options))
    step, exitcode = 1, None
    while exitcode != 0:
        path = tmp_path / f"{step}.zarr"
        if old is not None:
            write_store(path, first, codes=False)
        process = processes.Process(target=worker.run_and_die, args=(path, *piece, options, step))
        process.start()
        process.join()
        exitcode = process.exitcode
        assert not path.exists() or worker.content(path) in (old, new)
        assert worker.content(write_store(path, x, codes=False, **options)) == new
        step += 9
    assert step > 50
    assert not list(tmp_path.glob(".*"))


def test_appending_in_pieces_equals_writing_at_once(tmp_path):
    """Also with blocks that were not full: samples and coordinates are the same."""
    pieces, at, grown = [4, 1, 6, 2], 0, tmp_path / "grown.zarr"
    for n in pieces:
        x = worker.field(at, n)
        run = worker.start(grown, x, append=("time",))
        before = worker.content(grown) if at else {}
        worker.write_all(run, x)
        assert at == 0 or worker.content(grown) == before  # until `finish`
        run.finish()
        at += n
        assert worker.start(grown, x, append=("time",)).finished  # the same command again
    once = open_store(write_store(tmp_path / "once.zarr", worker.field(0, at)))
    data = open_store(grown)
    assert data.attrs["history"].count("\n") == 3
    assert data.attrs["geoae_source_hash"].split("\n") == ["4", "1", "6", "2"]
    xr.testing.assert_identical(data.drop_attrs(deep=False), once.drop_attrs(deep=False))
    assert worker.content(grown / "t2m") == worker.content(tmp_path / "once.zarr" / "t2m")
    assert not list(tmp_path.glob(".*"))


def test_a_store_without_check_sums_grows_without_them(tmp_path, monkeypatch):
    """Older versions wrote such stores, and all chunks of an array have the same codecs."""
    target, x = tmp_path / "x.zarr", worker.field(0, 8)
    with monkeypatch.context() as older:
        older.setattr(Variable.__init__, "__defaults__", (None, False))
        write_store(target, x[:3])
    run = worker.start(target, x[3:], append=("time",))
    worker.write_all(run, x[3:])
    run.finish()
    codecs = json.loads((target / "t2m" / "zarr.json").read_text())["codecs"]
    assert [codec["name"] for codec in codecs] == ["bytes", "blosc"]
    np.testing.assert_array_equal(open_store(target)["t2m"].values, x.values + 1)
    assert "crc32c" in (write_store(tmp_path / "new.zarr", x) / "t2m" / "zarr.json").read_text()


def test_appending_writes_only_new_blocks(tmp_path):
    """Full blocks are neither read nor written; a block that was not full is written again with its old samples."""
    target = write_store(tmp_path / "out.zarr", worker.field(0, 5))
    run = worker.start(target, worker.field(5, 3), append=("time",))
    regions = [(run.task(i).part.name, run.task(i).region[0], run.task(i).block[0]) for i in run.pending()]
    assert regions == [("t2m", slice(0, 1), slice(4, 6)), ("t2m", slice(1, 3), slice(6, 8)),
                       ("code", slice(0, 1), slice(3, 6)), ("code", slice(1, 3), slice(6, 8))]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"settings": {"model": "m2", "window": (4, 4)}}, r"with other settings: model: m1 -> m2\. "),
        (lambda x: {"x": x.rename("t")}, "holds other variables"),
        (lambda x: {"x": x.astype("float64")}, r"holds t2m in another form: dtype: float32 -> float64\."),
        (lambda x: {"x": x.isel(x=slice(3))}, r"holds t2m in another form: sizes: \[6, 5\] -> \[6, 3\]\."),
        (lambda x: {"x": x.assign_coords(y=x.y + 1)}, "lies on another grid: its y differs"),
        (lambda x: {"x": x.drop_vars("y")}, "do not have the same coordinates: y"),
        (lambda x: {"x": x.assign_coords(time=x.time - np.timedelta64(6, "h"))}, "out of order or there twice"),
        (lambda x: {"append": ("lat",)}, r"dims time, y, x; one of them must be lat"),
    ],
)
def test_samples_that_do_not_continue_the_store_are_refused(tmp_path, change, message):
    """The error names other settings, variables, grids and times, and the store stays as it was."""
    target = write_store(tmp_path / "out.zarr", worker.field(0, 4), codes=False)
    before, x = worker.content(target), worker.field(4, 2)
    options = {"x": x, "append": ("time",), **change(x)}
    with pytest.raises(StoreError, match=message) as caught:
        worker.start(target, codes=False, **options)
    assert "\n" not in str(caught.value)
    assert worker.content(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_a_damaged_store_cannot_be_appended_to(tmp_path):
    """Missing and unreadable blocks and coordinates are reported before anything is written."""
    target, x = write_store(tmp_path / "out.zarr", worker.field(0, 4), codes=False), worker.field(4, 2)
    broken = target / "t2m" / "c.1.0.0"
    broken.unlink()
    with pytest.raises(StoreError, match="damaged: 1 of its blocks are missing"):
        worker.start(target, x, codes=False, append=("time",))
    odd = write_store(tmp_path / "odd.zarr", worker.field(0, 3), codes=False)
    (odd / "t2m" / "c.1.0.0").write_bytes(b"no blosc")
    run = worker.start(odd, worker.field(3, 2), codes=False, append=("time",))
    with pytest.raises(StoreError, match="damaged: t2m cannot be read"):
        worker.write_all(run, worker.field(3, 2))
    blank = write_store(tmp_path / "blank.zarr", worker.field(0, 4), codes=False)
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
