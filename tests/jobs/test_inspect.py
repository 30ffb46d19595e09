"""`geoae info` says what is there: a row for each id and rate, gaps and overlaps, damage, data sets summed up."""

import io
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from obspy import Stream, Trace, UTCDateTime
from typer.testing import CliRunner

from geoae import model
from geoae.cli import app
from geoae.errors import MissingFileError, UnknownFormatError
from geoae.jobs.inspect import VariableRow, describe_field, info, models
from geoae.stores import schema
from tests.conftest import write_seisbench

START = UTCDateTime(2024, 1, 1)


def trace(n=1000, channel="HHZ", start=START, rate=100.0) -> Trace:
    header = {"network": "XX", "station": "AB", "channel": channel, "starttime": start, "sampling_rate": rate}
    return Trace(np.arange(n, dtype=np.int32), header)


def write(path: Path, *traces: Trace) -> Path:
    Stream(traces).write(str(path), format="MSEED", reclen=512)
    return path


def test_gaps_and_overlaps(tmp_path):
    """Both are counted by id; ends are times of last samples; components of one time are one record."""
    path = write(
        tmp_path / "x", trace(), trace(start=START + 20), trace(start=START + 25), trace(channel="HHE"),
        trace(channel="HHE", start=START + 10),
    )  # fmt: skip
    content = info(path)
    z, e = content.rows
    assert (z.id, z.samples, z.gaps, z.overlaps) == ("XX.AB..HHZ", 3000, 1, 1)
    assert (z.start_ns, z.end_ns) == (START.ns, (START + 34.99).ns)
    assert (e.samples, e.gaps, e.overlaps) == (2000, 0, 0)
    assert content.problems == []
    assert [note[:45] for note in content.notes] == ["XX.AB..HHZ: two segments overlap at 2024-01-0"]
    assert content.records == 2  # what overlaps with other samples lies in a record of its own
    assert content.sensors == {"XX.AB..HHE HHZ": 1, "XX.AB..HHZ": 1}


def test_rates_and_text_have_rows_of_their_own(tmp_path):
    """One id at two rates is two rows, and a log channel says that it is text."""
    log = Trace(np.frombuffer(b"locked", "S1"), {"station": "AB", "channel": "LOG", "sampling_rate": 1.0})
    parts = [io.BytesIO(), io.BytesIO()]
    Stream([trace(), trace(rate=50.0, start=START + 60)]).write(parts[0], format="MSEED", reclen=512)
    log.write(parts[1], format="MSEED", encoding="ASCII", reclen=512)
    (tmp_path / "x").write_bytes(b"".join(part.getvalue() for part in parts))
    content = info(tmp_path / "x")
    assert [(r.id[-3:], r.rate_hz, r.text) for r in content.rows] == [
        ("HHZ", 100, False), ("HHZ", 50, False), ("LOG", 1, True)
    ]  # fmt: skip


def test_losses_are_problems(tmp_path):
    """What is damaged is told as a problem, and the whole part is listed."""
    path = write(tmp_path / "x", trace(5000))
    path.write_bytes(path.read_bytes()[:-100])
    content = info(path)
    assert len(content.rows) == len(content.problems) == 1
    assert "412 bytes" in content.problems[0]


def test_data_sets(tmp_path):
    """Of a folder in the SeisBench format: number of records and stations; an empty one is refused."""
    rows = [{"station_network_code": "XX", "station_code": s, "trace_sampling_rate_hz": 100.0} for s in "AAB"]
    content = info(write_seisbench(tmp_path / "set", rows, [np.zeros((3, 10))] * 3))
    assert content.records == 3
    assert content.notes == ["a data set of 3 records from 2 stations: XX.A (2), XX.B (1)"]


def gridded(path: Path) -> Path:
    packed = {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -1}
    days = np.arange("2020-01-01", "2020-01-04", dtype="M8[D]").astype("M8[ns]")
    data = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), np.zeros((3, 4, 8)), {"units": "K"}),
         "top": (("time", "a", "b"), np.ones((3, 4, 5)))},
        {"time": days, "lat": np.linspace(60, -60, 4), "lon": np.arange(8) * 45.0},
    )  # fmt: skip
    data.to_netcdf(path, engine="h5netcdf", encoding={"t2m": packed})
    return path


def test_gridded_fields(tmp_path):
    """Each variable with its dimensions, units and times; what is unclear about one is a note."""
    content = info(gridded(tmp_path / "a.nc"))
    days = "2020-01-01T00:00:00 to 2020-01-03T00:00:00"
    assert content.fields == [
        VariableRow("t2m", "time 3, lat 4, lon 8", "float64 from int16", "K", "lat, lon", "lon", days),
        VariableRow("top", "time 3, a 4, b 5", "float64", "", "", "", days),
    ]
    assert content.rows == content.problems == []
    assert [note.partition(":")[0] for note in content.notes] == ["top"]
    shown = CliRunner().invoke(app, ["info", str(tmp_path / "a.nc"), str(tmp_path / "none.nc")])
    assert shown.exit_code == 1
    lines = shown.stdout.splitlines()
    assert lines[0] == str(tmp_path / "a.nc")
    for word in ("t2m", "time 3, lat 4, lon 8", "float64 from int16", "K", "lat, lon", days):
        assert word in lines[3]
    assert "--dims a,b" in lines[-1]
    assert shown.stderr == f"geoae: {tmp_path / 'none.nc'} does not exist. Check the name and the folder.\n"
    gridded(tmp_path / "a.nc")  # the file is not held open


def test_codes_are_named_as_codes():
    """And not as a field whose horizontal dimensions are unknown."""
    attrs = {
        schema.CODED_DIMS: ["time"],
        schema.CODED_VARIABLE: "trace",
        schema.MODEL_NAME: "m",
        schema.MODEL_DIGEST: "01",
    }
    codes = xr.DataArray(np.zeros((1, 9, 4)), dims=("channel", "window", schema.LATENT), attrs=attrs)
    row, note = describe_field(codes, "code")
    assert row.horizontal == "-"
    assert (
        note == "code: latent codes of trace by m 01, 4 numbers for each window; geoae decode turns them into samples"
    )


def test_unreadable_files_are_refused(tmp_path):
    """Errors are those of the reader."""
    with pytest.raises(MissingFileError):
        info(tmp_path / "missing")
    (tmp_path / "text").write_text("no recording\n" * 40)
    with pytest.raises(UnknownFormatError):
        info(tmp_path / "text")


def test_models_are_listed_without_torch():
    """Each shipped model describes itself."""
    assert [facts["contract"]["name"] for facts in models()] == model.list_shipped_models()
