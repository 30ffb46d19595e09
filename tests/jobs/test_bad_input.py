"""Bad input and odd use: one clear line on stderr, exit code 1, no output where none is due, nothing lost."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr
from obspy import Stream, Trace, UTCDateTime
from typer.testing import CliRunner

from geoae.cli import app
from geoae.writers.records import mseed as records
from tests.conftest import tiny_model

START = UTCDateTime(2024, 1, 1)
RATE = 100.0
SEED = np.random.SeedSequence(7)


@dataclass
class Run:
    code: int
    out: str
    errors: list[str]
    notes: list[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A folder with a model of random weights."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model().save(folder, "# tiny")
    return folder


@pytest.fixture
def run(model):
    """The command line in this process; stderr must hold nothing but lines of geoae's own."""

    def invoke(*arguments) -> Run:
        words = [str(a) for a in arguments]
        if words[0] == "denoise" and "--model" not in words:
            words += ["--model", str(model)]
        result = CliRunner().invoke(app, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        lines = result.stderr.splitlines()
        assert all(line.startswith("geoae: ") for line in lines), result.stderr
        notes = [line for line in lines if line.startswith("geoae: note: ")]
        return Run(result.exit_code, result.stdout, [line for line in lines if line not in notes], notes)

    return invoke


def walk(n=2000, seed=0, dtype=np.float32):
    rng = np.random.default_rng([seed, n])
    return (1000 * np.cumsum(rng.normal(size=n)) / np.sqrt(n) + 50 * rng.normal(size=n)).astype(dtype)


def trace(x, channel="HHZ", start=START, rate=RATE, station="BAD", **more):
    ids = {"network": "XX", "station": station, "channel": channel, "starttime": start, "sampling_rate": rate}
    return Trace(np.ascontiguousarray(x), {**ids, **more})


def write(path, *traces, **options) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ObsPy on several encodings in a file
        Stream(traces).write(str(path), **{"format": "MSEED", **options})
    return path


def packed(*traces, **options) -> bytes:
    buffer = io.BytesIO()
    Stream(traces).write(buffer, **{"format": "MSEED", "reclen": 512, **options})
    return buffer.getvalue()


def listing(folder) -> list[str]:
    """All names in a folder, hidden ones too."""
    return sorted(p.name for p in folder.iterdir())


def text() -> Trace:
    return trace(np.frombuffer(b"clock locked\r\n", "S1"), "LOG", rate=1.0)


# files that are no recordings


def test_files_without_a_recording_are_refused(tmp_path, run):
    """Text, nothing, a folder, a name without a file, a piece of a record: one line with the name, and no output."""
    (tmp_path / "text").write_text("this is no recording\n" * 40)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "piece").write_bytes(packed(trace(walk()))[:300])
    before = listing(tmp_path)
    words = {
        "text": "no format",
        "empty": "is empty",
        "folder": "is a folder",
        "missing": "not exist",
        "piece": "300 byte",
    }
    for name, word in words.items():
        for verb in ("denoise", "info"):
            result = run(verb, tmp_path / name)
            assert (result.code, len(result.errors), result.out) == (1, 1, ""), name
            assert name in result.errors[0]
            assert word in result.errors[0]
    assert listing(tmp_path) == before


