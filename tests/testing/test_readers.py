"""Tests of geoae.testing.readers: broken promises are found and explained."""

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
    """A small reader of records that keeps all promises, but for what is given."""

    def made(path):
        lazy = da.from_array(x, chunks=(1, 100))
        return xr.DataArray(lazy, IDS, ("channel", "time"), attrs={"sampling_rate_hz": 10.0}).assign_coords(
            time=np.datetime64("2020-01-01", "ns") + np.arange(x.shape[1]) * np.timedelta64(100, "ms")
        )

    return SimpleNamespace(sniff=sniff or (lambda path: path.suffix == ".mine"), read=read or made, **more)


GOOD = reader()


def growing(path, calls=[]):  # noqa: B006 - the fault: it remembers how often it was called
    calls.append(path)
    return GOOD.read(path) + len(calls)


def short(path):
    return GOOD.read(path).assign_coords(time=np.datetime64("2020-01-01", "ns") + np.arange(300) ** 2)


FAULTS = {
    "accepts everything": (reader(sniff=lambda path: True), "gives True for a missing file"),
    "never sniffs": (reader(sniff=lambda path: False), "must give True"),
    "sniff raises": (reader(sniff=lambda path: path.read_bytes()[:1] == b"x"), "sniff raises FileNotFoundError"),
    "no bool": (reader(sniff=lambda path: path.suffix == ".mine" or None), "gives None"),
    "in memory": (reader(read=lambda path: GOOD.read(path).load()), "lie in memory"),
    "two reads differ": (reader(read=growing), "differ"),
    "nothing": (reader(read=lambda path: []), "gives no array"),
    "ids": (reader(read=lambda path: GOOD.read(path).assign_coords(id=("channel", ["Z"]))), "NET.STA.LOC.CHA"),
    "uneven times": (reader(read=short), "uneven"),
    "dims": (reader(read=lambda path: GOOD.read(path).rename(time="sample")), "records have"),
    "scan": (
        reader(scan=lambda path, ids, start, end: traces.Scan((), ())), "300 samples that are in no segment of scan",
    ),
}  # fmt: skip


def test_a_small_reader_passes(tmp_path):
    """`sniff` and `read` are enough."""
    (tmp_path / "a.mine").touch()
    check_records_reader(GOOD, tmp_path / "a.mine", [GOOD.read(None)])


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_and_explained(fault, tmp_path):
    """Each broken promise is named."""
    faulty, said = FAULTS[fault]
    (tmp_path / "a.mine").write_text("x")
    with pytest.raises((AssertionError, ValueError)) as caught:
        check_records_reader(faulty, tmp_path / "a.mine")
    assert said in str(caught.value)


def test_faults_of_fields_are_found(tmp_path):
    """Lacking coordinates, and samples that depend on what else is read."""
    (tmp_path / "a.mine").touch()
    good = fields.field(2, 12, 16).chunk()

    def fields_reader(read):
        return SimpleNamespace(sniff=lambda path: path.suffix == ".mine", read=read, kind="fields")

    check_fields_reader(fields_reader(lambda path: good), tmp_path / "a.mine", {"t2m": good.values})
    for made, said in ((good.drop_vars(["lat", "lon"]), "lat"), (good.isel(lat=0), "no field|horizontal")):
        with pytest.raises((AssertionError, ValueError), match=said):
            check_fields_reader(fields_reader(lambda path, made=made: made), tmp_path / "a.mine")
