"""A record into a zarr store: the samples of the other roads, whatever the chunks and whoever is killed when."""

import errno
import os
import re
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pytest
import xarray as xr
from obspy import Stream, Trace, UTCDateTime
from typer.testing import CliRunner

import geoae
from geoae.cli import app
from geoae.errors import DamagedFileError, InputError, OutputError, OutputExistsError, SamplingRateError, StoreError
from geoae.jobs.options import InferenceOptions
from geoae.jobs.records import plan, worker
from geoae.labels.timeaxis import rate_hz, start_ns
from geoae.stores import ledger
from tests.conftest import tiny_model
from tests.support.denoising import denoise_files
from tests.support.store_worker import EPOCH, content

MODEL = tiny_model()
OPTIONS = InferenceOptions(MODEL, threads=1)
START = UTCDateTime(2024, 1, 1, 0, 0, 0, 123456)
# what a process does that is killed when it is about to write its block number sys.argv[4]
VICTIM = """
import os, signal, sys
from pathlib import Path
from geoae.jobs.records import plan, worker
from geoae.jobs.denoise import denoise_files
from geoae.jobs.options import DenoiseOptions

def deadly(folder, number, values, write=worker.write_region, left=[int(sys.argv[4])]):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(folder, number, values)

plan.CHUNK_SAMPLES, worker.write_region = 2400, deadly
options = DenoiseOptions.from_keywords(out=sys.argv[2], model=sys.argv[3], threads=1, command="geoae denoise")
denoise_files([Path(sys.argv[1])], options)
"""


def trace(x, channel="HHZ", start=START, rate=100.0, station="ABC") -> Trace:
    ids = {"network": "XX", "station": station, "location": "00", "channel": channel}
    return Trace(np.ascontiguousarray(x), {**ids, "starttime": start, "sampling_rate": rate})


def record(path: Path, n: int = 5000, rate: float = 100.0, seed: int = 0, dtype=np.float32) -> Path:
    """Three components; the second one has a gap and the third begins late."""
    rng = np.random.default_rng(seed)
    e, nn, z = (1000 + np.cumsum(rng.normal(size=(3, n)), axis=1) * 20 + 50 * rng.normal(size=(3, n))).astype(dtype)
    traces = [trace(e, "HHE", rate=rate), trace(nn[:2000], "HHN", rate=rate),
              trace(nn[2700:], "HHN", START + 2700 / rate, rate),
              trace(z[500:], "HHZ", START + 500 / rate, rate)]  # fmt: skip
    Stream(traces).write(str(path), format="MSEED")
    return path


def run(source: Path, target: Path, options: InferenceOptions = OPTIONS, **more):
    return denoise_files([source], target, options, **more)


@pytest.fixture
def small(monkeypatch):
    """Chunks of 800 samples a channel, and one time for all stores."""
    monkeypatch.setattr(plan, "CHUNK_SAMPLES", 2400)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_model().save(folder, "# tiny")
    return folder


@pytest.mark.parametrize("rate", [100.0, 62.5, 200.0])
def test_samples_are_those_in_memory_for_all_chunks(tmp_path, monkeypatch, rate):
    """For chunks from a few samples to all of them: to 1e-5 of the rms, at the model's rate and at others."""
    path = record(tmp_path / "a.mseed", rate=rate)
    expected = geoae.denoise(geoae.read(path), model=MODEL, threads=1)
    scale = float(expected.std())
    for i, n in enumerate((777, 2400, 9001, 1 << 20)):
        monkeypatch.setattr(plan, "CHUNK_SAMPLES", n)
        run(path, tmp_path / f"{i}.zarr")
        found = geoae.read(tmp_path / f"{i}.zarr")
        assert xr.open_zarr(tmp_path / f"{i}.zarr").chunksizes["time"][0] == min(n // 3, 5000)
        np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-5 * scale)


