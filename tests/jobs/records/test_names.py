"""Names of outputs."""

import pytest

from geoae.errors import InputError, OutputError
from geoae.jobs.options import FileOptions
from geoae.jobs.records.names import names_folder
from geoae.jobs.records.sinks import plan_outputs


def test_names_of_outputs(tmp_path):
    """Known endings give way, others stay: the day of a year is no ending."""
    for name in ("x.mseed", "x.SAC", "XX.ABC.00.HHZ.D.2010.244"):
        names = plan_outputs([tmp_path / name], None, FileOptions()).targets
        stem = "x" if name.startswith("x") else name
        assert names == [tmp_path / f"{stem}.denoised.mseed"]
    with pytest.raises(InputError, match="Unknown output format"):
        plan_outputs([tmp_path / "x"], None, FileOptions("MP3"))


def test_a_folder_is_there_or_ends_in_a_slash(tmp_path):
    """Another name is that of a file."""
    assert names_folder(tmp_path)
    assert names_folder("new/")
    assert not names_folder(tmp_path / "new")


def test_long_names_of_inputs_leave_room_for_the_ending(tmp_path):
    """The names stay different, and no longer than a file system takes."""
    inputs = [tmp_path / ("é" * 115 + "x" * 15 + end) for end in ("1.mseed", "2.mseed")]
    found = [path.name for path in plan_outputs(inputs, None, FileOptions()).targets]
    assert len(set(found)) == 2
    assert all(len(name.encode()) <= 255 and name.endswith(".denoised.mseed") for name in found)


def test_an_output_that_leads_nowhere_is_refused(tmp_path):
    """Links in a circle, and a name that is too long."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OutputError, match=r"cannot be written: File name too long. Choose another output"):
        plan_outputs([tmp_path / "a"], tmp_path / ("x" * 300), FileOptions())
    with pytest.raises(OutputError, match="leads back to itself"):
        plan_outputs([tmp_path / "a"], tmp_path / "loop", FileOptions())
    plan_outputs([tmp_path / "loop"], tmp_path / "out", FileOptions())  # the input is refused when it is read
