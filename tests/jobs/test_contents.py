"""Contents of data in memory."""

import numpy as np
import pytest
import xarray as xr
from obspy import Stream, Trace

from geoae.jobs.contents import describe_data, join_contents
from geoae.labels.timeaxis import time_coordinates
from tests.support.fields import field

START = 1_700_000_000_000_000_000


def record(x, dims, **coords):
    return xr.DataArray(x, dims=dims, coords=coords).assign_coords(time_coordinates(START, 50.0, x.shape[-1]))


def test_gaps_and_times_of_an_array():
    """First and last valid sample, and the gaps between them, for each row; integers have none."""
    x = np.zeros((2, 100))
    x[0, :10] = x[0, 30:40] = x[1, 99] = np.nan
    first, second = describe_data(record(x, ("channel", "time"), channel=["HHE", "HHN"])).rows
    assert (first.id, first.samples, first.gaps, first.rate_hz) == ("HHE", 80, 1, 50.0)
    assert (first.start_ns, first.end_ns) == (START + 200_000_000, START + 1_980_000_000)
    assert (second.id, second.samples, second.gaps, second.end_ns) == ("HHN", 99, 0, START + 1_960_000_000)
    assert describe_data(record(np.zeros((1, 9), int), ("channel", "time"))).rows[0].samples == 9


@pytest.mark.parametrize(
    ("dims", "ids", "records"),
    [
        (("time",), ["the array"], 1),
        (("distance", "time"), ["distance=0", "distance=1"], 2),
        (("event", "channel", "time"), ["Z, event=0", "Z, event=1"], 2),
    ],
)
def test_rows_without_ids_have_numbers(dims, ids, records):
    """Every dimension but time and channel numbers records."""
    sizes = {"time": 20, "distance": 2, "event": 2, "channel": 1}
    more = {"channel": ["Z"]} if "channel" in dims else {}
    found = describe_data(record(np.zeros([sizes[d] for d in dims]), dims, **more))
    assert [row.id for row in found.rows] == ids
    assert found.records == records


def test_fields_datasets_and_trees():
    """Fields are variables, records are traces, in every node of a tree; why a grid is unknown is a note."""
    x, trace = field(2, 16, 24).rename("sst"), record(np.zeros((1, 20)), ("channel", "time"), channel=["Z"])
    found = describe_data(xr.DataTree.from_dict({"/a": x.to_dataset(), "/b": trace.to_dataset(name="trace")}))
    assert [row.name for row in found.fields] == ["sst"]
    assert [row.id for row in found.rows] == ["Z"]
    unknown = describe_data(xr.DataArray(np.zeros((4, 5)), dims=("a", "b"), name="x"))
    assert unknown.fields[0].horizontal == ""
    assert len(unknown.notes) == 1
    no_rate = describe_data(xr.DataArray(np.zeros((1, 5)), dims=("channel", "time"), name="x"))
    assert "sampling rate is unknown" in no_rate.notes[0]


def test_a_stream_and_what_is_none():
    """Gaps of a Stream are those between its traces."""
    header = {"station": "A", "channel": "HHZ", "sampling_rate": 10.0}
    later = Trace(np.zeros(5), {**header, "starttime": 100})
    (row,) = describe_data(Stream([Trace(np.zeros(5), header), later])).rows
    assert (row.id, row.samples, row.gaps) == (".A..HHZ", 10, 1)
    assert describe_data("day.mseed") is None
    assert describe_data(np.zeros(3)) is None


def test_sensors_of_several_sources_are_counted_together():
    """Each sensor has its number of records in all of them."""
    parts = [Trace(np.arange(9.0), {"station": "A", "channel": f"HH{c}"}) for c in "ENZ"]
    joined = join_contents([describe_data(Stream(parts)), describe_data(Stream(parts)), describe_data(parts[0])])
    assert joined.sensors == {".A..HHE HHN HHZ": 2, ".A..HHE": 1}