def test_signal_and_noise_add_up_and_gaps_stay(tmp_path, small):
    """Input less signal is the noise that the other road removes; NaN is where no sample was, and only there."""
    path = record(tmp_path / "a.mseed")
    x = geoae.read(path)
    _, noise = geoae.denoise(x, model=MODEL, threads=1, return_noise=True)
    run(path, tmp_path / "a.zarr")
    signal = geoae.read(tmp_path / "a.zarr")
    gap = np.isnan(x.values)
    assert gap.sum() == 700 + 500
    np.testing.assert_array_equal(np.isnan(signal.values), gap)
    there = ~gap
    np.testing.assert_allclose((x.values - signal.values)[there], noise.values[there], rtol=0, atol=1e-3)
    assert float(np.abs(noise.values[there]).max()) > 1
    removed = x.values.astype(float) - signal.values
    np.testing.assert_array_equal((signal.values + removed)[there], x.values[there])


@pytest.mark.parametrize("rate", [100.0, 30.0])
def test_a_store_is_read_back_as_the_record_and_by_plain_xarray(tmp_path, small, rate):
    """Channels, ids, start, rate, and time to the ns; plain xarray opens it without a warning and finds provenance."""
    path, target = record(tmp_path / "a.mseed", rate=rate), tmp_path / "a.zarr"
    run(path, target, replace(OPTIONS, above_band="remove"), command="geoae denoise a.mseed -o a.zarr")
    before = geoae.read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after, plain = geoae.read(target), xr.open_zarr(target).load()
    assert (after.dims, after.shape, after.dtype) == (before.dims, before.shape, np.float32)
    assert (start_ns(after), rate_hz(after)) == (start_ns(before), rate_hz(before))
    assert list(after.id.values) == list(before.id.values) == list(plain.id.values)
    np.testing.assert_array_equal(plain.time.values, before.time.values)
    np.testing.assert_array_equal(plain.trace.values, after.values)
    assert {**before.attrs, **after.attrs} == after.attrs
    facts = {k.removeprefix("geoae_"): v for k, v in plain.attrs.items()}
    assert (facts["model"], facts["digest"]) == ("tiny", "0" * 12)
    assert (facts["window"], facts["stride"], facts["above_band"]) == (512, 384, "remove")
    assert facts["source"] == "a.mseed"
    digest = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert facts["source_hash"] == f"sha256:{digest}"
    assert facts["history"] == f"2001-09-09T01:46:40Z geoae {geoae.__version__}: geoae denoise a.mseed -o a.zarr"


def test_files_that_share_samples_are_one_record(tmp_path, small):
    """The store of two files that overlap is that of the whole recording; other samples there are refused and named."""
    rng = np.random.default_rng(0)
    x = (20 * np.cumsum(rng.normal(size=(3, 3000)), axis=1)).astype(np.int32)

    def write(name, start, stop, add=0):
        parts = [
            trace(row[start:stop] + np.int32(add), f"HH{c}", START + start / 100)
            for c, row in zip("ENZ", x, strict=True)
        ]
        Stream(parts).write(str(tmp_path / name), format="MSEED")
        return tmp_path / name

    one, two = write("one", 0, 1501), write("two", 1500, 3000)
    for target, files in (("parts", [two, one]), ("whole", [write("whole", 0, 3000)])):
        denoise_files(files, tmp_path / f"{target}.zarr", OPTIONS)
    found, expected = (geoae.read(tmp_path / f"{name}.zarr") for name in ("parts", "whole"))
    np.testing.assert_array_equal(found.values, expected.values)
    with pytest.raises(
        InputError, match=r"2 records .*HHZ: two segments overlap at .*, by 200 samples, and differ there"
    ):
        denoise_files([one, write("other", 1301, 3000, add=1)], tmp_path / "other.zarr", OPTIONS)


def test_a_clock_that_is_set_back_loses_the_samples_of_its_step(tmp_path, small):
    """They are named as lost, all others are in the store, and a worker finds the same record."""
    x = (20 * np.cumsum(np.random.default_rng(0).normal(size=3000))).astype(np.int32)
    starts = [(0, 0.0), (1000, -0.02), (2000, -0.05)]
    parts = [trace(x[a : a + 1000], "HHZ", START + a / 100 + late) for a, late in starts]
    Stream(parts).write(str(tmp_path / "in"), format="MSEED")
    done = run(tmp_path / "in", tmp_path / "a.zarr", workers=1)
    assert [line.partition(",")[0] for line in done.problems] == ["XX.ABC.00.HHZ: 5 samples are left out"]
    expected = geoae.read(tmp_path / "a.zarr")
    assert (expected.sizes["time"], int(np.isfinite(expected).sum())) == (2995, 2995)


