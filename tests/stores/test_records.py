"""A record in a store is read lazily, with the labels that the other readers of records give."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from geoae.errors import DamagedFileError
from geoae.stores import records
from geoae.stores.plan import Chunking, plan_field
from geoae.stores.schema import KIND, PREFIX, RECORD, START_TIME
from geoae.stores.write import begin_store, write_region
from tests.support import store_worker

START = "2010-02-27T06:34:11.123456789"


@pytest.fixture
def store(tmp_path) -> tuple[Path, np.ndarray]:
    """A store of three channels of 25 samples, in blocks of 10, with a gap; and its samples."""
    x = np.random.default_rng(0).normal(size=(3, 25))
    x[1, 4:9] = np.nan
    labels = {"channel": ["HHE", "HHN", "HHZ"], "id": ("channel", [f"XX.A..{c}" for c in ("HHE", "HHN", "HHZ")])}
    attrs = {START_TIME: START, "sampling_rate_hz": 20.0, "units": "m/s"}
    plan = plan_field(xr.DataArray(x, labels, ("channel", "time"), "v", attrs), chunking=Chunking({"time": 10}))
    run = begin_store(tmp_path / "out.zarr", plan, {KIND: RECORD})
    for number in run.pending():
        write_region(run.folder, int(number), {"v": x[run.task(int(number)).region]})
    return run.finish(), x


def test_a_record_has_the_labels_of_other_readers(store):
    """Channels and ids are text, the time axis is exact to the ns, and gaps are NaN."""
    path, x = store
    record = records.read(path)
    np.testing.assert_array_equal(record.values, x)
    assert record.dims == ("channel", "time")
    assert record.channel.values.tolist() == ["HHE", "HHN", "HHZ"]
    assert record.id.values.tolist() == ["XX.A..HHE", "XX.A..HHN", "XX.A..HHZ"]
    expected = np.datetime64(START, "ns") + np.arange(25) * np.timedelta64(50, "ms")
    np.testing.assert_array_equal(record.time.values, expected)
    assert record.attrs["units"] == "m/s"
    assert START_TIME not in record.attrs


def test_valid_samples_are_found_in_blocks(store, monkeypatch):
    """The result does not depend on how many samples are read at once."""
    path, x = store
    monkeypatch.setattr(records, "_BLOCK", 7)
    np.testing.assert_array_equal(records.find_valid_samples(records.read(path)), np.isfinite(x))


def test_only_stores_of_records_are_recognised(store, tmp_path):
    """A store of a field, an empty folder and a missing path are not; nothing is raised."""
    store_worker.write_store(tmp_path / "field.zarr", store_worker.field(0, 2), codes=False)
    (tmp_path / "empty").mkdir()
    assert records.sniff(store[0])
    assert not any(records.sniff(tmp_path / name) for name in ("field.zarr", "empty", "missing"))


def test_a_damaged_record_is_an_error_of_one_line(store):
    """A missing block, and metadata that are no JSON."""
    path, _ = store
    (path / "v" / "c.0.1").unlink()
    with pytest.raises(DamagedFileError, match=r"is damaged: 1 of its blocks are missing\. [^\n]+$"):
        records.read(path)
    (path / "v" / "zarr.json").write_text("{")
    with pytest.raises(DamagedFileError, match=r"^[^\n]+--overwrite\.$"):
        records.read(path)


@pytest.mark.parametrize(
    ("name", "value"), [("start", "2011-02-27T06:34:11.123456789"), ("rate_hz", 21.0), ("ids", ["XX.A..HHE"] * 3)]
)
def test_labels_that_contradict_the_settings_are_damage(store, name, value):
    """They lie in both, so a wrong digit in one of them gives no wrong time."""
    path, _ = store
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"][PREFIX + name] = value
    (path / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(DamagedFileError, match=f"its {name} are .* in one place"):
        records.read(path)


def test_a_damaged_chunk_is_an_error_of_geoae(store):
    """When its samples are used; those in other chunks can be read."""
    path, x = store
    chunk = path / "v" / "c.0.1"
    content = bytearray(chunk.read_bytes())
    content[-9] ^= 1
    chunk.write_bytes(content)
    record = records.read(path)
    np.testing.assert_array_equal(record[:, :10].values, x[:, :10])
    with pytest.raises(DamagedFileError, match=r"samples cannot be read: .*checksum"):
        _ = record.values
