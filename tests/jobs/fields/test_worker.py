"""A worker on fields: the same samples as in memory, and refusal of changed files."""

import numpy as np
import pytest

from geoae.errors import InputError
from geoae.fields.frame import iterate_regions
from geoae.fields.infer import build_frame, denoise_field
from geoae.jobs.fields.worker import denoise_and_count, make_field_worker
from geoae.jobs.source import ArraySource, RegionReader
from tests.support.fields import field, tiny_model


def test_regions_together_are_the_field_in_memory():
    """Signal and counts of all regions are those of the whole field."""
    x, model = field(5), tiny_model()
    frame, signal, n = build_frame(x, model, None), np.full(x.shape, np.nan, x.dtype), 0
    read = RegionReader(x, 0)
    for region in iterate_regions(frame):
        signal[region], counts = denoise_and_count(read, frame, region, model, 0.0, 4)
        n += counts["samples"]
    np.testing.assert_array_equal(signal, denoise_field(x, model, batch=4)[0].values)
    assert n == x.size


def test_a_worker_refuses_changed_files(tmp_path):
    """Another length than that of the run is an error before anything is computed."""
    field(3, 16, 20).to_netcdf(tmp_path / "a.nc")
    spec = {"source": ArraySource(("a.nc",), (str(tmp_path / "a.nc"),)).spec(), "var": ["t2m"], "dims": [],
            "shapes": [[4, 16, 20]]}  # fmt: skip
    with pytest.raises(InputError, match=r"a\.nc: a worker finds other fields there"):
        make_field_worker(spec)