def test_info_lists_a_store_as_its_recording(tmp_path, small):
    """Ids, times, gaps; samples are those that are there."""
    path = record(tmp_path / "a.mseed")
    run(path, tmp_path / "a.zarr")
    (before, after) = geoae.info(path), geoae.info(tmp_path / "a.zarr")
    assert after.rows == before.rows
    assert CliRunner().invoke(app, ["info", str(tmp_path / "a.zarr")]).exit_code == 0


def test_double_precision_stays_and_integers_become_single(tmp_path, small):
    """float64 recordings are stored as such; whole numbers lose nothing but digits far below their noise."""
    for dtype, expected in ((np.float64, "float64"), (np.int32, "float32")):
        path = record(tmp_path / f"{expected}.mseed", dtype=dtype)
        run(path, tmp_path / f"{expected}.zarr")
        assert geoae.read(tmp_path / f"{expected}.zarr").dtype == expected


def test_large_integers_that_float32_blurs_are_a_problem(tmp_path):
    """The line names what holds them."""
    x = (50 * np.random.default_rng(0).normal(size=2000)).astype(np.int32) + np.int32(2**30)
    Stream([trace(x), trace(x - np.int32(2**30), "HHN")]).write(str(tmp_path / "x"), format="MSEED")
    (problem,) = run(tmp_path / "x", tmp_path / "x.zarr").problems
    assert problem.startswith("XX.ABC.00.HHZ: rounding to float32 changes it by 18 (rms)")
    assert "encoding FLOAT64" in problem


def test_one_channel_and_what_is_selected(tmp_path, small):
    """--id and times choose what is in the store."""
    path = record(tmp_path / "a.mseed")
    summary = run(path, tmp_path / "z.zarr", ids=["*Z"], start_time="2024-01-01T00:00:10")
    assert [line.id for line in summary.rows] == ["XX.ABC.00.HHZ"]
    assert geoae.read(tmp_path / "z.zarr").shape == (1, 5000 - 988)


def test_samples_that_cannot_be_decoded_are_a_gap(tmp_path, small):
    """The rest is denoised, the loss is told, and a trace without a signal comes back as it was."""
    path = tmp_path / "a.mseed"
    walk = (1000 * np.cumsum(np.random.default_rng(0).normal(size=5000))).astype(np.int32)
    Stream([trace(np.full(5000, 7, np.int32), "HHE"), trace(walk, "HHZ")]).write(str(path), format="MSEED", reclen=512)
    raw = bytearray(path.read_bytes())
    at = len(raw) - 4 * 512 + 64
    raw[at : at + 300] = bytes(300)
    path.write_bytes(raw)
    summary = run(path, tmp_path / "a.zarr")
    assert re.match(r"XX\.ABC\.00\.HHZ: \d+ samples are lost", summary.problems[0])
    assert summary.problems[1:] == ["XX.ABC.00.HHE: dead, all samples are 7; passed through unchanged"]
    e, z = geoae.read(tmp_path / "a.zarr").values
    assert (e == 7).all()
    lost = np.flatnonzero(np.isnan(z))
    assert 0 < lost.size < 1000
    assert lost[-1] - lost[0] == lost.size - 1


@pytest.mark.parametrize("n_done", [0, 1, 4])
def test_a_killed_run_is_resumed_with_the_same_bytes(tmp_path, small, saved, monkeypatch, n_done):
    """SIGKILL, then the same command: only what is missing is computed, and no byte differs; nor does the summary."""
    path, target = record(tmp_path / "a.mseed"), tmp_path / "a.zarr"
    whole = run(path, tmp_path / "whole.zarr", InferenceOptions(saved, threads=1), command="geoae denoise")
    words = [sys.executable, "-c", VICTIM, path, target, saved, str(n_done)]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    assert ledger.read_store_status(target)[1:4] == (False, n_done, 7)
    written = []
    write = worker.write_region
    monkeypatch.setattr(worker, "write_region", lambda f, number, v: (written.append(number), write(f, number, v)))
    summary = run(path, target, InferenceOptions(saved, threads=1), command="geoae denoise")
    assert written == list(range(n_done, 7))
    assert content(target) == content(tmp_path / "whole.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mseed", "a.zarr", "whole.zarr"]
    for one, other in zip(summary.rows, whole.rows, strict=True):
        assert (one.id, one.samples, one.gaps) == (other.id, other.samples, other.gaps)
        assert one.rms_out == pytest.approx(other.rms_out, rel=1e-6)
    assert any(f"{n_done} of 7 blocks" in note for note in summary.notes) == (n_done > 0)


