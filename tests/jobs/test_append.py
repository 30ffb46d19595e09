"""Append to a store: the dimension, the first new time, and refusals."""

import numpy as np
import pytest

from geoae.errors import InputError, StoreError
from geoae.jobs.append import find_append_dim, find_first_new_time, find_layout, note_nothing_new
from geoae.jobs.options import FieldOptions
from tests.support.fields import field


def test_roles_of_dimensions():
    """An empty tuple of names finds the horizontal dimensions by metadata."""
    found = find_layout(field(2), ())
    assert (list(found.horizontal), found.time) == (["lat", "lon"], "time")


def test_fields_are_appended_along_time():
    """Only if it is requested; a field without time, or with another one, is refused."""
    x = field(3)
    assert find_append_dim([x], FieldOptions()) is None
    assert find_append_dim([x, x.rename("b")], FieldOptions(append=True)) == "time"
    with pytest.raises(InputError, match="still has no time dimension"):
        find_append_dim([x, x[0].drop_vars("time").rename("still")], FieldOptions(append=True))


def test_first_new_time_of_a_store(tmp_path):
    """0 without a store; times before the end of the store must be in it."""
    x, target = field(6), tmp_path / "a.zarr"
    assert find_first_new_time(target, [x], "time") == 0
    x[:4].to_dataset().to_zarr(target, consolidated=True, zarr_format=2)
    assert find_first_new_time(target, [x], "time") == 4
    assert find_first_new_time(target, [x[4:]], "time") == 0
    shifted = x[:4].assign_coords(time=x.time.values[:4] - np.timedelta64(1, "h"))
    with pytest.raises(StoreError, match="does not hold the earlier"):
        find_first_new_time(target, [shifted], "time")


def test_new_times_need_no_note(tmp_path):
    """Without a time, or with new times, there is no note and the store is not read."""
    assert note_nothing_new(tmp_path / "none.zarr", field(3), None, 0, {}) == []
    assert note_nothing_new(tmp_path / "none.zarr", field(3), "time", 2, {}) == []
