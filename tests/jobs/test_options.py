"""Options of a verb: the same words in Python and on the command line, and what cannot be is refused."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from geoae.cli.main import app
from geoae.errors import InputError
from geoae.jobs.options import (
    CodesWithSignal,
    DenoiseOptions,
    InferenceOptions,
    Selection,
    Workers,
    parse_chunks,
    split_names,
)


def test_the_words_are_those_of_the_command_line():
    """Each option of `geoae denoise` is a word; beside them there are only what was typed and who is told."""
    shown = set()
    for parameter in get_command(app).commands["denoise"].params:
        shown |= {name.removeprefix("--").replace("-", "_") for name in parameter.opts if name.startswith("--")}
    only_shown, only_python = {"id", "help", "quiet", "verbose"}, {"command", "say"}
    assert shown - only_shown == set(DenoiseOptions.words()) - only_python


def test_nothing_asked_for_is_all_defaults():
    """And so is None for every word."""
    expected = DenoiseOptions()
    assert DenoiseOptions.of() == expected
    assert DenoiseOptions.of(**dict.fromkeys(DenoiseOptions.words())) == expected
    with pytest.raises(FrozenInstanceError):
        expected.out = "x"


def test_words_become_what_they_mean():
    """Text with commas, one name for several, letters of any case, a number of workers."""
    found = DenoiseOptions.of(
        out="a.zarr", model="m", threads=2, format="sac", encoding="float64", ids="*Z", start_time="2024", plot="a.png",
        var=["u,v", "w"], dims="y, x", chunks="time=3", workers=2, codes=True, latent=4, force=True, overwrite=True,
    )  # fmt: skip
    assert (found.out, found.how) == ("a.zarr", InferenceOptions("m", threads=2))
    assert found.select == Selection(["*Z"], "2024")
    assert (found.files.format, found.files.encoding, found.files.plot) == ("SAC", "FLOAT64", Path("a.png"))
    assert (found.fields.var, found.fields.dims, found.fields.chunks) == (("u", "v", "w"), ("y", "x"), {"time": 3})
    assert found.codes == CodesWithSignal(None, 4, force=True)
    assert (found.run.overwrite, found.run.dry_run, found.run.workers.n) == (True, False, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"colour": "red"}, "no option colour; there are out, model"),
        ({"dry": 2}, "from 0 to 1"),
        ({"dry": float("nan")}, "from 0 to 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"threads": 0}, "at least 1"),
        ({"above_band": "keep"}, "choose one of"),
        ({"chunks": "time"}, "expected dimensions and numbers"),
        ({"latent": 3}, "--latent: of codes"),
        ({"codes_model": "m"}, "--codes-model: of codes"),
        ({"cluster": "nowhere"}, "There is no cluster 'nowhere'"),
    ],
)
def test_what_cannot_be_is_refused(words, said):
    """In one sentence, before anything is read."""
    with pytest.raises(InputError, match=said):
        DenoiseOptions.of(**words)


def test_workers_know_whether_they_are_elsewhere():
    """One process without a cluster is this one."""
    assert not Workers().are_elsewhere
    assert Workers(n=2).are_elsewhere
    assert Workers("local").are_elsewhere


names = st.text("abcxyz_", min_size=1, max_size=5)


@given(st.dictionaries(names, st.integers(0, 10**6)))
def test_chunk_sizes_are_read_as_they_are_written(sizes):
    """Text and mapping mean the same."""
    assert parse_chunks(", ".join(f"{dim}={n}" for dim, n in sizes.items())) == parse_chunks(sizes) == sizes


@given(st.lists(names))
def test_names_are_listed_one_by_one_or_with_commas(given_names):
    """In their order."""
    assert split_names(", ".join(given_names)) == split_names(given_names) == tuple(given_names)


def test_workers_are_told_times_as_text():
    """Objects of ObsPy become what it reads again."""
    from obspy import UTCDateTime

    time = UTCDateTime(2024, 1, 1, 0, 0, 0, 5)
    spec = Selection(("*Z",), time).spec()
    assert spec["ids"] == ["*Z"]
    assert (UTCDateTime(spec["start_time"]), spec["end_time"]) == (time, None)