def stopped(path: Path, target: Path, monkeypatch, n_done: int = 2) -> None:
    """A run that is interrupted."""
    with monkeypatch.context() as patch:

        def interrupted(done: int, total: int) -> None:
            if done == n_done:
                raise KeyboardInterrupt

        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        with pytest.raises(KeyboardInterrupt):
            run(path, target, progress=interrupted)


def test_other_settings_are_refused_by_name(tmp_path, small, monkeypatch):
    """An unfinished store takes the same dry, model and input only; --overwrite begins anew."""
    path, target = record(tmp_path / "a.mseed"), tmp_path / "a.zarr"
    stopped(path, target, monkeypatch)
    with pytest.raises(StoreError, match=r"dry: 0.* -> 0\.5"):
        run(path, target, replace(OPTIONS, dry=0.5))
    other = replace(tiny_model(window=1024), digest="1" * 12)
    with pytest.raises(StoreError, match=r"digest: 0{12} -> 1{12}; window: 512 -> 1024"):
        run(path, target, replace(OPTIONS, model=other))
    with pytest.raises(StoreError, match="above_band: pass -> remove"):
        run(path, target, replace(OPTIONS, above_band="remove"))
    with pytest.raises(StoreError, match=r"highpass_hz: 0\.0 -> 1\.0"):
        run(path, target, replace(OPTIONS, highpass=1.0))
    with pytest.raises(StoreError, match="ids: "):
        run(path, target, ids=["*E"])
    record(path, seed=1)
    with pytest.raises(StoreError, match="source_hash: sha256:"):
        run(path, target)
    assert ledger.read_store_status(target).n_done == 2
    run(path, target, overwrite=True)
    assert ledger.read_store_status(target).finished


def test_targets_that_cannot_be_written(tmp_path, small, monkeypatch):
    """A finished store, another folder or file, no folder, a read-only disk: one line, and nothing is touched."""
    path, target = record(tmp_path / "a.mseed"), tmp_path / "a.zarr"
    with pytest.raises(OutputError, match="is not there; make it first"):
        run(path, tmp_path / "no" / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(OutputError, match="not a zarr store"):
        run(path, tmp_path / "b.zarr")

    def read_only(*args, **options):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", read_only)
        with pytest.raises(OutputError, match=r"cannot be written: Read-only"):
            run(path, target)
    run(path, target)
    before = content(target)
    with pytest.raises(OutputExistsError, match=r"other settings \(dry: 0\.0 -> 0\.5\); .*--overwrite"):
        run(path, target, replace(OPTIONS, dry=0.5))
    assert "other settings need --overwrite" in run(path, target, dry_run=True).notes[0]
    assert content(target) == before
    run(path, target, replace(OPTIONS, dry=1.0), overwrite=True)
    np.testing.assert_allclose(geoae.read(target).values, geoae.read(path).values.astype("f4"))


def test_a_full_disk_keeps_finished_blocks(tmp_path, small, monkeypatch):
    """One line that says so; the same command goes on."""
    path, target = record(tmp_path / "a.mseed"), tmp_path / "a.zarr"

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:

        def fill(done: int, total: int) -> None:
            if done == 3:
                patch.setattr(os, "fsync", full)

        with pytest.raises(OutputError, match=r"No space left.*goes on from there"):
            run(path, target, progress=fill)
    assert not target.exists()
    assert ledger.read_store_status(target)[1:4] == (False, 3, 7)
    run(path, target)
    assert ledger.read_store_status(target)[1:4] == (True, 7, 7)


def test_two_records_or_a_long_one_are_refused(tmp_path, small, monkeypatch):
    """Several records, none, one too long, one at another rate: said, and nothing is begun."""
    several = Stream([trace(np.arange(999.0), station=name) for name in ("A", "B")])
    several.write(str(tmp_path / "two.mseed"), format="MSEED")
    path, target = record(tmp_path / "a.mseed"), tmp_path / "a.zarr"
    with pytest.raises(InputError, match=r"2 records \(XX\.A\.00\.HHZ from 2024-01-01T00:00:00, 9\.99 s; .*--id"):
        run(tmp_path / "two.mseed", target)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "MAX_SAMPLES", 4999)
        with pytest.raises(InputError, match="Split it by days"):
            run(path, target)
    slow = tiny_model()
    slow = replace(slow, contract=replace(slow.contract, rate_range_hz=(1.0, 50.0)))
    with pytest.raises(SamplingRateError, match="100 Hz"):
        run(path, target, replace(OPTIONS, model=slow))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mseed", "two.mseed"]


