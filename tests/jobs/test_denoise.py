"""Real recordings come back as they came, cleaned: ids, times, rates, lengths, order, gaps, headers."""

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import Stream, Trace, UTCDateTime

from geoae.jobs.options import InferenceOptions
from tests.conftest import tiny_model
from tests.support.denoising import denoise_files

IO = Path(obspy.__file__).parent / "io"
START = UTCDateTime(2024, 1, 1, 0, 0, 0, 123456)
MODEL = tiny_model()
MODEL = replace(MODEL, contract=replace(MODEL.contract, rate_range_hz=(0.5, 1000.0)))  # some recordings are slow
OPTIONS = InferenceOptions(MODEL, threads=1)
ANY_RATE = replace(MODEL, contract=replace(MODEL.contract, rate_range_hz=(0.5, 1e5)))
OPTIONS_OF_ANY_RATE = InferenceOptions(ANY_RATE, threads=1)
RECORDINGS = [
    "gse2/tests/data/loc_RJOB20050831023349.z",
    "mseed/tests/data/BW.BGLD.__.EHE.D.2008.001.first_10_records",
    "mseed/tests/data/gaps.mseed",
    "mseed/tests/data/qualityflags.mseed",
    "mseed/tests/data/test.mseed",
    "mseed/tests/data/timingquality.mseed",
    "sac/tests/data/seism.sac",
    "sac/tests/data/test.sac",
    "seisan/tests/data/9701-30-1048-54S.MVO_21_1",
    "seisan/tests/data/2001-01-13-1742-24S.KONO__004",
    "sh/tests/data/QFILE-TEST.QHD",
    "ascii/tests/data/slist_2_traces.ascii",
]


def read(path) -> Stream:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return obspy.read(str(path))


def walk(n=3000, seed=0, dtype=np.float32):
    rng = np.random.default_rng([seed, n])
    return (1000 * np.cumsum(rng.normal(size=n)) / np.sqrt(n) + 50 * rng.normal(size=n)).astype(dtype)


def trace(x, channel="HHZ", start=START, rate=100.0, **more) -> Trace:
    ids = {"network": "XX", "station": "ABC", "location": "00", "channel": channel}
    return Trace(np.ascontiguousarray(x), {**ids, "starttime": start, "sampling_rate": rate, **more})


