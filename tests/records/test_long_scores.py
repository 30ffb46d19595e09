"""Long periods are scored on groups of recorded events and noise, beside band-passes."""

import pytest

from geoae.errors import InputError
from geoae.records.long_scores import compare_long, format_long_scores
from geoae.training.recipe import SplitSection
from tests.support.long_periods import write_long_sets


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_long_sets(tmp_path_factory.mktemp("scores"))


def test_groups_and_methods_are_scored(folder):
    """Doing nothing gains nothing; the truth is not needed by the denoiser; all six groups are in the table."""
    results = compare_long(lambda x: 0.5 * x, folder, SplitSection(), 1.0, stations=None, n=3, name="half")
    assert len(results["groups"]) == 6
    for scores in results["groups"].values():
        bands = [name for name in scores if name.startswith("band-pass")]
        assert list(scores) == ["half", "do nothing", *bands]
        assert len(bands) == 3
        assert abs(scores["do nothing"]["si_sdr_gain_db"]["median"]) < 1e-9
        assert abs(scores["half"]["si_sdr_gain_db"]["median"]) < 1e-9
        assert scores["half"]["kept"]["median"] == pytest.approx(0.5 * scores["do nothing"]["kept"]["median"], abs=1e-3)
    text = format_long_scores(results)
    assert "| whole wave trains (1 stations) in sea floor, as recorded (1) | 0.0, " in text


def test_stations_without_events_are_refused(folder):
    """The message counts what there is."""
    with pytest.raises(InputError, match=r"hold 0 usable events"):
        compare_long(lambda x: x, folder, SplitSection(modulus=1000), 1.0, n=1)
