"""A model is calibrated on the stations that it was not trained on."""

import numpy as np

from geoae.jobs.calibrate import calibrate_model, find_period_range, make_estimator
from geoae.model import load_model
from geoae.records.mixtures import build_mixtures
from tests.conftest import tiny_model


def test_the_factor_and_the_periods_are_stored(data, tmp_path):
    """The weights stay; sigma is multiplied by the factor, and the scores name both bands."""
    tiny_model().save(tmp_path / "m", "# card\n")
    before = load_model(tmp_path / "m")
    found = calibrate_model(tmp_path / "m", data, 2, ("all", "all"))
    after = load_model(tmp_path / "m")
    assert after.digest == before.digest
    assert (tmp_path / "m" / "card.md").read_text() == "# card\n"
    assert after.contract.sigma_factor == found["sigma_factor"] > 0
    assert after.contract.periods_s == found["periods_s"]
    assert set(found["scores"]) == {"raw", "bp1-45"}
    x = np.random.default_rng(0).normal(size=(1, 3, 6000))
    ratio = make_estimator(after)(x)[1] / make_estimator(before)(x)[1]
    np.testing.assert_allclose(ratio, found["sigma_factor"], rtol=1e-6)


def test_periods_are_those_of_the_events(data):
    """The range holds the periods of most events, and is empty without events."""
    shortest, longest = find_period_range(build_mixtures(data, "raw", 4, stations="all"))
    assert 0 < shortest <= longest < 60
