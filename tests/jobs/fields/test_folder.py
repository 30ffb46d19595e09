"""Fields into a folder: each input by itself, one that fails stops no other, workers are started once."""

import re
from contextlib import contextmanager

import pytest
import xarray as xr

from geoae.cluster import schedulers
from geoae.errors import DamagedFileError, InputError, OutputError, UnknownNameError
from geoae.jobs.options import InferenceOptions
from tests.support import fields
from tests.support.denoising import denoise_files


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fields.saved(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def run(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for n, name in enumerate(("a.nc", "b.nc")):
        fields.field(3 + n, 16, 20).to_netcdf(name)
    return lambda inputs, out, **more: denoise_files(inputs, out, InferenceOptions(model, threads=1), **more)


def test_each_input_gets_the_output_of_its_own_run(run):
    """The same samples as alone; a file stays a file, and a store is written where blocks are asked for."""
    done = run(["a.nc", "b.nc"], "out/")
    assert [path.name for path in done.outputs] == ["a.denoised.nc", "b.denoised.nc"]
    assert [row.name for row in done.rows] == ["a.nc: t2m", "b.nc: t2m"]
    run(["b.nc"], "alone.nc")
    xr.testing.assert_identical(xr.open_dataset("out/b.denoised.nc").t2m, xr.open_dataset("alone.nc").t2m)
    assert [path.name for path in run(["b.nc"], "out", chunks={"time": 2}).outputs] == ["b.denoised.zarr"]


def test_outputs_that_are_there_are_left_and_told(run):
    """A second run goes on; --overwrite begins again."""
    run(["a.nc"], "out")
    done = run(["a.nc", "b.nc"], "out")
    assert [path.name for path in done.outputs] == ["b.denoised.nc"]
    assert done.notes[-1].startswith("1 of 2 outputs are in out already and were left as they are; --overwrite ")
    assert len(run(["a.nc", "b.nc"], "out", overwrite=True).outputs) == 2


def test_an_input_that_fails_stops_no_other(run, tmp_path):
    """It is named; a fault that all inputs share, or of the only input, is an error."""
    (tmp_path / "bad.nc").write_bytes(b"CDF\x01 nothing")
    done = run(["bad.nc", "a.nc"], "out")
    assert len(done.outputs) == 1
    assert re.match(r"bad\.nc: \S*bad\.nc cannot be opened", done.problems[0])
    with pytest.raises(DamagedFileError, match=r"bad\.nc"):
        run(["bad.nc"], "out")
    with pytest.raises(OutputError, match=r"^The folder none for the outputs is not there; make it first\.$"):
        run(["a.nc"], "none/")
    (tmp_path / "other").mkdir()
    fields.field(3, 16, 20).to_netcdf("other/a.nc")
    with pytest.raises(InputError, match=r"a\.denoised\.nc would be written twice"):
        run(["a.nc", "other/a.nc"], "out")


def test_an_unknown_model_ends_the_run(run):
    """It is no fault of one input."""
    with pytest.raises(UnknownNameError):
        denoise_files(["a.nc", "b.nc"], "out", InferenceOptions("no-such-model", threads=1))


def test_kept_workers_are_started_once(monkeypatch):
    """All connections within the block are one; without it, each is its own."""
    started = []

    @contextmanager
    def connect(cluster, workers, threads, say):
        started.append(cluster)
        yield schedulers.Connection(type("Client", (), {"status": "running"})(), None, None)
        started.append("stopped")

    monkeypatch.setattr(schedulers, "_connect", connect)
    with schedulers.keep_workers():
        for _ in range(2):
            with schedulers.connect_workers("local", 2, 1, print):
                assert started == ["local"]
    assert started == ["local", "stopped"]
    for _ in range(2):
        with schedulers.connect_workers("local", 2, 1, print):
            pass
    assert started == ["local", "stopped"] * 3
