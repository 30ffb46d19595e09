"""Tests of geoae.readers.from_arrays: segments and selections from labelled arrays."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from geoae.errors import DamagedFileError, InputError
from geoae.labels.timeaxis import time_coordinates
from geoae.readers import from_arrays
from geoae.readers.from_arrays import (
    check_field,
    check_record,
    load_samples,
    record_ids,
    scan_arrays,
    select_record,
)
from geoae.readers.protocols import Locator

START_NS = 1_577_836_800_000_000_000  # 2020-01-01
IDS = ["XX.AB..HHE", "XX.AB..HHZ"]


def record(samples: np.ndarray, rate_hz: float = 100.0) -> xr.DataArray:
    x = xr.DataArray(samples, {"channel": ["HHE", "HHZ"], "id": ("channel", IDS)}, ("channel", "time"), "trace")
    return x.assign_coords(time_coordinates(START_NS, rate_hz, samples.shape[1]))


@given(valid=st.lists(st.booleans(), min_size=1, max_size=60), block=st.integers(1, 20))
def test_segments_are_the_stretches_without_nan(valid, block):
    """Whatever the size of the blocks in which gaps are searched, segments hold all samples and no NaN."""
    samples = np.arange(2.0 * len(valid)).reshape(2, -1)
    samples[1, ~np.array(valid)] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_arrays, "_BLOCK_SAMPLES", block)
        segments = scan_arrays([record(samples)], Path("a.tst"), "tst").segments
    rebuilt = np.full(samples.shape, np.nan)
    for segment in segments:
        first = round((segment.start_ns - START_NS) / 1e7)
        rebuilt[IDS.index(segment.id), first : first + segment.n] = segment.locator.read(0, segment.n)
    np.testing.assert_array_equal(rebuilt, samples)
    n_runs = sum(a and not b for a, b in zip(valid, [False, *valid[:-1]], strict=True))
    assert len(segments) == 1 + n_runs
    assert [segment.order for segment in segments] == list(range(len(segments)))


def test_locators_have_parts_and_headers():
    """A part counts from its own first sample; headers have id, rate, units and calib."""
    x = (
        record(np.arange(20.0).reshape(2, 10))
        .assign_attrs(units="m/s", gain=3)
        .assign_coords(calib=("channel", [1, 2]))
    )
    scan = scan_arrays([x], Path("a.tst"), "tst")
    locator = scan.segments[1].locator
    assert isinstance(locator, Locator)
    np.testing.assert_array_equal(locator.part(3, 9).part(1, 4).read(1, 3), [15, 16])
    header = locator.headers()
    assert (header.network, header.channel, header.sampling_rate) == ("XX", "HHZ", 100.0)
    assert (header.units, header.calib) == ("m/s", 2.0)
    assert locator.raw_bytes() is None
    assert "other headers (gain) are not" in scan.notes[0]


def test_records_are_selected_by_id_and_time():
    """Both ends are included; nothing left is None; without limits the record is unchanged."""
    x = record(np.arange(20.0).reshape(2, 10))
    part = select_record(x, "*Z", "2020-01-01T00:00:00.02", "2020-01-01T00:00:00.05")
    np.testing.assert_array_equal(part.values, [[12, 13, 14, 15]])
    assert select_record(x) is x
    assert select_record(x, "YY.*") is None
    assert select_record(x, start_time="2021-01-01") is None


def test_a_record_gets_the_coordinates_that_are_missing():
    """Ids are built from attributes and channels, channels from ids; dimensions come in their order."""
    x = record(np.zeros((2, 5))).drop_vars("id").assign_attrs(network="XX", station="AB", location="")
    assert record_ids(x) == IDS
    checked = check_record(x.T, "a.tst", "tst")
    assert checked.dims == ("channel", "time")
    assert list(checked["id"].values) == IDS
    by_id = check_record(record(np.zeros((2, 5))).drop_vars("channel"), "a.tst", "tst")
    assert list(by_id["channel"].values) == ["HHE", "HHZ"]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 5)), "returns ndarray"),
        (record(np.zeros((2, 5))).rename(time="sample"), r"records have \(channel, time\)"),
        (record(np.zeros((2, 5), complex)), "only real numbers"),
        (record(np.zeros((2, 5))).drop_vars("time"), "without a usable rate"),
        (record(np.zeros((2, 5))).drop_vars(["id", "channel"]), "without the coordinate 'channel'"),
        (record(np.zeros((2, 5))).assign_coords(id=("channel", ["E", "Z"])), "returns the id 'E'"),
    ],
)
def test_other_records_are_refused(x, message):
    """The message names the file, the reader and the fault."""
    with pytest.raises(InputError, match=f"^a.tst: the reader 'tst'.*{message}"):
        check_record(x, "a.tst", "tst")


def test_fields_need_a_name_and_two_dimensions():
    """Everything else is left to the rules of grids."""
    x = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"), name="t")
    assert check_field(x, "a.tst", "tst") is x
    for faulty, message in ((x.values, "ndarray"), (x[0], "two horizontal"), (x.rename(None), "without a name")):
        with pytest.raises(InputError, match=message):
            check_field(faulty, "a.tst", "tst")


def test_samples_that_cannot_be_read_are_named():
    """Whatever the reader raises becomes one line."""

    def fail(block):
        raise RuntimeError("bad\nblock")

    x = xr.DataArray(np.zeros((2, 5)), dims=("channel", "time")).chunk()
    lazy = x.copy(data=x.data.map_blocks(fail, dtype=float, meta=np.zeros((0, 0))))
    np.testing.assert_array_equal(load_samples(x, "a.tst"), x.values)
    with pytest.raises(DamagedFileError, match=r"^a\.tst: samples cannot be read: bad block\.$"):
        load_samples(lazy, "a.tst")
