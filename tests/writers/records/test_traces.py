"""Tests of geoae.writers.records.traces: an output is complete or does not exist."""

import errno
import os
import stat
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import obspy
import pytest

from geoae.errors import InputError, OutputError, OutputExistsError
from geoae.writers.records.traces import TraceWriter, supported_formats
from tests.support.segments import header_of, listing, put, samples, segment


@pytest.mark.parametrize("format_name", ["MSEED", "SLIST"])
def test_a_segment_can_be_started_again(tmp_path, format_name):
    """After an error, a segment can be written again from its start; its earlier samples are dropped."""
    first, second = segment(9000, 0, "HHE"), segment(9000, 1)
    with TraceWriter(tmp_path / "r", format_name) as writer:
        put(writer, first, samples(9000, seed=1))
        writer.put(second, 0, samples(4000), header_of(second))
        with pytest.raises(InputError, match="expected samples"):
            writer.put(second, 4001, samples(100), header_of(second))
        put(writer, second, samples(9000, seed=2), block=2000)
    stream = obspy.read(tmp_path / "r")
    for trace, seed in zip(stream, (1, 2), strict=True):
        np.testing.assert_allclose(trace.data, samples(9000, seed=seed), rtol=1e-7)


def test_segments_without_samples_are_skipped_and_named(tmp_path):
    """The other segments are written."""
    empty = segment(0, 1)
    with TraceWriter(tmp_path / "e.mseed") as writer:
        put(writer, segment(5), samples(5))
        writer.put(empty, 0, samples(0), header_of(empty))
    assert writer.skipped == (empty,)
    assert len(obspy.read(tmp_path / "e.mseed")) == 1


def test_unfinished_or_missing_segments_are_errors_and_nothing_is_written(tmp_path):
    """A file with missing samples does not appear."""
    with pytest.raises(InputError, match="only 7 of 9"), TraceWriter(tmp_path / "u.mseed") as writer:
        put(writer, segment(9), samples(7))
    with pytest.raises(InputError, match="no samples"), TraceWriter(tmp_path / "u.mseed"):
        pass
    assert listing(tmp_path) == []