@pytest.mark.parametrize(
    ("more", "named"),
    [({"format": "SAC"}, "--format"), ({"encoding": "STEIM2"}, "--encoding"), ({"plot": Path("a.png")}, "--plot"),
     ({"noise_out": "n.mseed"}, "--noise-out")],
)  # fmt: skip
def test_options_of_files_are_refused(tmp_path, more, named):
    """What makes no sense with a store is named; a store for the noise alone is refused too."""
    path = record(tmp_path / "a.mseed")
    with pytest.raises(InputError, match=f"^{named} cannot go with a zarr store"):
        run(path, tmp_path / "a.zarr", **more)
    with pytest.raises(InputError, match="--noise-out cannot go with"):
        run(path, tmp_path / "a.mseed2", noise_out=tmp_path / "n.zarr")


def test_status_of_unfinished_finished_and_damaged(tmp_path, small, monkeypatch):
    """Blocks, start, model and source in text; a missing block is damage, here and for who reads it."""
    path, target = record(tmp_path / "a.mseed"), tmp_path / "a.zarr"
    stopped(path, target, monkeypatch)
    about = "\n  begun  2001-09-09T01:46:40Z\n  model  tiny 000000000000\n  source a.mseed\n"
    shown = CliRunner().invoke(app, ["status", str(target)])
    assert (shown.exit_code, shown.output) == (0, f"{target}: 2 of 7 blocks done{about}")
    summary = run(path, target, dry_run=True)
    assert summary.notes == ["a.zarr is unfinished: 2 of 7 blocks are done"]
    run(path, target)
    shown = CliRunner().invoke(app, ["status", str(target)])
    assert (shown.exit_code, shown.output) == (0, f"{target}: finished, 7 blocks{about}")
    (target / "trace/c.0.3").unlink()
    shown = CliRunner().invoke(app, ["status", str(target)])
    assert shown.exit_code == 1
    assert "1 of its blocks are missing" in shown.output
    with pytest.raises(DamagedFileError, match="1 of its blocks are missing"):
        geoae.read(target)
    shown = CliRunner().invoke(app, ["status", str(tmp_path / "none.zarr")])
    assert (shown.exit_code, "There is no store" in shown.output) == (1, True)


def test_the_command_line_writes_a_store(tmp_path, saved):
    """From a recording that ObsPy ships, with the usual summary."""
    source = Path(obspy.__file__).parent / "io/mseed/tests/data/fullseed.mseed"
    words = ["denoise", str(source), "-o", str(tmp_path / "x.zarr"), "--model", str(saved), "--threads", "1"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    assert f"wrote {tmp_path / 'x.zarr'} (model tiny " in shown.output
    assert "removed (dB)" in shown.output
    before = content(tmp_path / "x.zarr")
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, "is already finished" in again.output) == (0, True)
    assert content(tmp_path / "x.zarr") == before
    other = CliRunner().invoke(app, [*words, "--dry", "0.5"])
    assert (other.exit_code, other.output.count("\n")) == (1, 1)


