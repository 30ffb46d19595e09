"""Lazy results are computed by the processes of a dask cluster, in small graphs, and equal those in memory."""

import cloudpickle
import numpy as np
import pytest
import xarray as xr
from distributed import Client

import geoae
from geoae.model import load_model
from tests.support import fields
from tests.support.coding import tiny_coder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A denoiser, a coder and a field in a file."""
    path = tmp_path_factory.mktemp("lazy")
    fields.saved(path / "tiny")
    tiny_coder().save(path / "coder", "# tiny")
    fields.field(6, 24, 40, closes=True).to_netcdf(path / "a.nc")
    return path


@pytest.fixture
def client(address):
    """A client whose cluster computes every lazy array."""
    with Client(address) as client:
        yield client


@pytest.mark.parametrize("stored", [True, False])
def test_fields_are_denoised(client, folder, stored):
    """Signal and noise together, of a model from a folder and of one in memory; from a file and from memory."""
    model = load_model(folder / "tiny") if stored else fields.tiny_model()
    x = xr.load_dataarray(folder / "a.nc")
    lazy = geoae.read(folder / "a.nc") if stored else x.chunk(time=2, lon=15)
    both = xr.Dataset(dict(zip("sn", geoae.denoise(lazy, model=model, return_noise=True), strict=True)))
    if stored:
        assert len(cloudpickle.dumps(both.s.data.dask)) < 40_000
    expected = geoae.denoise(x, model=model, return_noise=True)
    for found, wanted in zip(both.compute().values(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("stored", [True, False])
def test_fields_are_encoded_and_decoded(client, folder, stored):
    """Codes and decoded samples."""
    model = load_model(folder / "coder") if stored else tiny_coder()
    x = xr.load_dataarray(folder / "a.nc")
    codes, expected = (geoae.encode(y, model=model) for y in (x.chunk(time=2, lon=15), x))
    xr.testing.assert_allclose(codes.compute(), expected, rtol=1e-5, atol=1e-5)
    back = geoae.decode(codes, model=model)
    if stored:
        assert len(cloudpickle.dumps(back.data.dask)) < 60_000
    xr.testing.assert_allclose(back.compute(), geoae.decode(expected, model=model), rtol=1e-4)
