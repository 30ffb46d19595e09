"""Plan of a store for one record."""

import numpy as np
import pytest
from obspy import Stream, Trace, UTCDateTime

from geoae.errors import InputError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records import plan
from geoae.jobs.records.plan import find_one_record, list_record_settings, plan_record_store
from geoae.readers.records import traces
from tests.conftest import tiny_model


def scan(path, *starts, n=1000):
    """Segments of a file with three components at each start."""
    parts = [
        Trace(np.arange(n, dtype=np.float32), {"channel": f"HH{c}", "starttime": start, "sampling_rate": 100.0})
        for start in starts
        for c in "ENZ"
    ]
    Stream(parts).write(str(path), format="MSEED")
    return list(traces.scan(path).segments)


def test_a_store_holds_one_record(tmp_path, monkeypatch):
    """No record, two records and a long record are refused with the names of the files."""
    path = tmp_path / "a.mseed"
    segments = scan(path, UTCDateTime(0))
    assert find_one_record([path], segments).n == 1000
    with pytest.raises(InputError, match=r"a\.mseed: there are no samples"):
        find_one_record([path], [])
    with pytest.raises(InputError, match="there are 2 records"):
        find_one_record([path], scan(tmp_path / "b.mseed", UTCDateTime(0), UTCDateTime(5)))
    monkeypatch.setattr(plan, "MAX_SAMPLES", 999)
    with pytest.raises(InputError, match="a store holds at most 999"):
        find_one_record([path], segments)


def test_channels_share_a_chunk(tmp_path, monkeypatch):
    """A chunk holds all channels and as many times as fit; settings change with the fraction of noise."""
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 900)
    record = find_one_record([tmp_path / "a"], scan(tmp_path / "a", UTCDateTime(0)))
    model = tiny_model()
    variable, doubts = plan_record_store(record, model, InferenceOptions()).parts[0].variables
    assert (doubts.name, doubts.dtype, doubts.chunks) == ("flags", "uint8", variable.chunks)
    with_sigma = plan_record_store(record, model, InferenceOptions(sigma=True))
    assert [v.name for v in with_sigma.parts[0].variables] == ["trace", "sigma", "flags"]
    assert with_sigma.attrs["trace"]["ancillary_variables"] == "sigma flags"
    assert (variable.name, variable.shape, variable.chunks) == ("trace", (3, 1000), (3, 300))
    assert variable.dtype == "float32"
    settings = list_record_settings(record, model, InferenceOptions())
    assert (settings["samples"], settings["rate_hz"], settings["dry"]) == (1000, 100.0, 0.0)
    assert settings != list_record_settings(record, model, InferenceOptions(dry=0.5))
    assert settings != list_record_settings(record, model, InferenceOptions(keep_doubtful=False))
    assert settings != list_record_settings(record, model, InferenceOptions(highpass=0.5))
