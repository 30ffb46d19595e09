"""Plans of stores: impossible ones are refused before anything is written."""

import pytest
import xarray as xr

from geoae.errors import InputError
from geoae.stores.plan import Chunking, CodeVariables, check_chunk_sizes, plan_codes, plan_field
from tests.support import store_worker as worker

ONE_LINE = r"^[^\n]+$"


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
def test_fields_that_cannot_be_stored_are_refused_in_one_line(change):
    """Names, dtypes, sizes and coordinates that zarr does not hold."""
    with pytest.raises(InputError, match=ONE_LINE):
        plan_field(change(worker.field(0, 2)))


def test_impossible_plans_are_refused_in_one_line():
    """Unknown dimensions, duplicate names, different grids, coordinates of the wrong length."""
    x = worker.field(0, 4)
    for wrong in (
        lambda: plan_field(x, ["lat"]),
        lambda: plan_field(x, chunking=Chunking({"time": 0})),
        lambda: plan_field(x, chunking=Chunking(shard_chunks=0)),
        lambda: plan_field(x, chunking=Chunking(grows="step")),
        lambda: plan_field(x, auxiliary=xr.Dataset({"b": ("time", [1])})),
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


def test_empty_chunks_and_files_are_refused():
    """The error names the option and its value."""
    with pytest.raises(InputError, match=r"chunks are lat=0; a chunk must have at least 1 sample"):
        check_chunk_sizes({"lat": 0, "lon": 3}, 1)
    with pytest.raises(InputError, match=r"shard is 0; a file must hold at least 1 chunk"):
        check_chunk_sizes({"lat": 2}, 0)
    check_chunk_sizes({"lat": 1}, 1)
