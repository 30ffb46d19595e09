"""Codes in a finished store open with everything that decoding needs."""

import numpy as np
import pytest
import xarray as xr

from geoae.errors import InputError, MissingFileError, StoreError
from geoae.stores.codes import open_codes
from geoae.stores.plan import CodeVariables, plan_codes, plan_field
from geoae.stores.write import begin_store, write_region
from tests.support import store_worker as worker
from tests.support.store_worker import write_store

ONE_LINE = r"^[^\n]+$"


def test_codes_open_with_all_that_decoding_needs(tmp_path):
    """Lazily, with scaling, error and coordinates of the windows, under the same names in every store."""
    t0 = np.datetime64("2010-01-01", "ns") + np.arange(5) * np.timedelta64(1, "h")
    places = {"t0": ("window", t0), "source_id": ("window", ["XX.A"] * 3 + ["XX.B"] * 2)}
    x = xr.DataArray(np.zeros((2, 30)), dims=("channel", "time"), name="v")
    stored = CodeVariables("v", "m/s", "v_", ("offset", "slope", "gain", "recon_error"), ["E", "N", "Z"])
    plan = plan_field(x) + plan_codes({"window": 5}, 3, coords=places, stored=stored)
    run = begin_store(tmp_path / "out.zarr", plan, {"model": "m"})
    with pytest.raises(StoreError, match=r"is not finished: 0 of 2 blocks are done\. Run the command"):
        open_codes(tmp_path / "out.zarr")
    write_region(run.folder, 0, {"v": x.values})
    scale = {f"v_{name}": np.full((5, 3), i) for i, name in enumerate(("offset", "slope", "gain"))}
    write_region(run.folder, 1, {"v_code": np.ones((5, 3)), "v_recon_error": np.zeros(5), **scale})
    run.finish()
    for variable in (None, "v", "v_code"):
        codes = open_codes(tmp_path / "out.zarr", variable)
        assert {n: v.dims for n, v in codes.data_vars.items()} == {
            "code": ("window", "latent"), "offset": ("window", "component"), "slope": ("window", "component"),
            "gain": ("window", "component"), "recon_error": ("window",)}  # fmt: skip
        assert codes.code.chunks is not None
        assert codes.gain.attrs["units"] == "m/s"
        np.testing.assert_array_equal(codes.t0, t0)
        assert codes.component.values.tolist() == ["E", "N", "Z"]
        assert codes.source_id.values.tolist() == ["XX.A"] * 3 + ["XX.B"] * 2
        assert codes.attrs["geoae_model"] == "m"
        assert float(codes.gain.sum()) == 30
    with pytest.raises(InputError, match="codes of v; say which: variable='u'"):
        open_codes(tmp_path / "out.zarr", "u")


def test_stores_without_codes_are_refused_in_one_line(tmp_path):
    """Stores without codes, damaged stores, and missing ones."""
    target = write_store(tmp_path / "out.zarr", worker.field(0, 3), codes=False)
    with pytest.raises(StoreError, match=r"^\S+ holds no codes, only t2m\. Make them with [^\n]+$"):
        open_codes(target)
    with pytest.raises(MissingFileError, match=ONE_LINE):
        open_codes(tmp_path / "none.zarr")
    coded = write_store(tmp_path / "codes.zarr", worker.field(0, 6))
    (coded / "gain" / "c.1.0").unlink()
    with pytest.raises(StoreError, match="damaged: 1 blocks of its codes are missing"):
        open_codes(coded)
    (coded / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match=ONE_LINE):
        open_codes(coded)