def write(path, *traces, format_name="MSEED") -> Path:
    Stream(traces).write(str(path), format=format_name)
    return path


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_keep_their_headers(tmp_path, name):
    """Ids, starts, lengths, rates, gaps, overlaps and order to the microsecond; float32; no warning from ObsPy."""
    before = [t for t in read(IO / name) if t.stats.npts]
    summary = denoise_files([IO / name], tmp_path / "out.mseed", OPTIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after = obspy.read(str(tmp_path / "out.mseed"))
    assert [t.id for t in after] == [t.id for t in before]
    unchanged = {line.id for line in summary.rows if line.state}
    for x, y in zip(before, after, strict=True):
        assert abs(y.stats.starttime.ns - x.stats.starttime.ns) <= 1000
        assert y.stats.npts == x.stats.npts
        assert y.stats.sampling_rate == pytest.approx(x.stats.sampling_rate, rel=1e-6)
        assert y.data.dtype == (x.data.dtype if y.id in unchanged else np.float32)
        if y.id not in unchanged and np.ptp(x.data) > 0 and x.stats.npts > 100:
            assert 0 < np.abs(y.data - x.data).max() < 10 * np.abs(x.data - x.data.mean(dtype=float)).max()
    assert len(summary.rows) == len({t.id for t in before})


@pytest.mark.parametrize("format_name", ["SAC", "GSE2", "SLIST", "AH", "SEGY", "SU", "TSPAIR"])
def test_formats_keep_their_headers(tmp_path, format_name):
    """Start, rate and length to the format's resolution, and the same samples as in miniSEED to its digits."""
    start = START - (0.123456 if format_name in ("SEGY", "SU") else 0.000456)  # those hold whole seconds only
    path = write(tmp_path / "in.mseed", trace(walk(), start=start))
    denoise_files([path], tmp_path / "out.mseed", OPTIONS)
    denoise_files([path], tmp_path / "out.x", OPTIONS, format=format_name)
    (expected,), (found,) = read(tmp_path / "out.mseed"), read(tmp_path / "out.x")
    assert abs(found.stats.starttime - expected.stats.starttime) < 6e-4
    assert (found.stats.npts, found.stats.sampling_rate) == (3000, pytest.approx(100.0))
    atol = 0.5 if format_name == "GSE2" else 1e-3
    np.testing.assert_allclose(found.data, expected.data, atol=atol + 1e-6 * np.abs(expected.data).max())


OWN_FORMATS = {
    "sac/tests/data/seism.sac": "sac", "segy/tests/data/ld0042_file_00018.sgy_first_trace": "segy",
    "segy/tests/data/1.su_first_trace": "su", "gse2/tests/data/loc_RNON20040609200559.z": "gse2",
    "ah/tests/data/hrv.lh.zne": "ah", "gcf/tests/data/20160603_1955n.gcf": "gcf",
    "mseed/tests/data/test.mseed": "mseed",
}  # fmt: skip


def flat(headers, prefix=""):
    """Headers with dotted names, as text."""
    pairs = {}
    for key, value in headers.items():
        pairs |= flat(value, f"{prefix}{key}.") if hasattr(value, "items") else {prefix + key: str(value)}
    return pairs


@pytest.mark.parametrize("name", OWN_FORMATS)
def test_a_recording_keeps_its_own_format_and_headers(tmp_path, name):
    """By default, with all headers but those about the samples themselves."""
    summary = denoise_files([IO / name], f"{tmp_path}/", OPTIONS_OF_ANY_RATE)
    (path,) = summary.outputs
    assert path.suffix == f".{OWN_FORMATS[name]}"
    assert summary.format == OWN_FORMATS[name].upper()
    about_samples = ("depmin", "depmax", "depmen", "FIC", "RIC", "mseed.")
    before, after = read(IO / name), read(path)
    for x, y in zip(before, after, strict=True):
        changed = {key for key, value in flat(x.stats).items() if flat(y.stats).get(key) != value}
        assert not {key for key in changed if not any(word in key for word in about_samples)}
        assert np.abs(x.data - y.data).max() > 0
    if name.endswith("sgy_first_trace"):
        # ObsPy ends the text with lines of its own
        assert after.stats.textual_file_header[:3000] == before.stats.textual_file_header[:3000] != b" " * 3000
        number, other = (stream.stats.binary_file_header.line_number for stream in (before, after))
        assert number == other != 0


def test_sac_headers_are_kept(tmp_path):
    """SAC in, SAC out: station coordinates, picks and all else of the header; only the data's own extremes change."""
    source = IO / "sac/tests/data/seism.sac"
    denoise_files([source], tmp_path / "out.sac", OPTIONS, format="SAC")
    before, after = read(source)[0].stats, read(tmp_path / "out.sac")[0].stats
    changing = {"depmin", "depmax", "depmen"}
    assert {k: v for k, v in after.sac.items() if k not in changing} == {
        k: v for k, v in before.sac.items() if k not in changing
    }
    assert (after.starttime, after.npts, after.calib) == (before.starttime, before.npts, before.calib)


def test_several_traces_in_a_format_of_one_trace_a_file(tmp_path):
    """SAC writes one file for each, named by id, signal and noise alike."""
    path = write(tmp_path / "in", *(trace(walk(2000, i), "HH" + c) for i, c in enumerate("ENZ")))
    summary = denoise_files([path], tmp_path / "a.sac", OPTIONS, format="SAC", noise_out=tmp_path / "b.sac")
    assert sorted(p.name for p in summary.outputs) == [f"{n}.XX.ABC.00.HH{c}.sac" for n in "ab" for c in "ENZ"]
    for i, c in enumerate("ENZ"):
        both = [read(tmp_path / f"{n}.XX.ABC.00.HH{c}.sac")[0].data.astype(float) for n in "ab"]
        np.testing.assert_allclose(sum(both), walk(2000, i), atol=1e-3)


def test_calibration_is_kept(tmp_path):
    """A format that holds a calibration factor gets it back, and samples are not multiplied by it."""
    one = trace(walk(dtype=np.int32), calib=2.5)
    one.write(str(tmp_path / "in"), format="GSE2")
    denoise_files([tmp_path / "in"], tmp_path / "out", OPTIONS, format="GSE2")
    denoise_files([tmp_path / "in"], tmp_path / "out.mseed", OPTIONS)
    after = read(tmp_path / "out")[0]
    assert after.stats.calib == pytest.approx(2.5)
    np.testing.assert_allclose(after.data, read(tmp_path / "out.mseed")[0].data, atol=0.51)


def test_hours_in_files_of_their_own_are_one_record(tmp_path):
    """24 files that abut give the samples of one file, each in a file of its own."""
    whole, n = walk(24 * 500), 500
    one = write(tmp_path / "day", trace(whole))
    hours = [
        write(tmp_path / f"{h:02d}.mseed", trace(whole[h * n : (h + 1) * n], start=START + h * n / 100))
        for h in range(24)
    ]
    alone = denoise_files([one], tmp_path / "out", OPTIONS)
    summary = denoise_files(hours, None, OPTIONS)
    parts = [read(tmp_path / f"{h:02d}.denoised.mseed")[0] for h in range(24)]
    assert [p.stats.npts for p in parts] == [n] * 24
    np.testing.assert_allclose(np.concatenate([p.data for p in parts]), read(tmp_path / "out")[0].data, atol=1e-3)
    (line,) = summary.rows
    assert (line.samples, line.gaps) == (12_000, 0)
    assert line.removed_db == pytest.approx(alone.rows[0].removed_db, abs=3)  # drift is less clear in five seconds


def test_components_in_files_of_their_own_are_one_sensor(tmp_path):
    """E, N and Z from three files help each other: as in one file, and unlike Z alone."""
    files = [
        write(tmp_path / f"{c}.sac", trace(walk(3000, i), "HH" + c), format_name="SAC") for i, c in enumerate("ENZ")
    ]
    one = write(tmp_path / "all", *(read(f)[0] for f in files))
    denoise_files([one], tmp_path / "one", OPTIONS)
    denoise_files(files, None, OPTIONS)
    denoise_files([files[2]], tmp_path / "alone", OPTIONS)
    together, alone = read(tmp_path / "one"), read(tmp_path / "alone")[0].data
    for i, c in enumerate("ENZ"):
        np.testing.assert_allclose(read(tmp_path / f"{c}.denoised.sac")[0].data, together[i].data, atol=1e-3)
    assert np.abs(alone - together[2].data).max() > 1


def test_selection_by_id_and_time(tmp_path):
    """Only what is asked for is in the output, cut to the sample."""
    path = write(tmp_path / "in", trace(walk(), "HHE"), trace(walk(3000, 1)))
    denoise_files([path], tmp_path / "out", OPTIONS, ids=["*Z"], start_time=START + 5, end_time=START + 9.99)
    (found,) = read(tmp_path / "out")
    assert (found.id[-1], found.stats.starttime, found.stats.npts) == ("Z", START + 5, 500)


@pytest.mark.parametrize("format_name", ["MSEED", "GSE2"])
def test_a_selection_holds_for_what_passes_through(tmp_path, format_name):
    """A channel that is too slow, or dead, is cut to the sample, and its noise is as long as its signal."""
    parts = [trace(walk(9000)), trace(walk(90), "LHZ", rate=1.0), trace(np.full(9000, 7), "HHN")]
    parts = [Trace(part.data.astype(np.int32), part.stats) for part in parts]
    source = write(tmp_path / "in", *parts, format_name=format_name)
    start, end = START + 20.5, START + 60
    model = replace(MODEL, contract=replace(MODEL.contract, rate_range_hz=(8.0, 1000.0)))
    options = InferenceOptions(model, threads=1)
    denoise_files([source], tmp_path / "s", options, noise_out=tmp_path / "n", start_time=str(start), end_time=str(end))
    expected = read(source).trim(start, end, nearest_sample=False)
    for x, signal, noise in zip(expected, read(tmp_path / "s"), read(tmp_path / "n"), strict=True):
        for found in (signal, noise):
            assert (found.id, found.stats.starttime, found.stats.npts) == (x.id, x.stats.starttime, x.stats.npts)
        if x.stats.channel != "HHZ":
            np.testing.assert_array_equal(signal.data, x.data)
            assert not noise.data.any()


def test_damage_beside_an_overlap_loses_its_own_samples(tmp_path):
    """Of two files that overlap with other samples, each is whole but for the record that cannot be decoded."""
    x = walk(4000, dtype=np.float64).astype(np.int32)
    one, two = (tmp_path / name for name in ("one", "two"))
    for path, part in ((one, trace(x[:2500])), (two, trace(x[2000:] + 1, start=START + 20))):
        Stream([part]).write(str(path), format="MSEED", encoding="STEIM2", reclen=512)
    damaged = bytearray(one.read_bytes())
    damaged[2 * 512 + 64 : 3 * 512] = b"\xff" * 448
    one.write_bytes(bytes(damaged))
    done = denoise_files([one, two], tmp_path / "out", OPTIONS)
    (loss,) = done.problems
    lost = int(re.search(r"(\d+) samples are lost", loss)[1])
    assert 0 < lost < 500
    assert sum(part.stats.npts for part in read(tmp_path / "out")) == 2500 - lost + 2000
    assert any("by 500 samples, and differ there" in note for note in done.notes)


def test_progress_counts_every_sample(tmp_path):
    """It ends at the total."""
    path = write(tmp_path / "in", trace(walk(), "HHE"), trace(walk(3000, 1), start=START + 100))
    seen: list[tuple[int, int]] = []
    denoise_files([path], tmp_path / "out", OPTIONS, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6000, 6000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_figure_of_a_run(tmp_path):
    """--plot draws the first record beside the outputs and leaves no part."""
    path = write(tmp_path / "in", trace(walk()))
    summary = denoise_files([path], tmp_path / "out", OPTIONS, plot=tmp_path / "f.png")
    assert summary.outputs == [tmp_path / "out", tmp_path / "f.png"]
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.png", "in", "out"]


def test_a_link_stays_a_link(tmp_path):
    """An output that is a link to a file replaces what it points to."""
    path = write(tmp_path / "in", trace(walk()))
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    denoise_files([path], tmp_path / "link", OPTIONS, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert len(read(tmp_path / "real")) == 1
