"""Inputs of a run: recordings are told from fields, patterns are expanded, repeats are dropped."""

import os
from pathlib import Path

import obspy
import pytest

from geoae.errors import GeoAEError, InputError, MissingFileError
from geoae.jobs.inputs import Recordings, drop_repeats, sort_inputs
from geoae.jobs.inspect import info
from geoae.jobs.source import ArraySource
from tests.support.fields import field


@pytest.fixture
def folder(tmp_path) -> Path:
    obspy.read().write(str(tmp_path / "a.mseed"), format="MSEED")
    field(2, 16, 20).to_netcdf(tmp_path / "u.nc")
    return tmp_path


def test_recordings_and_fields_are_sorted_by_content(folder):
    """A pattern stands for its files; both kinds together are refused."""
    found = sort_inputs([folder / "*.mseed"])
    assert isinstance(found, Recordings)
    assert found.paths == [folder / "a.mseed"]
    source = sort_inputs([folder / "u.nc"])
    assert isinstance(source, ArraySource)
    assert source.has_fields
    with pytest.raises(InputError, match="Give them one after the other"):
        sort_inputs([folder / "a.mseed", folder / "u.nc"])
    with pytest.raises(InputError, match="No file matches"):
        sort_inputs([folder / "q*.mseed"])


def test_what_is_neither_recording_nor_field_is_called_so(folder):
    """A file that is not there, and one of another kind, beside a field and in any order."""
    (folder / "notes.txt").write_text("no samples\n" * 50)
    for name, error, message in (
        ("nothere", MissingFileError, "nothere does not exist"), ("notes.txt", GeoAEError, "notes.txt is "),
    ):  # fmt: skip
        for names in ((name, "u.nc"), ("u.nc", name)):
            with pytest.raises(error, match=message) as caught:
                sort_inputs([folder / n for n in names])
            assert "is a recording and" not in str(caught.value)


def test_recordings_that_a_catalog_changes_are_refused(folder, monkeypatch):
    """`geoae.read` changes samples and times; a recording is not changed on its way to a recording."""
    monkeypatch.chdir(folder)
    entry = "{data_type: Records, uri: a.mseed, driver: traces, data_adapter: {%s}, metadata: {unit: m/s}}"
    for change in ("unit_mult: {trace: 2}", "unit_add: {time: 3600}"):
        Path("data_catalog.yml").write_text(f"mine: {entry % change}\n")
        with pytest.raises(InputError, match=r"^The catalog changes samples or times of mine .*geoae\.read\('mine'\)"):
            sort_inputs(["mine"])
        assert "the catalog changes them in geoae.read alone" in info("mine").notes[-1]
    Path("data_catalog.yml").write_text(f"mine: {entry % ''}\n")
    assert sort_inputs(["mine"]).paths == [Path("a.mseed")]
    assert not info("mine").notes


def test_a_group_is_chosen_for_fields_alone(folder):
    """It is an option of their reader and part of their name; recordings have no groups."""
    source = sort_inputs([folder / "u.nc"], "inner")
    assert isinstance(source, ArraySource)
    assert source.options == {"group": "inner"}
    assert source.label() == "u.nc (group inner)"
    with pytest.raises(InputError, match="--group: not for recordings"):
        sort_inputs([folder / "a.mseed"], "inner")


def test_repeated_files_are_used_once(folder):
    """Also under another name of the same file."""
    (folder / "sub").mkdir()
    again = folder / "sub" / ".." / "a.mseed"
    found, notes = drop_repeats(Recordings([folder / "a.mseed", again]))
    assert found.paths == [folder / "a.mseed"]
    assert notes == [f"{again} was given more than once and is used once."]


def test_an_input_that_cannot_be_used_stops_no_other(folder):
    """Beside recordings it is a problem; alone, or beside fields, which belong together, it is an error."""
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder / "loop")
    bad = [folder / "none", folder / "q*", folder / "pipe", folder / "loop", folder / ("x" * 300)]
    found = sort_inputs([*bad, folder / "a.mseed"])
    assert isinstance(found, Recordings)
    assert found.paths == [folder / "a.mseed"]
    segments, problems, _ = found.scan()
    assert {s.source for s in segments} == {folder / "a.mseed"}
    words = ["none does not exist", "No file matches", "is a pipe", "leads back to itself", "so long a name"]
    assert all(word in problem for word, problem in zip(words, problems, strict=True))
    with pytest.raises(InputError, match="none does not exist"):
        found.as_source()  # one array, which would lack the other inputs
    for path, word in zip(bad, words, strict=True):
        for inputs in ([path], [path, folder / "u.nc"]):
            with pytest.raises(InputError, match=word):
                sort_inputs(inputs)
    source = sort_inputs([folder / "u.nc", folder / "none"], each_by_itself=True)
    assert isinstance(source, ArraySource)
    assert source.places == (str(folder / "u.nc"), str(folder / "none"))


def test_a_missing_file_is_a_problem_only_beside_others(folder):
    """Alone it is an error; with others these are read, and it is listed."""
    with pytest.raises(MissingFileError):
        Recordings([folder / "none.mseed"]).scan()
    segments, problems, _ = Recordings([folder / "none.mseed", folder / "a.mseed"]).scan()
    assert {s.source for s in segments} == {folder / "a.mseed"}
    assert len(problems) == 1
    assert "none.mseed" in problems[0]
