"""Lazy fields: plans are small to send to other processes, and tasks are made when they are needed."""

import cloudpickle
import dask
import numpy as np
import pytest
import xarray as xr
from dask.array import from_delayed, zeros

import geoae
from geoae.errors import InputError
from tests.support import fields
from tests.support.fields import assert_close as close

MODEL = fields.tiny_model()


def denoise(x, model=MODEL):
    return geoae.denoise(x, model=model, threads=1)


def test_tasks_are_made_when_they_are_needed():
    """A plan of a hundred thousand chunks has no tasks, and that of one slice has few."""
    samples = zeros((100_000, 16, 16), chunks=(1, 16, 16), dtype="float32")
    x = xr.DataArray(samples, dims=("time", "y", "x"), name="u")
    lazy = denoise(x)
    assert not lazy.data.dask.layers[lazy.data.name].is_materialized()
    (small,) = dask.optimize(lazy[500].data)
    assert len(dict(small.dask)) < 100


def test_a_plan_is_pickled_without_what_it_remembers():
    """Graphs are sent to schedulers; what a plan has found out is found again there."""
    lazy = denoise(fields.field(4).chunk({"time": 2}))
    size = len(cloudpickle.dumps(lazy.data.dask))
    lazy.compute(scheduler="synchronous")
    assert len(cloudpickle.dumps(lazy.data.dask)) < size + 100
    close(cloudpickle.loads(cloudpickle.dumps(lazy)).values, denoise(fields.field(4)).values)


def test_chunks_of_unknown_sizes_are_refused():
    """The message names the method that computes the sizes."""
    unknown = from_delayed(dask.delayed(np.zeros)((9, 16)), (np.nan, 16), float)
    x = xr.DataArray(unknown, dims=("y", "x"), name="u")
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        denoise(x)
