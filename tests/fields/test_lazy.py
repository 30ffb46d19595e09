"""Lazy fields: plans are small to send to other processes, and tasks are made when they are needed."""

import os
import pickle
from dataclasses import replace

import dask
import numpy as np
import pytest
import xarray as xr
from dask.array import from_delayed, zeros

import geoae
from geoae.errors import InputError, ModelFileError
from geoae.fields.lazy import _PicklableModel
from tests.support import fields
from tests.support.fields import assert_close as close

MODEL = fields.tiny_model()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return fields.saved(tmp_path_factory.mktemp("model") / "tiny")


def denoise(x, model=MODEL):
    return geoae.denoise(x, model=model, threads=1)


def test_a_plan_is_pickled_with_the_path_of_its_model(saved):
    """A pickled plan has no weights if its model has a folder; otherwise the weights are part of it."""
    loaded = geoae.load_model(saved)
    small, large = (len(pickle.dumps(_PicklableModel(m))) for m in (loaded, replace(loaded, folder=None)))
    assert small < 1000 < large
    assert pickle.loads(pickle.dumps(_PicklableModel(loaded))).model.digest == loaded.digest
    lazy = denoise(fields.field(4).chunk({"time": 2}), loaded)
    with dask.config.set(scheduler="processes", num_workers=1) if os.environ.get("GEOAE_SLOW") else dask.config.set({}):
        close(lazy.values, denoise(fields.field(4), loaded).values)


def test_tasks_are_made_when_they_are_needed():
    """A plan of a hundred thousand chunks has no tasks, and that of one slice has few."""
    samples = zeros((100_000, 16, 16), chunks=(1, 16, 16), dtype="float32")
    x = xr.DataArray(samples, dims=("time", "y", "x"), name="u")
    lazy = denoise(x)
    assert not lazy.data.dask.layers[lazy.data.name].is_materialized()
    (small,) = dask.optimize(lazy[500].data)
    assert len(dict(small.dask)) < 100


def test_another_model_in_the_folder_is_refused(tmp_path):
    """A process that loads a plan finds the model with the same digest, or raises an error."""
    folder = fields.saved(tmp_path / "tiny")
    plan = pickle.dumps(_PicklableModel(replace(geoae.load_model(folder), digest="f" * 12)))
    with pytest.raises(ModelFileError, match=r"f{12} was expected"):
        pickle.loads(plan)


def test_chunks_of_unknown_sizes_are_refused():
    """The message names the method that computes the sizes."""
    unknown = from_delayed(dask.delayed(np.zeros)((9, 16)), (np.nan, 16), float)
    x = xr.DataArray(unknown, dims=("y", "x"), name="u")
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        denoise(x)
