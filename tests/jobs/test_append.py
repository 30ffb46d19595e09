"""Append to a store: the dimension, the first new time, and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoae.arrays.neighbours import make_channels
from geoae.errors import InputError, StoreError
from geoae.jobs.append import (
    _count_lacking,
    find_append_dim,
    find_first_new_time,
    find_layout,
    note_append,
    note_nothing_new,
)
from geoae.jobs.options import FieldOptions
from geoae.jobs.source import ArraySource
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
    source = ArraySource(("a.nc",), (str(tmp_path / "a.nc"),))
    assert note_nothing_new(tmp_path / "none.zarr", field(3), None, 0, {}, source) == []
    assert note_nothing_new(tmp_path / "none.zarr", field(3), "time", 2, {}, source) == []
    assert note_append(tmp_path / "none.zarr", field(3), "time", 0, 5) == []


@settings(max_examples=60)
@given(n_old=st.integers(1, 12), n_new=st.integers(1, 12), n_absent=st.integers(0, 12), reach=st.integers(0, 5))
def test_times_that_lack_neighbours_are_counted(n_old, n_new, n_absent, reach):
    """Each time whose samples would be others in one run over all files, and no other."""
    n_absent, n = min(n_absent, n_old), n_old + n_new
    series = np.random.default_rng(0).normal(size=(n, 1, 1))

    def means(first, end):
        part = series[first:end]
        return np.array([make_channels(part, t, min(1, reach), reach)[:3].ravel() for t in range(len(part))])

    whole, before, after = means(0, n), means(0, n_old), means(n_absent, n)
    old = (~np.isclose(before, whole[:n_old], equal_nan=True)).any(1)
    new = (~np.isclose(after[n_old - n_absent :], whole[n_old:], equal_nan=True)).any(1)
    assert _count_lacking(n_old, n_new, n_absent, reach) == (old.sum(), new.sum())


def test_what_an_appended_store_lacks_is_told(tmp_path):
    """Neighbours of old and of new times, and times that are there already."""
    x, target = field(20), tmp_path / "a.zarr"
    x[:8].to_dataset().to_zarr(target, consolidated=True, zarr_format=2)
    (told,) = note_append(target, x[8:], "time", 0, 2)
    assert told == (
        "a.zarr: samples depend on up to 2 neighbours in time, before and after. The last 2 of its times lack later "
        "ones and the first 2 new times lack earlier ones, which are not in the input, so they differ from those of "
        "one run over all files. Such a run with --overwrite makes them alike."
    )
    here, told = note_append(target, x, "time", 8, 2)
    assert here == "8 of 20 times are in a.zarr already and stay as they are"
    assert "The last 2 of its times lack later ones, so they differ" in told
    assert note_append(target, x[8:], "time", 0, 0) == []
