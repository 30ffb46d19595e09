"""Sinks for denoised traces."""

import numpy as np
import obspy
import pytest
from obspy import Stream, Trace

from geoae.errors import InputError, OutputError, OutputExistsError
from geoae.files import owners
from geoae.jobs.options import FileOptions, InferenceOptions
from geoae.jobs.records.sinks import FileSink, MemorySink, check_range, pass_through_or_leave_out, plan_outputs
from geoae.labels.segments import Segment
from geoae.readers.records import traces
from tests.conftest import tiny_model
from tests.support.denoising import denoise_files


def test_outputs_are_checked_before_anything_is_computed(tmp_path):
    """An existing file, an input, a missing folder and two outputs of one name are refused."""
    path = tmp_path / "x.mseed"
    path.touch()
    (tmp_path / "there.mseed").touch()
    with pytest.raises(OutputExistsError, match=r"there\.mseed is there already"):
        plan_outputs([path], tmp_path / "there.mseed", FileOptions())
    assert plan_outputs([path], tmp_path / "there.mseed", FileOptions(), overwrite=True).overwrite
    with pytest.raises(InputError, match="is an input"):
        plan_outputs([path], path, FileOptions(), overwrite=True)
    with pytest.raises(OutputError, match="make it first"):
        plan_outputs([path], tmp_path / "none" / "y.mseed", FileOptions())
    with pytest.raises(InputError, match="would be written twice"):
        plan_outputs([path], tmp_path / "y.mseed", FileOptions(noise_out=tmp_path / "y.mseed"))


def test_what_a_killed_run_left_is_removed_by_the_next_run(tmp_path, monkeypatch):
    """Of its own outputs only, and not what other processes still write."""
    plan = plan_outputs([tmp_path / "x.mseed"], None, FileOptions(noise_out=tmp_path / "noise.mseed"))
    running = [tmp_path / owners.hidden_name(path) for path in plan.targets]
    monkeypatch.setattr(owners, "_began", lambda pid: 1)
    left = [tmp_path / owners.hidden_name(path) for path in (*plan.targets, tmp_path / "other.mseed")]
    monkeypatch.undo()
    for folder in (*running, *left):
        folder.mkdir()
        (folder / "half").touch()
    with FileSink(plan, []):
        assert sorted(tmp_path.iterdir()) == sorted([*running, left[-1]])


def test_memory_keeps_blocks_and_drops_a_segment_that_passes_through():
    """Without a signal of its own the caller keeps the trace; its noise is zero."""
    sink, segment = MemorySink(), Segment("XX.A..HHZ", 0, 100.0, 4, 7, None, None)
    for offset in (0, 2):
        signal = np.full(2, 1.0 + offset)
        np.testing.assert_array_equal(sink.put(segment, offset, signal + 0.5, signal), signal)
    np.testing.assert_array_equal(sink.signal[7], [1, 1, 3, 3])
    assert sink.pass_through(segment, lambda line: None)
    assert 7 not in sink.signal
    np.testing.assert_array_equal(sink.removed[7], np.zeros(4))


@pytest.mark.parametrize("peak", [1e39, 1e-39])
def test_values_beyond_float32_are_refused(peak):
    """The line ends with what can be done; float64 output holds them."""
    with pytest.raises(InputError, match=r"beyond the range of float32; divide$"):
        check_range(np.full(3, peak), np.dtype("f4"), "divide")
    check_range(np.full(3, peak), np.dtype("f8"), "divide")


def test_one_id_without_room_stops_nobody(tmp_path):
    """The other file is written; the file that cannot be is named with its id and the reason."""
    noise = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    for name, station in (("a", "ABC"), ("b", "AKT013")):
        header = {"station": station, "channel": "HHZ", "sampling_rate": 100.0}
        Trace(noise, header).write(str(tmp_path / f"{name}.sac"), format="SAC")
    (tmp_path / "out").mkdir()
    files, options = [tmp_path / "a.sac", tmp_path / "b.sac"], InferenceOptions(tiny_model(), threads=1)
    done = denoise_files(files, tmp_path / "out", options, format="MSEED")
    assert done.outputs == [tmp_path / "out" / "a.denoised.mseed"]
    assert [line.split(":")[0] for line in done.problems] == [".AKT013..HHZ", str(tmp_path / "b.sac")]
    assert "room for 5 ASCII characters" in done.problems[0]
    with pytest.raises(InputError, match="room for 5"):
        denoise_files(files[1:], tmp_path / "out", options, format="MSEED")


