"""Readers of other packages work in every verb; broken ones are named in an error of one line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr
from obspy import Stream, Trace, UTCDateTime
from typer.testing import CliRunner

import geoae
from geoae import readers
from geoae.cli import app
from geoae.errors import GeoAEError, InputError, UnknownFormatError, UnknownNameError
from geoae.fields.data import load_slices
from geoae.jobs.inspect import info
from geoae.jobs.options import InferenceOptions
from geoae.labels.segments import Segment
from geoae.readers.protocols import Scan
from geoae.testing.readers import check_fields_reader, check_records_reader
from tests.conftest import tiny_model
from tests.support import fields
from tests.support.coding import tiny_coder
from tests.support.denoising import denoise_files
from tests.support.plugin_packages import FIELDS, RECORDS, install, write_fields, write_record

IDS = ["XX.ABC.00.HHE", "XX.ABC.00.HHZ"]
START = "2024-01-01T00:00:00.000000"
GAP = slice(2000, 2600)


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder of packages in which readers of the two invented formats are installed."""
    folder = install(tmp_path / "site", "tst_records", RECORDS, "tst")
    install(folder, "tst_fields", FIELDS, "tstf")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{Path(geoae.__file__).parents[1]}")
    yield folder
    for name in [name for name in sys.modules if name.startswith(("tst_", "bad_"))]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_model().save(folder / "tiny", "# tiny")
    fields.saved(folder / "grid")
    tiny_coder(1, 64).save(folder / "line", "# a card\n")
    tiny_coder(2, 8).save(folder / "coder", "# a card\n")
    return folder


def samples() -> np.ndarray:
    """Two components; the second one has a gap."""
    x = np.random.default_rng(0).normal(size=(2, 5000)).cumsum(-1).astype("f4")
    x[1, GAP] = np.nan
    return x


@pytest.fixture
def record(tmp_path) -> Path:
    return write_record(tmp_path / "a.tst", IDS, START, 100.0, samples())


@pytest.fixture
def same_in_mseed(tmp_path) -> Path:
    """The same recording in miniSEED."""
    x, begin = samples(), UTCDateTime(START)
    parts = [(0, slice(0, 5000)), (1, slice(0, GAP.start)), (1, slice(GAP.stop, 5000))]
    traces = []
    for row, span in parts:
        network, station, location, channel = IDS[row].split(".")
        header = {"network": network, "station": station, "location": location, "channel": channel,
                  "sampling_rate": 100.0, "starttime": begin + span.start / 100}  # fmt: skip
        traces.append(Trace(x[row, span].copy(), header))
    Stream(traces).write(str(tmp_path / "a.mseed"), format="MSEED")
    return tmp_path / "a.mseed"