@pytest.mark.parametrize("format_name", ["MSEED", "SAC"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_behind(tmp_path, error, format_name):
    """There is no new output or hidden file, and an existing output is unchanged."""
    path = tmp_path / "x.out"

    def stop_in_the_middle(overwrite):
        with TraceWriter(path, format_name, overwrite=overwrite) as writer:
            writer.put(segment(5000), 0, samples(3000), header_of(segment(5000)))
            raise error

    def stop(overwrite):
        with pytest.raises(error):
            stop_in_the_middle(overwrite)

    stop(overwrite=False)
    assert listing(tmp_path) == []
    path.write_text("before")
    stop(overwrite=True)
    assert listing(tmp_path) == ["x.out"]
    assert path.read_text() == "before"


def test_an_existing_output_stays_until_the_new_one_is_whole(tmp_path):
    """Overwriting replaces the file in one step, also through a link; a second close does nothing."""
    path, link = tmp_path / "x.mseed", tmp_path / "link.mseed"
    path.write_text("before")
    link.symlink_to(path)
    with pytest.raises(OutputExistsError, match=r"x\.mseed is there already"):
        TraceWriter(path)
    writer = TraceWriter(link, overwrite=True)
    put(writer, segment(5), samples(5))
    assert path.read_text() == "before"
    writer.close()
    writer.close()
    writer.abort()
    assert writer.written == (path.resolve(),)
    assert link.is_symlink()
    assert obspy.read(path)[0].stats.npts == 5
    assert listing(tmp_path) == ["link.mseed", "x.mseed"]
    with pytest.raises(InputError, match="closed"):
        put(writer, segment(5), samples(5))


def test_an_output_that_appears_meanwhile_is_not_lost(tmp_path):
    """A file that another program wrote under that name stays."""
    writer = TraceWriter(tmp_path / "x.mseed")
    put(writer, segment(5), samples(5))
    (tmp_path / "x.mseed").write_text("other")
    with pytest.raises(OutputExistsError):
        writer.close()
    assert listing(tmp_path) == ["x.mseed"]
    assert (tmp_path / "x.mseed").read_text() == "other"


@pytest.mark.parametrize("format_name", ["MSEED", "SAC"])
def test_permissions_are_those_of_any_new_file(tmp_path, format_name):
    """The permission bits follow the umask."""
    before = os.umask(0o027)
    try:
        with TraceWriter(tmp_path / "x", format_name) as writer:
            put(writer, segment(5), samples(5))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


def test_impossible_outputs_are_refused_at_once(tmp_path, monkeypatch):
    """A missing folder, a folder in place of a file, and a folder without permission, each before any work."""
    with pytest.raises(OutputError, match="make it first"):
        TraceWriter(tmp_path / "no" / "x.mseed")
    with pytest.raises(OutputError, match="not a file"):
        TraceWriter(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="not a file"):
        TraceWriter(Path("/dev/null"), overwrite=True)

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(
        "geoae.writers.records.traces.make_hidden_folder", refuse
    )  # root may write anywhere, so permission bits are no test
    with pytest.raises(OutputError, match="Permission denied"):
        TraceWriter(tmp_path / "x.mseed")


FULL_DISK = """
    import resource, sys, numpy as np
    from pathlib import Path
    from obspy import UTCDateTime
    from obspy.core import Stats
    from geoae.errors import OutputError
    from geoae.readers.records.arrange import Segment
    from geoae.writers.records.traces import TraceWriter

    path, format_name = Path(sys.argv[1]), sys.argv[2]
    piece = Segment("XX.ABC..HHZ", 0, 100.0, 2_000_000, 0, None, None)
    ids = {"network": "XX", "station": "ABC", "channel": "HHZ", "sampling_rate": 100.0, "starttime": UTCDateTime(0)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
    try:
        with TraceWriter(path, format_name, overwrite=True) as writer:
            for start in range(0, piece.n, 100_000):
                writer.put(piece, start, np.ones(100_000, np.float32), Stats(ids))
    except OutputError as error:
        print(error)
"""


@pytest.mark.parametrize("format_name", ["MSEED", "SAC"])
def test_a_file_that_cannot_grow_is_removed(tmp_path, format_name):
    """A limit on the file size is one clear error, and the old output is unchanged."""
    path = tmp_path / "x.out"
    path.write_text("before")
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(path), format_name]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert "x.out cannot be written: File too large" in run.stdout
    assert run.stderr == ""
    assert listing(tmp_path) == ["x.out"]
    assert path.read_text() == "before"


@pytest.mark.parametrize("n", [5, 100_000])
def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch, n):
    """It may be found while writing or at the end; no file is left."""

    def no_space(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = TraceWriter(tmp_path / "x.mseed")
    monkeypatch.setattr(writer._sink, "_flush", no_space)
    with pytest.raises(OutputError, match="No space left on device"), writer:
        put(writer, segment(n), samples(n))
    assert listing(tmp_path) == []
    assert writer.written == ()


def test_supported_formats(tmp_path):
    """The error for an unknown name lists the formats; WAV and pickles are refused with the reason."""
    assert {"MSEED", "SAC", "GSE2", "SEGY", "SLIST"} <= set(supported_formats())
    with pytest.raises(InputError, match=r"MSED.*GSE2.*MSEED.*SAC"):
        TraceWriter(tmp_path / "x", "MSED")
    with pytest.raises(InputError, match="neither ids nor times"):
        TraceWriter(tmp_path / "x", "wav")
    with pytest.raises(InputError, match="run code"):
        TraceWriter(tmp_path / "x", "PICKLE")
    for format_name, encoding in (("SAC", "FLOAT32"), ("MSEED", "STEIM3")):
        with pytest.raises(InputError, match=f"No encoding {encoding} for {format_name}"):
            TraceWriter(tmp_path / "x", format_name, encoding=encoding)
    assert listing(tmp_path) == []


def test_when_the_last_of_several_files_fails_the_others_go_too(tmp_path, monkeypatch):
    """If renaming fails halfway, no file of the set remains."""
    real, calls = Path.replace, []

    def replace(self, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    writer = TraceWriter(tmp_path / "x.sac", "SAC")
    for i, channel in enumerate(("HHE", "HHN", "HHZ")):
        put(writer, segment(10, i, channel), samples(10))
    with pytest.raises(OutputError, match="Input/output error"):
        writer.close()
    assert len(calls) == 3
    assert listing(tmp_path) == []


def test_blanks_around_codes_are_a_note(tmp_path):
    """They do not come back from miniSEED; blanks inside of codes do."""
    pieces = [replace(segment(10, i), id=f"XX.A B.00.{channel}") for i, channel in enumerate(("HHZ", " BZ"))]
    with TraceWriter(tmp_path / "x") as writer:
        for piece in pieces:
            put(writer, piece, samples(10))
    assert [trace.id for trace in obspy.read(tmp_path / "x")] == ["XX.A B.00.HHZ", "XX.A B.00.BZ"]
    (note,) = writer.notes
    assert "'XX.A B.00. BZ'" in note
