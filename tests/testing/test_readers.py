"""Tests of geoae.testing.readers: readers that do not conform are found, and the fault is explained."""

from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from geoae.readers.records import traces
from geoae.testing.readers import check_fields_reader, check_records_reader
from tests.support import fields

IDS = {"id": ("channel", ["XX.AB..HHZ"])}


WAVE = np.random.default_rng(1).normal(size=(1, 300))


def reader(x=WAVE, sniff=None, read=None, **more) -> SimpleNamespace:
    """A small reader of records that conforms, except for the arguments."""

    def made(path):
        lazy = da.from_array(x, chunks=(1, 100))
        return xr.DataArray(lazy, IDS, ("channel", "time"), attrs={"sampling_rate_hz": 10.0}).assign_coords(
            time=np.datetime64("2020-01-01", "ns") + np.arange(x.shape[1]) * np.timedelta64(100, "ms")
        )

    return SimpleNamespace(sniff=sniff or (lambda path: path.suffix == ".mine"), read=read or made, **more)


GOOD = reader()


def read_growing(path, calls=[]):  # noqa: B006 - the fault: the result depends on the number of calls
    calls.append(path)
    return GOOD.read(path) + len(calls)


def read_uneven(path):
    return GOOD.read(path).assign_coords(time=np.datetime64("2020-01-01", "ns") + np.arange(300) ** 2)


FAULTS = {
    "accepts everything": (reader(sniff=lambda path: True), "returns True for a missing file"),
    "never sniffs": (reader(sniff=lambda path: False), "must return True"),
    "sniff raises": (reader(sniff=lambda path: path.read_bytes()[:1] == b"x"), "sniff raises FileNotFoundError"),
    "no bool": (reader(sniff=lambda path: path.suffix == ".mine" or None), "returns None"),
    "in memory": (reader(read=lambda path: GOOD.read(path).load()), "lie in memory"),
    "two reads differ": (reader(read=read_growing), "differ"),
    "nothing": (reader(read=lambda path: []), "returns no array"),
    "ids": (reader(read=lambda path: GOOD.read(path).assign_coords(id=("channel", ["Z"]))), "NET.STA.LOC.CHA"),
    "uneven times": (reader(read=read_uneven), "uneven"),
    "dims": (reader(read=lambda path: GOOD.read(path).rename(time="sample")), "records have"),
    "scan": (
        reader(scan=lambda path, ids, start, end: traces.Scan((), ())), "300 samples that are in no segment of scan",
    ),
}  # fmt: skip


def test_a_small_reader_passes(tmp_path):
    """A reader needs only `sniff` and `read`."""
    (tmp_path / "a.mine").touch()
    check_records_reader(GOOD, tmp_path / "a.mine", [GOOD.read(None)])


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_and_explained(fault, tmp_path):
    """The error names each fault."""
    faulty, message = FAULTS[fault]
    (tmp_path / "a.mine").write_text("x")
    with pytest.raises((AssertionError, ValueError)) as caught:
        check_records_reader(faulty, tmp_path / "a.mine")
    assert message in str(caught.value)


def test_faults_of_fields_are_found(tmp_path):
    """Missing coordinates and a missing horizontal dimension."""
    (tmp_path / "a.mine").touch()
    good = fields.field(2, 12, 16).chunk()

    def fields_reader(read):
        return SimpleNamespace(sniff=lambda path: path.suffix == ".mine", read=read, kind="fields")

    check_fields_reader(fields_reader(lambda path: good), tmp_path / "a.mine", {"t2m": good.values})
    for made, said in ((good.drop_vars(["lat", "lon"]), "lat"), (good.isel(lat=0), "no field|horizontal")):
        with pytest.raises((AssertionError, ValueError), match=said):
            check_fields_reader(fields_reader(lambda path, made=made: made), tmp_path / "a.mine")