def run(*words: object) -> str:
    """Run a command, which must succeed, and return its output."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def equal_traces(one: Path, other: Path) -> None:
    found, expected = (sorted(obspy.read(str(path)), key=lambda t: (t.id, t.stats.starttime)) for path in (one, other))
    assert [(t.id, t.stats.starttime, t.stats.npts) for t in found] == [
        (t.id, t.stats.starttime, t.stats.npts) for t in expected
    ]
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x.data, y.data)


@pytest.mark.usefixtures("site")
def test_readers_of_the_invented_formats_conform(record, tmp_path):
    """The readers of these tests pass the conformance tests with the known content of the files."""
    expected = xr.DataArray(
        samples(), {"id": ("channel", IDS), "time": [np.datetime64(START, "ns") + np.timedelta64(10, "ms") * i
                                                     for i in range(5000)]}, ("channel", "time"),
    )  # fmt: skip
    check_records_reader("tst", record, [expected])
    x = fields.field(3, 16, 20)
    check_fields_reader("tstf", write_fields(tmp_path / "a.tstf", x.to_dataset()), {"t2m": x.values})


@pytest.mark.usefixtures("site")
def test_records_of_a_plugin_are_read_and_listed(record):
    """`read` returns its array, with selections applied by geoae; `info` has ids, times, rates and gaps."""
    x = geoae.read(record)
    np.testing.assert_array_equal(x.values, samples())
    assert (list(x.channel.values), x.attrs["gain"]) == (["HHE", "HHZ"], 3.0)
    part = geoae.read(record, ids="*Z", start_time="2024-01-01T00:00:10", end_time="2024-01-01T00:00:30")
    np.testing.assert_array_equal(part.values, samples()[1:, 1000:3001])
    rows = info(record).rows
    assert [(r.id, r.samples, r.gaps, r.rate_hz) for r in rows] == [(IDS[0], 5000, 0, 100.0), (IDS[1], 4400, 1, 100.0)]
    shown = run("info", record)
    assert IDS[1] in shown
    assert "other headers (gain) are not" in shown
    with pytest.raises(InputError, match=r"'tst' does not know colour; it takes ids, start_time, end_time"):
        geoae.read(record, colour="red")


@pytest.mark.usefixtures("site")
def test_records_of_a_plugin_are_denoised_as_those_of_miniseed(record, same_in_mseed, models, tmp_path):
    """Files and stores have the same samples as for the same recording in miniSEED."""
    options = InferenceOptions(models / "tiny", threads=1)
    for source, name in ((record, "tst"), (same_in_mseed, "mseed")):
        done = denoise_files([source], tmp_path / f"{name}.out", options)
        assert not done.problems
        assert any("is read by the reader 'tst'" in note for note in done.notes) == (name == "tst")
        denoise_files([source], tmp_path / f"{name}.zarr", options)
    equal_traces(tmp_path / "tst.out", tmp_path / "mseed.out")
    found, expected = (geoae.read(tmp_path / f"{name}.zarr") for name in ("tst", "mseed"))
    xr.testing.assert_equal(found, expected)
    assert np.isnan(found.values[1, GAP]).all()
    chosen = denoise_files([record], tmp_path / "z.sac", options, format="SAC", ids=["*HHE"])
    (only,) = obspy.read(str(chosen.outputs[0]))
    assert (only.id, only.stats.starttime, only.stats.npts) == (IDS[0], UTCDateTime(START), 5000)


@pytest.mark.usefixtures("site")
def test_records_of_a_plugin_are_encoded(record, same_in_mseed, models, tmp_path):
    """The codes are those of the same recording in miniSEED."""
    for source, name in ((record, "tst"), (same_in_mseed, "mseed")):
        run("encode", source, "-o", tmp_path / f"{name}.zarr", "--model", models / "line")
    found, expected = (geoae.open_codes(tmp_path / f"{name}.zarr").compute() for name in ("tst", "mseed"))
    np.testing.assert_array_equal(found["code"].values, expected["code"].values)


@pytest.mark.usefixtures("site")
def test_fields_of_a_plugin_work_in_every_verb(models, tmp_path):
    """`read`, `info`, `denoise`, `encode` and training give what they give for the same field in netCDF."""
    x = fields.field(4, 40, 40)
    data = x.to_dataset().assign(v=x + 1, profile=("time", np.arange(4.0)))
    data["v"].attrs = {"units": "K"}
    data.drop_vars("profile").to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    path = write_fields(tmp_path / "a.tstf", data.drop_vars("profile"))
    tree = geoae.read(path)
    np.testing.assert_array_equal(tree["v"].values, data["v"].values)
    np.testing.assert_array_equal(geoae.read(path, var="t2m").values, x.values)
    slices = {suffix: load_slices(tmp_path, [f"a.{suffix}:v"]) for suffix in ("tstf", "nc")}
    np.testing.assert_array_equal(slices["tstf"][0].values, slices["nc"][0].values)
    assert info(path).fields == info(tmp_path / "a.nc").fields
    assert "t2m" in run("info", path)
    options = InferenceOptions(models / "grid", threads=1)
    for source, name in ((path, "tst"), (tmp_path / "a.nc", "nc")):
        denoise_files([source], tmp_path / f"{name}.zarr", options, var=["t2m"])
        run("encode", source, "--var", "t2m", "-o", tmp_path / f"{name}-codes.zarr", "--model", models / "coder",
            "--force")  # fmt: skip
    denoise_files([path], tmp_path / "out.nc", options, var=["t2m"])
    expected = geoae.read(tmp_path / "nc.zarr").load()
    for name in ("tst.zarr", "out.nc"):
        np.testing.assert_array_equal(geoae.read(tmp_path / name).values, expected.values)
    codes = [geoae.open_codes(tmp_path / f"{name}-codes.zarr")["code"].values for name in ("tst", "nc")]
    np.testing.assert_array_equal(*codes)


def test_the_command_finds_plugins_in_a_new_process(site, record, models, tmp_path):
    """`geoae denoise --workers` in a new process; workers write the same store as one process."""
    assert site.is_dir()
    words = ["denoise", record, "-o", tmp_path / "out.zarr", "--model", models / "tiny", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-c", "from geoae.cli import main; main()", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    denoise_files([record], tmp_path / "one.zarr", InferenceOptions(models / "tiny", threads=1))
    xr.testing.assert_equal(geoae.read(tmp_path / "out.zarr"), geoae.read(tmp_path / "one.zarr"))


@pytest.mark.usefixtures("site")
def test_a_catalog_names_a_plugin_as_driver(record, models, tmp_path, monkeypatch):
    """The driver of an entry may be a plugin; for an unknown driver the error lists the readers."""
    monkeypatch.chdir(tmp_path)
    record.rename("data.bin")
    entry = "{data_type: Records, uri: data.bin, driver: %s}"
    Path("data_catalog.yml").write_text(f"mine: {entry % 'tst'}\nother: {entry % 'nothing'}\n")
    assert geoae.read("mine").sizes["time"] == 5000
    assert [row.id for row in info("mine").rows] == IDS
    assert not denoise_files(["mine"], "out.mseed", InferenceOptions(models / "tiny", threads=1)).problems
    for verb in (geoae.read, info, lambda name: denoise_files([name], "b.mseed")):
        with pytest.raises(UnknownNameError, match=r"No reader is called 'nothing'. There are: .*tst"):
            verb("other")


@pytest.mark.usefixtures("site")
def test_files_of_several_readers_are_denoised_together(record, models, tmp_path):
    """Each file is read by its own reader; encoding files of several formats together is refused."""
    other = tmp_path / "b.mseed"
    trace = Trace(samples()[0], {"network": "XX", "station": "ABC", "location": "00", "channel": "HHN",
                                 "sampling_rate": 100.0, "starttime": UTCDateTime(START)})  # fmt: skip
    trace.write(str(other), format="MSEED")
    done = denoise_files([record, other], tmp_path / "all.mseed", InferenceOptions(models / "tiny", threads=1))
    assert not done.problems
    assert {trace.id for trace in obspy.read(str(tmp_path / "all.mseed"))} == {*IDS, "XX.ABC.00.HHN"}
    shown = CliRunner().invoke(app, ["encode", str(record), str(other), "-o", str(tmp_path / "c.zarr"), "--model",
                                     str(models / "line")])  # fmt: skip
    assert shown.exit_code == 1
    assert "Give files of one format" in shown.stderr


SNIFFS = "def sniff(path):\n    return path.suffix == '.bad'\n"
BROKEN = {
    "import": ("import no_such_library\n", "The reader 'bad' of package bad_one cannot be imported: ModuleNotFoundErr"),
    "sniff": ("def sniff(path):\n    raise KeyError('x')\ndef read(path):\n    pass\n",
              "The reader 'bad' raises KeyError in sniff for a.bad"),
    "no-read": (SNIFFS, "The reader 'bad' has no function read"),
    "kind": (SNIFFS + "kind = 'waves'\ndef read(path):\n    pass\n", "has the kind 'waves'"),
    "nothing": (SNIFFS + "def read(path):\n    return None\n", "the reader 'bad' returns NoneType"),
    "numpy": (SNIFFS + "import numpy as np\ndef read(path):\n    return [np.zeros((1, 9))]\n",
              "the reader 'bad' returns ndarray"),
    "dims": (SNIFFS + "import xarray as xr\ndef read(path):\n    return xr.DataArray([[0.0]], dims=('lat', 'lon'))\n",
             "dimensions (lat, lon); records have (channel, time)"),
    "rate": (SNIFFS + "import xarray as xr\ndef read(path):\n"
             "    return xr.DataArray([[0.0]], {'channel': ['Z']}, ('channel', 'time'))\n",
             "an array without a usable rate"),
    "ids": (SNIFFS + "import xarray as xr\ndef read(path):\n"
            "    return xr.DataArray([[0.0]], dims=('channel', 'time'), attrs={'sampling_rate_hz': 1.0})\n",
            "without the coordinate 'channel'"),
    "raises": (SNIFFS + "def read(path):\n    raise RuntimeError('lost')\n",
               "cannot be read by the reader 'bad': RuntimeError: lost"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_named_in_one_line(fault, site, tmp_path):
    """Every verb names the fault; files of other formats are still read."""
    module, said = BROKEN[fault]
    install(site, "bad_one", module, "bad")
    (tmp_path / "a.bad").write_bytes(b"something else\n" * 40)
    for verb in (geoae.read, info, lambda path: denoise_files([path], tmp_path / "out.mseed")):
        with pytest.raises(GeoAEError, match=r"^[^\n]*$") as caught:
            verb(tmp_path / "a.bad")
        assert said in str(caught.value)
    shown = CliRunner().invoke(app, ["encode", str(tmp_path / "a.bad"), "-o", str(tmp_path / "c.zarr")])
    assert shown.exit_code == 1
    assert said in shown.output
    good = write_record(tmp_path / "z.tst", IDS, START, 100.0, samples())
    assert geoae.read(good).sizes["time"] == 5000


def test_two_plugins_of_one_name_are_both_named(site, tmp_path):
    """An ambiguous name is an error with both packages."""
    install(site, "bad_one", RECORDS, "twice")
    install(site, "bad_two", RECORDS, "twice")
    (tmp_path / "a.bin").write_bytes(b"something else\n" * 40)
    said = "Two readers are called 'twice', of package bad_one, package bad_two"
    with pytest.raises(UnknownFormatError, match=said):
        readers.find_reader(tmp_path / "a.bin", otherwise="traces")
    with pytest.raises(InputError, match=said):
        geoae.read(tmp_path / "a.bin", reader="twice")


def test_a_plugin_with_the_name_of_a_built_in_reader_is_refused(site, tmp_path):
    """The built-in reader is used, and the error for an unknown file names the conflict."""
    install(site, "bad_one", RECORDS.replace("TSTR", "BADR"), "traces")
    (tmp_path / "a.bin").write_bytes(b"BADR{}\n")
    with pytest.raises(UnknownFormatError, match=r"'traces' of package bad_one has the name of a built-in reader"):
        geoae.read(tmp_path / "a.bin")
    assert readers.open_reader("traces").__name__ == "geoae.readers.records.traces"


def test_a_plugin_with_its_own_scan(site, tmp_path):
    """Its segments and notes are used; a result that is no Scan is refused."""
    module = RECORDS.replace("TSTR", "OWNR") + (
        "\nfrom geoae.readers.from_arrays import ArrayLocator\n"
        "from geoae.readers.protocols import Scan, Segment\n"
        "def scan(path, ids=(), start_time=None, end_time=None):\n"
        "    where = ArrayLocator(read(path), 0, 'XX.OWN..HHZ', str(path))\n"
        "    return Scan((Segment('XX.OWN..HHZ', 0, 100.0, 7, 0, path, where),), ('my own note',))\n"
    )
    install(site, "bad_own", module, "own")
    path = write_record(tmp_path / "a.own", IDS, START, 100.0, samples())
    path.write_bytes(path.read_bytes().replace(b"TSTR", b"OWNR", 1))
    content = info(path)
    assert [(row.id, row.samples) for row in content.rows] == [("XX.OWN..HHZ", 7)]
    assert content.notes == ["my own note"]
    assert isinstance(readers.open_reader("own").scan(path), Scan)
    assert all(isinstance(one, Segment) for one in readers.open_reader("own").scan(path).segments)
    install(site, "bad_scan", module.replace("OWNR", "SCNR").replace("return Scan(", "return list("), "scn")
    path.write_bytes(path.read_bytes().replace(b"OWNR", b"SCNR", 1))
    with pytest.raises(GeoAEError, match=r"the reader 'scn'"):
        info(path)