def test_sigma_and_flags_are_those_of_files_and_memory(tmp_path, small):
    """For chunks, files, arrays and a resumed run: the same sigma, NaN in gaps, and the same spans of time."""
    model = replace(MODEL, contract=replace(MODEL.contract, sigma_factor=1.5))
    path, options = record(tmp_path / "a.mseed"), replace(OPTIONS, model=model, sigma=True)
    in_memory = geoae.denoise(geoae.read(path), model=model, threads=1, return_sigma=True)[1]
    whole = run(path, tmp_path / "a.zarr", options)
    store = xr.open_zarr(tmp_path / "a.zarr").load()
    np.testing.assert_allclose(store.sigma.values, in_memory.values, rtol=1e-5)
    assert np.isnan(store.sigma.values[1, 2000:2700]).all()
    assert store.sigma.attrs["long_name"] == "standard error of the denoised samples"
    assert store.flags.attrs["flag_meanings"] == "transient unlike near"
    denoise_files([path], tmp_path / "b.mseed", options, sigma_out=tmp_path / "s.mseed")
    for piece in obspy.read(str(tmp_path / "s.mseed")):
        row = "ENZ".index(piece.stats.channel[-1])
        first = round((piece.stats.starttime - START) * 100)
        np.testing.assert_allclose(piece.data, store.sigma.values[row, first : first + len(piece)], rtol=1e-5)
    again = run(path, tmp_path / "a.zarr", options)  # all blocks are kept
    assert again.is_unchanged
    assert (again.warnings, again.doubts) == (whole.warnings, whole.doubts)
    assert whole.doubts
    with pytest.raises(InputError, match="--sigma-out"):
        denoise_files([path], tmp_path / "c.zarr", OPTIONS, sigma_out=tmp_path / "s.mseed", overwrite=True)
    with pytest.raises(InputError, match="give --sigma-out FILE"):
        denoise_files([path], tmp_path / "c.mseed", options)


def test_a_high_pass_and_a_purpose_are_those_of_files_and_memory(tmp_path, small):
    """Store, file, array, Stream and workers' options give the same samples, and all say what was done."""
    model = tiny_model()
    model.contract = replace(model.contract, purposes={"picking": 0.25, "viewing": -0.05})
    model.save(tmp_path / "m", "# tiny")
    path = record(tmp_path / "a.mseed")
    options = InferenceOptions(tmp_path / "m", threads=1, highpass=2.0, purpose="viewing")
    in_memory = geoae.denoise(geoae.read(path), model=model, threads=1, highpass=2.0, purpose="viewing")
    with_dry = geoae.denoise(geoae.read(path), model=model, threads=1, highpass=2.0)
    assert float(abs(in_memory - with_dry).max()) > 0.01 * float(with_dry.std())
    scale = float(in_memory.std())
    whole = run(path, tmp_path / "a.zarr", options)
    store = xr.open_zarr(tmp_path / "a.zarr").load()
    np.testing.assert_allclose(store.trace.values, in_memory.values, atol=1e-5 * scale)
    line = "dry=-0.05, purpose='viewing', highpass=2)"
    assert line in store.trace.attrs["processing"]
    settings = ledger.read_store_status(tmp_path / "a.zarr").settings
    assert (settings["dry"], settings["purpose"], settings["highpass_hz"]) == (-0.05, "viewing", 2.0)
    again = run(path, tmp_path / "a.zarr", options)
    assert (again.is_unchanged, again.rows[0].rms_out) == (True, pytest.approx(whole.rows[0].rms_out))
    with pytest.raises(OutputExistsError, match=r"is there already, with other settings \(highpass_hz: 2\.0 -> 0\.0\)"):
        run(path, tmp_path / "a.zarr", replace(options, highpass=None))
    outputs = geoae.denoise(path, tmp_path / "b.mseed", model=model, threads=1, highpass=2.0, purpose="viewing")
    stream = geoae.denoise(obspy.read(path), model=model, threads=1, highpass=2.0, purpose="viewing")
    for piece in (*obspy.read(outputs), *stream):
        row = "ENZ".index(piece.stats.channel[-1])
        first = round((piece.stats.starttime - START) * 100)
        expected = store.trace.values[row, first : first + len(piece)]
        np.testing.assert_allclose(piece.data, expected, atol=1e-5 * scale)
    assert line in stream[0].stats.processing[-1]
    with pytest.raises(SamplingRateError, match="a high-pass at 70 Hz"):
        run(path, tmp_path / "c.zarr", replace(options, highpass=70.0))
    with pytest.raises(InputError, match=r"model 'tiny' has these: picking, viewing"):
        run(path, tmp_path / "c.zarr", replace(options, purpose="looking"))
