"""A written file is read back and compared."""

from dataclasses import replace

import numpy as np
import pytest
from obspy import Stream, Trace, UTCDateTime

from geoae.writers.records.readback import ExpectedTrace, compare_file

X = np.random.default_rng(0).normal(size=300).astype(np.float32)
START_NS = UTCDateTime(2024, 1, 1).ns
EXPECTED = ExpectedTrace("XX.ABC..HHZ", START_NS, 100.0, X, 1e-6)


@pytest.fixture
def path(tmp_path):
    ids = {"network": "XX", "station": "ABC", "channel": "HHZ"}
    trace = Trace(X, {**ids, "sampling_rate": 100.0, "starttime": UTCDateTime(ns=START_NS)})
    Stream([trace]).write(str(tmp_path / "x"), format="SAC")
    return tmp_path / "x"


def test_what_is_there_is_found(path):
    """No problem and no note."""
    found = compare_file(path, "SAC", [EXPECTED])
    assert (found.problems, found.notes) == ({}, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "XX.ABCD..HHZ"}, "its id comes back as XX.ABC..HHZ"),
        ({"start_ns": START_NS + 2_000_000}, "its start comes back 0.002 s too early"),
        ({"rate_hz": 100.0002}, "rate comes back as 100 Hz instead of 100.0002 Hz"),
        ({"rate_hz": 100.001}, "rate comes back as 100 Hz instead of 100.001 Hz"),
        ({"data": X[1:]}, "300 samples come back instead of 299"),
        ({"data": X + np.float32(1e-3)}, "with an error of 0.001"),
        ({"data": np.where(X > 1, np.nan, X)}, "no numbers do not come back"),
    ],
)
def test_every_difference_is_named(path, changes, reason):
    """With what was expected and what came back."""
    found = compare_file(path, "SAC", [replace(EXPECTED, **changes)])
    assert reason in found.problems[0]


@pytest.mark.parametrize(("early_us", "held"), [(40, True), (200, False)])
def test_starts_are_kept_to_half_a_sample(path, early_us, held):
    """At a rate of 10 kHz, where a millisecond is ten samples."""
    Trace(X, {"sampling_rate": 1e4, "starttime": UTCDateTime(ns=START_NS)}).write(str(path), format="SAC")
    wanted = replace(EXPECTED, id="...", rate_hz=1e4, start_ns=START_NS + 1000 * early_us)
    assert bool(compare_file(path, "SAC", [wanted]).problems) != held


def test_small_errors_of_rates_add_up(path):
    """A rate that is kept to 4e-7 is good for a short trace, and not for a long one."""
    wanted = replace(EXPECTED, rate_hz=100.00004)
    assert not compare_file(path, "SAC", [wanted]).problems
    long = Trace(np.zeros(2_000_000, np.float32), {"sampling_rate": 100.0, "starttime": UTCDateTime(ns=START_NS)})
    long.write(str(path), format="SAC")
    assert "rate" in compare_file(path, "SAC", [replace(wanted, id="...", data=long.data)]).problems[0]


def test_files_that_cannot_be_read_are_problems_of_all_traces(path):
    """Another format, another number of traces, and rubbish."""
    assert "take the file for SAC" in compare_file(path, "GSE2", [EXPECTED]).problems[0]
    assert set(compare_file(path, "SAC", [EXPECTED, EXPECTED]).problems) == {0, 1}
    path.write_bytes(b"rubbish")
    assert "no reader" in compare_file(path, "SAC", [EXPECTED]).problems[0]
