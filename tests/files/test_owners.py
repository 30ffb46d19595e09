"""Hidden names of unfinished outputs tell who writes them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoae.files import owners
from geoae.files.owners import Owner, find_hidden, hidden_name

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..") and len(os.fsencode(name)) <= 255
)


def ended_process() -> int:
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait()
    return process.pid


def states(path: Path, word: str = "part") -> list[Owner]:
    return [owner for _, _, owner in find_hidden([path], word)]


@given(name=NAMES, word=st.sampled_from(["part", "old"]))
def test_a_hidden_name_fits_every_file_system_and_belongs_to_one_output(name, word):
    """At most 255 bytes, hidden, never the same twice, and told apart from those of outputs with a similar name."""
    path = Path(name)
    first, second = hidden_name(path, word), hidden_name(path, word)
    assert len(os.fsencode(first)) <= 255
    assert first.startswith(".")
    assert first != second
    match = owners._PATTERN.match(first)
    assert (match["name"], match["word"]) == (owners._digest(name), word)
    assert match["name"] != owners._PATTERN.match(hidden_name(Path(f"{name[:40]}!"), word))["name"]


def test_the_suffix_stays():
    """Libraries choose a format by it; a suffix that is no suffix is left out."""
    assert hidden_name(Path("a.b.png")).endswith(".part.png")
    assert hidden_name(Path("a.b.png"), keep_suffix=False).endswith(".part")
    assert hidden_name(Path("a." + "b" * 200)).endswith(".part")


def test_a_process_is_known_by_number_and_start(tmp_path, monkeypatch):
    """This one, another that runs, one that has ended, and one whose number was used again."""
    path = tmp_path / "x.mseed"
    (tmp_path / hidden_name(path)).touch()
    assert states(path) == [Owner.THIS]
    assert states(tmp_path / "y.mseed") == states(path, "old") == []
    (tmp_path / hidden_name(path)).unlink(missing_ok=True)
    monkeypatch.setattr(os, "getpid", os.getppid)
    parent = tmp_path / hidden_name(path)
    monkeypatch.undo()
    parent.touch()
    assert sorted(owner.name for owner in states(path)) == ["RUNNING", "THIS"]
    began = owners._began(os.getppid())
    if began is not None:  # Linux
        parent.rename(tmp_path / parent.name.replace(f"-{began}-", f"-{began - 1}-"))
        assert sorted(owner.name for owner in states(path)) == ["GONE", "THIS"]
    monkeypatch.setattr(os, "getpid", ended_process)
    (tmp_path / hidden_name(path)).touch()
    monkeypatch.undo()
    assert "GONE" in [owner.name for owner in states(path)]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_a_process_that_was_killed_and_not_yet_collected_has_ended(tmp_path):
    """A zombie still has a number."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        began = owners._began(process.pid)
        assert began is not None
        assert began > 0
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert owners._began(process.pid) == -1


def test_processes_of_other_machines_count_as_running(tmp_path, monkeypatch):
    """On a file system that machines share, and in containers, equal numbers are other processes."""
    path = tmp_path / "x.mseed"
    monkeypatch.setattr(owners, "_machine", lambda: "0123abcd")
    monkeypatch.setattr(os, "getpid", ended_process)
    (tmp_path / hidden_name(path)).touch()
    monkeypatch.undo()
    assert states(path) == [Owner.UNKNOWN]


def test_folders_that_are_not_there_have_nothing(tmp_path):
    """The error of writing there says more."""
    assert list(find_hidden([tmp_path / "missing" / "x"])) == []