def test_lost_members_of_an_archive_are_told(tmp_path, run):
    """The others are denoised, and the exit code is 1."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for channel in ("HHE", "HHN"):
            archive.writestr(f"XX.BAD..{channel}.D.2024.061", packed(trace(walk(), channel)))
        archive.writestr("cut.mseed", b"")
    result = run("denoise", tmp_path / "x.zip", "-o", tmp_path / "out")
    assert result.code == 1
    assert result.errors == ["geoae: x.zip: cut.mseed was not read: it is empty."]
    assert [one.id for one in obspy.read(str(tmp_path / "out"))] == ["XX.BAD..HHE", "XX.BAD..HHN"]


def test_inputs_that_cannot_be_reached_stop_no_other(tmp_path, run):
    """Each is one line; what can be read is denoised."""
    write(tmp_path / ("n" * 245 + ".mseed"), trace(walk()))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    bad = [tmp_path / "loop", tmp_path / "pipe", tmp_path / ("c" * 300)]
    result = run("denoise", *bad, tmp_path / ("n" * 245 + ".mseed"))
    assert (result.code, len(result.errors)) == (1, 3)
    (written,) = tmp_path.glob("*.denoised.mseed")
    assert len(obspy.read(str(written))[0].data) == 2000


def test_a_gridded_field_is_told_from_a_broken_recording(tmp_path, run):
    """What `geoae info` reads but `geoae denoise` does not is said in these words."""
    field = xr.DataArray(np.zeros((3, 4), "f4"), {"lat": [0.0, 1, 2], "lon": [0.0, 1, 2, 3]}, ("lat", "lon"), name="t")
    field.to_netcdf(tmp_path / "field.nc")
    result = run("denoise", tmp_path / "field.nc")
    assert (result.code, len(result.errors), result.out) == (1, 1, "")
    assert "gridded field" in result.errors[0]
    assert listing(tmp_path) == ["field.nc"]


def test_unreadable_files_are_refused(tmp_path, run, monkeypatch):
    """A file or folder without permission is one line."""
    path, opened = write(tmp_path / "x", trace(walk())), Path.open

    def refuse(self, *arguments, **options):
        if self.name == "x":
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    result = run("denoise", path)
    assert (result.code, len(result.errors)) == (1, 1)
    assert "permissions" in result.errors[0]


# damaged recordings: what is whole is read and denoised, what is lost is said


def damaged(kind: str) -> tuple[bytes, int]:
    """A file of two channels whose first has lost something, and how many samples of it are left, about."""
    first, second = packed(trace(walk(4000, 1, np.int32))), packed(trace(walk(4000, 2, np.int32), "HHN"))
    changed = bytearray(first)
    if kind == "truncated":
        return second + first[:-1000], 4000
    if kind == "rubbish":
        return first[:1024] + b"\xaa" * 512 + first[1536:] + second, 4000
    if kind == "undecodable":
        changed[1024 + 64 : 1536] = b"\xff" * 448
    elif kind == "integrity":
        changed[1024 + 72 : 1024 + 76] = b"\0\0\0\1"
    return bytes(changed) + second, 4000


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("truncated", "no whole record"),
        ("rubbish", "512 bytes hold no record that can be read, the first at byte 1024"),
        ("undecodable", "samples are lost"),
        ("integrity", "integrity"),
    ],
)
def test_damaged_recordings(tmp_path, run, kind, word):
    """The rest of a damaged file is denoised, one line says what is lost, exit code 1; other channels lose nothing."""
    content, _ = damaged(kind)
    (tmp_path / "x").write_bytes(content)
    result = run("denoise", tmp_path / "x", "-o", tmp_path / "y")
    assert result.code == 1
    assert len(result.errors) == 1
    assert word in result.errors[0]
    assert result.notes == []
    out = obspy.read(str(tmp_path / "y"))
    assert sum(t.stats.npts for t in out.select(channel="HHN")) == 4000
    left = sum(t.stats.npts for t in out.select(channel="HHZ"))
    assert (left == 4000) if kind == "integrity" else (3000 < left < 4000)
    if kind == "undecodable":
        assert len(out.select(channel="HHZ")) == 2  # what is lost is a gap
        assert f"{4000 - left} samples" in result.errors[0]
    listed = run("info", tmp_path / "x")
    assert listed.code == (1 if kind in ("truncated", "rubbish") else 0)  # headers tell nothing of samples


def test_a_trace_that_cannot_be_decoded_is_a_problem(tmp_path, run):
    """It is left out and named; the output stays readable, and the other channel is in it."""
    first, second = (packed(trace(walk(150, i, np.int32), c), encoding="STEIM2") for i, c in enumerate(("HHZ", "HHN")))
    assert len(first) == 512
    (tmp_path / "x").write_bytes(first[:64] + b"\xff" * 448 + second)
    result = run("denoise", tmp_path / "x", "-o", tmp_path / "y")
    assert result.code == 1
    assert [t.id for t in obspy.read(str(tmp_path / "y"))] == ["XX.BAD..HHN"]
    assert any("HHZ: cannot be decoded; left out" in line for line in result.errors)
    assert "left out" in result.out


# traces that cannot be denoised


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (np.full(2000, np.nan, np.float32), "no finite sample"),
        (np.full(2000, 7, np.float32), "dead, all samples are 7"),
        (walk(1), "one sample only"),
        (1e300 * walk(2000, dtype=np.float64), "beyond the range of float32"),
        (1e-300 * walk(2000, dtype=np.float64), "beyond the range of float32"),
    ],
    ids=["nan", "dead", "one", "huge", "tiny"],
)
def test_one_bad_trace_never_stops_the_others(tmp_path, run, bad, word):
    """It is passed through bit by bit and named, exit code 1; its neighbours are denoised; alone it is copied."""
    write(tmp_path / "x", trace(bad, "HHE"), trace(walk(2000, 1)), trace(walk(2000, 2), "HHN"))
    result = run("denoise", tmp_path / "x", "-o", tmp_path / "y")
    assert result.code == 1
    assert len(result.errors) == 1
    assert "XX.BAD..HHE" in result.errors[0]
    assert word in result.errors[0]
    assert "passed through unchanged" in result.errors[0]
    before, after = obspy.read(str(tmp_path / "x")), obspy.read(str(tmp_path / "y"))
    np.testing.assert_array_equal(after[0].data, before[0].data)
    for i in (1, 2):
        assert np.abs(after[i].data - before[i].data).max() > 1
    write(tmp_path / "alone", trace(bad))
    result = run("denoise", tmp_path / "alone")
    assert (result.code, len(result.errors)) == (1, 1)
    assert word in result.errors[0]
    assert listing(tmp_path) == ["alone", "alone.denoised.mseed", "x", "y"]
    np.testing.assert_array_equal(obspy.read(str(tmp_path / "alone.denoised.mseed"))[0].data, before[0].data)


def test_traces_without_samples(tmp_path, run):
    """A trace of a header only is left out and named."""
    write(tmp_path / "x", trace(walk()), format="SLIST")
    empty = "TIMESERIES XX_BAD__HHE_D, 0 samples, 100 sps, 2024-01-01T00:00:00.000000, SLIST, FLOAT, Counts\n"
    (tmp_path / "x").write_text(empty + (tmp_path / "x").read_text())
    assert [t.stats.npts for t in obspy.read(str(tmp_path / "x"))] == [0, 2000]
    result = run("denoise", tmp_path / "x", "-o", tmp_path / "y")
    assert result.code == 1
    assert result.errors == ["geoae: XX.BAD..HHE: no samples; left out"]
    assert [t.id for t in obspy.read(str(tmp_path / "y"))] == ["XX.BAD..HHZ"]


@pytest.mark.parametrize("rate", [0.1, 50_000.0])
def test_sampling_rates_outside_the_model_are_refused(tmp_path, run, rate):
    """0.1 Hz and 50 kHz are passed through unchanged beside what can be denoised, and alone."""
    path = write(tmp_path / "x", trace(walk(), "BHZ", rate=rate), trace(walk(2000, 1)))
    result = run("denoise", path, "-o", tmp_path / "y")
    assert result.code == 1
    assert f"XX.BAD..BHZ: sampled at {rate:g} Hz" in result.errors[0]
    assert "passed through unchanged" in result.errors[0]
    out = obspy.read(str(tmp_path / "y"))
    np.testing.assert_array_equal(out.select(channel="BHZ")[0].data, walk())
    assert out.select(channel="BHZ")[0].stats.sampling_rate == rate
    assert run("denoise", write(tmp_path / "z", trace(walk(), rate=rate))).code == 1
    np.testing.assert_array_equal(obspy.read(str(tmp_path / "z.denoised.mseed"))[0].data, walk())


def test_a_trace_of_five_samples_is_copied(tmp_path, run):
    """Nothing can be told of it; a short stretch of a longer trace is a note."""
    write(tmp_path / "x", trace(walk(5)))
    result = run("denoise", tmp_path / "x", "-o", tmp_path / "y")
    assert result.code == 1
    assert result.errors == [
        "geoae: XX.BAD..HHZ: 5 samples are too few to tell signal from noise; passed through unchanged"
    ]
    np.testing.assert_array_equal(obspy.read(str(tmp_path / "y"))[0].data, walk(5))
    write(tmp_path / "z", trace(walk(5)), trace(walk(2000, 1), start=START + 4000))
    result = run("denoise", tmp_path / "z", "-o", tmp_path / "w")
    assert result.code == 0
    assert "1 of its 2 stretches are too short" in result.notes[0]
    np.testing.assert_array_equal(obspy.read(str(tmp_path / "w"))[0].data, walk(5))


# odd traces that can be denoised


def test_two_rates_of_one_id(tmp_path, run):
    """Each stretch is denoised at its own rate and keeps it."""
    path = write(tmp_path / "x", trace(walk()), trace(walk(1000, 1), rate=50.0, start=START + 60))
    assert run("denoise", path, "-o", tmp_path / "y").code == 0
    assert [(t.stats.npts, t.stats.sampling_rate) for t in obspy.read(str(tmp_path / "y"))] == [(2000, 100), (1000, 50)]
    assert len([line for line in run("info", path).out.splitlines() if line.startswith(" XX.BAD..HHZ  ")]) == 2


def test_overlaps_with_different_data(tmp_path, run):
    """Both come back, each with its own samples less noise. The second one reads the first as context."""
    path = write(tmp_path / "x", trace(walk()), trace(walk(12_000, 1), start=START + 10))
    assert run("denoise", path, "-o", tmp_path / "y").code == 0
    alone = write(tmp_path / "a", trace(walk(12_000, 1), start=START + 10))
    assert run("denoise", alone, "-o", tmp_path / "b").code == 0
    both, one = obspy.read(str(tmp_path / "y")), obspy.read(str(tmp_path / "b"))
    assert [t.stats.starttime - START for t in both] == [0, 10]
    removed, alone_removed = (np.std(t.data - walk(12_000, 1)) for t in (both[1], one[0]))
    assert 0.5 < removed / alone_removed < 1.5
    assert run("info", path).out.splitlines()[3].split()[-2:] == ["0", "1"]


def test_infinite_and_clipped_samples(tmp_path, run):
    """Inf stays where it is and is counted in a note; a clipped trace is noted; neither is an error."""
    x = walk()
    x[[500, 700]] = np.inf, -np.inf
    result = run("denoise", write(tmp_path / "x", trace(x)), "-o", tmp_path / "y")
    assert (result.code, len(result.notes)) == (0, 1)
    assert "2 samples are not finite" in result.notes[0]
    out = obspy.read(str(tmp_path / "y"))[0].data
    assert np.flatnonzero(~np.isfinite(out)).tolist() == [500, 700]
    assert out[500] == np.inf
    limit = np.quantile(np.abs(walk()), 0.9)
    result = run("denoise", write(tmp_path / "c", trace(np.clip(walk(), -limit, limit))), "-o", tmp_path / "d")
    assert result.code == 0
    assert result.notes == [] or "clipped" in result.notes[0]


@pytest.mark.parametrize("peak", [3.3e38, 1e-36])
def test_values_near_the_limits_of_float32(tmp_path, run, peak):
    """They are denoised as any others, and signal and noise add up."""
    x = walk(dtype=np.float64)
    x = (x / np.abs(x).max() * peak).astype(np.float32)
    result = run("denoise", write(tmp_path / "x", trace(x)), "-o", tmp_path / "y", "--noise-out", tmp_path / "n")
    assert (result.code, result.errors, result.notes) == (0, [], [])
    signal_, noise = (obspy.read(str(tmp_path / name))[0].data.astype(float) for name in "yn")
    np.testing.assert_allclose(signal_ + noise, x.astype(float), atol=2e-7 * peak)
    assert np.abs(noise).max() > 0.01 * peak


def test_values_beyond_float32(tmp_path, run):
    """--encoding FLOAT64 denoises them; the table can show them."""
    write(tmp_path / "x", trace(1e300 * walk(dtype=np.float64)))
    result = run("denoise", tmp_path / "x", "-o", tmp_path / "y", "--encoding", "FLOAT64")
    assert (result.code, result.notes) == (0, [])
    assert "e+30" in result.out
    assert obspy.read(str(tmp_path / "y"))[0].data.dtype == np.float64


def test_text_channels(tmp_path, run):
    """They are passed through and said so, also where records have two lengths; a file of nothing else is one line."""
    log = packed(text(), encoding="ASCII")
    for name, reclen in (("same", 512), ("other", 4096)):
        (tmp_path / name).write_bytes(packed(trace(walk()), reclen=reclen) + log)
        result = run("denoise", tmp_path / name, "-o", tmp_path / f"{name}.out")
        assert result.code == 0
        assert result.notes == ["geoae: note: XX.BAD..LOG: text channel, passed through"]
        out = obspy.read(str(tmp_path / f"{name}.out"))
        assert out.select(channel="LOG")[0].data.tobytes() == b"clock locked\r\n"
    result = run("denoise", tmp_path / "same", "-o", tmp_path / "x.sac", "--format", "SAC")
    assert result.code == 0
    assert "left out" in result.notes[0]
    (tmp_path / "log").write_bytes(log)
    result = run("denoise", tmp_path / "log")
    assert (result.code, len(result.errors)) == (1, 1)
    assert "only text channels" in result.errors[0]
    assert not (tmp_path / "log.denoised.mseed").exists()


# outputs


def test_existing_outputs_need_overwrite(tmp_path, run):
    """An output that is there stops the run before it begins, and stays; --overwrite replaces it."""
    path = write(tmp_path / "x.mseed", trace(walk()))
    (tmp_path / "x.denoised.mseed").write_text("mine")
    result = run("denoise", path)
    assert (result.code, len(result.errors)) == (1, 1)
    assert "is there already" in result.errors[0]
    assert (tmp_path / "x.denoised.mseed").read_text() == "mine"
    assert run("denoise", path, "--overwrite").code == 0
    assert len(obspy.read(str(tmp_path / "x.denoised.mseed"))) == 1


def test_an_input_is_never_an_output(tmp_path, run):
    """Neither by its name, nor by another name of it, nor as a figure, even with --overwrite."""
    path = write(tmp_path / "x.png", trace(walk()))
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    for name in ("x.png", "link"):
        result = run("denoise", path, "-o", tmp_path / name, "--overwrite")
        assert (result.code, len(result.errors)) == (1, 1)
        assert "is an input" in result.errors[0]
    assert run("denoise", path, "-o", tmp_path / "y", "--plot", path, "--overwrite").code == 1
    assert run("denoise", path, "-o", tmp_path / "y", "--noise-out", tmp_path / "y").code == 1
    assert path.read_bytes() == before
    assert listing(tmp_path) == ["link", "x.png"]


def test_unwritable_folders_are_refused(tmp_path, run, monkeypatch):
    """Missing or not writable: one line before anything is computed."""
    path = write(tmp_path / "x", trace(walk()))
    for out in (tmp_path / "no" / "y", f"{tmp_path}/no/"):
        result = run("denoise", path, "-o", out)
        assert (result.code, len(result.errors)) == (1, 1)
        assert "make it first" in result.errors[0]
    monkeypatch.setattr(os, "access", lambda *_: False)
    result = run("denoise", path, "-o", tmp_path / "y")
    assert (result.code, len(result.errors)) == (1, 1)
    assert "cannot be written to" in result.errors[0]
    assert listing(tmp_path) == ["x"]


def test_a_full_disk(tmp_path, run, monkeypatch):
    """The partial file is removed, what was there before stays, one line names the disk."""
    path = write(tmp_path / "x", trace(walk(50_000)))
    (tmp_path / "y").write_text("mine")

    def fail(self, laid, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.MseedFile, "_write", fail)
    result = run("denoise", path, "-o", tmp_path / "y", "--overwrite")
    assert (result.code, len(result.errors)) == (1, 1)
    assert "No space left" in result.errors[0]
    assert (tmp_path / "y").read_text() == "mine"
    assert listing(tmp_path) == ["x", "y"]


def test_ids_too_long_for_miniseed(tmp_path, run, monkeypatch):
    """Refused before the model is loaded. The error names a format that can hold them, and that format works."""
    path = tmp_path / "x.sac"
    trace(walk(), station="LONGNAME").write(str(path), format="SAC")
    monkeypatch.setattr("geoae.jobs.records.files.load_model", None)
    result = run("denoise", path, "--format", "MSEED")
    assert (result.code, len(result.errors)) == (1, 1)
    assert "LONGNAME" in result.errors[0]
    assert "SAC or SLIST" in result.errors[0]
    monkeypatch.undo()
    assert run("denoise", path).code == 0
    assert obspy.read(str(tmp_path / "x.denoised.sac"))[0].stats.station == "LONGNAME"


@pytest.mark.parametrize("name", ["no/x.png", "x.foo", "x", "there.png"])
def test_figures_that_cannot_be_drawn(tmp_path, run, name):
    """An unwritable place, an ending that tells no format, a figure that is there: one line before any work."""
    path = write(tmp_path / "in", trace(walk()))
    (tmp_path / "there.png").write_text("mine")
    result = run("denoise", path, "-o", tmp_path / "y", "--plot", tmp_path / name)
    assert (result.code, len(result.errors)) == (1, 1)
    assert Path(name).name in result.errors[0] or "make it first" in result.errors[0]
    assert listing(tmp_path) == ["in", "there.png"]


def test_a_failing_figure_keeps_the_recordings(tmp_path, run, monkeypatch):
    """The recording is written and told of; the figure is a line, and leaves no part."""
    from matplotlib.figure import Figure

    def fail(self, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    path = write(tmp_path / "x", trace(walk()))
    result = run("denoise", path, "-o", tmp_path / "y", "--plot", tmp_path / "z.png")
    assert (result.code, len(result.errors)) == (1, 1)
    assert "z.png cannot be written" in result.errors[0]
    assert "wrote" in result.out
    assert listing(tmp_path) == ["x", "y"]


def test_a_format_that_cannot_hold_the_samples(tmp_path, run):
    """STEIM2 has no NaN and a range: such a trace is passed through, others are rounded and add up with their noise."""
    x = walk(dtype=np.float64)
    write(tmp_path / "x", trace(1e12 * x, "HHE"), trace(x))
    result = run("denoise", tmp_path / "x", "-o", tmp_path / "y", "--noise-out", tmp_path / "n", "--encoding", "STEIM2")
    assert (result.code, len(result.errors)) == (1, 1)
    assert result.errors[0].startswith("geoae: XX.BAD..HHE: encoding STEIM2 holds")
    y = obspy.read(str(tmp_path / "y"))
    np.testing.assert_array_equal(y[0].data, 1e12 * x)
    assert y[1].data.dtype == np.int32
    write(tmp_path / "i", trace(walk(dtype=np.int32)))
    result = run("denoise", tmp_path / "i", "-o", tmp_path / "s", "--noise-out", tmp_path / "r", "--encoding", "STEIM2")
    assert result.code == 0
    parts = [obspy.read(str(tmp_path / name))[0].data for name in "sr"]
    np.testing.assert_array_equal(parts[0] + parts[1], walk(dtype=np.int32))


# several inputs


def test_one_bad_file_never_stops_the_others(tmp_path, run):
    """The others are denoised, each bad one is a line, exit code 1."""
    good = [write(tmp_path / f"{i}.mseed", trace(walk(2000, i), start=START + 100 * i)) for i in range(2)]
    (tmp_path / "text").write_text("no recording\n" * 40)
    write(tmp_path / "dead.mseed", trace(np.zeros(2000, np.float32), station="DEAD"))
    result = run("denoise", good[0], tmp_path / "text", tmp_path / "missing", tmp_path / "dead.mseed", good[1])
    assert result.code == 1
    assert len(result.errors) == 3
    assert all(any(word in line for line in result.errors) for word in ("text", "missing", "DEAD..HHZ: dead"))
    outputs = [name for name in listing(tmp_path) if "denoised" in name]
    assert outputs == ["0.denoised.mseed", "1.denoised.mseed", "dead.denoised.mseed"]


def test_a_repeated_input_is_used_once(tmp_path, run):
    """By any of its names, with a note."""
    path = write(tmp_path / "x.mseed", trace(walk()))
    (tmp_path / "link.mseed").symlink_to(path)
    result = run("denoise", path, path, tmp_path / "link.mseed")
    assert (result.code, len(result.notes)) == (0, 2)
    assert len(obspy.read(str(tmp_path / "x.denoised.mseed"))) == 1
    assert not (tmp_path / "link.denoised.mseed").exists()


def test_inputs_of_one_name_get_different_outputs(tmp_path, run):
    """In one folder of outputs their own folders' names tell them apart; so do endings of one recording's formats."""
    paths = []
    for i, name in enumerate(("a/x.mseed", "b/x.mseed", "b/x.sac", "c/b/x.mseed")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        paths.append(write(tmp_path / name, trace(walk(2000, i), station=f"S{i}")))
    (tmp_path / "out").mkdir()
    assert run("denoise", *paths, "-o", tmp_path / "out").code == 0
    written = listing(tmp_path / "out")
    assert len(written) == 4
    found = {name: obspy.read(str(tmp_path / "out" / name))[0].stats.station for name in written}
    assert found["a.x.denoised.mseed"] == "S0"
    assert sorted(found.values()) == ["S0", "S1", "S2", "S3"]


def test_one_output_for_several_inputs(tmp_path, run):
    """-o FILE takes all of them, in the order given."""
    paths = [write(tmp_path / n, trace(walk(2000, i), station=n)) for i, n in enumerate("BA")]
    assert run("denoise", *paths, "-o", tmp_path / "all").code == 0
    assert [t.stats.station for t in obspy.read(str(tmp_path / "all"))] == ["B", "A"]


# options


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--model nomodel", 1, "no model 'nomodel'"),
        ("--format XYZ", 2, "Unknown output format XYZ"),
        ("--format WAV", 2, "neither ids nor times"),
        ("--encoding FOO", 2, "No encoding FOO"),
        ("--encoding STEIM2 --format SAC", 2, "only MSEED takes"),
        ("--device tpu", 2, "no device 'tpu'"),
        ("--start-time soon", 2, "start_time='soon'"),
        ("--start-time 2024-01-02 --end-time 2024-01-01", 2, "after the end"),
        ("--start-time 2030-01-01", 1, "no trace matches"),
        ("--id YY.*", 1, "no trace matches"),
        ("--dry 2", 2, "from 0 to 1"),
        ("--dry nan", 2, "from 0 to 1"),
        ("--batch-size 0", 2, "at least 1"),
        ("--threads 0", 2, "at least 1"),
        ("--above-band maybe", 2, "pass, remove"),
    ],
)
def test_wrong_options_are_refused(tmp_path, run, words, code, said):
    """One line lists the choices; nothing is written. Code 2: the value is wrong whatever the data."""
    path = write(tmp_path / "x", trace(walk()))
    result = run("denoise", path, *words.split())
    assert (result.code, len(result.errors), result.out) == (code, 1, "")
    assert said in result.errors[0]
    assert listing(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("flipped byte", "damaged"), ("missing tensor", "missing tensor"), ("unknown key", "unknown key colour"),
     ("newer format", "newer geoae"), ("no weights", "is missing"), ("not json", "is damaged")],
)  # fmt: skip
def test_model_folders_that_cannot_be_trusted(tmp_path, run, model, kind, said):
    """Each is one line that names what differs; nothing is written."""
    from safetensors.numpy import load, save

    folder = tmp_path / "m"
    shutil.copytree(model, folder)
    weights, card = folder / "weights.safetensors", folder / "model.json"
    raw, facts = bytearray(weights.read_bytes()), json.loads(card.read_text())
    if kind == "flipped byte":
        raw[-3] ^= 1
        weights.write_bytes(raw)
    elif kind == "missing tensor":
        tensors = load(bytes(raw))
        tensors.pop(min(tensors))
        weights.write_bytes(save(tensors))
        card.write_text(json.dumps({**facts, "weights_sha256": sha256(save(tensors)).hexdigest()}))
    elif kind == "no weights":
        weights.unlink()
    else:
        changed = {"unknown key": {"colour": 1}, "newer format": {"format": 99}}.get(kind, {})
        card.write_text(json.dumps({**facts, **changed})[: None if changed else 20])
    path = write(tmp_path / "x", trace(walk()))
    result = run("denoise", path, "--model", folder)
    assert (result.code, len(result.errors)) == (1, 1)
    assert said in result.errors[0]
    assert listing(tmp_path) == ["m", "x"]


def test_dry_run_writes_nothing(tmp_path, run):
    """It names the outputs and the traces, and needs no model."""
    path = write(tmp_path / "x.mseed", trace(walk()))
    result = run("denoise", path, "--noise-out", tmp_path, "--dry-run", "--model", "none")
    assert result.code == 0
    assert "would write" in result.out
    assert "x.denoised.mseed" in result.out
    assert listing(tmp_path) == ["x.mseed"]


def test_quiet_prints_errors_only(tmp_path, run):
    """Nothing for a clean run, and the same lines on stderr for what went wrong."""
    write(tmp_path / "x", trace(walk()))
    result = run("denoise", tmp_path / "x", "-q")
    assert (result.code, result.out, result.errors, result.notes) == (0, "", [], [])
    write(tmp_path / "y", trace(walk()), trace(np.zeros(2000, np.float32), "HHE"))
    result = run("denoise", tmp_path / "y", "-q")
    assert (result.code, result.out, len(result.errors)) == (1, "", 1)


# the process: signals, pipes, limits


def process(*words, **options) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", "from geoae.cli import main; main()", *map(str, words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])  # SIGTERM has the same handler
def test_signals_leave_nothing_half_written(tmp_path, model, number):
    """Ctrl-C or a closed terminal while the output grows: code 128 + signal, one line, no file, no hidden folder."""
    path = write(tmp_path / "x", trace(walk(3_000_000)))
    (tmp_path / "out").mkdir()
    # a test run in the background has Ctrl-C switched off, and hands that on
    job = process("denoise", path, "-o", tmp_path / "out", "--model", model,
                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip
    deadline = time.monotonic() + 60
    while not listing(tmp_path / "out") and time.monotonic() < deadline and job.poll() is None:
        time.sleep(0.01)
    job.send_signal(number)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 128 + number, errors
    assert errors.startswith("geoae: ")
    assert errors.count("\n") == 1
    assert listing(tmp_path / "out") == []


def test_file_size_limit(tmp_path, model):
    """A limit of the system on the size of files is the same as a full disk."""
    resource = pytest.importorskip("resource")
    path = write(tmp_path / "x", trace(walk(100_000)))
    limit = (100_000, 100_000)
    job = process("denoise", path, "-o", tmp_path / "y", "--model", model,
                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))  # fmt: skip
    out, errors = job.communicate(timeout=60)
    assert (job.returncode, out) == (1, "")
    assert errors.startswith("geoae: ")
    assert errors.count("\n") == 1
    assert listing(tmp_path) == ["x"]


def test_a_pipe_that_closes(tmp_path):
    """`geoae info x | head -1` ends in one line on stderr, since rows were not printed, and exit code 1."""
    path = write(tmp_path / "x", *(trace(walk(10), station=f"S{i}") for i in range(300)))
    job = process("info", path)
    with job:
        job.stdout.close()
        errors = job.stderr.read()
    assert errors.startswith("geoae: stdout cannot be written (Broken pipe)")
    assert (job.returncode, errors.count("\n")) == (1, 1)


def test_outputs_are_read_without_warnings(tmp_path, run):
    """ObsPy reads back what any of the damaged and odd files became without a warning."""
    for kind in ("truncated", "rubbish", "undecodable"):
        (tmp_path / kind).write_bytes(damaged(kind)[0])
        run("denoise", tmp_path / kind, "-o", tmp_path / f"{kind}.out")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(obspy.read(str(tmp_path / f"{kind}.out"))) >= 2
