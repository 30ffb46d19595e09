"""Standard errors are scored with the factor of other stations, and their table has a row for each kind."""

import numpy as np
import pytest

from geoae.records.scores_sigma import SigmaErrors, build_sigma_rows, compare_sigma, find_quantile, score_sigma
from tests.support.mixtures import make_white_mixtures


def estimate(x):
    """Nothing is removed: errors are the noise, whose level is told at a half of what it is."""
    noise = x[..., :1500].std(-1, keepdims=True)
    return x, np.broadcast_to(0.5 * noise, x.shape)


def test_scores_use_the_factor_of_other_stations():
    """Of right standard errors up to a factor, nine tenths hold in each group; as given, fewer."""
    scores = score_sigma(estimate, make_white_mixtures())
    assert scores["cover"] == pytest.approx(0.9, abs=0.01)
    assert scores["factor"] == pytest.approx(2.0, rel=0.03)
    assert scores["given"] == pytest.approx(0.589, abs=0.01)  # of a normal value, within 0.8225 standard deviations
    groups = [*scores["snr"].values(), *scores["span"].values(), *scores["tenth"]]
    assert len(groups) == 6 + 3 + 10
    assert all(0.85 < share < 0.95 for share in groups)
    # at -10 dB the noise has 10 dB more power than the clean record
    assert scores["width"] > 2


def test_errors_are_those_of_each_tenth_sample():
    """At each signal-to-noise ratio."""
    found = SigmaErrors(estimate, make_white_mixtures().select(slice(5)), (0, 10))
    assert found.ratio.shape == found.relative.shape == (10, 3, 600)
    assert found.snr.tolist() == [0] * 5 + [10] * 5
    assert found.stations.tolist() == [f"XX.S{i}" for i in range(5)] * 2
    np.testing.assert_array_equal(found.p, 1500)


def test_a_quantile_counts_weights():
    """Nine tenths of the weight lie below it."""
    assert find_quantile(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 98.0])) == 2
    assert find_quantile(np.array([3.0, 1.0, 2.0]), np.array([50.0, 1.0, 1.0])) == 3
    assert find_quantile(np.linspace(0, 1, 101)) == pytest.approx(0.9)


def test_the_table_has_a_row_for_each_kind():
    """Rows are as long as their header; a band without scores has no table; a span without samples is a dash."""
    mixtures = make_white_mixtures(4)
    scored = compare_sigma({"mine": estimate, "twice": lambda x: (x, 2 * estimate(x)[1])}, mixtures)
    assert scored["n"] == 4
    scored["methods"]["mine"]["span"]["before P"] = None  # as NaN is stored
    header, rows = build_sigma_rows({"bands": {"raw": {"sigma": scored}}}, "raw")
    assert header[0] == "Errors within 1.645 sigma (n=4)"
    assert [row[0] for row in rows] == ["mine", "twice"]
    assert {len(row) for row in rows} == {len(header)}
    mine, twice = (dict(zip(header, row, strict=True)) for row in rows)
    assert mine["before P, P to 3 s, 3 to 20 s"].startswith("-, 9")
    assert mine["with factor"] == twice["with factor"] == "90%"
    assert float(mine["which is"]) == pytest.approx(2 * float(twice["which is"]), abs=0.03)
    assert build_sigma_rows({"bands": {"raw": {}}}, "raw") == ([], [])
