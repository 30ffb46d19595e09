"""Formats of outputs: asked for, by the ending, or those of the inputs."""

import numpy as np
import pytest
from obspy import Stream, Trace, UTCDateTime

from geoae.errors import InputError
from geoae.jobs.options import FileOptions
from geoae.jobs.records.formats import ENDINGS, choose_formats
from geoae.writers.records.traces import supported_formats


@pytest.fixture
def written(tmp_path):
    """A function that writes a short recording in a format, and returns its path."""

    def write(name, format_name):
        header = {"station": "ABC", "channel": "HHZ", "sampling_rate": 100.0, "starttime": UTCDateTime(2024, 1, 1)}
        dtype = np.float32 if format_name == "SAC" else np.int32
        Stream([Trace(np.arange(100, dtype=dtype), header)]).write(str(tmp_path / name), format=format_name)
        return tmp_path / name

    return write


@pytest.mark.parametrize(("ending", "format_name"), [("SAC", "SAC"), ("gse", "GSE2"), ("sgy", "SEGY"), ("ms", "MSEED")])
def test_the_ending_of_a_file_decides(written, ending, format_name):
    """For signal and noise apart; a folder and an unknown ending leave the choice to the inputs."""
    path = written("x", "SAC")
    chosen = choose_formats([path], path.with_name(f"y.{ending}"), FileOptions())
    assert (chosen.signal, chosen.noise, chosen.is_default) == (format_name, format_name, False)
    chosen = choose_formats([path], path.with_name("y.244"), FileOptions(noise_out=f"n.{ending}"))
    assert (chosen.signal, chosen.noise, chosen.is_default) == ("SAC", format_name, True)
    (path.parent / f"folder.{ending}").mkdir()
    assert choose_formats([path], path.parent / f"folder.{ending}", FileOptions()).signal == "SAC"


def test_what_is_asked_for_decides_over_the_ending(written):
    """A note tells of the contradiction; an encoding asks for miniSEED."""
    path = written("x", "SAC")
    chosen = choose_formats([path], "y.sac", FileOptions("mseed"))
    assert chosen.signal == "MSEED"
    (note,) = chosen.notes
    assert note == "y.sac is written in the format MSEED, as --format asks, although its name ends as SAC."
    assert choose_formats([path], "y.sac", FileOptions("sac")).notes == ()
    assert choose_formats([path], "y", FileOptions(encoding="STEIM2")).signal == "MSEED"
    assert choose_formats([path], "y", FileOptions(encoding="STEIM2", noise_out="n.sac")).noise == "SAC"
    with pytest.raises(InputError, match="No encoding STEIM2 for SAC"):
        choose_formats([path], "y.sac", FileOptions(encoding="STEIM2"))


def test_inputs_keep_their_format(written):
    """If all have one, and it can be written; else miniSEED, with a note if they differ."""
    sac, gse, wav = written("a", "SAC"), written("b", "GSE2"), written("c", "WAV")
    assert choose_formats([sac], None, FileOptions()).signal == "SAC"
    assert choose_formats([gse], None, FileOptions()).is_default
    assert not choose_formats([written("d", "MSEED")], None, FileOptions()).is_default
    for inputs, n_notes in (([wav], 0), ([sac.with_name("missing")], 0), ([sac, gse], 1)):
        chosen = choose_formats(inputs, None, FileOptions())
        assert (chosen.signal, chosen.is_default, len(chosen.notes)) == ("MSEED", False, n_notes)
    assert choose_formats([sac.with_name("missing"), sac], None, FileOptions()).signal == "SAC"


def test_every_format_has_an_ending():
    """Its own name in lower case, which outputs get by default; formats that are not written are refused by theirs."""
    for name in supported_formats():
        assert ENDINGS[name.lower()] == name
    for name in ("x.wav", "x.pickle"):
        with pytest.raises(InputError, match="is not written"):
            choose_formats([], name, FileOptions())
        with pytest.raises(InputError, match="is not written"):
            choose_formats([], None, FileOptions(noise_out=name))
