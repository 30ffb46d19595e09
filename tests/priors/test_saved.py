"""Codes in a store keep their coordinates and the digest of their model."""

import numpy as np
import pytest
import xarray as xr

from geoae.errors import InputError, MissingFileError, OutputError, OutputExistsError, StoreError
from geoae.priors.pca import pca_space
from geoae.priors.saved import read_codes, write_codes
from tests.priors.test_space import D, fields


def test_codes_go_to_a_store_and_back(tmp_path):
    """Coordinates come back; codes of another model, and a store without codes, are refused."""
    linear = pca_space(fields(), D, units="km/s")
    z = linear.sample(4, 0)
    path = write_codes(linear, z, tmp_path / "z.zarr", ("site",), {"lat": ("site", [1.0, 2.0, 3.0, 4.0])})
    back = read_codes(linear, path)
    np.testing.assert_array_equal(back, z)
    np.testing.assert_array_equal(back.lat, [1, 2, 3, 4])
    np.testing.assert_array_equal(linear.decode(back), linear.decode(z))
    other = pca_space(fields(seed=4), D)
    with pytest.raises(InputError, match=r"codes of model 'pca-3'"):
        read_codes(other, path)
    with pytest.raises(InputError, match="Load the model that made them"):
        other.decode(back)
    with pytest.raises(OutputExistsError):
        write_codes(linear, z, path)
    with pytest.raises(MissingFileError):
        read_codes(linear, tmp_path / "none.zarr")
    xr.Dataset({"vs": ("z", [1.0])}).to_zarr(tmp_path / "other.zarr", consolidated=False)
    with pytest.raises(StoreError, match="holds no codes, only vs"):
        read_codes(linear, tmp_path / "other.zarr")


@pytest.fixture(scope="module")
def space():
    return pca_space(np.random.default_rng(0).normal(size=(30, 4, 3)), 2)


def test_codes_can_replace_the_store_that_they_are_read_from(space, tmp_path):
    """Lazy codes are read before their store is replaced, and nothing else is left in the folder."""
    z = np.random.default_rng(1).normal(size=(5, 2))
    path = write_codes(space, z, tmp_path / "z.zarr", ("site",))
    write_codes(space, 2 * read_codes(space, path), path, overwrite=True)
    np.testing.assert_allclose(read_codes(space, path), 2 * z)
    assert [p.name for p in tmp_path.iterdir()] == ["z.zarr"]


def test_a_failure_leaves_the_old_store(space, tmp_path, monkeypatch):
    """A full disk is an error of one line."""

    def fail(*args):
        raise OSError(28, "No space left on device")

    z = np.random.default_rng(2).normal(size=(5, 2))
    path = write_codes(space, z, tmp_path / "z.zarr", ("site",))
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError, match=r"z\.zarr cannot be written: No space left on device\.$"):
        write_codes(space, z + 1, path, ("site",), overwrite=True)
    np.testing.assert_array_equal(read_codes(space, path), z)
    assert [p.name for p in tmp_path.iterdir()] == ["z.zarr"]
