"""Names of outputs, and sinks in memory."""

import numpy as np
import pytest

from geoae.errors import InputError, OutputError, OutputExistsError
from geoae.files import owners
from geoae.jobs.options import FileOptions
from geoae.jobs.records.sinks import FileSink, MemorySink, plan_outputs
from geoae.labels.segments import Segment


def test_names_of_outputs(tmp_path):
    """Known endings give way, others stay: the day of a year is no ending."""
    for name in ("x.mseed", "x.SAC", "XX.ABC.00.HHZ.D.2010.244"):
        names = plan_outputs([tmp_path / name], None, FileOptions()).targets
        stem = "x" if name.startswith("x") else name
        assert names == [tmp_path / f"{stem}.denoised.mseed"]
    with pytest.raises(InputError, match="Unknown output format"):
        plan_outputs([tmp_path / "x"], None, FileOptions("MP3"))


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
        sink.put(segment, offset, np.full(2, 1.0 + offset), np.full(2, 0.5))
    np.testing.assert_array_equal(sink.signal[7], [1, 1, 3, 3])
    assert sink.pass_through(segment, lambda line: None)
    assert 7 not in sink.signal
    np.testing.assert_array_equal(sink.removed[7], np.zeros(4))
