"""Options of the verbs: the same names in Python and on the command line; wrong values are refused."""

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from geoae.cli import app
from geoae.errors import InputError
from geoae.jobs.options import (
    CodeOptions,
    CodesWithSignal,
    DenoiseOptions,
    InferenceOptions,
    Selection,
    Workers,
    parse_chunks,
    split_names,
)
from tests.conftest import tiny_model


def test_keywords_are_the_options_of_the_command_line():
    """Each option of `geoae denoise` is a keyword; `for` is a word of Python, and is called purpose there.

    Python has two more: the command and a function for messages.
    """
    shown = set()
    for parameter in get_command(app).commands["denoise"].params:
        shown |= {name.removeprefix("--").replace("-", "_") for name in parameter.opts if name.startswith("--")}
    only_shown, only_python = {"id", "help", "quiet", "verbose"}, {"command", "say"}
    names = {"purpose" if name == "for" else name for name in shown - only_shown}
    assert names == set(DenoiseOptions.keywords()) - only_python


def test_no_keywords_give_the_defaults():
    """None for every keyword gives them too."""
    expected = DenoiseOptions()
    assert DenoiseOptions.from_keywords() == expected
    assert DenoiseOptions.from_keywords(**dict.fromkeys(DenoiseOptions.keywords())) == expected
    with pytest.raises(FrozenInstanceError):
        expected.out = "x"


def test_keywords_are_parsed():
    """Text with commas, a single id, upper and lower case, and a number of workers."""
    found = DenoiseOptions.from_keywords(
        out="a.zarr", model="m", threads=2, format="sac", encoding="float64", ids="*Z", start_time="2024", plot="a.png",
        var=["u,v", "w"], dims="y, x", chunks="time=3", workers=2, codes=True, latent=4, force=True, overwrite=True,
    )  # fmt: skip
    assert (found.out, found.inference) == ("a.zarr", InferenceOptions("m", threads=2))
    assert found.selection == Selection(["*Z"], "2024")
    assert (found.files.format, found.files.encoding, found.files.plot) == ("SAC", "FLOAT64", Path("a.png"))
    assert (found.fields.var, found.fields.dims, found.fields.chunks) == (("u", "v", "w"), ("y", "x"), {"time": 3})
    assert found.codes == CodesWithSignal(None, 4, force=True)
    assert (found.run.overwrite, found.run.dry_run, found.run.workers.n) == (True, False, 2)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"colour": "red"}, "no option colour; there are out, model"),
        ({"dry": 2}, "from 0 to 1"),
        ({"dry": float("nan")}, "from 0 to 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"threads": 0}, "at least 1"),
        ({"above_band": "keep"}, "choose one of"),
        ({"chunks": "time"}, "expected dimensions and numbers"),
        ({"latent": 3}, "--latent needs --codes"),
        ({"codes_model": "m"}, "--codes-model needs --codes"),
        ({"chunks": "time=0"}, "chunks are time=0"),
        ({"shard": 0}, "shard is 0"),
        ({"codes": True, "latent": 0}, "latent is 0"),
        ({"workers": 0}, "at least 1|one worker"),
        ({"purpose": "picking", "dry": 0.0}, "--for and --dry both say how much"),
        ({"highpass": 0.0}, "highpass is 0; give a frequency in Hz, above 0"),
        ({"highpass": -1}, "highpass is -1; give"),
        ({"highpass": float("nan")}, "highpass is nan; give"),
        ({"highpass": float("inf")}, "highpass is inf; give"),
        ({"highpass": "1 Hz"}, "highpass is '1 Hz'; give"),
        ({"highpass": True}, "highpass is True; give"),
        ({"cluster": "nowhere"}, "There is no cluster 'nowhere'"),
    ],
)
def test_values_that_are_not_allowed_are_refused(keywords, message):
    """The error names the option, before anything is read."""
    with pytest.raises(InputError, match=message):
        DenoiseOptions.from_keywords(**keywords)


def test_workers_know_whether_they_are_other_processes():
    """A cluster or a second worker needs other processes."""
    assert not Workers().are_other_processes
    assert Workers(n=2).are_other_processes
    assert Workers("local").are_other_processes


names = st.text("abcxyz_", min_size=1, max_size=5)


@given(st.dictionaries(names, st.integers(0, 10**6)))
def test_chunks_as_text_and_as_a_mapping_agree(sizes):
    """Both give the same sizes."""
    assert parse_chunks(", ".join(f"{dim}={n}" for dim, n in sizes.items())) == parse_chunks(sizes) == sizes


@given(st.lists(names))
def test_names_with_commas_and_in_a_list_agree(given_names):
    """Both give the same names in the same order."""
    assert split_names(", ".join(given_names)) == split_names(given_names) == tuple(given_names)


def test_times_of_a_selection_survive_as_text():
    """ObsPy reads the text as the same time."""
    from obspy import UTCDateTime

    time = UTCDateTime(2024, 1, 1, 0, 0, 0, 5)
    spec = Selection(("*Z",), time).spec()
    assert spec["ids"] == ["*Z"]
    assert (UTCDateTime(spec["start_time"]), spec["end_time"]) == (time, None)


@pytest.mark.parametrize(("name", "value"), [("threads", 0), ("latent", 0), ("latent", -3)])
def test_options_of_codes_are_checked(name, value):
    """A number below one is refused when the options are made."""
    with pytest.raises(InputError, match=f"{name} is {value}; it must be at least 1"):
        CodeOptions(**{name: value})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"dry": "a"}, "dry is 'a'; give a number"), ({"batch_size": 1.5}, "batch size is 1.5; give a whole number"),
     ({"threads": "two"}, "threads is 'two'; give a whole number")],
)  # fmt: skip
def test_options_of_another_type_are_refused(wrong, says):
    """In one line, as numbers out of range are."""
    with pytest.raises(InputError, match=says):
        InferenceOptions(**wrong)


def test_numbers_of_any_type_become_floats():
    """As they are written to stores and into lines of text."""
    options = InferenceOptions(dry=Fraction(1, 4), highpass=np.float32(0.5))
    assert (type(options.dry), type(options.highpass)) == (float, float)
    assert (options.dry, options.highpass) == (0.25, 0.5)


def test_a_purpose_sets_the_share_that_a_model_has_for_it():
    """Without a purpose the options stay; the share may be below zero."""
    model = tiny_model()
    model.contract = replace(model.contract, purposes={"viewing": -0.04})
    assert InferenceOptions(dry=0.3).for_model(model) == InferenceOptions(dry=0.3)
    chosen = InferenceOptions(purpose="viewing").for_model(model)
    assert (chosen.dry, chosen.purpose) == (-0.04, "viewing")
    assert chosen.for_model(model) == chosen
    assert (chosen.for_records().dry, chosen.for_records().purpose) == (-0.04, "viewing")