@pytest.mark.parametrize(
    ("more", "advice"), [({"encoding": "STEIM2"}, "encoding FLOAT32"), ({"format": "GSE2"}, "format MSEED")]
)
def test_small_numbers_are_never_written_as_zeros(tmp_path, more, advice):
    """Metres per second in a format of integers: the line names what holds them; the trace beside it is denoised."""
    rng, options = np.random.default_rng(0), InferenceOptions(tiny_model(), threads=1)
    small, large = (
        Trace(
            (peak * rng.normal(size=2000)).astype(np.float32),
            {"station": name, "channel": "HHZ", "sampling_rate": 100.0},
        )
        for peak, name in ((1e-7, "SMALL"), (1e4, "LARGE"))
    )
    Stream([small, large]).write(str(tmp_path / "x"), format="MSEED")
    small.write(str(tmp_path / "small"), format="MSEED")
    # samples of other formats are not copied as records
    Stream([small, large]).write(str(tmp_path / "text"), format="SLIST")
    denoise_files([tmp_path / "text"], tmp_path / "from_text", options, **more)
    for found in obspy.read(str(tmp_path / "from_text")).select(station="SMALL"):
        np.testing.assert_allclose(found.data, small.data, rtol=1e-9)
    done = denoise_files([tmp_path / "x"], tmp_path / "y", options, **more)
    (problem,) = done.problems
    assert problem.startswith(".SMALL..HHZ: ")
    assert advice in problem
    assert [row.state != "" for row in done.rows] == [True, False]
    for found in obspy.read(str(tmp_path / "y")).select(station="SMALL"):
        np.testing.assert_array_equal(found.data, small.data)
    if "format" in more:
        with pytest.raises(InputError, match=advice):
            denoise_files([tmp_path / "small"], tmp_path / "z", options, **more)
        assert not (tmp_path / "z").exists()
    else:
        alone = denoise_files([tmp_path / "small"], tmp_path / "z", options, **more)
        assert advice in alone.problems[0]
        np.testing.assert_array_equal(obspy.read(str(tmp_path / "z"))[0].data, small.data)


def test_miniseed_takes_the_place_of_integers_that_lose_the_signal(tmp_path):
    """A quiet recording in GSE2 comes back in float32, with its noise, and the table tells what is in the file."""
    x = np.random.default_rng(0).integers(-1, 2, 3000, np.int32)
    header = {"station": "ABC", "channel": "HHZ", "sampling_rate": 100.0}
    Trace(x, header).write(str(tmp_path / "x.gse2"), format="GSE2")
    options = InferenceOptions(tiny_model(), threads=1)
    done = denoise_files([tmp_path / "x.gse2"], None, options, noise_out=f"{tmp_path}/")
    assert [path.name for path in done.outputs] == ["x.denoised.mseed", "x.noise.mseed"]
    assert done.format == "MSEED"
    assert not done.problems
    assert "GSE2 cannot hold it" in done.notes[0]
    signal, noise = (obspy.read(str(path))[0].data for path in done.outputs)
    assert signal.dtype == np.float32
    np.testing.assert_allclose(signal + noise, x, atol=1e-6)
    assert np.abs(signal - np.rint(signal)).max() > 0.1
    (row,) = done.rows
    assert row.rms_out == pytest.approx(signal.std(dtype=float), rel=0.02)
    loud = Trace(500 * x, header)
    loud.write(str(tmp_path / "y.gse2"), format="GSE2")
    done = denoise_files([tmp_path / "y.gse2"], None, options, noise_out=f"{tmp_path}/")
    assert done.format == "GSE2"
    signal, noise = (obspy.read(str(path))[0].data for path in done.outputs)
    np.testing.assert_array_equal(signal + noise, loud.data)


