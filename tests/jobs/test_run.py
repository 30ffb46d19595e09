"""The runner of blocks: the store is the same for any workers and interruptions."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.errors import InputError, ModelFileError, OutputExistsError, StoreError
from geoae.jobs.options import RunOptions, Workers
from geoae.jobs.run import BlockJob, Outcome, load_for_run, load_same_model, make_model_spec, run_blocks
from geoae.model import load_model
from geoae.stores import ledger
from geoae.stores.plan import Chunking, plan_field
from geoae.stores.write import Origin, write_region
from tests.conftest import tiny_model
from tests.support.store_worker import EPOCH, content

few = settings(max_examples=6)  # each makes several stores
N = 7
"""Blocks of the store, of two samples each."""


def make_squares(spec: dict[str, Any], *, factor: float | None = None):
    """Make the function that writes the squares of the positions, times a factor, and returns their sum."""
    run, scale = ledger.load_run(Path(spec["folder"])), spec["factor"] if factor is None else factor

    def work(number: int) -> float:
        span = run.task(number).region[0]
        values = scale * np.arange(span.start, span.stop, dtype="f8") ** 2
        write_region(run.folder, number, {"u": values})
        return float(values.sum())

    return work


def job(target: Path, factor: float = 1.0, loaded: float | None = None) -> BlockJob:
    """A store of 2 N squares."""
    x = xr.DataArray(np.zeros(2 * N), dims="x", name="u")
    plan = plan_field(x, chunking=Chunking({"x": 2}))
    known = {} if loaded is None else {"factor": loaded}
    origin = Origin("squares", "none", "test")
    return BlockJob(target, plan, {"factor": factor}, origin, make_squares, {"factor": factor}, known)


def run(target: Path, factor: float = 1.0, stop_after: int | None = None, **options: Any) -> tuple[Outcome, dict]:
    """Run the job, stopped after some blocks in all; the outcome, and what was counted."""
    found: dict[int, float] = {}

    def progress(done: int, total: int) -> None:
        assert total == N
        if done == stop_after:
            raise KeyboardInterrupt

    return run_blocks(job(target, factor), RunOptions(**options), found.__setitem__, progress), found


def stopped(target: Path, n_done: int, factor: float = 1.0) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(target, factor, stop_after=n_done)
    assert ledger.read_store_status(target)[1:4] == (False, n_done, N)


@pytest.fixture(autouse=True)
def _same_time(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)


@few
@given(stops=st.lists(st.integers(0, N - 1), max_size=3, unique=True).map(sorted))
def test_an_interrupted_run_computes_what_is_missing(stops):
    """No block is computed twice, and the bytes are those of one run."""
    with tempfile.TemporaryDirectory() as name:
        whole, target = Path(name) / "whole.zarr", Path(name) / "a.zarr"
        run(whole)
        for n_done in stops:
            stopped(target, n_done)
        outcome, found = run(target)
        kept = stops[-1] if stops else 0
        assert sorted(found) == sorted(outcome.computed) == list(range(kept, N))
        assert (outcome.n_kept, outcome.was_finished) == (kept, False)
        assert outcome.notes() == ([f"a.zarr: {kept} of {N} blocks existed already and were kept"] if kept else [])
        assert content(target) == content(whole)


def test_each_result_is_counted_once(tmp_path):
    """With the number of its block; together they are what the store holds."""
    outcome, found = run(tmp_path / "a.zarr", 3.0)
    assert found == {i: 3.0 * ((2 * i) ** 2 + (2 * i + 1) ** 2) for i in range(N)}
    with xr.open_zarr(outcome.store) as data:
        np.testing.assert_array_equal(data["u"].values, 3.0 * np.arange(2 * N) ** 2)
        assert data.attrs["geoae_factor"] == 3.0
        assert data.attrs["geoae_source"] == "squares"


def test_a_finished_store_is_left_as_it_is(tmp_path):
    """No worker computes anything, and a note tells that."""
    run(tmp_path / "a.zarr")
    before = content(tmp_path / "a.zarr")
    ledger.load_run.cache_clear()  # as in a process of its own
    for workers in (Workers(), Workers(n=2)):
        outcome, found = run(tmp_path / "a.zarr", workers=workers)
        assert (found, outcome.computed, outcome.was_finished) == ({}, frozenset(), True)
        assert outcome.notes() == ["a.zarr is already finished; nothing was computed"]
    assert content(tmp_path / "a.zarr") == before


@few
@given(n_done=st.integers(0, N - 1), factor=st.floats(1.5, 1e6))
def test_other_settings_are_refused_and_named(n_done, factor):
    """An unfinished and a finished store; `overwrite` begins anew."""
    with tempfile.TemporaryDirectory() as name:
        target = Path(name) / "a.zarr"
        stopped(target, n_done)
        with pytest.raises(StoreError, match=f"factor: 1.0 -> {json.dumps(factor)}".replace("+", r"\+")):
            run(target, factor)
        assert ledger.read_store_status(target).n_done == n_done
        run(target)
        with pytest.raises(OutputExistsError, match=r"other settings \(factor: 1\.0 -> "):
            run(target, factor)
        outcome, _ = run(target, factor, overwrite=True)
        assert len(outcome.computed) == N
        with xr.open_zarr(target) as data:
            np.testing.assert_array_equal(data["u"].values, factor * np.arange(2 * N) ** 2)


def test_loaded_objects_are_used_in_this_process(tmp_path):
    """Objects in `loaded` take the place of those that a worker process would make."""
    run_blocks(job(tmp_path / "b.zarr", 2.0, loaded=5.0), RunOptions())
    with xr.open_zarr(tmp_path / "b.zarr") as data:
        np.testing.assert_array_equal(data["u"].values, 5.0 * np.arange(2 * N) ** 2)


def test_a_block_that_fails_keeps_those_before(tmp_path):
    """The error is that of the work, and the next run goes on."""

    def make(spec):
        work = make_squares(spec)

        def fail(number):
            if number == 3:
                raise InputError("block 3 cannot be")
            return work(number)

        return fail

    with pytest.raises(InputError, match="block 3 cannot be"):
        run_blocks(replace(job(tmp_path / "a.zarr"), make_worker=make), RunOptions())
    assert ledger.read_store_status(tmp_path / "a.zarr").n_done == 3
    assert run(tmp_path / "a.zarr")[0].n_kept == 3


def test_a_worker_finds_the_same_model_or_refuses(tmp_path):
    """Its spec is plain data; a folder whose weights have changed is refused."""
    folder = tmp_path / "tiny"
    tiny_model().save(folder, "# tiny")
    model = load_model(folder)
    spec = json.loads(json.dumps(make_model_spec(model, "cpu", 2)))
    found = load_same_model(spec)
    assert (found.digest, found.device, found.threads) == (model.digest, "cpu", 2)
    other = tmp_path / "other"
    tiny_model(seed=1).save(other, "# tiny")
    with pytest.raises(ModelFileError, match=f"the run was begun with {model.digest}, a worker finds "):
        load_same_model({**spec, "model": str(other)})


def test_workers_need_a_model_from_a_folder(tmp_path):
    """A model in memory runs here; for workers it has to be saved first."""
    assert load_for_run(tiny_model(), "cpu", 2, Workers()).threads == 2
    with pytest.raises(InputError, match="comes from no folder"):
        load_for_run(tiny_model(), "cpu", 1, Workers(n=2))
    tiny_model().save(tmp_path / "tiny", "# tiny")
    assert load_for_run(tmp_path / "tiny", "cpu", 1, Workers(n=2)).folder == tmp_path / "tiny"