@pytest.mark.parametrize(
    ("encoding", "offset", "loss"),
    [
        ("STEIM2", 0.0, "STEIM2 cannot hold it: rounding changes its noise"),
        (None, 2.0**30, "FLOAT32 cannot hold it: rounding changes it by"),
        ("FLOAT64", 2.0**30, ""),
    ],
)
def test_the_sink_tells_what_rounding_loses(tmp_path, encoding, offset, loss):
    """Noise that integers lose, and a signal that float32 loses."""
    rng = np.random.default_rng(0)
    exact = offset + 1000 * rng.normal(size=1000)
    Trace(exact, {"station": "ABC", "channel": "HHZ"}).write(str(tmp_path / "x"), format="MSEED")
    (segment,) = traces.scan(tmp_path / "x").segments
    files = FileOptions(encoding=encoding, noise_out=tmp_path / "n.mseed")
    with FileSink(plan_outputs([tmp_path / "x"], tmp_path / "y.mseed", files), [segment]) as sink:
        sink.put(segment, 0, exact + rng.normal(size=1000), exact)
        found = sink.find_loss([segment])
    assert found.startswith(loss)
    assert bool(found) == bool(loss)


def test_a_format_that_is_asked_for_is_not_replaced(tmp_path):
    """The noise in SAC, of two traces, beside a signal in the format of the input."""
    noise = np.random.default_rng(0).normal(size=500).astype(np.float32)
    Stream(Trace(noise, {"station": name, "channel": "HHZ"}) for name in "AB").write(
        str(tmp_path / "x"), format="SLIST"
    )
    segments = list(traces.scan(tmp_path / "x").segments)
    plan = plan_outputs([tmp_path / "x"], tmp_path / "y", FileOptions(noise_out=tmp_path / "n.sac"))
    with FileSink(plan, segments) as sink:
        for segment in segments:
            sink.put(segment, 0, noise, noise / 2)
            sink.finish_segment(segment, lambda source: True)
    assert [path.name for path in sink.outputs] == ["y", "n..A..HHZ.sac", "n..B..HHZ.sac"]
    assert sink.formats == "SLIST and SAC"


def test_what_was_stored_gives_way_to_the_input_or_to_nothing(tmp_path, monkeypatch):
    """A segment that passes through has no noise; one that cannot is left out of both files."""
    x = np.random.default_rng(0).normal(size=500).astype(np.float32)
    Stream(Trace(x, {"station": name, "channel": "HHZ"}) for name in "AB").write(str(tmp_path / "x"), format="MSEED")
    one, two = traces.scan(tmp_path / "x").segments
    plan = plan_outputs([tmp_path / "x"], tmp_path / "y.mseed", FileOptions(noise_out=tmp_path / "n.mseed"))

    def refuse(*arguments):
        raise InputError(f"{two.id}: broken.")

    with FileSink(plan, [one, two]) as sink:
        for segment in (one, two):
            sink.put(segment, 0, x, x / 2)
        assert pass_through_or_leave_out(sink, one, lambda line: None) == ""
        monkeypatch.setattr(sink, "pass_through", refuse)
        assert pass_through_or_leave_out(sink, two, lambda line: None) == "it cannot be passed through: broken"
        for segment in (one, two):
            sink.finish_segment(segment, lambda source: True)
    for name, expected in (("y", x), ("n", 0 * x)):
        (found,) = obspy.read(str(tmp_path / f"{name}.mseed"))
        assert found.stats.station == "A"
        np.testing.assert_array_equal(found.data, expected)


def test_sigma_of_unchanged_traces_is_nan(tmp_path):
    """It is written beside that of the others; formats of integers are refused for it."""
    x = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    header = {"station": "ABC", "sampling_rate": 100.0}
    traces_in = [Trace(x, {**header, "channel": "HHZ"}), Trace(0 * x + 3, {**header, "channel": "HHN"})]
    Stream(traces_in).write(str(tmp_path / "x.mseed"), format="MSEED")
    options = InferenceOptions(tiny_model(), threads=1)
    done = denoise_files([tmp_path / "x.mseed"], None, options, sigma_out=tmp_path / "s.mseed")
    assert [path.name for path in done.outputs] == ["x.denoised.mseed", "s.mseed"]
    sigma = {part.stats.channel: part.data for part in obspy.read(str(tmp_path / "s.mseed"))}
    assert np.isnan(sigma["HHN"]).all()
    assert (sigma["HHZ"] > 0).all()
    with pytest.raises(InputError, match="GSE2 holds whole numbers"):
        denoise_files([tmp_path / "x.mseed"], tmp_path / "y.mseed", options, sigma_out=tmp_path / "s.gse2")
